"""XGBoost: every training leaves a run, with every evaluation metric at every iteration.

    import histhooks, numpy, xgboost
    histhooks.autolog("xgboost")
    X, y = numpy.random.rand(100, 4), numpy.random.rand(100)
    train, valid = xgboost.DMatrix(X[:80], y[:80]), xgboost.DMatrix(X[80:], y[80:])
    xgboost.train({"max_depth": 3}, train, 50, evals=[(valid, "valid")], early_stopping_rounds=5)

    # without autolog(): this training and no other
    from histhooks.integrations.xgboost import HistoryCallback
    xgboost.train({"max_depth": 3}, train, 50, callbacks=[HistoryCallback()])

==========================================  ==========================================================================
XGBoost                                     record
==========================================  ==========================================================================
``train``                                   a run of kind `fit`
``cv``                                      a run of kind `validate`
``XGBModel.fit`` and its kin                a run of kind `fit`; the ``train`` inside belongs to it
``score``, ``joblib.dump`` of an estimator  as of any estimator, where scikit-learn is recorded too
``train`` inside another estimator's fit    the first belongs to that run, a later one and ``cv`` are children of it
``params``; arguments of the call           params, under their own names; `params.<name>` where both have one
``EarlyStopping``; callbacks                params `early_stopping.<name>`; param `callbacks`, by class
scores of an iteration                      points `<eval set>-<metric>` (``cv``: `…-mean`, `…-std`), step = iteration
``dtrain``, ``evals``, ``X``, ``eval_set``  datasets of role `train`, `valid` or `test`
``best_iteration``, ``best_score``          results; `stopped_iteration` where it ended before its last round
``save_config()``                           result `booster_config`
``xgb_model``                               a link `continues` to the run that trained it; a file is an artifact, also
                                            where ``load_model`` read it
``save_model``                              an artifact of role `model` of the run that trained the model, also
                                            after its end; of role `checkpoint` while it trains
==========================================  ==========================================================================

Splits. An eval set that is the training data itself is `train`; `test`, `train` and the words for validation mean
what they say; any other name is `valid`, unless ``autolog(splits={"holdout": "test"})`` says so. The held-out part of
a fold, which ``cv`` calls test, is `valid`: the number of rounds is chosen by it.

Seams. Callbacks are the official registration, but the host stops asking them at the first that says stop
(``any(...)`` in ``CallbackContainer.after_iteration``), and ``early_stopping_rounds`` adds one behind the user's. So
ours goes first, into the container's own list, in ``CallbackContainer.__init__``, which every training passes through.
No callback hears of an exception: for that, and for arguments, ``train``, ``cv`` and ``fit`` are wrapped. A
``HistoryCallback`` without ``autolog()`` does the same, for calls that have one in their callbacks; it pickles as a
plain ``TrainingCallback``, so that a model loads where histhooks is not installed.

Not recorded: content of a ``DMatrix`` (its shape and names are); the learning rate under a ``LearningRateScheduler``;
curves of what a search or an ensemble dispatches through joblib; workers of rank > 0. Of a ``train`` held in a
closure, a partial or a default, arguments and data, and what it fails with. Tested with 3.2.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import FunctionType
from typing import Any

import xgboost
from xgboost import callback as xgboost_callback
from xgboost import collective, training
from xgboost.callback import EarlyStopping, TrainingCallback

from histhooks import recorder
from histhooks._data import hash_file
from histhooks._guard import guarded
from histhooks._metrics import describe
from histhooks._patching import Patches
from histhooks._run import Run
from histhooks._trained import forget, trained_by
from histhooks.errors import NotApplicable
from histhooks.integrations import Integration

_MINIMUM = (2, 1)
_OWN = ("xgboost", "sklearn", "joblib", "threading", "concurrent", "functools")
_DATA = ("self", "dtrain", "evals", "evals_result", "params", "callbacks", "X", "y", "eval_set", "xgb_model")
# Attributes of EarlyStopping, as its constructor sets them where nothing is given.
_EARLY_STOPPING = {"metric_name": None, "data": None, "maximize": None, "save_best": False, "min_delta": 0.0}
# XGBoost's metrics whose direction their words do not tell (callback.py, EarlyStopping.after_iteration).
_UP = frozenset({"auc", "aucpr", "pre", "map", "ndcg", "interval-regression-accuracy"})
_DOWN = frozenset({"mphe", "quantile", "merror", "error"})
_CONFIG_CHARACTERS = 20_000

_patches = Patches()
_is_automatic = False
# The run that trained a booster, and the file that one was loaded from, with its size and its time of change.
_run_of: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()
_estimator_of: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = weakref.WeakKeyDictionary()
_read: weakref.WeakKeyDictionary[Any, tuple[str, int, int]] = weakref.WeakKeyDictionary()
# Runs that have the curve of a training already.
_trained: weakref.WeakSet[Run] = weakref.WeakSet()
_training: ContextVar[_Training | None] = ContextVar("histhooks_xgboost_training", default=None)


class HistoryCallback(TrainingCallback):
    """Records the training whose ``callbacks`` it is in; beside ``autolog()`` it changes nothing.

    One object may serve any number of trainings, each of which is a run.

    Examples
    --------
    >>> import xgboost
    >>> from histhooks.integrations.xgboost import HistoryCallback
    >>> callback = HistoryCallback()
    >>> xgboost.train({}, xgboost.DMatrix([[0.0], [1.0]], [0, 1]), 2, callbacks=[callback]).num_boosted_rounds()
    2
    """

    def __init__(self) -> None:
        super().__init__()
        self._of: _Training | None = None
        guarded(_arm)()

    def __deepcopy__(self, memo: dict[int, Any]) -> HistoryCallback:
        return HistoryCallback()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return TrainingCallback, ()

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Called by XGBoost after each iteration."""
        if self._of is not None:
            guarded(self._of.advance)(epoch, evals_log)
        return False

    def after_training(self, model: Any) -> Any:
        """Called by XGBoost when no more iterations come."""
        if self._of is not None:
            guarded(self._of.conclude)(model)
        return model


class _Training:
    """One training: its run, and how far that has its history."""

    def __init__(self, run: Run, splits: Mapping[str, str], n_rounds: int | None, *, is_own: bool) -> None:
        self.run = run
        self.is_own = is_own
        self.is_wrapped = True
        self._splits = splits
        self._n_rounds = n_rounds
        self._stopping: Any = None
        self._counts: dict[tuple[str, str], int] = {}
        self._history: Mapping[str, Any] = {}
        self._steps = 0
        _trained.add(run)

    def begin(self, callbacks: list[Any]) -> None:
        """Learn which callbacks there are."""
        self.run.log_params(
            {"callbacks": [f"{type(c).__module__}.{type(c).__qualname__}" for c in callbacks]}, source="resolved"
        )
        self._stopping = next((c for c in callbacks if isinstance(c, EarlyStopping)), None)
        if self._stopping is not None:
            kept = {name.lstrip("_"): value for name, value in vars(self._stopping).items()}
            known = {name: kept.get(name) for name in ("rounds", *_EARLY_STOPPING)}
            usual = {"early_stopping": _EARLY_STOPPING}
            self.run.log_params({"early_stopping": known}, source="argument", defaults=usual)

    def advance(self, step: int, history: Mapping[str, Any]) -> None:
        """Log what the history has more than before; a metric that two eval sets share has two points a step."""
        self._steps = step + 1
        self._history = history
        rows: list[dict[str, Any]] = []
        for data, metrics in history.items():
            for metric, values in metrics.items():
                count = self._counts.get((data, metric), 0)
                if not count:
                    self._declare(data, metric, is_cv=isinstance(values[-1], tuple))
                self._counts[data, metric] = len(values)
                name = f"{data}-{metric}"
                for depth, value in enumerate(values[count:]):
                    if depth == len(rows):
                        rows.append({})
                    if isinstance(value, tuple):
                        rows[depth] |= {f"{name}-mean": value[0], f"{name}-std": value[1]}
                    else:
                        rows[depth][name] = value
        for row in rows:
            self.run.log(row, step=step)

    def _declare(self, data: str, metric: str, *, is_cv: bool) -> None:
        name = f"{data}-{metric}"
        split = ("train" if data == "train" else "valid") if is_cv else self._splits.get(data) or _split_of(data)
        direction = _direction_of(metric)
        if self._is_watched(data, metric):
            maximize = self._stopping.maximize
            # Where nobody says and no name tells, EarlyStopping takes less for better.
            direction = (direction or -1) if maximize is None else 1 if maximize else -1
            if recorder.main_metric() is None and self.run.kind in ("fit", "validate"):
                self.run.update(main_metric=f"{name}-mean" if is_cv else name)
        if is_cv:
            self.run.declare_metric(f"{name}-mean", metric=f"{metric}-mean", split=split, direction=direction)
            self.run.declare_metric(f"{name}-std", metric=f"{metric}-std", split=split, direction=0)
        else:
            self.run.declare_metric(name, metric=metric, split=split, direction=direction)

    def _is_watched(self, data: str, metric: str) -> bool:
        """Whether early stopping looks at this metric: as told, else the last metric of the last eval set."""
        stopping = self._stopping
        if stopping is None or data != (stopping.data or list(self._history)[-1]):
            return False
        return bool(metric == (stopping.metric_name or list(self._history[data])[-1]))

    def conclude(self, model: Any) -> None:
        """No more iterations come."""
        results: dict[str, Any] = {}
        for name, kind in (("best_iteration", int), ("best_score", float)):
            # A booster that goes on from an earlier one still carries what stopped that.
            text = model.attr(name) if self._stopping is not None else None
            if text is not None:
                results[name] = kind(text)
        if self._n_rounds is not None and 0 < self._steps < self._n_rounds:
            results["stopped_iteration"] = self._steps - 1
        folds = getattr(model, "cvfolds", None)
        results["booster_config"] = _config_of(folds[0].bst if folds else model)
        self.run.log_results(results)
        if not folds:
            _run_of[model] = self.run
        if not self.is_wrapped:
            self.end(None)

    def saved(self, path: str) -> None:
        """Record a file that was written in the middle, as ``TrainingCheckPoint`` does."""
        self.run.log_artifact(path, role="checkpoint", step=max(0, self._steps - 1))

    def end(self, error: BaseException | None) -> None:
        """Nothing comes any more."""
        if self.run.status == "running":
            self.run.update(steps_done=self._steps)
            if self.is_own:
                self.run.end(error=error)
        self._history, self._stopping = {}, None

    def lost(self) -> None:
        """The container is gone, and the training never came to its end."""
        if self.run.status == "running":
            self.run.event("unseen_error", "training ended by an exception that no hook saw", severity="warning")
            self.run.update(steps_done=self._steps)
            self.run.end("failed")


# --- what is recorded -------------------------------------------------------------------------------------------------


def _split_of(data: str) -> str:
    """The split that the name of an eval set stands for."""
    chosen = recorder.splits()
    if data in chosen:
        return chosen[data]
    known = describe(f"{data}-x")
    return known.split if known.metric == "x" else "valid"


def _splits_of(dtrain: Any, evals: Any) -> dict[str, str]:
    chosen = recorder.splits()
    return {name: "train" if data is dtrain and name not in chosen else _split_of(name) for data, name in _pairs(evals)}


def _pairs(evals: Any) -> list[tuple[Any, Any]]:
    """Eval sets with their names; none where the host will refuse them."""
    pairs = list(evals) if isinstance(evals, (list, tuple)) else []
    return pairs if all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs) else []


def _direction_of(metric: str) -> int:
    base = metric.partition("@")[0]
    return 1 if base in _UP else -1 if base in _DOWN or base.endswith("nloglik") else describe(metric).direction


def _config_of(booster: Any) -> Any:
    text = booster.save_config()
    if len(text) > _CONFIG_CHARACTERS:
        return {"$cut": {"text": text[:_CONFIG_CHARACTERS], "characters": len(text)}}
    return json.loads(text)


def _params_of(params: Any, taken: Mapping[str, Any]) -> dict[str, Any]:
    """Booster params; of those given as pairs, a repeated one is a list."""
    out: dict[str, Any] = {}
    for key, value in params.items() if isinstance(params, Mapping) else list(params or []):
        name = f"params.{key}" if key in taken else str(key)
        if name in out:
            out[name] = [*(out[name] if isinstance(out[name], list) else [out[name]]), value]
        else:
            out[name] = value
    return out


def _bind(original: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, as the host binds them: it takes keyword-only ones by position too (require_keyword_args)."""
    return {**dict(zip(_signature(original), args, strict=False)), **kwargs}


@functools.lru_cache(maxsize=256)
def _signature(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}


def _log_arguments(run: Run, original: Callable[..., Any], bound: Mapping[str, Any], prefix: str = "") -> None:
    run.log_params({f"{prefix}{k}": v for k, v in bound.items() if k not in _DATA}, source="argument")
    rest = {k: v for k, v in _signature(original).items() if k not in bound and k not in _DATA}
    defaults = {f"{prefix}{k}": None if v is inspect.Parameter.empty else v for k, v in rest.items()}
    run.log_params(defaults, source="default")


def _log_matrix(run: Run, role: str, data: Any, name: str | None = None) -> None:
    """Record the shape and the names of a DMatrix, whose values lie where nobody can look without a copy."""
    if not isinstance(data, xgboost.DMatrix):
        return
    facts: dict[str, Any] = {"shape": (data.num_row(), data.num_col())}
    if data.feature_names is not None and data.feature_types is not None:
        facts |= {"columns": list(data.feature_names), "dtypes": list(data.feature_types)}
    run.log_dataset(role, type(type(data).__name__, (), facts)(), name=name)


def _log_previous(run: Run, model: Any) -> None:
    """Where training goes on from an earlier model, link to the run that left it."""
    if isinstance(model, (str, os.PathLike)):
        run.log_artifact(model, role="model", direction="in")
        run.link("continues", None, hash_file(Path(model))[0])
    elif model is not None:
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        earlier = _run_of.get(booster) if isinstance(booster, xgboost.Booster) else None
        if earlier is not None:
            run.link("continues", str(earlier.id))
        else:
            place = _file_of(booster)
            run.link("continues", None, hash_file(Path(place))[0] if place else None)
            if place:
                run.log_artifact(place, role="model", direction="in")


def _file_of(booster: Any) -> str | None:
    """The file that a booster was loaded from, unless it was written again since."""
    known = _read.get(booster) if isinstance(booster, xgboost.Booster) else None
    return known[0] if known is not None and known == _stamped(known[0]) else None


def _stamped(path: Any) -> tuple[str, int, int] | None:
    """The place, the size and the time of change of a file that is there."""
    if not isinstance(path, (str, os.PathLike)) or not Path(path).is_file():
        return None
    known = os.stat(path)
    return os.path.abspath(path), known.st_size, known.st_mtime_ns


def _outer() -> Run | None:
    """The run of another hook's fit that this is a part of."""
    run = recorder.current_run()
    return run if run is not None and run.is_implicit and run.is_recorded and run.kind != "loop" else None


def _may_record(callbacks: Any) -> bool:
    is_asked = _is_automatic or any(isinstance(c, HistoryCallback) for c in callbacks or [])
    return is_asked and recorder.is_recording() and not recorder.is_task() and collective.get_rank() == 0


def _open(kind: str, model_class: str) -> Run:
    return recorder.open_run(
        kind=kind,
        framework="xgboost",
        framework_version=xgboost.__version__,
        model_class=model_class,
        call_site=recorder.call_site(_OWN),
    )


@guarded
def _begin(original: Callable[..., Any], bound: dict[str, Any]) -> _Training | None:
    """The training that a call of ``train`` or ``cv`` is, with all that its arguments say."""
    if not _may_record(bound.get("callbacks")):
        return None
    is_cv = original.__name__ == "cv"
    splits = {} if is_cv else _splits_of(bound.get("dtrain"), bound.get("evals"))
    n_rounds = bound.get("num_boost_round", _signature(original).get("num_boost_round"))
    outer = _outer()
    if outer is not None and not is_cv and outer not in _trained:
        return _Training(outer, splits, n_rounds, is_own=False)
    run = _open("validate" if is_cv else "fit", "xgboost.core.Booster")
    _log_call(run, original, bound, splits)
    return _Training(run, splits, n_rounds, is_own=True)


@guarded
def _log_call(run: Run, original: Callable[..., Any], bound: dict[str, Any], splits: Mapping[str, str]) -> None:
    run.log_params(_params_of(bound.get("params"), _signature(original)), source="argument")
    _log_arguments(run, original, bound)
    _log_matrix(run, "train", bound.get("dtrain"))
    for data, name in _pairs(bound.get("evals")):
        if data is not bound.get("dtrain"):
            _log_matrix(run, splits[name], data, name)
    _log_previous(run, bound.get("xgb_model"))


def _around_train(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    begun = _begin(original, _bind(original, args, kwargs))
    if begun is None:
        return original(*args, **kwargs)
    token = _training.set(begun)
    try:
        with recorder.scope(begun.run):
            result = original(*args, **kwargs)
    except BaseException as error:
        begun.end(error)
        raise
    finally:
        _training.reset(token)
    if isinstance(result, xgboost.Booster):
        _run_of[result] = begun.run  # that of the best iteration only is another object (save_best)
    begun.end(None)
    return result


@guarded
def _begin_fit(original: Callable[..., Any], bound: dict[str, Any]) -> Run | None:
    estimator = bound["self"]
    if _outer() is not None or not _may_record(getattr(estimator, "callbacks", None)):
        return None
    run = _open("fit", f"{type(estimator).__module__}.{type(estimator).__qualname__}")
    _log_fit(run, original, estimator, bound)
    return run


@guarded
def _log_fit(run: Run, original: Callable[..., Any], estimator: Any, bound: dict[str, Any]) -> None:
    params = {k: v for k, v in estimator.get_params().items() if k != "callbacks"}
    usual = {**dict.fromkeys(params), **_usual_of(type(estimator))}
    run.log_params(params, source="argument", defaults={k: v for k, v in usual.items() if k in params})
    _log_arguments(run, original, bound, "fit.")
    X, y = bound.get("X"), bound.get("y")
    run.log_dataset("train", X, y)
    for number, (other, target) in enumerate(_pairs(bound.get("eval_set"))):
        name = f"validation_{number}"
        if other is not X or name in recorder.splits():
            run.log_dataset(_split_of(name), other, target, name=name)
    _log_previous(run, bound.get("xgb_model"))


def _usual_of(kind: type) -> dict[str, Any]:
    """Defaults of an estimator's constructor, which hands on to that of its parent what it does not name."""
    usual: dict[str, Any] = {}
    for parent in reversed(kind.__mro__):
        init = vars(parent).get("__init__")
        if isinstance(init, FunctionType):
            usual |= {k: v for k, v in _signature(init).items() if v is not inspect.Parameter.empty}
    return usual


def _around_fit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    run = _begin_fit(original, _bind(original, args, kwargs))
    if run is None:
        return original(*args, **kwargs)
    try:
        with recorder.scope(run):
            result = original(*args, **kwargs)
    except BaseException as error:
        run.end(error=error)
        raise
    _fitted(run, args[0])
    run.end()
    return result


@guarded
def _fitted(run: Run, estimator: Any) -> None:
    """Let scikit-learn's ``score``, and joblib's ``dump``, find the run of the estimator."""
    trained_by(run, estimator, is_own=True)
    _estimator_of[estimator.get_booster()] = weakref.ref(estimator)


def _around_save(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    _saved(**_bind(original, args, kwargs))
    return result


@guarded
def _saved(self: Any, fname: Any) -> None:
    """Record a file that the program wrote, as of the run that trained the booster, or is at it."""
    begun, trained_it = _training.get(), _run_of.get(self)
    known = _stamped(fname)
    if known is None or not recorder.is_recording():
        return
    if trained_it is not None:
        with trained_it.reopened():
            trained_it.log_artifact(known[0], role="model")
    elif begun is not None:
        begun.saved(known[0])


def _around_load(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    _loaded(**_bind(original, args, kwargs))
    return result


@guarded
def _loaded(self: Any, fname: Any) -> None:
    known = _stamped(fname)
    _run_of.pop(self, None)  # it is another model now
    estimator = _estimator_of.pop(self, lambda: None)()
    if estimator is not None:
        forget(estimator)
    _read.pop(self, None)
    if known is not None:
        _read[self] = known


def _around_container_init(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    _enter(args[0])
    return result


@guarded
def _enter(container: Any) -> None:
    """Put our callback first in the container's own list, in the place of those that a program put in."""
    given = list(container.callbacks)
    others = [c for c in given if not isinstance(c, HistoryCallback)]
    begun = _training.get()
    if begun is None:
        # A `train` that no wrapper of ours saw: what it was called with is not known.
        if not _may_record(given) or _outer() is not None:
            return
        begun = _Training(_open("fit", "xgboost.core.Booster"), {}, None, is_own=True)
        begun.is_wrapped = False
        weakref.finalize(container, begun.lost).atexit = False
    begun.begin(others)
    ours = HistoryCallback()
    ours._of = begun
    container.callbacks = [ours, *others]


# --- seams ------------------------------------------------------------------------------------------------------------


def _estimators(kind: type) -> list[type]:
    below: list[type] = kind.__subclasses__()
    return [kind, *(found for child in below for found in _estimators(child))]


def _arm() -> None:
    """Put the hooks in, once."""
    if _patches:
        return
    _patches.wrap(xgboost_callback.CallbackContainer, "__init__", _around_container_init)
    for name in ("train", "cv"):
        ours = _patches.wrap(training, name, _around_train, rebound=True).wrapper
        if vars(xgboost)[name] is not ours:
            # Another one's wrapper (MLflow's), which leads to the function as it was before ours.
            _patches.wrap(xgboost, name, _around_train)
    _patches.wrap(xgboost.Booster, "save_model", _around_save)
    _patches.wrap(xgboost.Booster, "load_model", _around_load)
    for kind in dict.fromkeys(_estimators(xgboost.XGBModel)):
        if kind.__module__.partition(".")[0] == "xgboost" and isinstance(vars(kind).get("fit"), FunctionType):
            _patches.wrap(kind, "fit", _around_fit)


def install() -> None:
    """Record every training from here on."""
    global _is_automatic
    version = tuple(int(part) for part in xgboost.__version__.split(".")[:2])
    if version < _MINIMUM:
        raise NotApplicable(f"XGBoost {xgboost.__version__} is too old; 2.1 or newer is needed")
    _arm()
    _is_automatic = True


def uninstall() -> None:
    """Put everything back, by identity."""
    global _is_automatic
    _is_automatic = False
    _patches.undo()


integration = Integration("xgboost", install, uninstall)
