"""What a fit and a loop of ``partial_fit`` leave in the record."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, DensityMixin, OutlierMixin, RegressorMixin

from histhooks.integrations._estimators import find, forget, n_samples, part_trained, saw, trained_by
from histhooks.integrations._predictions import remember
from histhooks.integrations.kit import (
    Run,
    answer,
    bind,
    call_site,
    ensure_session,
    gathered,
    guarded,
    is_task,
    open_run,
    outer_run,
    owner_of,
    recorded_as,
    scope,
)
from histhooks.integrations.sklearn._curves import go_on, log_curves
from histhooks.integrations.sklearn._outcomes import log_outcomes
from histhooks.integrations.sklearn._params import log_estimator_params
from histhooks.integrations.sklearn._parts import held_by
from histhooks.integrations.sklearn._predicting import watch_predictions_of
from histhooks.integrations.sklearn._search import log_failed_search, log_search, watch_fits_of
from histhooks.integrations.sklearn._transforms import follow, log_learned
from histhooks.integrations.sklearn._weights import log_fitted

METHODS = ("fit", "fit_predict", "fit_transform", "partial_fit")
_OWN = ("sklearn", "joblib", "threading", "concurrent", "contextlib", "functools")


def is_nested() -> bool:
    """Whether a host's call goes on, of which this one is a part."""
    return is_task() or outer_run() is not None


def is_of_another(estimator: Any) -> bool:
    """Whether another integration records the estimator's class, which knows more of it."""
    owner = owner_of(type(estimator))
    return owner is not None and owner.name != "sklearn" and owner.is_recorded


def watch_method(
    name: str,
    look_around: Callable[[], object],
    original: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Generator[None, Any, None]:
    """What a call of a method leaves, by the name that the class has it under: `fit = partial_fit` is a fit."""
    if not args or not isinstance(args[0], BaseEstimator):
        return
    estimator = args[0]
    if is_nested():
        yield
        part_trained(estimator)  # a later score or save asks which run it belongs to
    elif is_of_another(estimator):
        watch_predictions_of(estimator)
        return  # which says so itself
    elif not ensure_session():
        yield
        forget(estimator)
    elif name == "partial_fit":
        look_around()
        yield from _watch_partial_fit(original, args, kwargs)
    else:
        look_around()
        given: dict[str, Any] = {}
        describe = functools.partial(_describe, name, original, estimator, args, kwargs, given)
        run = open_estimator_run(_kind_of(estimator), estimator)
        finish = functools.partial(_finish, estimator, given)
        with recorded_as(run, finish, begin=describe, fail=log_failed_search):
            result = yield
        if name == "fit_predict" and run is not None:
            _remember_labels(estimator, result, run)
        if name == "fit_transform" and "X" in given:
            follow(estimator, given["X"], result)


@guarded
def open_estimator_run(kind: str | None, estimator: Any) -> Run:
    """Open a run of an estimator, of which no more than its class is asked."""
    owner = owner_of(type(estimator))
    framework = owner.name if owner is not None and owner.is_derived_too else "sklearn"
    return open_run(
        kind=kind or "fit",
        framework=framework,
        framework_version=getattr(sys.modules.get(framework), "__version__", None),
        model_class=name_of_class(type(estimator)),
        call_site=answer(None, call_site, _OWN),
    )


def name_of_class(kind: type) -> str:
    """Module and name of a class."""
    module = answer("", getattr, kind, "__module__")
    return f"{module}.{kind.__qualname__}" if isinstance(module, str) and module else kind.__qualname__


@guarded
def _describe(
    name: str,
    original: Callable[..., Any],
    estimator: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    given: dict[str, Any],
    run: Run,
) -> None:
    """Record what a fit begins with, each part by itself; leave its arguments by name."""
    gathered(run, "links", _log_earlier, run, name, estimator, what="the run before")
    watch_fits_of(run, estimator)
    log_estimator_params(run, estimator)
    if name == "partial_fit" or held_by(estimator).get("warm_start") is True:
        gathered(run, "curves", go_on, run, estimator, what="curves")
    bound = gathered(run, "params", bind, original, args, kwargs, what="arguments of fit") or {}
    if "raw_documents" in bound:  # as vectorizers of text call it
        bound["X"] = bound.pop("raw_documents")
    given |= bound
    groups = taken_groups(bound)
    no_params = ("self", "X", "y", "Y")
    others = {f"fit.{k}": v for k, v in bound.items() if k not in no_params and v is not None}
    if others:
        run.log_params(others, source="argument")
    if bound.get("X") is not None:
        run.log_dataset("train", bound["X"], bound.get("y"), groups=groups)
    if goes_on(name, estimator):
        log_fitted(run, "start", estimator)


def taken_groups(arguments: dict[str, Any]) -> Any:
    """Take groups of rows out of arguments: they are values of the data, as names of patients, and no param."""
    groups = arguments.get("groups")
    if isinstance(groups, (str, bytes, dict)) or not hasattr(type(groups), "__len__"):
        return None
    return arguments.pop("groups")


def goes_on(name: str, estimator: Any) -> bool:
    """Whether a call trains what was fitted before, where anything was."""
    return name == "partial_fit" or held_by(estimator).get("warm_start") is True


def _log_earlier(run: Run, name: str, estimator: Any) -> None:
    """Link to the run that left the state from which this one goes on; a fit from the start has none."""
    earlier = find(estimator)
    if earlier is None:
        return
    if goes_on(name, estimator):
        run.link("continues", earlier.run.id)
    if earlier.is_own:
        earlier.run.end()  # a loop of `partial_fit` goes no further


# What a class has that is no transformer alone.
_PREDICTS = ("predict", "predict_proba", "decision_function")


_PREDICTORS = (ClassifierMixin, RegressorMixin, ClusterMixin, OutlierMixin, DensityMixin)
# Whether a class does no more than transform, as far as that was asked.
_transformers: weakref.WeakKeyDictionary[type, bool] = weakref.WeakKeyDictionary()


@guarded
def _kind_of(estimator: Any) -> str:
    """The kind of run that a fit is, asked of classes: to ask an object for an attribute may run code of it."""
    if _is_search(type(estimator)):
        return "search"
    return "preprocess" if _only_transforms(estimator) else "fit"


def _only_transforms(estimator: Any) -> bool:
    kind = type(estimator)
    steps = held_by(estimator).get("steps")
    if type(steps) is list and steps and type(steps[-1]) is tuple and _has(kind, "named_steps"):
        # A Pipeline is what its last step is that does something.
        last = next((step[-1] for step in reversed(steps) if not isinstance(step[-1], (str, type(None)))), None)
        return last is None or (_has(type(last), "transform") and _only_transforms(last))
    known = _transformers.get(kind)
    if known is None:
        is_more = any(_has(kind, name) for name in _PREDICTS) or issubclass(kind, _PREDICTORS)
        known = _transformers[kind] = _has(kind, "transform") and not is_more
    return known


def _has(kind: type, name: str) -> bool:
    return inspect.getattr_static(kind, name, None) is not None


def _is_search(kind: type) -> bool:
    module = sys.modules.get("sklearn.model_selection._search")
    return module is not None and issubclass(kind, module.BaseSearchCV)


@guarded
def _finish(estimator: Any, given: dict[str, Any], run: Run) -> None:
    """Record what a fit has left; each part by itself."""
    trained_by(run, estimator, is_own=True)
    log_learned(run, estimator, given.get("y"))
    held = held_by(estimator)
    found = gathered(run, "results", log_outcomes, run, estimator, given.get("y"), what="results") or {}
    gathered(run, "curves", log_curves, run, estimator, what="curves")
    if "cv_results_" in held:
        gathered(run, "candidates", log_search, run, held, what="cv_results_")
    log_fitted(run, "end", estimator)
    n_iter = found.get("n_iter")
    if isinstance(n_iter, int):  # said together with the end, which comes now
        run.before_end = lambda _: {"steps_done": n_iter}
    watch_predictions_of(estimator)
    _remember_labels(estimator, held.get("labels_"), run)


@guarded
def _remember_labels(estimator: Any, labels: Any, run: Run) -> None:
    """Keep in mind what a clustering found, so that metrics of it are points of its run, on its training data."""
    known = find(estimator)
    if known is not None and labels is not None:
        name = type(estimator).__name__
        remember(labels, known, run, class_name=name, method="predict", split="train")


# --- partial_fit ------------------------------------------------------------------------------------------------------


def _watch_partial_fit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    estimator = args[0]
    known = find(estimator)
    goes_on = known is not None and known.is_own and known.run.status == "running" and known.run.takes_more()
    run = known.run if known is not None and goes_on else open_estimator_run(_kind_of(estimator), estimator)
    if run is None:
        return
    try:
        if not goes_on:
            _describe("partial_fit", original, estimator, args, kwargs, {}, run)
            _keep(run, estimator)
        run.is_midway = _yes
        with scope(run):
            start = time.perf_counter()
            yield
        _log_call(run, estimator, original, args, kwargs, time.perf_counter() - start)
        run.is_midway = _no
    except BaseException as error:
        forget(estimator)
        run.end(error=error)
        raise
    known = find(estimator)
    if known is None or known.run is not run:
        run.end()  # nobody could find it at the next call


def _yes() -> bool:
    """Answer for a call of ``partial_fit`` that has begun, and may have been broken off."""
    return True


def _no() -> bool:
    """Answer between two calls: the loop is complete, if the program ends here."""
    return False


@guarded
def _keep(run: Run, estimator: Any) -> None:
    """Leave a run open for the calls to come, until the estimator is gone."""
    if run.is_recorded:
        trained_by(run, estimator, is_own=True)
        watch_predictions_of(estimator)
        if find(estimator) is not None:
            run.end_with(estimator)
            run.before_end = functools.partial(_last_weights, run, weakref.ref(estimator))


def _last_weights(run: Run, estimator: weakref.ref[Any], status: str) -> dict[str, Any]:
    """Record what a loop of ``partial_fit`` has left, where the estimator is there, and nobody trains it meanwhile."""
    known = estimator()
    if known is None:
        run.capture("weights", "skipped", "not recorded at the end: the estimator was let go of before")
    elif status == "killed" or threading.get_ident() != run.thread_id:
        run.capture("weights", "skipped", "not recorded at the end: a signal or another thread ended the run")
    else:
        log_fitted(run, "end", known)
    return {}


@guarded
def _log_call(
    run: Run,
    estimator: Any,
    original: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    seconds: float,
) -> None:
    bound = bind(original, args, kwargs)
    X = bound.get("X")
    n = gathered(run, "data", n_samples, X, what="n_samples")
    run.log({"call_s": seconds} if n is None else {"n_samples": float(n), "call_s": seconds})
    gathered(run, "curves", log_curves, run, estimator, what="curves")
    known = find(estimator)
    if known is None or known.run is not run:
        return
    if known.calls and X is not None:  # the data of the first call is that of the run
        saw(run, X, bound.get("y"))
    known.calls += 1
