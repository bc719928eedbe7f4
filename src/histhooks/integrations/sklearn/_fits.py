"""What a fit, a cross-validation and a loop of ``partial_fit`` leave in the record."""

from __future__ import annotations

import functools
import inspect
import sys
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, DensityMixin, OutlierMixin, RegressorMixin

from histhooks import recorder
from histhooks._columns import at_hand
from histhooks._guard import guarded
from histhooks._run import Run
from histhooks._signatures import bind, parameters_of
from histhooks._trained import find, forget, part_trained, trained_by
from histhooks.integrations import installed
from histhooks.integrations.sklearn._search import log_scores, search_results, small

METHODS = ("fit", "fit_predict", "fit_transform", "partial_fit")
_RESULTS = ("n_iter_", "best_iteration", "n_features_in_", "classes_", "oob_score_", "inertia_", "best_score_")
_OWN = ("sklearn", "joblib", "threading", "concurrent", "contextlib", "functools")


def is_nested() -> bool:
    """Whether a host's call goes on, of which this one is a part."""
    run = recorder.current_run()
    return recorder.is_task() or (run is not None and run.is_implicit and run.kind != "loop")


def is_of_another(estimator: Any) -> bool:
    """Whether the estimator's package has an integration of its own, which knows more of it."""
    package = type(estimator).__module__.partition(".")[0]
    return package != "sklearn" and package in installed()


@contextmanager
def recorded_as(run: Run | None, finish: Callable[[Run], None]) -> Iterator[None]:
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


def watch_method(
    name: str,
    look_around: Callable[[], object],
    original: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Iterator[None]:
    """What a call of a method leaves, by the name that the class has it under: `fit = partial_fit` is a fit."""
    if not args or not isinstance(args[0], BaseEstimator):
        return
    estimator = args[0]
    if is_nested():
        yield
        part_trained(estimator)  # who scores it, or saves it, later asks whose it is
    elif is_of_another(estimator):
        return  # which says so itself
    elif not recorder.is_recording():
        yield
        forget(estimator)
    elif name == "partial_fit":
        look_around()
        yield from _watch_partial_fit(original, args, kwargs)
    else:
        look_around()
        with recorded_as(_open(name, original, estimator, args, kwargs), functools.partial(_finish, estimator)):
            yield


def open_estimator_run(kind: str, estimator: Any) -> Run:
    """Open a run of an estimator."""
    model = type(estimator)
    is_xgboost = model.__module__.partition(".")[0] == "xgboost"
    version = getattr(sys.modules.get("xgboost"), "__version__", None) if is_xgboost else sklearn.__version__
    return recorder.open_run(
        kind=kind,
        framework="xgboost" if is_xgboost else "sklearn",
        framework_version=version,
        model_class=f"{model.__module__}.{model.__qualname__}",
        call_site=recorder.call_site(_OWN),
    )


def _log_earlier(run: Run, name: str, estimator: Any) -> None:
    """Link to the run that left the state from which this one goes on; a fit from the start has none."""
    earlier = find(estimator)
    if earlier is None:
        return
    if name == "partial_fit" or _kept(estimator).get("warm_start") is True:
        run.link("continues", earlier.run.id)
    if earlier.is_own:
        earlier.run.end()  # a loop of `partial_fit` goes no further


@guarded
def _open(
    name: str, original: Callable[..., Any], estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Run:
    run = open_estimator_run(_kind_of(estimator), estimator)
    _log_earlier(run, name, estimator)
    bound = bind(original, args, kwargs)
    log_estimator_params(run, estimator)
    others = {f"fit.{k}": v for k, v in bound.items() if k not in ("self", "X", "y", "Y") and v is not None}
    if others:
        run.log_params(others, source="argument")
    if bound.get("X") is not None:
        run.log_dataset("train", bound["X"], bound.get("y"))
    return run


def log_estimator_params(run: Run, estimator: Any, prefix: str = "") -> None:
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
        known = parameters_of(type(owner)).defaults  # a name such as skorch's `callbacks__print_log` may lead to None
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


# What a class has that is no transformer alone.
_PREDICTS = ("predict", "predict_proba", "decision_function")


def _kind_of(estimator: Any) -> str:
    """The kind of run that a fit is, asked of classes: to ask an object for an attribute may run code of it."""
    if "cv_results_" in _kept(estimator) or _is_search(estimator):
        return "search"
    return "preprocess" if _only_transforms(estimator) else "fit"


def _only_transforms(estimator: Any) -> bool:
    kind = type(estimator)
    steps = _kept(estimator).get("steps")
    if type(steps) is list and steps and type(steps[-1]) is tuple and _has(kind, "named_steps"):
        # A Pipeline is what its last step is that does something.
        last = next((step[-1] for step in reversed(steps) if not isinstance(step[-1], (str, type(None)))), None)
        return last is None or (_has(type(last), "transform") and _only_transforms(last))
    if not _has(kind, "transform") or any(_has(kind, name) for name in _PREDICTS):
        return False
    return not issubclass(kind, (ClassifierMixin, RegressorMixin, ClusterMixin, OutlierMixin, DensityMixin))


def _has(kind: type, name: str) -> bool:
    return inspect.getattr_static(kind, name, None) is not None


def _kept(estimator: Any) -> dict[str, Any]:
    """What an object holds, without a word to code of its class."""
    try:
        found: dict[str, Any] = object.__getattribute__(estimator, "__dict__")
    except AttributeError:  # it has slots
        return {}
    return found


def _is_search(estimator: Any) -> bool:
    module = sys.modules.get("sklearn.model_selection._search")
    return module is not None and isinstance(estimator, module.BaseSearchCV)


@guarded
def _finish(estimator: Any, run: Run) -> None:
    trained_by(run, estimator, is_own=True)
    found = {name.rstrip("_"): small(vars(estimator)[name]) for name in _RESULTS if name in vars(estimator)}
    if "cv_results_" in vars(estimator):
        found |= search_results(estimator, run)
    if found:
        run.log_results(found)
    n_iter = found.get("n_iter")
    if isinstance(n_iter, int):
        run.update(steps_done=n_iter)


# --- validation -------------------------------------------------------------------------------------------------------


def watch_validation(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    # A call that the host refuses before it begins leaves nothing.
    if is_nested() or not recorder.is_recording() or not bind(original, args, kwargs):
        return
    kept: list[Any] = []
    with recorded_as(_open_validation(original, args, kwargs), functools.partial(_finish_validation, original, kept)):
        kept.append((yield))


@guarded
def _open_validation(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
    bound = bind(original, args, kwargs)
    estimator = bound.pop("estimator", None)
    kind = type(estimator)
    run = recorder.open_run(
        kind="validate",
        framework="sklearn",
        framework_version=sklearn.__version__,
        model_class=f"{kind.__module__}.{kind.__qualname__}",
        call_site=recorder.call_site(_OWN),
    )
    if _has(type(estimator), "get_params"):
        log_estimator_params(run, estimator, "estimator__")
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
        log_scores(run, dict(zip(columns, (float(v) for v in row), strict=True)), fold)
    if name in ("learning_curve", "validation_curve"):
        sizes, curves = (result[0].tolist(), result[1:3]) if name == "learning_curve" else (None, result[:2])
        for label, scores in zip(("train_score", "test_score"), curves, strict=True):
            for point, mean in enumerate(scores.mean(axis=1).tolist()):
                log_scores(run, {label: mean}, point if sizes is None else int(sizes[point]))
    elif name == "permutation_test_score":
        run.log_results({"score": float(result[0]), "pvalue": float(result[2])})
    for label in columns:
        if label.startswith("test_"):
            run.log_results({f"mean_{label}": sum(columns[label]) / len(columns[label])})


# --- partial_fit ------------------------------------------------------------------------------------------------------


def _watch_partial_fit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    estimator = args[0]
    run = _loop(original, estimator, args, kwargs)
    if run is None:
        return
    start = time.perf_counter()
    with recorder.scope(run):
        try:
            yield
        except BaseException as error:
            forget(estimator)
            run.end(error=error)
            raise
    _log_call(run, estimator, bind(original, args, kwargs).get("X"), time.perf_counter() - start)


@guarded
def _loop(original: Callable[..., Any], estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run | None:
    known = find(estimator)
    if known is not None and known.is_own and known.run.status == "running" and known.run.takes_more():
        return known.run
    run = _open("partial_fit", original, estimator, args, kwargs)
    if run is not None and run.is_recorded:
        trained_by(run, estimator, is_own=True)
        weakref.finalize(estimator, run.end).atexit = False
    return run


@guarded
def _log_call(run: Run, estimator: Any, X: Any, seconds: float) -> None:
    X = at_hand(X)
    n = getattr(X, "shape", (0,))[0] if hasattr(X, "shape") else len(X) if hasattr(X, "__len__") else 0
    run.log({"n_samples": float(n), "call_s": seconds})
    known = find(estimator)
    if known is not None and known.run is run:
        known.calls += 1
