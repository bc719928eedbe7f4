"""What ``score`` leaves, which the program calls: points of the run that trained the estimator, or a run of its own."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Generator
from typing import Any

from histhooks.integrations._estimators import Trained, adding_to, find, log_scored, scoring
from histhooks.integrations.kit import Run, ask, bind, callers, ensure_session, gathered, guarded, recorded_as, task
from histhooks.integrations.sklearn._fits import is_nested, is_of_another, open_estimator_run
from histhooks.integrations.sklearn._params import log_estimator_params

_HOSTS = ("sklearn", "joblib")
# Wrappers that may lie between the program and this one.
_BETWEEN = ("mlflow",)
# MLflow's autolog scores training data after each fit, in here.
_OF_NEIGHBOURS = ("mlflow.sklearn.utils",)


def is_called_by_host() -> bool:
    """Whether scikit-learn, joblib or a neighbour called ``score``, and not the program.

    Only the calling frame shows it. A mark at the places where scikit-learn itself scores would have to stand at each
    of them: a private scorer, ``GaussianMixture.bic`` and ``aic``, and what a later release adds, which would leave
    points that no program asked for. Of what MLflow scores, the run has ended by then, so no current run tells either.
    """
    name = next((name for name in callers() if name in _OF_NEIGHBOURS or name.partition(".")[0] not in _BETWEEN), "")
    return name in _OF_NEIGHBOURS or name.partition(".")[0] in _HOSTS


def watch_score(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    bound = _outer_call(original, args, kwargs)
    if not bound:
        return
    trained = _trainer(args[0])
    evaluation = None if trained is not None else open_estimator_run("evaluate", args[0])
    kept: list[Any] = []
    finish = functools.partial(_log_score, None, bound, kept)
    # What the host calls inside is none of the program's calls.
    with scoring(bound.get("X"), bound.get("y")):
        with recorded_as(evaluation, finish, begin=functools.partial(_describe, args[0], bound)), task():
            kept.append((yield))
        if trained is not None:
            _log_score(trained, bound, kept, trained.run)


@guarded
def _outer_call(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments, where it is the program that calls, and the host will not refuse them."""
    if not args or is_nested() or not ensure_session() or is_called_by_host():
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
def _describe(estimator: Any, bound: dict[str, Any], run: Run) -> None:
    """Record what an evaluation begins with."""
    log_estimator_params(run, estimator)
    others = {f"score.{k}": v for k, v in bound.items() if k not in ("self", "X", "y") and v is not None}
    if others:
        run.log_params(others, source="argument")
    earlier = find(estimator)
    if earlier is not None:
        run.link("uses", earlier.run.id)


@guarded
def _log_score(trained: Trained | None, bound: dict[str, Any], kept: list[Any], run: Run) -> None:
    (value,) = kept
    if not isinstance(value, numbers.Real):
        return  # scikit-learn's are numbers; DensityMixin's is None
    is_own = trained is None or trained.is_own
    # A part's score may be another measure than that of the whole.
    name = "score" if is_own else f"score/{type(bound['self']).__name__}"
    step = trained.calls - 1 if trained is not None and trained.calls else None
    # It trained the estimator also where it takes no more, as in a forked child.
    known = trained or find(bound["self"])
    trainer = known.run if known is not None else None
    with adding_to(run):
        scored = log_scored(run, bound.get("X"), bound.get("y"), trained_by=trainer, is_own=is_own)
        name = scored.named(name)
        run.declare_metric(name, metric="score", split=scored.split, direction=1)
        number = gathered(run, "scores", ask, float, value, what="score")
        if number is not None:
            run.log({name: number}, step=step)
