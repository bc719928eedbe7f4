"""What a cross-validation leaves in the record."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

import sklearn

from histhooks.integrations._predictions import remember
from histhooks.integrations.kit import (
    Run,
    answer,
    bind,
    call_site,
    ensure_session,
    gathered,
    guarded,
    open_run,
    recorded_as,
)
from histhooks.integrations.sklearn._fits import is_nested, name_of_class, taken_groups
from histhooks.integrations.sklearn._params import log_estimator_params
from histhooks.integrations.sklearn._search import log_failed_fits, log_scores, watch_fits_of

_MOST_POINTS = 100  # of a curve, in the result that has what the points stand for
_OWN = ("sklearn", "joblib", "threading", "concurrent", "contextlib", "functools")


def watch_validation(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    # A call that the host refuses before it begins leaves nothing.
    bound = None if is_nested() or not ensure_session() else _bind(original, args, kwargs)
    if not bound:
        return
    kept: list[Any] = []
    with recorded_as(
        _open(bound),
        functools.partial(_finish, original, bound, kept),
        begin=functools.partial(_describe, original, bound),
        fail=_fail,
    ):
        kept.append((yield))


_bind = guarded(bind)


@guarded
def _open(bound: dict[str, Any]) -> Run:
    return open_run(
        kind="validate",
        framework="sklearn",
        framework_version=sklearn.__version__,
        model_class=name_of_class(type(bound.get("estimator"))),
        call_site=answer(None, call_site, _OWN),
    )


@guarded
def _describe(original: Callable[..., Any], bound: dict[str, Any], run: Run) -> None:
    watch_fits_of(run, None)
    given = dict(bound)
    estimator = given.pop("estimator", None)
    if callable(getattr(type(estimator), "get_params", None)):
        log_estimator_params(run, estimator, "estimator__")
    X, y = given.pop("X", None), given.pop("y", None)
    groups = taken_groups(given)
    if groups is None and isinstance(given.get("params"), dict):
        given["params"] = dict(given["params"])
        groups = taken_groups(given["params"])
    given = {k: v for k, v in given.items() if v is not None}
    run.log_params({"function": original.__name__, **given}, source="argument")
    if X is not None:
        run.log_dataset("train", X, y, groups=groups)


@guarded
def _finish(original: Callable[..., Any], bound: dict[str, Any], kept: list[Any], run: Run) -> None:
    (result,) = kept
    gathered(run, "scores", _log_result, run, original.__name__, bound, result, what=original.__name__)
    gathered(run, "results", log_failed_fits, run, what="fits that failed")
    if original.__name__ == "cross_val_predict":
        # Each row by a model that did not train on it; choices are made by such a score, so it is validation.
        method = str(bound.get("method", "predict"))
        name = type(bound.get("estimator")).__name__
        remember(result, None, run, class_name=name, method=method, split="valid")


@guarded
def _fail(run: Run) -> None:
    gathered(run, "results", log_failed_fits, run, what="fits that failed")


def _log_result(run: Run, name: str, bound: dict[str, Any], result: Any) -> None:
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
        _log_curves(run, name, bound, result)
    elif name == "permutation_test_score":
        _log_permutations(run, result)
    for label in columns:
        if label.startswith("test_"):
            run.log_results({f"mean_{label}": sum(columns[label]) / len(columns[label])})


def _log_curves(run: Run, name: str, bound: dict[str, Any], result: Any) -> None:
    """Record scores by the number of rows, or by the value of a param; a point is the mean of the folds."""
    is_by_size = name == "learning_curve"
    at, curves = (result[0].tolist(), result[1:3]) if is_by_size else (list(bound["param_range"]), result[:2])
    table: dict[str, Any] = {"train_sizes" if is_by_size else str(bound["param_name"]): at[:_MOST_POINTS]}
    for label, scores in zip(("train_score", "test_score"), curves, strict=True):
        means, deviations = scores.mean(axis=1).tolist(), scores.std(axis=1).tolist()
        table |= {label: means[:_MOST_POINTS], f"{label}_std": deviations[:_MOST_POINTS]}
        for point, mean in enumerate(means):
            log_scores(run, {label: mean}, int(at[point]) if is_by_size else point)
    if len(at) > _MOST_POINTS:
        run.capture("results", "truncated", f"{name}: the first {_MOST_POINTS} of {len(at)} points")
    run.log_results({name: table})


def _log_permutations(run: Run, result: Any) -> None:
    score, permuted, pvalue = result
    out = {"score": float(score), "pvalue": float(pvalue), "n_permutations": len(permuted)}
    spread = {"mean": permuted.mean(), "std": permuted.std(), "min": permuted.min(), "max": permuted.max()}
    run.log_results({**out, "permutation_scores": {name: float(value) for name, value in spread.items()}})
