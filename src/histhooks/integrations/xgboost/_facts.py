"""What the arguments of a training say: splits, params, data."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import xgboost

from histhooks.integrations._estimators import is_training_data
from histhooks.integrations.kit import (
    Run,
    answer,
    ask,
    call_site,
    gathered,
    guarded,
    is_shuffled,
    log_split,
    parameters_of,
    settings_of,
    splits,
)
from histhooks.integrations.xgboost._matrices import held_of
from histhooks.integrations.xgboost._models import log_previous
from histhooks.integrations.xgboost._outcomes import log_functions

_DATA = ("self", "dtrain", "evals", "evals_result", "params", "callbacks", "X", "y", "eval_set", "xgb_model")
# XGBoost's metrics whose direction their names do not show (callback.py, EarlyStopping.after_iteration).
_UP = frozenset({"auc", "aucpr", "pre", "map", "ndcg", "interval-regression-accuracy"})
_DOWN = frozenset({"mphe", "quantile", "merror", "error"})
_CONFIG_CHARACTERS = 20_000


def bind(original: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, as the host binds them: it takes keyword-only ones by position too (require_keyword_args)."""
    return {**dict(zip(signature(original), args, strict=False)), **kwargs}


def signature(function: Callable[..., Any]) -> dict[str, Any]:
    """Names of the parameters of a function, with their defaults."""
    known = parameters_of(function)
    return {name: known.defaults.get(name, inspect.Parameter.empty) for name in known.names}


def split_of(data: str) -> str:
    """The split that the name of an eval set stands for."""
    chosen = splits()
    if data in chosen:
        return chosen[data]
    known = Run.describe(f"{data}-x")
    return known.split or "valid" if known.metric == "x" else "valid"


def splits_of(dtrain: Any, evals: Any) -> dict[str, str]:
    """The splits of eval sets by name: one that is the training data itself is `train`."""
    chosen = splits()
    return {name: "train" if data is dtrain and name not in chosen else split_of(name) for data, name in _pairs(evals)}


@guarded
def log_folds(original: Callable[..., Any], bound: Mapping[str, Any], run: Run) -> None:
    """Record how ``cv`` makes its folds (``mknfold``): by itself, or by a splitter or pairs of indices."""
    gathered(run, "splits", _log_folds, {**signature(original), **bound}, run, what="folds")


def _log_folds(given: Mapping[str, Any], run: Run) -> None:
    folds = given.get("folds")
    if folds is None:
        name = "cv"
        settings = {key: given[key] for key in ("nfold", "stratified", "shuffle", "seed") if key in given}
        # Stratified folds are shuffled in any case.
        is_mixed: bool | None = bool(given.get("stratified") or given.get("shuffle", True))
    else:
        name, settings, is_mixed = type(folds).__name__, settings_of(folds), is_shuffled(folds)
    n_rows = ask(given["dtrain"].num_row)
    place = answer(None, call_site, ("xgboost",))
    log_split(name, settings, n_in=n_rows, shuffled=is_mixed, location=place, run=run)


def _pairs(evals: Any) -> list[tuple[Any, Any]]:
    """Eval sets with their names; none where the host will refuse them."""
    pairs = list(evals) if isinstance(evals, (list, tuple)) else []
    return pairs if all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs) else []


def direction_of(metric: str) -> int:
    """Which way a metric of XGBoost's gets better: 1 up, -1 down, 0 unknown."""
    base = metric.partition("@")[0]
    return 1 if base in _UP else -1 if base in _DOWN or base.endswith("nloglik") else Run.describe(metric).direction


def config_of(booster: Any) -> Any:
    """The configuration that XGBoost resolved, as JSON; cut where it is long."""
    text = booster.save_config()
    if len(text) > _CONFIG_CHARACTERS:
        return {"$cut": {"text": text[:_CONFIG_CHARACTERS], "characters": len(text)}}
    return json.loads(text)


@guarded
def log_call(original: Callable[..., Any], bound: dict[str, Any], splits: Mapping[str, str], run: Run) -> None:
    """Record what a call of ``train`` or ``cv`` was given; each part by itself."""
    known = gathered(run, "params", _params_of, bound.get("params"), signature(original), what="params")
    run.log_params(known or {}, source="argument")
    gathered(run, "params", _log_arguments, run, original, bound, what="arguments")
    gathered(run, "params", log_functions, run, {**(known or {}), **bound}, what="functions")
    gathered(run, "data", log_matrix, run, "train", bound.get("dtrain"), what="dtrain")
    for data, name in _pairs(bound.get("evals")):
        if data is not bound.get("dtrain"):
            role = splits.get(name) or "valid"
            gathered(run, "data", log_matrix, run, role, data, name, what="an eval set")
    gathered(run, "links", log_previous, run, bound.get("xgb_model"), what="xgb_model")


@guarded
def log_fit(original: Callable[..., Any], estimator: Any, bound: dict[str, Any], run: Run) -> None:
    """Record what an estimator and its ``fit`` were given; each part by itself."""
    params = gathered(run, "params", _params_asked_for, estimator, what="get_params")
    if params is None:
        held = answer(dict[str, Any](), vars, estimator)
        params = {name: held[name] for name in _usual_of(type(estimator)) if name in held}
    params = {k: v for k, v in params.items() if k != "callbacks"}
    usual = {**dict.fromkeys(params), **_usual_of(type(estimator))}
    run.log_params(params, source="argument", defaults={k: v for k, v in usual.items() if k in params})
    gathered(run, "params", _log_arguments, run, original, bound, "fit.", what="arguments of fit")
    gathered(run, "params", log_functions, run, params, what="functions")
    log_fit_data(bound, {}, run)


def _params_asked_for(estimator: Any) -> dict[str, Any]:
    return ask(lambda: dict(estimator.get_params()))


@guarded
def log_fit_data(bound: Mapping[str, Any], told: Mapping[str, Any], run: Run) -> None:
    """Record the data of a ``fit``, except what a ``fit`` around it was given and recorded already."""
    X, y = bound.get("X"), bound.get("y")
    if X is not None and X is not told.get("X"):
        run.log_dataset("train", X, y)
    if bound.get("eval_set") is not told.get("eval_set"):
        for number, (other, target) in enumerate(_pairs(bound.get("eval_set"))):
            name = f"validation_{number}"
            if other is not X or name in splits():
                role = "train" if name in trained_on(bound, run) else split_of(name)
                run.log_dataset(role, other, target, name=name)
    if bound.get("xgb_model") is not told.get("xgb_model"):
        gathered(run, "links", log_previous, run, bound.get("xgb_model"), what="xgb_model")


def trained_on(bound: Mapping[str, Any], run: Run) -> set[str]:
    """Names of the eval sets of a ``fit`` that are its training data, be it in another container."""
    names = set()
    for number, (X, y) in enumerate(_pairs(bound.get("eval_set"))):
        name = f"validation_{number}"
        if name not in splits() and gathered(run, "data", is_training_data, run, X, y, what=name):
            names.add(name)
    return names


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


def log_params_of(run: Run, params: Any) -> None:
    """Record what a booster was made with."""
    if params:
        run.log_params(_params_of(params, {}), source="argument")


def _log_arguments(run: Run, original: Callable[..., Any], bound: Mapping[str, Any], prefix: str = "") -> None:
    run.log_params({f"{prefix}{k}": v for k, v in bound.items() if k not in _DATA}, source="argument")
    rest = {k: v for k, v in signature(original).items() if k not in bound and k not in _DATA}
    defaults = {f"{prefix}{k}": None if v is inspect.Parameter.empty else v for k, v in rest.items()}
    run.log_params(defaults, source="default")


def log_matrix(run: Run, role: str, data: Any, name: str | None = None) -> None:
    """Record the shape and the names of a DMatrix, and the values that it was made of."""
    if not isinstance(data, xgboost.DMatrix):
        return
    facts: dict[str, Any] = {"shape": (data.num_row(), data.num_col())}
    if data.feature_names is not None and data.feature_types is not None:
        facts |= {"columns": list(data.feature_names), "dtypes": list(data.feature_types)}
    stand_in = type(type(data).__name__, (), facts)()
    held = held_of(data)
    if held is None:
        run.log_dataset(role, stand_in, name=name)
    else:
        run.log_held(role, stand_in, held, name)


def _usual_of(kind: type) -> dict[str, Any]:
    """Defaults of an estimator's constructor, which hands on to that of its parent what it does not name."""
    usual: dict[str, Any] = {}
    for parent in reversed(kind.__mro__):
        init = vars(parent).get("__init__")
        if isinstance(init, FunctionType):
            usual |= {k: v for k, v in signature(init).items() if v is not inspect.Parameter.empty}
    return usual
