"""Runs as a table of plain values, to be drawn by a terminal, a notebook or a page.

Running runs come first. Runs of one call site are folded into one row, which names the best of them. Runs inside others
are listed under them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.vocabulary import RUNNING
from histhooks.errors import QueryError
from histhooks.history._progress import lately, latest_steps, progress_of, rate_of
from histhooks.history._ranking import Outcome, leader_of, outcomes_of
from histhooks.history._run_rows import RunRows
from histhooks.history.query.folding import fold
from histhooks.history.query.names import Names, split
from histhooks.history.query.run_query import Key, Query, beyond_of, build, params_of, rows_of, summaries_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

# By the index of sessions, since few of them run.
_RUNNING = (
    f"r.status = '{RUNNING}' AND r.session_id IN (SELECT s.id FROM sessions AS s WHERE s.status = '{RUNNING}') "
    f"AND hh_settled(r.session_id) = '{RUNNING}'"
)


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table.

    Attributes
    ----------
    name : str
        The key of its values in each row.
    title : str
    kind : str
        `id`, `text`, `status`, `time` (ISO 8601), `seconds`, `number` or `params` (for each name its distinct values).
    """

    name: str
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table: one run, or several from one call site.

    Attributes
    ----------
    run_id : str
        The run, or the newest of several.
    ids : tuple of str
        All of them, the newest first.
    depth : int
        How deep inside another run.
    values : dict
        A value by the name of each column, and beside them `statuses` (how many ended in each way), `framework`,
        `error_type`, `direction` of the metric (1, -1 or 0), `inside` (how many runs inside it are not shown) and
        `progress` of a run that still runs.
    """

    run_id: str
    ids: tuple[str, ...]
    depth: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunTable:
    """Some rows of a list of runs.

    Attributes
    ----------
    columns : tuple of TableColumn
    rows : tuple of TableRow
    total : int
        How many runs the filters find; runs inside others do not count.
    next_key : str or None
        What `after` takes for the rows that follow; None if there are none.
    """

    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    total: int
    next_key: str | None

    @property
    def listed(self) -> int:
        """How many runs the rows hold, without those inside others."""
        return sum(len(row.ids) for row in self.rows if row.depth == 0)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**asdict(self), "listed": self.listed}


COLUMNS = (
    TableColumn("id", "RUN", "id"), TableColumn("name", "NAME", "text"), TableColumn("kind", "KIND", "text"),
    TableColumn("status", "STATUS", "status"), TableColumn("started_at", "STARTED", "time"),
    TableColumn("took_s", "TOOK", "seconds"), TableColumn("metric", "METRIC", "text"),
    TableColumn("best", "BEST", "number"), TableColumn("last", "LAST", "number"),
    TableColumn("params", "PARAMS", "params"), TableColumn("project", "PROJECT", "text"),
)  # fmt: skip


@dataclass(slots=True)
class _Line:
    """A row before its values are read."""

    run: RunRows
    ids: list[str]
    statuses: Counter[str]
    took_s: float | None
    depth: int = 0


def _line(run: RunRows, depth: int = 0) -> _Line:
    return _Line(run, [run.id], Counter([run.status]), run.duration_s, depth)


# --- which runs -------------------------------------------------------------------------------------------------------


def query_of(history: Reader, which: Mapping[str, Any], *, is_complete: bool = False, **order: Any) -> Query:
    """The outer runs that filters find, also through runs inside them."""
    # Candidates are always inside a search: the filter for them means those.
    is_nested = None if which.get("kind") == "candidate" else False
    query = build(history, **which, **order, is_nested=is_nested, with_inner=True)
    if not is_complete and which.get("kind") is None:
        query.add("r.kind <> 'preprocess'")
    return query


def listed(
    history: Reader, which: Mapping[str, Any], limit: int, *, is_running_first: bool, **order: Any
) -> list[RunRows]:
    """The outer runs themselves, each for itself."""
    query = query_of(history, which, **order)
    if is_running_first:
        query.order.insert(0, Key(f"({_RUNNING})"))
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
) -> RunTable:
    """Read a table; see :meth:`History.table`."""
    if limit < 0:
        raise QueryError(f"limit is 0 or more, not {limit}")
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
        if place is not None:
            query.after(place)
        lines = _outer(history, query, limit)
        end = query.place_of(history, lines[-1].run.id) if len(lines) == limit else None
        next_key = None if end is None else json.dumps(["sorted", end])
    else:
        lines, next_key = _folded(history, counted, limit, part, place)
    shown = _with_inner(history, lines, inner)
    metric, param = _sorted_by(history, order_by)
    return RunTable(COLUMNS, tuple(_rows(history, shown, metric, param, inner)), total, next_key)


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


def _folded(
    history: Reader, query: Query, limit: int, part: str, place: list[Any] | None
) -> tuple[list[_Line], str | None]:
    """Running runs, then the others folded; and the key of what follows."""
    lines: list[_Line] = []
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
    records = _records(history, [row.members[0].id for row in rows])
    for row in rows:
        ids = [member.id for member in row.members]
        took = [member.duration_s for member in row.members if member.duration_s is not None]
        took = took or [s for s in (records[ids[0]].duration_s,) if s is not None]
        statuses = Counter(member.status for member in row.members)
        lines.append(_Line(records[ids[0]], ids, statuses, sum(took) if took else None))
    last = rows[-1].members[0] if rows else None
    is_full = last is not None and len(lines) == limit
    return lines, json.dumps(["rest", [last.started_at, last.id]]) if last is not None and is_full else None


def _outer(history: Reader, query: Query, limit: int) -> list[_Line]:
    sql, values = query.select("r.*", limit)
    return [_line(RunRows(history, row)) for row in history.sql(sql, *values)]


def _records(history: Reader, ids: list[str]) -> dict[str, RunRows]:
    return {row["id"]: RunRows(history, row) for row in rows_of(history, "SELECT * FROM runs WHERE id IN {}", ids)}


def _with_inner(history: Reader, shown: list[_Line], most: int | None) -> list[_Line]:
    """Put the runs inside others under them, level by level: one query for each level."""
    if most == 0:
        return shown
    inside: dict[str, list[_Line]] = {}
    level, depth = [line.run.id for line in shown if len(line.ids) == 1], 1
    while level:
        sql = "SELECT * FROM runs WHERE parent_id IN {} ORDER BY started_at, id"
        found = [RunRows(history, row) for row in rows_of(history, sql, level)]
        for run in found:
            inside.setdefault(run.parent_id, []).append(_line(run, depth))
        level, depth = [run.id for run in found], depth + 1
    out: list[_Line] = []

    def add(line: _Line) -> None:
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
    found = Names(history).resolve(*split(order_by.removeprefix("-")))
    what, _, name = found.title.partition(" ")
    return (name, None) if what == "metric" else (None, name) if what == "param" else (None, None)


# --- what each row shows ----------------------------------------------------------------------------------------------


def rows_for(history: Reader, runs: Iterable[RunRows]) -> list[TableRow]:
    """A row for each of some runs."""
    return _rows(history, [_line(run) for run in runs])


def _rows(
    history: Reader,
    shown: Sequence[_Line],
    metric: str | None = None,
    param: str | None = None,
    inner: int | None = 0,
) -> list[TableRow]:
    """Read what the rows show: a handful of queries, however many rows there are, and one for each run that runs."""
    mains: dict[str, str | None] = {i: line.run.main_metric for line in shown for i in line.ids}
    outcomes, params = outcomes_of(history, mains, metric), params_of(history, mains)
    inside, varied = _inside(history, shown, inner), _varying(shown, params)
    summaries = summaries_of(history, [line.run.id for line in shown if line.run.status == RUNNING])
    rows = []
    for line in shown:
        run = line.run
        keys = [*([] if param is None else [param]), *varied.get(_kin(line), [])]
        values = {
            "name": run.name, "kind": run.kind, "status": run.status, "statuses": dict(line.statuses),
            "framework": run.framework, "started_at": run.started_at, "took_s": line.took_s,
            "error_type": run.error_type, "inside": inside.get(run.id, 0), "project": run.project,
            "params": _params(line, params, keys),
            "progress": _progress(run, summaries.get(run.id, []), params.get(run.id, {}))
            if run.status == RUNNING
            else None,
        }  # fmt: skip
        rows.append(TableRow(run.id, tuple(line.ids), line.depth, {**values, **_outcome(line, outcomes)}))
    return rows


def _inside(history: Reader, shown: Sequence[_Line], most: int | None) -> dict[str, int]:
    """How many runs lie inside those that are shown, where they are not all shown themselves."""
    sql = "SELECT parent_id, count(*) AS n FROM runs WHERE parent_id IN {} GROUP BY parent_id"
    inside = {row["parent_id"]: row["n"] for row in rows_of(history, sql, [line.run.id for line in shown])}
    for run_id, beyond in beyond_of(history, list(inside)).items():
        inside[run_id] += beyond
    if most == 0:
        return inside
    whole = {line.run.parent_id for line in shown}
    return {i: n for i, n in inside.items() if i not in whole or n > FEW_INSIDE}


FEW_INSIDE = 10  # runs inside another that are shown unless all are asked for


def _outcome(line: _Line, outcomes: Mapping[str, Outcome | None]) -> dict[str, Any]:
    """The metric that ranks the row, of the best of its runs."""
    name = next((o.name for i in line.ids if (o := outcomes.get(i)) is not None), None)
    best = leader_of({i: outcomes.get(i) for i in line.ids}, name) if name else None
    found = outcomes.get(best or line.run.id)
    out: dict[str, Any] = {"id": best or line.run.id if len(line.ids) > 1 else line.run.id}
    if found is None:
        return {**out, "metric": None, "direction": 0, "best": None, "last": None}
    last = found.special or found.last
    return {**out, "metric": found.name, "direction": found.direction, "best": found.best, "last": last}


def _progress(run: RunRows, summaries: Iterable[Mapping[str, Any]], params: Mapping[str, Any]) -> dict[str, Any]:
    """How far a running run is: epochs, steps and steps a second; an epoch counts from 0."""
    found = progress_of(run, summaries, params, rate_of(lately(latest_steps(run))))
    return {
        "epoch": None if found.epoch is None else found.epoch - 1, "epochs_done": found.epochs_done,
        "epochs_planned": found.epochs_planned, "steps_done": found.steps_done or 0, "rate": found.rate or 0.0,
    }  # fmt: skip


def _kin(line: _Line) -> tuple[Any, ...]:
    """Rows with the same are compared with each other."""
    run = line.run
    return (line.depth, run.parent_id, run.kind, run.model_class, None if run.kind == "candidate" else run.call_site)


def _varying(shown: Sequence[_Line], params: Mapping[str, dict[str, Any]]) -> dict[tuple[Any, ...], list[str]]:
    """The params that are not the same in all runs that are like each other."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for line in shown:
        alike.setdefault(_kin(line), []).extend(line.ids)
    out = {}
    for kin, ids in alike.items():
        values: dict[str, Counter[str]] = {}
        for i in ids:
            for key, value in params.get(i, {}).items():
                values.setdefault(key, Counter())[repr(value)] += 1
        out[kin] = [key for key, seen in values.items() if len(seen) > 1 or sum(seen.values()) < len(ids)]
    return out


def _params(line: _Line, params: Mapping[str, dict[str, Any]], keys: Iterable[str]) -> dict[str, list[Any]]:
    out = {}
    for key in dict.fromkeys(keys):
        seen = {repr(v): v for i in line.ids if (v := params.get(i, {}).get(key)) is not None}
        if seen:
            out[key] = list(seen.values())
    return out
