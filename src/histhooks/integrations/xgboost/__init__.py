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
``XGBModel.fit`` and its kin                a run of kind `fit`; the ``train`` inside belongs to it, and so does the
                                            ``fit`` that a subclass's own calls
``score``, ``joblib.dump`` of an estimator  as of any estimator, where scikit-learn is recorded too
``train`` inside another estimator's fit    the first belongs to that run, a later one and ``cv`` are children of it
``params``; arguments of the call           params, under their own names; `params.<name>` where both have one
``EarlyStopping``; callbacks                params `early_stopping.<name>`; param `callbacks`, by class
scores of an iteration                      points `<eval set>-<metric>` (``cv``: `…-mean`, `…-std`), step = iteration
``dtrain``, ``evals``, ``X``, ``eval_set``  datasets of role `train`, `valid` or `test`
``best_iteration``, ``best_score``          results; `stopped_iteration` where it ended before its last round
the model at the start and at the end       `weights`: digest of the content that ``save_raw("ubj")`` gives, the same
                                            for equal trainings and for a model that was saved and loaded; at the
                                            start, the one that ``xgb_model`` names
``save_config()``                           result `booster_config`
``get_score``                               results `importance_gain`, `importance_weight`: the 50 largest, by feature
``obj``, ``custom_metric``, ``objective``   params, by name; of the program's own also `<param>.source_sha256`
``Booster.update``, ``boost`` in a loop     a run of kind `loop` for each booster, its points where ``eval_set`` or
                                            ``eval`` is called
``xgb_model``                               a link `continues` to the run that trained it; a file is an artifact, also
                                            where ``load_model`` read it
``save_model``                              an artifact of role `model` of the run that trained the model, also
                                            after its end; of role `checkpoint` while it trains
==========================================  ==========================================================================

Splits. An eval set that is the training data itself is `train` (compared by content if it was passed to ``fit``).
`test`, `train` and the words for validation mean what they say. Any other name is `valid`, unless
``autolog(splits={"holdout": "test"})`` maps it. The held-out part of a fold, which ``cv`` calls test, is `valid`,
because the number of rounds is chosen by it.

How it hooks in.

Callbacks are the official registration, but XGBoost stops calling them at the first one that asks to stop
(``any(...)`` in ``CallbackContainer.after_iteration``), and ``early_stopping_rounds`` adds one behind the user's. The
callback of histhooks therefore goes first, into the container's own list, in ``CallbackContainer.__init__``, which
every training passes through. Callbacks do not see exceptions or arguments, so ``train``, ``cv`` and ``fit`` are
wrapped as well. A ``HistoryCallback`` without ``autolog()`` does the same for calls that have one in their callbacks.
It pickles as a plain ``TrainingCallback``, so a model loads where histhooks is not installed.

Data. The values of a ``DMatrix`` or ``QuantileDMatrix`` are read in its constructor (``__init__`` is wrapped): XGBoost
gives them back as a copy only, or as edges of bins.

Not recorded: content of a ``DMatrix`` that is made of a ``DataIter`` or of a file (its shape and names are); the
learning rate under a ``LearningRateScheduler``;
curves of trainings that a search or an ensemble dispatches through joblib; workers of rank > 0. Tested with 3.2.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any

import xgboost
from xgboost import callback as xgboost_callback
from xgboost import collective, training
from xgboost.callback import TrainingCallback

from histhooks.integrations.kit import (
    Integration,
    Patches,
    Run,
    answer,
    call_site,
    ensure_session,
    guarded,
    is_task,
    open_run,
    outer_run,
    recorded_as,
    require,
    scope,
)
from histhooks.integrations.xgboost import _loops, _matrices
from histhooks.integrations.xgboost._facts import (
    bind,
    log_call,
    log_fit,
    log_fit_data,
    log_folds,
    signature,
    splits_of,
    trained_on,
)
from histhooks.integrations.xgboost._models import fitted, loaded, log_model, run_of
from histhooks.integrations.xgboost._training import Training, current_training, saved, with_curve

_OWN = ("xgboost", "sklearn", "joblib", "threading", "concurrent", "functools")

_patches = Patches()
_is_automatic = False


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
        self._of: Training | None = None
        guarded(_arm)()

    def __deepcopy__(self, memo: dict[int, Any]) -> HistoryCallback:
        return HistoryCallback()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return TrainingCallback, ()

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Called by XGBoost after each iteration."""
        if self._of is not None:
            self._of.advance(epoch, evals_log)
        return False

    def after_training(self, model: Any) -> Any:
        """Called by XGBoost when no more iterations come."""
        if self._of is not None:
            self._of.conclude(model)
        return model


# --- trainings --------------------------------------------------------------------------------------------------------


def _outer() -> Run | None:
    """The run of another hook's fit that this is a part of."""
    run = outer_run()
    return run if run is not None and run.is_recorded else None


def _may_record(callbacks: Any) -> bool:
    given = callbacks if isinstance(callbacks, (list, tuple)) else []
    is_asked = _is_automatic or any(issubclass(type(c), HistoryCallback) for c in given)
    return is_asked and ensure_session() and not is_task() and collective.get_rank() == 0


def _open(kind: str, model_class: str) -> Run:
    return open_run(
        kind=kind,
        framework="xgboost",
        framework_version=xgboost.__version__,
        model_class=model_class,
        call_site=answer(None, call_site, _OWN),
    )


@guarded
def _begin(original: Callable[..., Any], bound: dict[str, Any]) -> Training | None:
    """The training that a call of ``train`` or ``cv`` is."""
    if not _may_record(bound.get("callbacks")):
        return None
    is_cv = original.__name__ == "cv"
    splits = {} if is_cv else {**splits_of(bound.get("dtrain"), bound.get("evals")), **(_train_sets.get() or {})}
    n_rounds = bound.get("num_boost_round", signature(original).get("num_boost_round"))
    outer = _outer()
    if outer is not None and not is_cv and outer not in with_curve:
        return Training(outer, splits, n_rounds, is_own=False)
    return Training(_open("validate" if is_cv else "fit", "xgboost.core.Booster"), splits, n_rounds, is_own=True)


def _watch_train(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    bound = bind(original, args, kwargs)
    begun = _begin(original, bound)
    if begun is None:
        return
    token = current_training.set(begun)
    try:
        if begun.is_own:
            log_call(original, bound, begun.splits, begun.run)
            if original.__name__ == "cv":
                log_folds(original, bound, begun.run)
        with scope(begun.run):
            result = yield
        if issubclass(type(result), xgboost.Booster):
            run_of[result] = begun.run  # that of the best iteration only is another object (save_best)
            if begun.is_own:
                log_model(begun.run, "end", result)
        begun.end(None)
    except BaseException as error:
        begun.end(error)
        raise
    finally:
        current_training.reset(token)


@guarded
def _begin_fit(bound: dict[str, Any]) -> Run | None:
    estimator = bound.get("self")
    held: Mapping[str, Any] = answer(dict[str, Any](), vars, estimator)
    if estimator is None or _outer() is not None or not _may_record(held.get("callbacks")):
        return None
    kind = type(estimator)
    return _open("fit", f"{kind.__module__}.{kind.__qualname__}")


# The fit that goes on: its run, its estimator and its arguments; and the eval sets that are its training data.
_fitting: ContextVar[tuple[Run, Any, Mapping[str, Any]] | None] = ContextVar("histhooks_xgboost_fit", default=None)
_train_sets: ContextVar[Mapping[str, str] | None] = ContextVar("histhooks_xgboost_train_sets", default=None)


def _watch_fit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    bound = bind(original, args, kwargs)
    run = _begin_fit(bound)
    if run is None:
        with _inner_fit(bound):
            yield
        return
    token = _fitting.set((run, bound["self"], bound))
    try:
        with recorded_as(run, functools.partial(fitted, bound["self"])):
            log_fit(original, bound["self"], bound, run)
            with _with_train_sets(bound, run):
                yield
    finally:
        _fitting.reset(token)


@contextmanager
def _inner_fit(bound: dict[str, Any]) -> Iterator[None]:
    """A ``fit`` that another of the same estimator calls, as a subclass does: what it is given more is of that run."""
    outer = _fitting.get()
    if outer is None or outer[1] is not bound.get("self"):
        yield
        return
    run, estimator, told = outer
    log_fit_data(bound, told, run)
    token = _fitting.set((run, estimator, {**told, **bound}))
    try:
        with _with_train_sets(bound, run):
            yield
    finally:
        _fitting.reset(token)


@contextmanager
def _with_train_sets(bound: dict[str, Any], run: Run) -> Iterator[None]:
    token = _train_sets.set(dict.fromkeys(guarded(trained_on)(bound, run) or (), "train"))
    try:
        yield
    finally:
        _train_sets.reset(token)


def _watch_save(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    yield
    saved(**bind(original, args, kwargs))


def _watch_load(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    yield
    loaded(**bind(original, args, kwargs))


def _watch_container(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    yield
    _enter(args[0])


@guarded
def _enter(container: Any) -> None:
    """Put our callback first in the container's own list, in the place of those that a program put in."""
    given = list(container.callbacks)
    others = [c for c in given if not isinstance(c, HistoryCallback)]
    begun = current_training.get()
    if begun is None:
        # A `train` that no wrapper saw: what it was called with is not known.
        if not _may_record(given) or _outer() is not None:
            return
        begun = Training(_open("fit", "xgboost.core.Booster"), {}, None, is_own=True)
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


def _wrap_fit(kind: type) -> None:
    fit = vars(kind).get("fit")
    if isinstance(fit, FunctionType) and _patches.of(fit) is None:
        _patches.wrap(kind, "fit", _watch_fit)


def _watch_subclass(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    yield
    if args and issubclass(args[0], xgboost.XGBModel):
        _wrap_fit(args[0])


def _arm() -> None:
    """Put the hooks in, once."""
    if _patches:
        return
    _patches.wrap(xgboost_callback.CallbackContainer, "__init__", _watch_container)
    _matrices.install(_patches)
    for name in ("train", "cv"):
        _patches.wrap(training, name, _watch_train)
    _patches.wrap(xgboost.Booster, "__init__", _loops.watch_init)
    for name in ("update", "boost"):
        _patches.wrap(xgboost.Booster, name, _loops.watch_update)
    _patches.wrap(xgboost.Booster, "eval_set", _loops.watch_eval)  # which `eval` calls
    _patches.wrap(xgboost.Booster, "save_model", _watch_save)
    _patches.wrap(xgboost.Booster, "load_model", _watch_load)
    for kind in dict.fromkeys(_estimators(xgboost.XGBModel)):
        _wrap_fit(kind)
    requester = next((kind for kind in xgboost.XGBModel.__mro__ if "__init_subclass__" in vars(kind)), object)
    if requester is not object:
        _patches.wrap(requester, "__init_subclass__", _watch_subclass)


@guarded
def _open_loop() -> Run | None:
    """A run for a loop of the program's own, unless it is a part of another hook's fit."""
    if not _is_automatic or outer_run() is not None or not _may_record(None):
        return None
    return _open("loop", "xgboost.core.Booster")


def install() -> None:
    """Record every training from here on."""
    global _is_automatic
    require("xgboost", xgboost.__version__)
    _arm()
    _is_automatic = True
    _loops.open_loop = _open_loop


def uninstall() -> None:
    """Put everything back, by identity."""
    global _is_automatic
    _is_automatic = False
    _loops.forget()
    _patches.undo()


integration = Integration("xgboost", install, uninstall)
