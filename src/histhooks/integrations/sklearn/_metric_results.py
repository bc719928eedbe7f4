"""Metrics that are no number: tables and curves, as results of the run."""

from __future__ import annotations

import sys
from typing import Any

from histhooks.integrations.kit import Run
from histhooks.integrations.sklearn._search import small

# The arrays that a function gives, in its order.
CURVES = {
    "roc_curve": ("fpr", "tpr", "thresholds"),
    "precision_recall_curve": ("precision", "recall", "thresholds"),
    "det_curve": ("fpr", "fnr", "thresholds"),
    "calibration_curve": ("prob_true", "prob_pred"),
}
TABLES = {
    "confusion_matrix": (),
    "multilabel_confusion_matrix": (),
    "pair_confusion_matrix": (),
    "classification_report": (),
    "precision_recall_fscore_support": ("precision", "recall", "fscore", "support"),
    "class_likelihood_ratios": ("positive", "negative"),
    "homogeneity_completeness_v_measure": ("homogeneity", "completeness", "v_measure"),
}
_MOST_POINTS = 100
_MOST_CLASSES = 30
_MOST_TEXT = 4000
_MOST_ROWS = 100_000  # of which the labels are looked up


def log_result(run: Run, function: str, name: str, both: tuple[Any, Any], labels: Any, result: Any) -> None:
    """Record what a metric gave, bounded; what was left out is said in `captures`."""
    if function in CURVES and isinstance(result, tuple):
        value: Any = _curve(run, name, CURVES[function], result)
    elif function == "confusion_matrix" and getattr(result, "ndim", 0) == 2:
        value = _matrix(run, name, both, labels, result)
    elif isinstance(result, str):
        value = result[:_MOST_TEXT]
        if len(result) > _MOST_TEXT:
            run.capture("results", "truncated", f"{name}: {_MOST_TEXT} of {len(result)} characters")
    elif isinstance(result, dict):
        value = dict(list(result.items())[: _MOST_CLASSES + 3])
        if len(result) > len(value):
            run.capture("results", "truncated", f"{name}: {len(value)} of {len(result)} classes")
    elif isinstance(result, tuple):
        parts = TABLES.get(function) or tuple(map(str, range(len(result))))
        value = {part: _numbers(run, name, one) for part, one in zip(parts, result, strict=False)}
    else:
        value = _numbers(run, name, result)
    if value is not None:
        run.log_results({name: value})


def _numbers(run: Run, name: str, value: Any) -> Any:
    if getattr(value, "size", 1) > _MOST_POINTS:
        run.capture("results", "skipped", f"{name}: {value.size} numbers")
        return None
    return small(value)


def _curve(run: Run, name: str, parts: tuple[str, ...], result: tuple[Any, ...]) -> dict[str, Any]:
    """Points of a curve at even distances, with the first and the last."""
    n = len(result[0])
    if n > _MOST_POINTS:
        run.capture("results", "truncated", f"{name}: {_MOST_POINTS} of {n} points")
        rows = sorted({round(number * (n - 1) / (_MOST_POINTS - 1)) for number in range(_MOST_POINTS)})
    else:
        rows = list(range(n))
    out: dict[str, Any] = {"n_points": n}
    for part, values in zip(parts, result, strict=False):
        listed = values.tolist()
        out[part] = [float(f"{listed[row]:.6g}") for row in rows if row < len(listed)]
    return out


def _matrix(run: Run, name: str, both: tuple[Any, Any], labels: Any, result: Any) -> dict[str, Any] | None:
    n = len(result)
    if n > _MOST_CLASSES:
        run.capture("results", "skipped", f"{name}: {n} classes")
        return None
    out: dict[str, Any] = {"matrix": result.tolist()}
    names = list(labels) if labels is not None else _labels_of(both)
    if names is not None and len(names) == n:
        out["labels"] = [one.item() if hasattr(one, "item") else one for one in names]
    return out


def _labels_of(both: tuple[Any, Any]) -> list[Any] | None:
    """The classes in both, in the order of ``sklearn.utils.multiclass.unique_labels``."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or len(both[0]) > _MOST_ROWS:
        return None
    arrays = [numpy.asarray(one) for one in both]
    if any(one.dtype.kind not in "biuSU" and not all(type(x) is str for x in one.flat) for one in arrays):
        return None
    found: list[Any] = numpy.union1d(*arrays).tolist()
    return found
