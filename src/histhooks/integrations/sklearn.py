"""scikit-learn: every outer fit leaves a run, whatever estimator it is.

    import histhooks
    histhooks.autolog("sklearn")
    from sklearn.linear_model import LogisticRegression
    LogisticRegression().fit(X, y)

===========================================  =========================================================================
scikit-learn                                 record
===========================================  =========================================================================
``fit``, ``fit_predict``                     a run of kind `fit`; of an outer transformer `preprocess`
``fit_transform`` that calls no ``fit``      a run of kind `preprocess`
``partial_fit``                              one run per object, a point of `n_samples` per call
``GridSearchCV`` and its kin                 a run of kind `search`, a child `candidate` per candidate up to 1,000,
                                             the rest as result `candidates_beyond`; scores of folds are points
``cross_validate``, ``cross_val_score``,     a run of kind `validate`, its folds as points (step = fold)
``cross_val_predict``, ``learning_curve``,
``validation_curve``,
``permutation_test_score``
``get_params(deep=True)``                    params, `argument` where they differ from the default, else `default`
fit arguments but X and y                    params `fit.<name>`
X, y                                         a dataset of role `train`
``best_params_``, ``n_iter_`` …              results
===========================================  =========================================================================

Seams. Methods are wrapped in the class that defines them, for all subclasses of ``BaseEstimator`` there are and, by
``BaseEstimator.__init_subclass__``, all that come later; scikit-learn has no official registration that reaches every
estimator. Methods behind ``available_if`` are descriptors: the function inside (``fn``) is wrapped. Names of functions
that a program bound earlier are bound anew. Tasks that joblib dispatches carry the current run on the batch
(``joblib.parallel.BatchedCalls``), so that threads belong to it; in a worker process, what scikit-learn's own
``delayed`` dispatches (``sklearn.utils.parallel._FuncWrapper``) is never a run.

Not recorded: estimators that do not derive from ``BaseEstimator``; a name bound in a closure, a partial or a default;
``score`` and ``predict``; curves inside an estimator's own loop. The wrapper of a ``fit_transform`` in a class that is
defined after ``autolog()`` lies beneath the one that ``set_output`` puts there; ``disable()`` makes it inert.
Tested with 1.9.
"""

from __future__ import annotations

import functools
import inspect
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import sklearn
from sklearn.base import BaseEstimator

from histhooks import recorder
from histhooks._guard import guarded
from histhooks._imports import no_longer, when_imported
from histhooks._patching import Patches
from histhooks._run import Run
from histhooks.errors import NotApplicable
from histhooks.integrations import Integration, installed

_MINIMUM = (1, 6)
_METHODS = ("fit", "fit_predict", "fit_transform", "partial_fit")
_VALIDATIONS = (
    "cross_validate",
    "cross_val_score",
    "cross_val_predict",
    "learning_curve",
    "validation_curve",
    "permutation_test_score",
)
_RESULTS = ("n_iter_", "best_iteration", "n_features_in_", "classes_", "oob_score_", "inertia_", "best_score_")
_OWN = ("sklearn", "joblib", "threading", "concurrent", "contextlib", "functools")
_MAX_CANDIDATES = 1000
_MAX_CLASSES = 100

_patches = Patches()
_seen: weakref.WeakSet[type] = weakref.WeakSet()
_loops: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()


# --- what is recorded -------------------------------------------------------------------------------------------------


def _is_nested() -> bool:
    run = recorder.current_run()
    return recorder.is_task() or (run is not None and run.is_implicit and run.kind != "loop")


def _is_of_another(estimator: Any) -> bool:
    """Whether the estimator's package has an integration of its own, which knows more of it."""
    package = type(estimator).__module__.partition(".")[0]
    return package != "sklearn" and package in installed()


@contextmanager
def _recorded(run: Run | None, finish: Callable[[Run], None]) -> Iterator[None]:
    """The host's call as a run: what it raises passes through untouched, and is what the run ended with."""
    if run is None:
        yield
        return
    with recorder.scope(run):
        try:
            yield
        except BaseException as error:
            run.end(error=error)
            raise
    finish(run)
    run.end()


def _around_method(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not args or _is_nested() or _is_of_another(args[0]) or not recorder.is_recording():
        return original(*args, **kwargs)
    if original.__name__ == "partial_fit":
        return _partial_fit(original, args, kwargs)
    estimator = args[0]
    with _recorded(_open(original, estimator, args, kwargs), functools.partial(_finish, estimator)):
        return original(*args, **kwargs)


@guarded
def _open(original: Callable[..., Any], estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
    kind = type(estimator)
    framework = kind.__module__.partition(".")[0]
    is_xgboost = framework == "xgboost"
    run = recorder.open_run(
        kind=_kind_of(estimator),
        framework="xgboost" if is_xgboost else "sklearn",
        framework_version=getattr(sys.modules.get("xgboost"), "__version__", None)
        if is_xgboost
        else sklearn.__version__,
        model_class=f"{kind.__module__}.{kind.__qualname__}",
        call_site=recorder.call_site(_OWN),
    )
    bound = _bind(original, args, kwargs)
    _log_params(run, estimator)
    others = {f"fit.{k}": v for k, v in bound.items() if k not in ("self", "X", "y", "Y") and v is not None}
    if others:
        run.log_params(others, source="argument")
    if bound.get("X") is not None:
        run.log_dataset("train", bound["X"], bound.get("y"))
    return run


def _bind(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, as the host binds them; a call that the host will refuse leaves none."""
    try:
        bound = _signature(original).bind(*args, **kwargs)
    except TypeError:
        return {}
    out: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if _signature(original).parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            out.update(value)
        else:
            out[name] = value
    return out


@functools.lru_cache(maxsize=2048)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


@functools.lru_cache(maxsize=2048)
def _defaults(kind: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _log_params(run: Run, estimator: Any, prefix: str = "") -> None:
    try:
        params = estimator.get_params(deep=True)
    except (AttributeError, TypeError, ValueError) as error:
        recorder.note_capture("params", "failed", f"get_params: {type(error).__name__}: {error}"[:300], run=run)
        return
    chosen: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for key, value in params.items():
        owner_key, _, name = key.rpartition("__")
        owner = params.get(owner_key) if owner_key else estimator
        maker: Callable[..., Any] = type(owner)
        known = _defaults(maker)
        is_default = name in known and _is_same(value, known[name])
        (defaults if is_default else chosen)[prefix + key] = value
    run.log_params(chosen, source="argument")
    run.log_params(defaults, source="default")


def _is_same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    if type(value) is not type(default) or hasattr(value, "shape"):
        return False
    return bool(value == default) or (value != value and default != default)


def _kind_of(estimator: Any) -> str:
    if hasattr(estimator, "cv_results_") or _is_search(estimator):
        return "search"
    is_transformer = hasattr(estimator, "transform") and not hasattr(estimator, "predict")
    return "preprocess" if is_transformer else "fit"


def _is_search(estimator: Any) -> bool:
    module = sys.modules.get("sklearn.model_selection._search")
    return module is not None and isinstance(estimator, module.BaseSearchCV)


@guarded
def _finish(estimator: Any, run: Run) -> None:
    found = {name.rstrip("_"): _small(vars(estimator)[name]) for name in _RESULTS if name in vars(estimator)}
    if "cv_results_" in vars(estimator):
        found |= _search_results(estimator, run)
    if found:
        run.log_results(found)
    n_iter = found.get("n_iter")
    if isinstance(n_iter, int):
        run.update(steps_done=n_iter)


def _small(value: Any) -> Any:
    if hasattr(value, "tolist") and getattr(value, "size", 0) <= _MAX_CLASSES:
        listed = value.tolist()
        return listed[0] if isinstance(listed, list) and len(listed) == 1 else listed
    return value


# --- searches ---------------------------------------------------------------------------------------------------------


def _search_results(search: Any, run: Run) -> dict[str, Any]:
    table = search.cv_results_
    params = list(table.get("params", []))
    for number, candidate in enumerate(params[:_MAX_CANDIDATES]):
        _candidate(run, number, candidate, table)
    out: dict[str, Any] = {"n_candidates": len(params)}
    for name in ("best_params_", "best_index_", "refit_time_"):
        if hasattr(search, name):
            out[name.rstrip("_")] = getattr(search, name)
    if len(params) > _MAX_CANDIDATES:
        names = [name for name in table if name.startswith(("mean_test_", "rank_test_"))]
        rest = [
            {"params": candidate, **{name: float(table[name][number]) for name in names}}
            for number, candidate in enumerate(params[_MAX_CANDIDATES:], start=_MAX_CANDIDATES)
        ]
        out |= {
            f"candidates_beyond_{start + _MAX_CANDIDATES}": rest[start : start + 1000]
            for start in range(0, len(rest), 1000)
        }
    return out


def _candidate(parent: Run, number: int, params: Mapping[str, Any], table: Mapping[str, Any]) -> None:
    folds = sorted(
        (int(key[5 : key.index("_")]), key) for key in table if key.startswith("split") and key[5:6].isdigit()
    )
    values: dict[int, dict[str, float]] = {}
    for fold, key in folds:
        values.setdefault(fold, {})[key.split("_", 1)[1]] = float(table[key][number])
    is_failed = bool(values) and all(
        v != v for scores in values.values() for k, v in scores.items() if k.startswith("test")
    )
    run = recorder.open_run(
        kind="candidate",
        framework=parent.framework,
        framework_version=sklearn.__version__,
        name=f"{parent.name}[{number}]",
        params=dict(params),
        parent=parent,
    )
    for fold, scores in values.items():
        _log_scores(run, scores, fold)
    means = {key: table[key][number] for key in table if key.startswith(("mean_", "std_", "rank_"))}
    run.log_results({"candidate": number, **{key: _small(value) for key, value in means.items()}})
    fits = len(values) or 1
    seconds = fits * (float(table["mean_fit_time"][number]) + float(table["mean_score_time"][number]))
    run.end("failed" if is_failed else "finished", duration_s=round(seconds, 6))


def _log_scores(run: Run, scores: Mapping[str, float], step: int) -> None:
    for name in scores:
        if name.startswith("test_"):
            # A fold's held-out part: scikit-learn says test, but choices are made by it, so it is validation.
            run.declare_metric(name, metric=name[5:], split="valid", direction=1)
        elif name.startswith("train_"):
            run.declare_metric(name, metric=name[6:], split="train", direction=1)
    run.log(scores, step=step)


# --- validation -------------------------------------------------------------------------------------------------------


def _around_validation(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if _is_nested() or not recorder.is_recording():
        return original(*args, **kwargs)
    kept: list[Any] = []
    with _recorded(_open_validation(original, args, kwargs), functools.partial(_finish_validation, original, kept)):
        result = original(*args, **kwargs)
        kept.append(result)
    return result


@guarded
def _open_validation(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
    bound = _bind(original, args, kwargs)
    estimator = bound.pop("estimator", None)
    kind = type(estimator)
    run = recorder.open_run(
        kind="validate",
        framework="sklearn",
        framework_version=sklearn.__version__,
        model_class=f"{kind.__module__}.{kind.__qualname__}",
        call_site=recorder.call_site(_OWN),
    )
    if hasattr(estimator, "get_params"):
        _log_params(run, estimator, "estimator__")
    X, y = bound.pop("X", None), bound.pop("y", None)
    run.log_params(
        {"function": original.__name__, **{k: v for k, v in bound.items() if v is not None}}, source="argument"
    )
    if X is not None:
        run.log_dataset("train", X, y)
    return run


@guarded
def _finish_validation(original: Callable[..., Any], kept: list[Any], run: Run) -> None:
    (result,) = kept
    name = original.__name__
    if name == "cross_validate":
        columns = {k: v for k, v in result.items() if hasattr(v, "tolist") and getattr(v, "ndim", 0) == 1}
        columns = {k: v.tolist() for k, v in columns.items() if getattr(v.dtype, "kind", "") in "fiu"}
    elif name == "cross_val_score":
        columns = {"test_score": result.tolist()}
    else:
        columns = {}
    for fold, row in enumerate(zip(*columns.values(), strict=True)):
        _log_scores(run, dict(zip(columns, (float(v) for v in row), strict=True)), fold)
    if name in ("learning_curve", "validation_curve"):
        sizes, curves = (result[0].tolist(), result[1:3]) if name == "learning_curve" else (None, result[:2])
        for label, scores in zip(("train_score", "test_score"), curves, strict=True):
            for point, mean in enumerate(scores.mean(axis=1).tolist()):
                _log_scores(run, {label: mean}, point if sizes is None else int(sizes[point]))
    elif name == "permutation_test_score":
        run.log_results({"score": float(result[0]), "pvalue": float(result[2])})
    for label in columns:
        if label.startswith("test_"):
            run.log_results({f"mean_{label}": sum(columns[label]) / len(columns[label])})


# --- partial_fit ------------------------------------------------------------------------------------------------------


def _partial_fit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    estimator = args[0]
    run = _loop(original, estimator, args, kwargs)
    if run is None:
        return original(*args, **kwargs)
    start = time.perf_counter()
    with recorder.scope(run):
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            _loops.pop(estimator, None)
            run.end(error=error)
            raise
    _log_call(run, _bind(original, args, kwargs).get("X"), time.perf_counter() - start)
    return result


@guarded
def _loop(original: Callable[..., Any], estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run | None:
    run = _loops.get(estimator)
    if run is None or run.status != "running":
        run = _open(original, estimator, args, kwargs)
        if run is not None and run.is_recorded:
            _loops[estimator] = run
            weakref.finalize(estimator, run.end).atexit = False
    return run


@guarded
def _log_call(run: Run, X: Any, seconds: float) -> None:
    n = getattr(X, "shape", (0,))[0] if hasattr(X, "shape") else len(X) if hasattr(X, "__len__") else 0
    run.log({"n_samples": float(n), "call_s": seconds})


# --- tasks ------------------------------------------------------------------------------------------------------------


def _around_batch_init(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    run = recorder.current_run()
    if run is not None:
        # BatchedCalls.__reduce__ names what travels to a process, so this stays in threads.
        args[0]._histhooks_run = run
    return result


def _around_batch_call(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    run = getattr(args[0], "_histhooks_run", None)
    if run is None or recorder.current_run() is run:
        return original(*args, **kwargs)
    with recorder.scope(run):
        return original(*args, **kwargs)


def _around_task(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with recorder.task():
        return original(*args, **kwargs)


# --- seams ------------------------------------------------------------------------------------------------------------


def _wrap_class(kind: type) -> None:
    if kind in _seen:
        return
    _seen.add(kind)
    for name in _METHODS:
        found = vars(kind).get(name)
        if isinstance(found, FunctionType):
            _patches.wrap(kind, name, _around_method)
        elif isinstance(getattr(found, "fn", None), FunctionType):
            _patches.wrap(found, "fn", _around_method)


def _wrap_all(kind: type) -> None:
    _wrap_class(kind)
    subclasses: list[type] = type.__subclasses__(kind)
    for below in subclasses:
        _wrap_all(below)


def _install_subclass_hook() -> None:
    def __init_subclass__(cls: type, /, **kwargs: Any) -> None:
        super(BaseEstimator, cls).__init_subclass__(**kwargs)
        guarded(_wrap_class)(cls)

    if "__init_subclass__" in vars(BaseEstimator):
        raise NotApplicable("this scikit-learn has a BaseEstimator.__init_subclass__ of its own; update histhooks")
    BaseEstimator.__init_subclass__ = classmethod(__init_subclass__)


def _wrap_validations(module: Any) -> None:
    for name in _VALIDATIONS:
        _patches.wrap(module, name, _around_validation, rebound=True)


def _wrap_batches(module: Any) -> None:
    _patches.wrap(module.BatchedCalls, "__init__", _around_batch_init)
    _patches.wrap(module.BatchedCalls, "__call__", _around_batch_call)


def _wrap_tasks(module: Any) -> None:
    _patches.wrap(module._FuncWrapper, "__call__", _around_task)


# Modules that the program may import later, or never: their import is not caused here.
_LATER: dict[str, Callable[[Any], None]] = {
    "sklearn.model_selection._validation": _wrap_validations,
    "joblib.parallel": _wrap_batches,
    "sklearn.utils.parallel": _wrap_tasks,
}


def install() -> None:
    """Wrap every estimator there is and will be, and the functions of cross-validation."""
    version = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
    if version < _MINIMUM:
        raise NotApplicable(f"scikit-learn {sklearn.__version__} is too old; 1.6 or newer is needed")
    _install_subclass_hook()
    _wrap_all(BaseEstimator)
    for module, function in _LATER.items():
        when_imported(module, function)


def uninstall() -> None:
    """Put everything back, by identity."""
    for module in _LATER:
        no_longer(module)
    if "__init_subclass__" in vars(BaseEstimator):
        del BaseEstimator.__init_subclass__
    _patches.undo()
    _seen.clear()


integration = Integration("sklearn", install, uninstall)
