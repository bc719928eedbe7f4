"""What ``score`` leaves, which the program calls: points of the run that trained the estimator, or a run of its own."""

from __future__ import annotations

import functools
import numbers
import sys
from collections.abc import Callable, Generator
from typing import Any

from histhooks import recorder
from histhooks._guard import guarded
from histhooks._patching import program_frame
from histhooks._run import Run
from histhooks._signatures import bind
from histhooks._trained import Trained, adding_to, find
from histhooks.integrations.sklearn._fits import (
    is_nested,
    is_of_another,
    log_estimator_params,
    open_estimator_run,
    recorded_as,
)

_HOSTS = ("sklearn", "joblib")
# Wrappers that may lie between the program and this one.
_BETWEEN = ("mlflow",)
# MLflow's autolog scores training data after each fit, in here.
_OF_NEIGHBOURS = ("mlflow.sklearn.utils",)


def is_called_by_host() -> bool:
    """Whether the wrapper that asks was called by scikit-learn or joblib, and not by the program."""
    frame = program_frame(sys._getframe(1))
    name = _module_of(frame)
    while name not in _OF_NEIGHBOURS and name.partition(".")[0] in _BETWEEN:
        frame = program_frame(frame.f_back)
        name = _module_of(frame)
    return name in _OF_NEIGHBOURS or name.partition(".")[0] in _HOSTS


def _module_of(frame: Any) -> str:
    return (frame.f_globals.get("__name__") if frame is not None else None) or ""


def watch_score(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    bound = _outer_call(original, args, kwargs)
    if not bound:
        return
    trained = _trainer(args[0])
    evaluation = None if trained is not None else _open_evaluation(args[0], bound)
    kept: list[Any] = []
    # What the host calls inside is none of the program's calls.
    with recorded_as(evaluation, functools.partial(_log_score, None, bound, kept)), recorder.task():
        kept.append((yield))
    if trained is not None:
        _log_score(trained, bound, kept, trained.run)


@guarded
def _outer_call(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments, where it is the program that calls, and the host will not refuse them."""
    if not args or is_nested() or not recorder.is_recording() or is_called_by_host():
        return None
    if is_of_another(args[0]) and _trainer(args[0]) is None:
        return None
    return bind(original, args, kwargs)


@guarded
def _trainer(estimator: Any) -> Trained | None:
    """Who trained an estimator, where that run can take more: not in a forked child, nor after ``disable()``."""
    found = find(estimator)
    return found if found is not None and found.run.takes_more() else None


@guarded
def _open_evaluation(estimator: Any, bound: dict[str, Any]) -> Run:
    run = open_estimator_run("evaluate", estimator)
    log_estimator_params(run, estimator)
    others = {f"score.{k}": v for k, v in bound.items() if k not in ("self", "X", "y") and v is not None}
    if others:
        run.log_params(others, source="argument")
    earlier = find(estimator)
    if earlier is not None:
        run.link("uses", earlier.run.id)
    return run


@guarded
def _log_score(trained: Trained | None, bound: dict[str, Any], kept: list[Any], run: Run) -> None:
    (value,) = kept
    if not isinstance(value, numbers.Real):
        return  # scikit-learn's are numbers; DensityMixin's is None
    is_own = trained is None or trained.is_own
    # A part's score may be another measure than that of the whole.
    name = "score" if is_own else f"score/{type(bound['self']).__name__}"
    step = trained.calls - 1 if trained is not None and trained.calls else None
    with adding_to(run):
        if bound.get("X") is not None:
            run.log_dataset("test", bound["X"], bound.get("y"))
        run.declare_metric(name, metric="score", split="test", direction=1)
        run.log({name: float(value)}, step=step)
