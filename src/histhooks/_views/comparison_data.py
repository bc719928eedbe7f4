"""Runs beside each other for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from histhooks.history.compare.comparison import Comparison


def as_csv(found: Comparison, guard: Callable[[Any], Any] = lambda cell: cell) -> str:
    """A line for each run.

    Parameters
    ----------
    found : Comparison
    guard : callable, optional
        Changes each cell, for readers that take a text for a formula.
    """
    rows = found.rows()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(guard, rows[0]))
    for row in rows:
        cells = (value if isinstance(value, (str, int, float)) else _json(value) for value in row.values())
        writer.writerow(map(guard, cells))
    return out.getvalue()


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
