"""Which value of a metric is its best."""

from __future__ import annotations

from collections.abc import Mapping
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
