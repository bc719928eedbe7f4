"""What is sent to a target at once: ledger lines, and the rows that they cover."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from histhooks._store.entries import Point

Head = tuple[int, str]  # seq, digest
Row = tuple[Any, ...]
Key = tuple[Any, ...]


class Line(NamedTuple):
    """A line of the ledger."""

    session_id: str
    seq: int
    n_rows: int
    digest: str
    previous: str | None
    time: int
    heads: str | None


class Altered(Exception):
    """Rows of a session are not those that its ledger covers."""

    def __init__(self, session_id: str, what: str, *, is_absent: bool = False, seq: int | None = None) -> None:
        super().__init__(what)
        self.session_id, self.what, self.is_absent, self.seq = session_id, what, is_absent, seq


@dataclass(slots=True)
class Curve:
    """New points of a series: those from `first` on, and before them what the chunk already has."""

    facts: Row  # metric, split, direction, start_time
    first: int
    place: int  # in the order in which the store met its series
    points: list[Point] = field(default_factory=list)
    before: list[Point] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """What one transaction brings.

    Attributes
    ----------
    lines : list of Line
    parts : list of tuple
        Rows of `ledger_parts`.
    rows : dict of str to dict
        Rows by table, each by its key.
    curves : dict of (run id, name) to Curve
    base : dict of str to int
        The last line that the target has of each session; -1 for none.
    """

    lines: list[Line] = field(default_factory=list)
    parts: list[Row] = field(default_factory=list)
    rows: dict[str, dict[Key, Row]] = field(default_factory=dict)
    curves: dict[tuple[str, str], Curve] = field(default_factory=dict)
    base: dict[str, int] = field(default_factory=dict)
    needs_graves: bool = False

    @property
    def sessions(self) -> list[str]:
        """The sessions whose lines it has."""
        return list(self.base)

    @property
    def n_rows(self) -> int:
        """Rows that the lines cover."""
        return sum(line.n_rows for line in self.lines)

    def begins(self, run_id: str) -> bool:
        """Whether the first state of a run is in it."""
        return any(key[0] == run_id and key[2] == 0 for key in self.rows.get("states", ()))

    @property
    def heads(self) -> dict[str, Head]:
        """The last line of each session."""
        return {line.session_id: (line.seq, line.digest) for line in self.lines}
