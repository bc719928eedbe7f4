"""Which value of a metric is its best, and which metric ranks a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import TYPE_CHECKING, Any

from histhooks.history._outcomes import outcome
from histhooks.history._ranking import Best, best_value

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord


def best_of(run: RunRecord, summary: Mapping[str, Any]) -> Best | None:
    """The best value of a metric of a run; None where nobody knows which way is better, or no value is finite."""
    return best_value(run.history, run.id, summary)


def mean_of_folds(run: RunRecord, summary: Mapping[str, Any]) -> float | None:
    """The mean of a metric whose points are folds, of which the best says nothing; None for other runs."""
    if run.kind not in ("candidate", "validate") or not summary["count"]:
        return None
    known = [point["value"] for point in run.metrics(summary["name"]) if point["value"] is not None]
    return fsum(known) / len(known) if known else None


def main_of(summaries: Sequence[Mapping[str, Any]], named: str | None = None) -> Mapping[str, Any] | None:
    """The row of the metric that ranks a run, the same for every verb; None where it has none.

    Parameters
    ----------
    summaries : sequence of mapping
        Rows of `metric_summaries`.
    named : str, optional
        Column `main_metric` of the run.
    """
    found = outcome(named, summaries, {})
    return next((row for row in summaries if found is not None and row["name"] == found.name), None)
