"""What one transaction writes, and the series whose points it adds to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from histhooks._base.metric_names import Metric
from histhooks._store.entries import Point
from histhooks._store.folds import Roller, Rollup, Summary


@dataclass(slots=True, eq=False, weakref_slot=True)
class Series:
    """One curve of one run, as the writer knows it."""

    run_id: str
    name: str
    what: Metric
    start_time: int
    summary: Summary = field(default_factory=Summary)
    roller: Roller = field(default_factory=Roller)


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    states: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # by id: subject, columns
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    params: list[Any] = field(default_factory=list)  # run_id, ordinal, key, value, source, time of each in turn
    points: list[tuple[Series, list[Point], list[Rollup]]] = field(default_factory=list)
    parts: list[tuple[str, str, int, int, int, str, str | None]] = field(default_factory=list)
    salts: list[tuple[str, str, str]] = field(default_factory=list)
    line: tuple[str, int, int, str, str | None, int, str | None] | None = None
    is_durable: bool = False
    after: list[Callable[[], None]] = field(default_factory=list)
