"""What a training of XGBoost leaves beside its curve: importances, and what the program's own functions are."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from types import FunctionType, MethodType
from typing import Any

import xgboost

from histhooks.integrations.kit import Run, answer

_MOST = 50  # features that are named
_IMPORTANCES = ("gain", "weight")
# Arguments and params that may be functions of the program's own.
_OWN = ("obj", "custom_metric", "feval", "objective", "eval_metric")


def log_importances(run: Run, booster: Any) -> None:
    """Record the gain of each feature and how often it splits, the largest 50; of a linear model its weights."""
    if not isinstance(booster, xgboost.Booster):
        return
    nothing: dict[str, float] = {}
    for kind in _IMPORTANCES:
        scores = answer(nothing, _scores_of, booster, kind)  # a linear booster refuses all kinds but `weight`
        if len(scores) > _MOST:
            run.capture("results", "truncated", f"importance_{kind}: the {_MOST} largest of {len(scores)}")
        largest = sorted(scores.items(), key=lambda pair: -abs(pair[1]))[:_MOST]
        if largest:
            run.log_results({f"importance_{kind}": {name: float(f"{value:.6g}") for name, value in largest}})


def _scores_of(booster: Any, kind: str) -> dict[str, float]:
    found = booster.get_score(importance_type=kind)
    return {name: value for name, value in found.items() if isinstance(value, float)}


def log_functions(run: Run, given: Mapping[str, Any]) -> None:
    """Record the source of objectives and metrics of the program's own by its hash; their names are params."""
    found = {}
    for name in _OWN:
        function = given.get(name)
        function = function.__func__ if isinstance(function, MethodType) else function
        if isinstance(function, FunctionType):
            digest = answer(None, _hash_of, function)
            if digest is None:
                run.capture("params", "skipped", f"{name}: the source of {function.__qualname__} is in no file")
            else:
                found[f"{name}.source_sha256"] = digest
    if found:
        run.log_params(found, source="resolved")


def _hash_of(function: FunctionType) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
