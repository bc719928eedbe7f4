"""Sums of errors where predictions meet their labels; they add up, and no numeric label can be told from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from histhooks._collect.content_blocks import np

CELLS = 64  # of scores between 0 and 1, by class
_LEAST = 1e-15  # of a probability in a log loss, as in scikit-learn


Sums = dict[str, tuple[float, int]]  # sum and count by metric
OF_LABELS = ("target", "target_squares")
LEAST_LABELS = 10  # rows that sums of labels are stored of: those of one row, or of two, give the labels back


def are_many(sums: Mapping[str, Sequence[float]]) -> bool:
    """Whether sums of labels are of so many rows that they may be stored."""
    return bool(sums) and all(sums[name][1] >= LEAST_LABELS for name in OF_LABELS if name in sums)


def sums_of(y_pred: Any, y_true: Any, *, is_classifier: bool | None = None) -> tuple[Sums, Any]:
    """Sums of errors.

    Parameters
    ----------
    y_pred : array of shape (n_samples,) or (n_samples, n_classes)
        Classes, numbers, or probabilities.
    y_true : array of shape (n_samples,)
    is_classifier : bool, optional
        Whether classes are predicted; by default what the labels look like.

    Returns
    -------
    dict of str to tuple of float and int, and dict
        Sum and count by metric; counts of scores by class `0` and `1`, for the area under the curve.

    Raises
    ------
    ValueError
        If there are not as many predictions as labels.
    """
    numpy = np()
    predicted, labels = numpy.asarray(y_pred), numpy.asarray(y_true)
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if predicted.shape[:1] != labels.shape[:1] or labels.ndim != 1:
        raise ValueError(f"{len(predicted):,} predictions and {len(labels):,} labels; each prediction needs one label")
    there = _known(numpy, labels) & (_known(numpy, predicted) if predicted.ndim == 1 else True)
    predicted, labels = predicted[there], labels[there]
    if not len(labels):
        return {}, {}
    if is_classifier is None:
        is_classifier = labels.dtype.kind in "OUSTbiu"
    if not is_classifier:
        return (
            (_of_numbers(numpy, predicted.astype("f8"), labels.astype("f8")), {}) if predicted.ndim == 1 else ({}, {})
        )
    if predicted.dtype.kind == "f" and (predicted.ndim == 2 or not _are_whole(numpy, predicted)):
        return _of_scores(numpy, predicted.astype("f8"), labels)
    if predicted.ndim != 1:
        return {}, {}
    return {"accuracy": (float((_comparable(predicted, labels) == labels).sum()), len(labels))}, {}


def _known(numpy: Any, values: Any) -> Any:
    if values.dtype.kind == "f":
        return numpy.isfinite(values)
    if values.dtype.kind == "O":
        return numpy.array([one is not None and one == one for one in values.tolist()], dtype=bool)
    return numpy.ones(len(values), bool)


def _are_whole(numpy: Any, values: Any) -> bool:
    return bool((values == numpy.floor(values)).all())


def _comparable(predicted: Any, labels: Any) -> Any:
    """Predictions as what the labels are: words of numbers where the labels are words."""
    if (predicted.dtype.kind in "OUST") == (labels.dtype.kind in "OUST"):
        return predicted
    return predicted.astype(str) if labels.dtype.kind in "OUST" else predicted.astype(labels.dtype)


def _of_numbers(numpy: Any, predicted: Any, labels: Any) -> dict[str, tuple[float, int]]:
    n, error = len(labels), predicted - labels
    squares = error * error
    return {
        "absolute_error": (float(numpy.abs(error).sum()), n),
        "squared_error": (float(squares.sum()), n),
        "fourth_power": (float((squares * squares).sum()), n),
        "target": (float(labels.sum()), n),
        "target_squares": (float((labels * labels).sum()), n),
    }


def _of_scores(numpy: Any, scores: Any, labels: Any) -> tuple[dict[str, tuple[float, int]], Any]:
    """Of probabilities, by class in the order of the labels: 0, 1, 2, ..."""
    if labels.dtype.kind not in "biuf":
        return {}, {}
    classes, n = labels.astype("i8"), len(labels)
    n_classes = 2 if scores.ndim == 1 else scores.shape[1]
    if classes.min() < 0 or classes.max() >= n_classes:
        return {}, {}
    positive = scores if scores.ndim == 1 else scores[:, -1] if n_classes == 2 else None
    if scores.ndim == 1:
        of_label = numpy.where(classes == 1, scores, 1.0 - scores)
        chosen = (scores >= 0.5).astype("i8")
    else:
        of_label, chosen = scores[numpy.arange(n), classes], scores.argmax(axis=1)
    loss = -numpy.log(numpy.clip(of_label, _LEAST, 1.0))
    sums = {
        "accuracy": (float((chosen == classes).sum()), n),
        "log_loss": (float(loss.sum()), n),
        "log_loss_squares": (float((loss * loss).sum()), n),
    }
    if positive is None:
        return sums, {}
    cells = numpy.clip((positive * CELLS).astype("i8"), 0, CELLS - 1)
    return sums, {str(one): numpy.bincount(cells[classes == one], minlength=CELLS).tolist() for one in (0, 1)}
