"""Curves that estimators keep of their own training: points of the run, under the name of the attribute.

``MLPClassifier`` and its kin append to ``loss_curve_`` and ``validation_scores_`` once an iteration;
``GradientBoosting*`` fills ``train_score_`` with losses of the rows that it drew, and ``oob_scores_`` with those of the
rows that it did not draw. ``HistGradientBoosting*`` keeps scores, of which more is better (a loss with its sign
turned), and one more than it has iterations: the first is that of the constant that it starts with. With ``warm_start``
and ``partial_fit`` the lists go on, and what an earlier run has is not repeated.
"""

from __future__ import annotations

import numbers
import sys
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from histhooks.integrations.kit import Run, gathered
from histhooks.integrations.sklearn._parts import held_by, parts_of

_MOST = 20_000  # points of one curve
# Attribute, what it measures, on which data, and which way is better.
_KINDS: dict[str, tuple[str, str, int]] = {
    "loss_curve_": ("loss", "train", -1),
    "validation_scores_": ("score", "valid", 1),
    "train_score_": ("loss", "train", -1),
    "validation_score_": ("score", "valid", 1),
    # Rows that one tree did not draw are training data of another.
    "oob_scores_": ("oob_loss", "unsaid", -1),
    "oob_improvement_": ("oob_improvement", "unsaid", 1),
    "lower_bounds_": ("lower_bound", "train", 1),
    "scores_": ("log_marginal_likelihood", "train", 1),
    "estimator_errors_": ("estimator_error", "train", 0),
}
# Attributes whose name means this in these classes alone.
_ONLY_IN = {
    "scores_": ("sklearn.linear_model._bayes",),
    "estimator_errors_": ("sklearn.ensemble._weight_boosting",),
    "lower_bounds_": ("sklearn.mixture",),
    "oob_improvement_": ("sklearn.ensemble._gb",),
    "oob_scores_": ("sklearn.ensemble._gb",),
    "train_score_": ("sklearn.ensemble",),
    "validation_score_": ("sklearn.ensemble",),
}


class _Curve(NamedTuple):
    name: str
    metric: str
    split: str
    direction: int
    values: list[float]
    initial: float | None  # before the first iteration


# Of each run that goes on: how long its curves were, and with which value they ended.
_before: weakref.WeakKeyDictionary[Run, dict[str, tuple[int, float]]] = weakref.WeakKeyDictionary()


def go_on(run: Run, estimator: Any) -> None:
    """Keep in mind how far the curves are before a fit that may go on from an earlier one."""
    _before[run] = {curve.name: (len(curve.values), curve.values[-1]) for curve in _curves_of(run, estimator)}


def log_curves(run: Run, estimator: Any) -> None:
    """Record what the curves have more than before."""
    rows: dict[int, dict[str, float]] = {}
    before = _before.get(run) or {}
    for curve in _curves_of(run, estimator):
        count, last = before.get(curve.name, (0, 0.0))
        # A list that was begun anew is no continuation.
        start = count if count and len(curve.values) >= count and curve.values[count - 1] == last else 0
        run.declare_metric(curve.name, metric=curve.metric, split=curve.split, direction=curve.direction)
        for step in range(start, min(len(curve.values), start + _MOST)):
            rows.setdefault(step, {})[curve.name] = curve.values[step]
        if len(curve.values) > start + _MOST:
            run.capture("curves", "truncated", f"the first {_MOST} of {len(curve.values)} values of {curve.name}")
        if curve.initial is not None and not start:
            run.log_results({f"{curve.name}.initial": curve.initial})
        before = {**before, curve.name: (len(curve.values), curve.values[-1])}
    if before:
        _before[run] = before
    for step, row in rows.items():
        run.log(row, step=step)


def _curves_of(run: Run, estimator: Any) -> Iterator[_Curve]:
    names = set()
    for label, part in parts_of(estimator):
        held = held_by(part)
        # In the order of the table, which is that of the points.
        for attribute in [name for name in _KINDS if name in held] if held else ():
            curve = gathered(run, "curves", _curve, attribute, label, type(part), held, what=attribute)
            if curve is not None and curve.name not in names:
                names.add(curve.name)
                yield curve


def _curve(attribute: str, label: str, kind: type, held: Mapping[str, Any]) -> _Curve | None:
    """What an attribute holds, if it is a curve: numbers, one an iteration."""
    known_in = _ONLY_IN.get(attribute)
    if known_in is not None and not any(base.__module__.startswith(known_in) for base in kind.__mro__):
        return None
    values, metric, split, direction = _numbers(held[attribute]), *_KINDS[attribute]
    initial = None
    if "_predictors" in held:  # HistGradientBoosting*
        scoring = held.get("scoring")
        metric = "neg_loss" if scoring == "loss" else scoring if isinstance(scoring, str) else "score"
        direction = 1
        if values and len(values) == len(held["_predictors"]) + 1:
            initial, values = values[0], values[1:]
    elif attribute == "estimator_errors_":
        values = values[: len(held.get("estimators_", ()))]  # the rest stands for members that were not fitted
    if not values:
        return None
    return _Curve(f"{attribute}/{label}" if label else attribute, metric, split, direction, values, initial)


def _numbers(value: Any) -> list[float]:
    """A list or a vector of numbers; empty for anything else."""
    if type(value) is not list:
        is_array = type(value) is getattr(sys.modules.get("numpy"), "ndarray", None)
        if not is_array or value.ndim != 1 or value.dtype.kind not in "fiu":
            return []
        value = value.tolist()
    kinds = set(map(type, value))
    return list(map(float, value)) if all(issubclass(kind, numbers.Real) for kind in kinds) else []
