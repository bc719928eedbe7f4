"""What a cross-validation leaves in the record."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

import sklearn

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
from histhooks.integrations.sklearn._fits import is_nested, name_of_class
from histhooks.integrations.sklearn._params import log_estimator_params
from histhooks.integrations.sklearn._search import log_failed_fits, log_scores, watch_fits_of

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
        functools.partial(_finish, original, kept),
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
    given = {k: v for k, v in given.items() if v is not None}
    run.log_params({"function": original.__name__, **given}, source="argument")
    if X is not None:
        run.log_dataset("train", X, y)


@guarded
def _finish(original: Callable[..., Any], kept: list[Any], run: Run) -> None:
    (result,) = kept
    gathered(run, "scores", _log_result, run, original.__name__, result, what=original.__name__)
    gathered(run, "results", log_failed_fits, run, what="fits that failed")


@guarded
def _fail(run: Run) -> None:
    gathered(run, "results", log_failed_fits, run, what="fits that failed")


def _log_result(run: Run, name: str, result: Any) -> None:
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
