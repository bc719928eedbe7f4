"""What labels say of a window, beside the last test score of the version.

Sums and counts add up, so that labels that come late only add rows. A promise is broken if the window's 95 % interval
lies wholly on the worse side of that of the promise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from histhooks.checks._statistics import wilson
from histhooks.monitor._statistics import mean_interval
from histhooks.monitor._types import Score

LEAST_LABELS = 30
Sums = Mapping[str, Mapping[str, Any]]

_NAMES = {
    "accuracy": ("accuracy", "acc", "accuracy_score", "binary_accuracy", "categorical_accuracy",
                 "sparse_categorical_accuracy", "multiclassaccuracy", "binaryaccuracy"),
    "error": ("error", "merror", "error_rate"),
    "auc": ("auc", "roc_auc", "roc_auc_score", "auroc", "binaryauroc"),
    "log_loss": ("logloss", "log_loss", "mlogloss", "cross_entropy", "crossentropy", "binary_crossentropy"),
    "r2": ("r2", "r2_score"),
    "rmse": ("rmse", "root_mean_squared_error"),
    "squared_error": ("mse", "mean_squared_error"),
    "absolute_error": ("mae", "mean_absolute_error"),
}  # fmt: skip
_FAMILY = {name: family for family, names in _NAMES.items() for name in names}
_IS_BETTER_HIGH = {"accuracy", "auc", "r2"}


class Promise(NamedTuple):
    """The last test score of a version.

    Attributes
    ----------
    metric : str
        As windows call it.
    name : str
        As the run calls it, with its split.
    value : float
    n : int or None
        Rows it was measured on.
    """

    metric: str
    name: str
    value: float
    n: int | None


def promise_of(metric: str, split: str, value: float, n: int | None, *, is_classifier: bool) -> Promise | None:
    """A score of a run as a promise; None where no window can measure it."""
    word = metric.lower()
    family = _FAMILY.get(word)
    if word == "score":
        family = "accuracy" if is_classifier else "r2"
    if family is None or not math.isfinite(value):
        return None
    if family == "error":
        family, value = "accuracy", 1.0 - value
    return Promise(family, f"{metric} ({split})", value, n)


def scored(sums: Sums, histograms: Mapping[str, Any], promises: list[Promise]) -> tuple[Score, ...]:
    """The metrics of a window; of those that were promised, the first is judged.

    Parameters
    ----------
    sums : mapping
        `sum`, `count`, `n_late` and `delay_s` by metric.
    histograms : mapping
        Counts of scores by class, for the area under the curve.
    promises : list of Promise
    """
    found = {}
    for metric, measure in _MEASURES.items():
        one = measure(sums, histograms)
        if one is not None:
            found[metric] = one
    promise = next((one for one in promises if one.metric in found), None)
    out: list[Score] = []
    for metric, (score, spread) in found.items():
        if promise is not None and promise.metric == metric:
            out.insert(0, _beside(score, spread, promise))
        else:
            out.append(score)
    return tuple(out)


def _beside(score: Score, spread: float | None, promise: Promise) -> Score:
    low, high = _promised(promise, spread)
    state = "cannot tell"
    if score.n >= LEAST_LABELS:
        is_worse = score.high < low if promise.metric in _IS_BETTER_HIGH else score.low > high
        state = "broken" if is_worse else "kept"
    return replace(
        score, promise=promise.value, promise_low=low, promise_high=high, promise_n=promise.n,
        promise_name=promise.name, state=state,
    )  # fmt: skip


def _promised(promise: Promise, spread: float | None) -> tuple[float, float]:
    """The 95 % interval of a promise; where its rows are not known, it is the value alone."""
    value, n = promise.value, promise.n
    if not n:
        return value, value
    if promise.metric == "accuracy":
        return wilson(value * n, n)
    half = 1.96 * (_spread_of_auc(value, n / 2, n / 2) if promise.metric == "auc" else _spread_of_r2(value, n)
                   if promise.metric == "r2" else (spread or 0.0) / math.sqrt(n))  # fmt: skip
    return value - half, value + half


# --- measures: the score, and the standard deviation of a row ---------------------------------------------------------

Measured = tuple[Score, float | None] | None


def _score(metric: str, value: float, low: float, high: float, facts: Mapping[str, Any]) -> Score:
    late = facts.get("n_late") or 0
    return Score(metric, value, low, high, facts["count"], late, facts.get("delay_s"))


def _accuracy(sums: Sums, _: Mapping[str, Any]) -> Measured:
    facts = sums.get("accuracy")
    if not facts or not facts["count"]:
        return None
    low, high = wilson(facts["sum"], facts["count"])
    return _score("accuracy", facts["sum"] / facts["count"], low, high, facts), None


def _mean_of(metric: str, squares: str) -> Callable[[Sums, Mapping[str, Any]], Measured]:
    def measure(sums: Sums, _: Mapping[str, Any]) -> Measured:
        facts, others = sums.get(metric), sums.get(squares)
        if not facts or not facts["count"] or not others:
            return None
        mean, half, spread = mean_interval(facts["sum"], others["sum"], facts["count"])
        return _score(metric, mean, mean - half, mean + half, facts), spread

    return measure


def _rmse(sums: Sums, histograms: Mapping[str, Any]) -> Measured:
    found = _mean_of("squared_error", "fourth_power")(sums, histograms)
    if found is None:
        return None
    (score, spread), root = found, math.sqrt(found[0].value)
    # The spread of a root, to the first order.
    return replace(score, metric="rmse", value=root, low=math.sqrt(max(0.0, score.low)),
                   high=math.sqrt(max(0.0, score.high))), (spread or 0.0) / (2 * root) if root else 0.0  # fmt: skip


def _r2(sums: Sums, _: Mapping[str, Any]) -> Measured:
    error, target, squares = (sums.get(name) for name in ("squared_error", "target", "target_squares"))
    if not error or not target or not squares or target["count"] < 3:
        return None
    n = target["count"]
    total = squares["sum"] - target["sum"] ** 2 / n
    if total <= 0:
        return None
    value = 1.0 - error["sum"] / error["count"] * n / total  # labels are summed of ten rows or more, errors of each
    half = 1.96 * _spread_of_r2(value, n)
    return _score("r2", value, value - half, value + half, error), None


def _spread_of_r2(value: float, n: int) -> float:
    """The standard error of a coefficient of determination (Olkin & Finn 1995)."""
    return math.sqrt(max(0.0, 4 * max(0.0, value) * (1 - value) ** 2 / max(1, n)))


def _auc(sums: Sums, histograms: Mapping[str, Any]) -> Measured:
    negative, positive = histograms.get("0"), histograms.get("1")
    if not negative or not positive or not sum(negative) or not sum(positive):
        return None
    wins, below = 0.0, 0
    for n, p in zip(negative, positive, strict=True):
        wins += p * (below + n / 2)
        below += n
    n, m = sum(positive), sum(negative)
    value = wins / (n * m)
    half = 1.96 * _spread_of_auc(value, n, m)
    facts = {**(sums.get("log_loss") or {}), "count": n + m}
    return _score("auc", value, value - half, value + half, facts), None


def _spread_of_auc(value: float, n: float, m: float) -> float:
    """The standard error of an area under the curve (Hanley & McNeil 1982)."""
    one, two = value / (2 - value), 2 * value * value / (1 + value)
    inside = value * (1 - value) + (n - 1) * (one - value * value) + (m - 1) * (two - value * value)
    return math.sqrt(max(0.0, inside) / max(1.0, n * m))


_MEASURES: dict[str, Callable[[Sums, Mapping[str, Any]], Measured]] = {
    "accuracy": _accuracy,
    "auc": _auc,
    "log_loss": _mean_of("log_loss", "log_loss_squares"),
    "r2": _r2,
    "rmse": _rmse,
    "squared_error": _mean_of("squared_error", "fourth_power"),
    "absolute_error": _mean_of("absolute_error", "squared_error"),
}
