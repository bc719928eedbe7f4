"""Runs from one call site as one row: those of a loop, a sweep or an array, newest on top."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso
from histhooks.history.query.names import STATUS

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history.query.run_query import Query

FOLD_FROM = 4  # runs of one name; fewer are easier to read one by one
LOOP_FROM = 10  # runs of several names, or programs that a shell started one after another
_GAP_US = 60 * 1_000_000
_COLUMNS = (
    "r.id, r.name, r.session_id, r.group_name, r.project, r.call_site, r.kind, r.model_class, r.started_at, "
    f"r.ended_at, coalesce(r.duration_s, hh_span(r.started_at, r.ended_at)), {STATUS}"
)


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a row; the columns that tell what it belongs to."""

    id: str
    name: str
    session_id: str
    group_name: str | None
    project: str | None
    call_site: str | None
    kind: str
    model_class: str | None
    started_at: str
    ended_at: str | None
    duration_s: float | None
    status: str

    @property
    def site(self) -> tuple[Any, ...]:
        """Where it was started from; a run without a call site is like no other."""
        return (self.project, self.call_site or self.id, self.kind, self.model_class)

    @property
    def scope(self) -> tuple[Any, ...]:
        """With which others it was started: its group, else its process."""
        return (*self.site, self.group_name or self.session_id)


@dataclass(slots=True)
class Row:
    """A row of the list: one run, or several from one call site, the newest first."""

    members: list[Member] = field(default_factory=list)


def fold(history: Reader, query: Query, limit: int, after: tuple[str, str] | None = None) -> list[Row]:
    """The first rows of a list that begins with the newest.

    Runs from one call site are one row where they are of one process or one group, and at least four of one name, or at
    least ten of any; or of at least ten programs, each started within a minute after the one before it. Reads no
    further than it must.

    With `after`, the start and the id of the newest run of a row, the list begins below that row.
    """
    loops: list[list[Row]] = []
    known: dict[tuple[Any, ...], Row] = {}
    counted: set[str] = set()
    sql, values = query.select(_COLUMNS)
    last: tuple[Member, Row] | None = None
    beyond = ""
    for columns in history.cursor(sql, *values):
        member = Member(*columns)
        row = known.get(member.scope)
        if row is not None:
            if member.id not in counted:
                row.members.append(member)
        else:
            row = known[member.scope] = Row([member])
            if last is not None and last[1] is loops[-1][-1] and _follows(last[0], member):
                loops[-1].append(row)
            else:
                is_below = after is None or (member.started_at, member.id) < after
                if is_below and _height(loops, member.started_at, after) >= limit:
                    del known[member.scope]
                    counted |= _complete(history, query, known, member, after)
                    if _height(loops, member.started_at, after) >= limit:
                        beyond = member.started_at
                        break
                    known[member.scope] = row
                loops.append([row])
        last = (member, row)
    rows = [row for loop in loops for row in _rows(loop, beyond) if _is_below(row, after)]
    return sorted(rows, key=lambda row: (row.members[0].started_at, row.members[0].id), reverse=True)[:limit]


def _follows(later: Member, earlier: Member) -> bool:
    """Whether the later program was started when the earlier one had just ended, from the same place."""
    if later.site != earlier.site or earlier.ended_at is None:
        return False
    return from_iso(later.started_at) - from_iso(earlier.ended_at) < _GAP_US


def _is_below(row: Row, after: tuple[str, str] | None) -> bool:
    return after is None or (row.members[0].started_at, row.members[0].id) < after


def _height(loops: list[list[Row]], beyond: str, after: tuple[str, str] | None) -> int:
    return sum(_is_below(row, after) for loop in loops for row in _rows(loop, beyond))


def _rows(loop: list[Row], beyond: str) -> list[Row]:
    """The rows that a loop makes; single runs that are older than one that was not looked at are none of the first."""
    if len(loop) >= LOOP_FROM:
        return [Row([member for row in loop for member in row.members])]
    out: list[Row] = []
    for row in loop:
        if len(row.members) >= LOOP_FROM:
            out.append(row)
            continue
        named: dict[str, list[Member]] = {}
        for member in row.members:
            named.setdefault(member.name, []).append(member)
        for members in named.values():
            if len(members) >= FOLD_FROM:
                out.append(Row(members))
            else:
                out += [Row([member]) for member in members if member.started_at > beyond]
    return out


def _complete(
    history: Reader, query: Query, known: dict[tuple[Any, ...], Row], beyond: Member, after: tuple[str, str] | None
) -> set[str]:
    """Add older runs to the rows that are shown, so that their counts are whole; give the ids of all they have."""
    seen = {member.id for row in known.values() for member in row.members}
    # Rows that lie whole above the first one that is shown need no more of their runs.
    shown = [row for row in known.values() if _is_below(Row(row.members[-1:]), after)]
    sessions = list({row.members[0].session_id for row in shown})
    groups = list({row.members[0].group_name for row in shown if row.members[0].group_name})
    sql = (
        f"SELECT {_COLUMNS} FROM runs AS r{query.condition}{' AND' if query.clauses else ' WHERE'} r.started_at <= ? "
        f"AND (r.session_id IN ({_marks(sessions)}) OR r.group_name IN ({_marks(groups)})) "
        "ORDER BY r.started_at DESC, r.id DESC"
    )
    for columns in history.cursor(sql, *query.values, beyond.started_at, *sessions, *groups):
        member = Member(*columns)
        row = known.get(member.scope)
        if row is not None and member.id not in seen:
            seen.add(member.id)
            row.members.append(member)
    return seen


def _marks(values: list[str]) -> str:
    """Question marks for a list; of none NULL, since PostgreSQL takes no empty list."""
    return ", ".join("?" * len(values)) or "NULL"
