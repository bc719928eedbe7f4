"""The entries that the writer takes from the buffer, and the only functions that make them.

An entry is a tuple. Its first item says what it is:

- ``(run, metrics, step, epoch, time_ns)``: points of a run, made by :meth:`histhooks._record.run.Run.log` itself;
- ``(line, value, step, time_ns)``: the same, if one value is new (:class:`Line`), made by ``Run.log_line``;
- ``"row"``: a row of an append-only table, without its ordinal;
- ``"params"``: params of a run;
- ``"state"``: a change of a run or a session;
- ``"content"``: rows that many runs share;
- ``"part"``: a part of the ledger that covers existing rows, as they are now;
- ``"forget"``: a run has ended, and its series can be dropped from memory;
- ``"later"``: a point whose value is on a device; the writer replaces it by the number;
- ``"after"``: a function, called once all entries before it are committed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Protocol

from histhooks._base.clock import now_us
from histhooks._base.ids import new_id
from histhooks._base.metric_names import Metric

# n, step, epoch, time, value, special: one point as it lies in the file, its step resolved.
Point = tuple[int, int, int | None, int, float | None, str | None]

Entry = tuple[Any, ...]

_names: dict[tuple[str, ...], tuple[str, ...]] = {}  # of the columns of rows, each once
ACTOR = object()  # placeholder of the actor until git has answered, which no thread of the program waits for


class Source(Protocol):
    """What points come from: a run, or what stands for one of another process."""

    id: str | None
    start_us: int

    def what_is(self, name: str) -> Metric:
        """What a metric's name means in this run."""


def ignore(entry: Any) -> None:
    """Take what a run says that nobody records any more."""


def row_entry(table: str, scope: str | None, row: Mapping[str, Any]) -> Entry:
    """Make the entry of a row of an append-only table.

    Parameters
    ----------
    table : str
    scope : str or None
        The run or session that it belongs to.
    row : mapping
        Its columns, without the ordinal.
    """
    names = tuple(row)
    # One tuple of plain values, which the garbage collector leaves alone.
    return ("row", table, scope, _names.setdefault(names, names), *row.values())


def row_in(entry: Entry) -> dict[str, Any]:
    """The columns of the row that an entry brings."""
    return dict(zip(entry[3], entry[4:], strict=True))


def params_entry(run_id: str | None, time: int, rows: Sequence[Any]) -> Entry:
    """Make the entry of params of a run: each its key, its value and its source."""
    return ("params", run_id, time, rows)


def state_entry(
    subject: str, subject_id: str | None, facts: Mapping[str, Any], personal: Mapping[str, str | None] | None = None
) -> Entry:
    """Make the entry of what became of a `run` or a `session`.

    Parameters
    ----------
    subject, subject_id : str
    facts : mapping
        Columns that changed.
    personal : mapping, optional
        Columns whose values can be erased.
    """
    return ("state", subject, subject_id, facts, personal)


def content_entry(table: str, *rows: dict[str, Any]) -> Entry:
    """Make the entry of all rows of one shared content."""
    return ("content", table, list(rows))


def part_entry(scope: str, table: str, first: int, last: int, n_rows: int, digest: str) -> Entry:
    """Make the entry of a part of the ledger over rows that are there."""
    return ("part", (scope, table, first, last, n_rows, digest, None))


def forget_entry(run_id: str | None) -> Entry:
    """Make the entry that lets the writer forget the series of a run that has ended."""
    return ("forget", str(run_id))


def later_entry(reading: Any) -> Entry:
    """Make the entry of a point whose value lies on a device."""
    return ("later", reading)


def after_entry(function: Callable[[], Any]) -> Entry:
    """Make the entry of a function to call once all before it is committed."""
    return ("after", function)


def capture_entry(
    session_id: str | None,
    run_id: str | None,
    collector: str,
    status: str,
    note: str | None = None,
    duration_s: float | None = None,
) -> Entry:
    """Make the entry of what came of gathering something, now."""
    row = {"session_id": session_id, "run_id": run_id, "collector": collector, "status": status, "note": note}
    return row_entry("captures", run_id or session_id, {**row, "duration_s": duration_s, "time": now_us()})


def event_entry(
    session_id: str | None,
    run_id: str | None,
    kind: str,
    title: str,
    body: str | None = None,
    *,
    severity: str = "info",
    step: int | None = None,
    count: int = 1,
    time: int | None = None,
) -> Entry:
    """Make the entry of something that happened, in a run or in its session; texts are masked already."""
    row = {"id": new_id(), "session_id": session_id, "run_id": run_id, "time": now_us() if time is None else time}
    row |= {"step": step, "kind": kind, "severity": severity, "title": title, "body": body, "count": count}
    return row_entry("events", run_id or session_id, row)


def is_state(entry: Entry, subject: str | None = None) -> bool:
    """Whether an entry is a state, of a `run` or a `session` if one is named."""
    return bool(entry[0] == "state" and subject in (None, entry[1]))


def is_content(entry: Entry, tables: Container[str]) -> bool:
    """Whether an entry is shared content of some tables."""
    return bool(entry[0] == "content" and entry[1] in tables)


def is_event(entry: Entry, kind: str) -> bool:
    """Whether an entry is an event of a kind."""
    return bool(entry[0] == "row" and entry[1] == "events" and row_in(entry)["kind"] == kind)


def is_later(entry: Entry) -> bool:
    """Whether an entry is a point whose value lies on a device."""
    return bool(entry[0] == "later")


def one_by_one(entry: Entry) -> list[Entry]:
    """The entries of the single params of an entry of several; else the entry itself."""
    if entry[0] == "params" and len(entry[3]) > 1:
        return [params_entry(entry[1], entry[2], (param,)) for param in entry[3]]
    return [entry]


class Line:
    """What is the same in points that come at each step, so that one value, the step and the time are all they bring.

    Attributes
    ----------
    run : Source
    name : str
        Of the metric whose value each step brings.
    rest : mapping of str to float
        The other metrics of each step.
    epoch : int or None
    """

    __slots__ = ("epoch", "name", "rest", "run")

    def __init__(self, run: Source, name: str, rest: Mapping[str, float], epoch: int | None) -> None:
        self.run, self.name, self.rest, self.epoch = run, name, rest, epoch


def points_in(entry: tuple[Any, ...]) -> list[str]:
    """The metrics that an entry of the buffer brings points of; none where it brings something else."""
    if entry[0].__class__ is Line:
        return [entry[0].name, *entry[0].rest]
    return [] if entry[0].__class__ is str else list(entry[1])


def named(entry: tuple[Any, ...]) -> str:
    """What an entry is, in words."""
    points = points_in(entry)
    if points:
        return f"a point of {', '.join(points)}"[:200]
    if entry[0] == "params":
        return f"param {entry[3][0][0]}"[:200]
    return f"a row of {entry[1]}" if entry[0] in ("row", "content") else f"the {entry[1]} state {entry[3]!r}"[:200]
