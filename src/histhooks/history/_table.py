"""Runs as a table of plain values, to be drawn by a terminal, a notebook or a page.

Running runs come first. Runs of one call site are folded into one row, which names the best of them. Runs inside others
are listed under them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.vocabulary import RUNNING
from histhooks.errors import QueryError
from histhooks.history._named_values import values_under
from histhooks.history._run_rows import RunRows
from histhooks.history._table_rows import (
    COLUMNS,
    FEW_INSIDE,
    Line,
    TableColumn,
    TableRow,
    line_of,
    rows_for,
    rows_of_lines,
)
from histhooks.history.query.folding import fold
from histhooks.history.query.names import Names, split
from histhooks.history.query.run_query import Key, Query, build, order_of, rows_of

if TYPE_CHECKING:
    from histhooks.history._groups import RunGroup
    from histhooks.history._reader import Reader

__all__ = [
    "COLUMNS",
    "FEW_INSIDE",
    "RunGroup",
    "RunTable",
    "TableColumn",
    "TableRow",
    "listed",
    "rows_for",
    "run_table",
]

# By the index of sessions, since few of them run.
_RUNNING = (
    f"r.status = '{RUNNING}' AND r.session_id IN (SELECT s.id FROM sessions AS s WHERE s.status = '{RUNNING}') "
    f"AND hh_settled(r.session_id) = '{RUNNING}'"
)
# As a key of all runs: whether a process lives is asked of few.
_IS_RUNNING = f"(CASE WHEN r.status = '{RUNNING}' AND {_RUNNING} THEN 1 ELSE 0 END)"


@dataclass(frozen=True, slots=True)
class RunTable:
    """Some rows of a list of runs.

    Attributes
    ----------
    columns : tuple of TableColumn
    rows : tuple of TableRow
    total : int
        How many runs the filters find; nested runs do not count.
    next_key : str or None
        What `after` takes for the rows that follow; None if there are none.
    groups : tuple of RunGroup
        With `group_by`, in place of rows.
    """

    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    total: int
    next_key: str | None
    groups: tuple[RunGroup, ...] = ()

    @property
    def listed(self) -> int:
        """How many runs the rows hold, without those inside others."""
        if self.groups:
            return sum(group.count for group in self.groups)
        return sum(len(row.ids) for row in self.rows if row.depth == 0)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**asdict(self), "listed": self.listed}


# --- which runs -------------------------------------------------------------------------------------------------------


def query_of(history: Reader, which: Mapping[str, Any], *, is_complete: bool = False, **order: Any) -> Query:
    """The top-level runs that filters find, also through runs inside them."""
    # Candidates are always inside a search: the filter for them means those.
    is_nested = None if which.get("kind") == "candidate" else False
    query = build(history, **which, **order, is_nested=is_nested, with_inner=True)
    if not is_complete and which.get("kind") is None:
        query.add("r.kind <> 'preprocess'")
    return query


def listed(
    history: Reader, which: Mapping[str, Any], limit: int, *, is_running_first: bool, **order: Any
) -> list[RunRows]:
    """The top-level runs themselves, each for itself."""
    query = query_of(history, which, **order)
    if is_running_first:
        query.order.insert(0, Key(_IS_RUNNING))
    sql, values = query.select("r.*", limit)
    return [RunRows(history, row) for row in history.sql(sql, *values)]


def run_table(
    history: Reader,
    which: Mapping[str, Any],
    *,
    order_by: str | None = None,
    reverse: bool = False,
    limit: int = 20,
    after: str | None = None,
    is_folded: bool = True,
    inner: int | None = 0,
    is_complete: bool = False,
    group_by: str | Sequence[str] | None = None,
    columns: str | Sequence[str] = (),
) -> RunTable:
    """Read a table; see :meth:`History.table`."""
    if limit < 0:
        raise QueryError(f"limit is 0 or more, not {limit}")
    names, wanted = _several(group_by), _known(history, columns)
    if names and wanted:
        raise QueryError("columns are values of runs, and a table with group_by has groups; leave one of them out")
    if names:
        return _grouped(
            history, query_of(history, which, is_complete=is_complete), names, order_by, reverse, limit, after
        )
    counted = query_of(history, which, is_complete=is_complete)
    if limit and which.get("where") is not None:
        total = counted.settle(history)
    else:
        sql = f"SELECT count(*) FROM runs AS r{counted.condition}"
        (total,) = history.cursor(sql, *counted.values).fetchone()
    if limit == 0:
        return RunTable(COLUMNS, (), total, None)
    is_sorted = order_by is not None or reverse or not is_folded
    part, place = _place(after, is_sorted)
    if is_sorted:
        order = {"order_by": order_by or "started_at", "reverse": reverse}
        query = query_of(history, {**which, "where": None}, is_complete=is_complete, **order)
        query.clauses, query.values = counted.clauses, counted.values
        if order_by is None and not reverse:
            query.order.insert(0, Key(_IS_RUNNING))
        lines, next_key = _sorted(history, query, limit, place)
    else:
        lines, next_key = _folded(history, counted, limit, part, place)
    shown = _with_inner(history, lines, inner)
    metric, param = _sorted_by(history, order_by)
    rows = rows_of_lines(history, shown, metric, param, inner)
    if wanted:
        _add_columns(history, rows, wanted)
    return RunTable(COLUMNS, tuple(rows), total, next_key)


def _several(names: str | Sequence[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else [*dict.fromkeys(names or ())]


def _known(history: Reader, names: str | Sequence[str]) -> list[str]:
    known, listed = Names(history), _several(names)
    for name in listed:
        known.resolve(*split(name))
    return listed


def _add_columns(history: Reader, rows: Sequence[TableRow], names: Sequence[str]) -> None:
    found = values_under(history, [row.run_id for row in rows], names)
    for row in rows:
        row.values["columns"] = {name: each.value for name, each in zip(names, found[row.run_id], strict=True)}


def _grouped(
    history: Reader, query: Query, names: list[str], order_by: str | None, reverse: bool, limit: int, after: str | None
) -> RunTable:
    from histhooks.history._groups import groups_of

    groups = groups_of(history, query, names, order_by, reverse=reverse)
    start = 0
    if after is not None:
        try:
            part, start = json.loads(after)
            if part != "groups" or not isinstance(start, int) or start < 0:
                raise ValueError
        except (ValueError, TypeError):
            raise QueryError(f"{after!r} is no key of such a table; take next_key of the table before") from None
    end = start + limit
    next_key = json.dumps(["groups", end]) if end < len(groups) and limit else None
    return RunTable(COLUMNS, (), sum(group.count for group in groups), next_key, tuple(groups[start:end]))


def _place(after: str | None, is_sorted: bool) -> tuple[str, list[Any] | None]:
    if after is None:
        return "", None
    try:
        part, place = json.loads(after)
        if part not in (("sorted",) if is_sorted else ("running", "rest")) or len(place) < 2:
            raise ValueError
    except (ValueError, TypeError):
        raise QueryError(f"{after!r} is no key of such a table; take next_key of the table before") from None
    return part, place


def _sorted(history: Reader, query: Query, limit: int, place: list[Any] | None) -> tuple[list[Line], str | None]:
    """Runs in an order, a row each; and the key of what follows."""
    if place is not None:
        query.after(place)
    lines = _outer(history, query, limit)
    end = query.place_of(history, lines[-1].run.id) if len(lines) == limit else None
    return lines, None if end is None else json.dumps(["sorted", end])


def _folded(
    history: Reader, query: Query, limit: int, part: str, place: list[Any] | None
) -> tuple[list[Line], str | None]:
    """Running runs, then the others folded; and the key of what follows."""
    lines: list[Line] = []
    if part != "rest":
        running = query.copy()
        running.add(_RUNNING)
        if place is not None:
            running.after(place)
        lines, place = _outer(history, running, limit), None
        if len(lines) == limit:
            return lines, json.dumps(["running", running.place_of(history, lines[-1].run.id)])
    rest = query.copy()
    rest.add(f"NOT ({_RUNNING})")
    rows = fold(history, rest, limit - len(lines), (place[0], place[1]) if place is not None else None)
    found = records(history, [row.members[0].id for row in rows])
    for row in rows:
        ids = [member.id for member in row.members]
        took = [member.duration_s for member in row.members if member.duration_s is not None]
        took = took or [s for s in (found[ids[0]].duration_s,) if s is not None]
        statuses = Counter(member.status for member in row.members)
        lines.append(Line(found[ids[0]], ids, statuses, sum(took) if took else None))
    last = rows[-1].members[0] if rows else None
    is_full = last is not None and len(lines) == limit
    return lines, json.dumps(["rest", [last.started_at, last.id]]) if last is not None and is_full else None


def _outer(history: Reader, query: Query, limit: int) -> list[Line]:
    sql, values = query.select("r.*", limit)
    return [line_of(RunRows(history, row)) for row in history.sql(sql, *values)]


def records(history: Reader, ids: list[str]) -> dict[str, RunRows]:
    """Some runs by their ids."""
    return {row["id"]: RunRows(history, row) for row in rows_of(history, "SELECT * FROM runs WHERE id IN {}", ids)}


def _with_inner(history: Reader, shown: list[Line], most: int | None) -> list[Line]:
    """Put the nested runs under them, level by level: one query for each level."""
    if most == 0:
        return shown
    inside: dict[str, list[Line]] = {}
    level, depth = [line.run.id for line in shown if len(line.ids) == 1], 1
    while level:
        sql = "SELECT * FROM runs WHERE parent_id IN {} ORDER BY started_at, id"
        found = [RunRows(history, row) for row in rows_of(history, sql, level)]
        for run in found:
            inside.setdefault(run.parent_id, []).append(line_of(run, depth))
        level, depth = [run.id for run in found], depth + 1
    out: list[Line] = []

    def add(line: Line) -> None:
        out.append(line)
        for child in inside.get(line.run.id, [])[:most]:
            add(child)

    for line in shown:
        add(line)
    return out


def _sorted_by(history: Reader, order_by: str | None) -> tuple[str | None, str | None]:
    """The metric, or the param, that the rows are sorted by."""
    if order_by is None:
        return None, None
    found = Names(history).resolve(*split(order_of(order_by)[0]))
    what, _, name = found.title.partition(" ")
    return (name, None) if what == "metric" else (None, name) if what == "param" else (None, None)
