"""The rows of one transaction, the series that it extends, and what the assembler remembers after the commit."""

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
class Changes:
    """What a batch changes of what the assembler knows; the assembler takes it over once the batch is written."""

    seq: int
    previous: str | None
    ordinals: dict[tuple[str, str], int] = field(default_factory=dict)
    known: set[tuple[str, str]] = field(default_factory=set)
    subjects: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    series: dict[str, dict[str, Series]] = field(default_factory=dict)  # new ones, by run and name
    folds: list[tuple[Series, Summary, Roller]] = field(default_factory=list)
    gone: dict[str, tuple[str, ...]] = field(default_factory=dict)  # names that runs had, which have ended


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    changes: Changes

    states: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # by id: subject, columns
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    params: list[Any] = field(default_factory=list)  # run_id, ordinal, key, value, source, time of each in turn
    points: list[tuple[Series, Summary, list[Point], list[Rollup]]] = field(default_factory=list)
    parts: list[tuple[str, str, int, int, int, str, str | None]] = field(default_factory=list)
    salts: list[tuple[str, str, str]] = field(default_factory=list)
    line: tuple[str, int, int, str, str | None, int, str | None] | None = None
    is_durable: bool = False
    after: list[Callable[[], None]] = field(default_factory=list)
