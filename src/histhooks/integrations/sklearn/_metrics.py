"""Functions of ``sklearn.metrics`` that the program calls on what a recorded model predicted: points of its run.

``f1_score(y_test, model.predict(X_test), average="macro")`` is a point of the series ``f1_score/macro``. What changes
the meaning of a metric is a part of its name, so that two calls are not mixed: options that are not the default, a
column of several (``roc_auc_score/column=2``), a method other than the usual one (``roc_auc_score/predict``).

A call counts if it is the program's, or that of a scorer or a display that the program calls: one frame of the calling
code shows it. A metric that calls another, ``score``, and scorers in a search or a validation leave nothing here.
"""

from __future__ import annotations

import inspect
import numbers
import sys
from collections.abc import Callable, Generator, Mapping
from types import FunctionType
from typing import Any, NamedTuple

from histhooks.integrations._estimators import adding_to
from histhooks.integrations._predictions import Found, Prediction, is_any_known, judge, prediction_of, remember
from histhooks.integrations.kit import (
    Patches,
    answer,
    bind,
    callers,
    ensure_session,
    guarded,
    is_recording,
    no_longer,
    parameters_of,
    task,
    when_imported,
)
from histhooks.integrations.sklearn._fits import is_nested
from histhooks.integrations.sklearn._metric_results import CURVES, TABLES, log_result

_patches = Patches()
_ENDS = ("_score", "_loss", "_error", "_deviance", "_corrcoef")
_ALSO = ("auc", *CURVES, *TABLES)
_NOT = ("consensus_score",)  # of biclusters, which are no predictions
_DOWN = ("_loss", "_error", "_deviance", "davies_bouldin_score")
# Parameters that leave the meaning as it is.
_SILENT = ("target_names", "digits", "output_dict", "drop_intermediate", "n_jobs", "zero_division", "raise_warning")
# Modules that may stand between the program and a metric that it asks for.
_BETWEEN = (
    "mlflow",
    "sklearn.metrics._scorer",
    "sklearn.metrics._plot",
    "sklearn.utils._plotting",
    "sklearn.utils.validation",
)
_OF_NEIGHBOURS = ("mlflow.sklearn.utils",)  # scores training data after each fit
_HOSTS = ("sklearn", "joblib")


class _Call(NamedTuple):
    prediction: Prediction
    name: str
    target: Any  # the true values, if they were given
    labels: Any
    both: tuple[Any, Any]


def watch_metric(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    if is_nested() or not is_recording():
        return
    call = _call_of(original, args, kwargs) if is_any_known() else None
    with task():  # what the function itself fits, such as a LabelBinarizer, is no run of the program's
        result = yield
    if call is not None:
        _log(original.__name__, call, result)


@guarded
def _call_of(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
    """What a call says, if it is the program's, on a prediction of one model that was trained here."""
    bound = bind(original, args, kwargs)
    names = parameters_of(original).names[:2]
    if len(names) < 2:
        return None
    first, second = bound.get(names[0]), bound.get(names[1])
    found = [prediction_of(value) for value in (first, second)]
    known = [one for one in found if one is not None]
    if not known or any(one.prediction.origin is not known[0].prediction.origin for one in known):
        return None  # of none, or of two models
    prediction = known[0].prediction
    is_curve = prediction.method in CURVES
    if not prediction.run.takes_more() or not ensure_session() or not _is_of_program():
        return None
    if (len(known) == 2) != (is_curve and original.__name__ == "auc"):
        return None  # a prediction beside itself, or points of a curve that are no curve together
    words = _words(original, bound, names, known[0], is_swapped=found[0] is not None and not is_curve)
    name = original.__name__ if not words else f"{original.__name__}/{','.join(words)}"
    target = None if is_curve else second if found[0] is not None else first
    return _Call(prediction, name, target if names[0] != "X" else None, bound.get("labels"), (first, second))


def _is_of_program() -> bool:
    name = next((name for name in callers() if name in _OF_NEIGHBOURS or not name.startswith(_BETWEEN)), "")
    return name not in _OF_NEIGHBOURS and name.partition(".")[0] not in _HOSTS


def _words(
    original: Callable[..., Any], bound: Mapping[str, Any], names: tuple[str, ...], found: Found, *, is_swapped: bool
) -> list[str]:
    """What the name of a metric has to say beside the function."""
    prediction = found.prediction
    defaults = parameters_of(original).defaults
    words = []
    for key, value in bound.items():
        if key in names or key in _SILENT or (key in defaults and answer(False, _is_equal, value, defaults[key])):
            continue
        words.append(value if key == "average" and isinstance(value, str) else f"{key}={_word(value)}")
    words = [word.removesuffix("=") for word in sorted(words)]
    usual = {"pred_decision": "decision_function", "y_score": "predict_proba", "y_prob": "predict_proba"}
    if prediction.method and prediction.method != {**usual, "y_proba": "predict_proba"}.get(names[1], "predict"):
        words.append(prediction.method)
    if found.column is not None and not _is_positive(found):
        words.append(f"column={found.column}")
    words += [prediction.part] if prediction.part else []
    words += ["swapped"] if is_swapped else []
    return words if prediction.is_own else [prediction.class_name, *words]


def _is_positive(found: Found) -> bool:
    """Whether a column is that of the positive class, of two."""
    prediction = found.prediction
    return prediction.shape[1:] == (2,) and found.column == 1 and "proba" in prediction.method


def _is_equal(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


def _word(value: Any) -> str:
    """An option as a short word; of what is long, its hash."""
    if value is None or isinstance(value, (bool, numbers.Number)):
        return str(value)
    if isinstance(value, str):
        return value[:40]
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    listed = value.tolist() if hasattr(type(value), "tolist") else value
    text = " ".join(map(str, listed)) if isinstance(listed, (list, tuple)) else str(listed)
    if len(text) <= 20:
        return text
    import xxhash

    return f"#{xxhash.xxh3_64_hexdigest(text.encode())[:6]}"


@guarded
def _log(function: str, call: _Call, result: Any) -> None:
    prediction = call.prediction
    with adding_to(prediction.run):
        scored = judge(prediction, call.target)
        name = scored.named(call.name)
        if isinstance(result, numbers.Real):
            direction = -1 if function.endswith(_DOWN) or function == "coverage_error" else 1
            prediction.run.declare_metric(name, metric=call.name, split=scored.split, direction=direction)
            prediction.run.log({name: float(result)}, step=prediction.step)
        else:
            log_result(prediction.run, function, name, call.both, call.labels, result)
    if function in CURVES and isinstance(result, tuple):
        origin = object()
        for points in result[:2]:  # what ``auc`` is called with
            remember(
                points, prediction.trained, prediction.run, class_name=prediction.class_name, method=function,
                split=scored.split, part=prediction.part, origin=origin,
            )  # fmt: skip


def _is_metric(name: str, value: Any) -> bool:
    is_named = name in _ALSO or (name.endswith(_ENDS) and name not in _NOT)
    return is_named and isinstance(value, FunctionType) and not inspect.isgeneratorfunction(value)


def _wrap_metrics(module: Any) -> None:
    for name in getattr(module, "__all__", CURVES):
        if _is_metric(name, getattr(module, name, None)):
            try:
                _patches.wrap(sys.modules[getattr(module, name).__module__], name, watch_metric)
            except Patches.Unfit:
                continue


_MODULES = ("sklearn.metrics", "sklearn.calibration")


def install() -> None:
    """Hook the functions once the program has imported them; it is never imported here."""
    for module in _MODULES:
        when_imported(module, _wrap_metrics, "metrics")


def uninstall() -> None:
    """Put everything back, by identity."""
    for module in _MODULES:
        no_longer(module, "metrics")
    _patches.undo()
