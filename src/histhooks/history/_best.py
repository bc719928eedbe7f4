"""Which value of a metric is its best, and which metric stands for a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Best(NamedTuple):
    """The best value of a metric.

    Attributes
    ----------
    value : float
    step : int or None
        0-based step at which it came first.
    """

    value: float
    step: int | None


def best_of(summary: Mapping[str, Any]) -> Best | None:
    """The best value of a metric; None where nobody knows which way is better, or no value is finite."""
    key = {1: "max", -1: "min"}.get(summary["direction"])
    if key is None or summary[key] is None:
        return None
    return Best(summary[key], summary[f"{key}_step"])


def main_of(summaries: Iterable[Mapping[str, Any]], named: str | None = None) -> Mapping[str, Any] | None:
    """The metric that stands for a run: the named one, else the first on validation, test or training data.

    Parameters
    ----------
    summaries : iterable of mapping
        Rows of `metric_summaries`.
    named : str, optional
        Column `main_metric` of the run.
    """
    found = [summary for summary in summaries if summary["split"] != "system"]
    for summary in found:
        if summary["name"] == named:
            return summary
    ranked = [summary for summary in found if summary["direction"]]
    for split in ("valid", "test", "train"):
        for summary in ranked:
            if summary["split"] == split:
                return summary
    return found[0] if found else None
