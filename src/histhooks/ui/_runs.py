"""The table of runs: a page of it, its columns, and the same for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from histhooks._base.acting import acted_for
from histhooks._base.text import number, when
from histhooks._views import group_table, run_data
from histhooks._views.run_table import MEAN, MEAN_SAID
from histhooks.errors import QueryError
from histhooks.history._table import RunTable, TableRow, listed, records, rows_for
from histhooks.history.query.names import Names
from histhooks.history.query.run_query import order_of
from histhooks.ui._checked import Checks
from histhooks.ui._pages import Ask, guarded
from histhooks.ui._rows import Row, rows_of
from histhooks.ui._state import ExploreState, RunsState

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.history._groups import RunGroup
    from histhooks.history._run_rows import RunRows

_AT_ONCE = 100
_MOST_PINNED = 20
_MOST_COLUMNS = 40
_MOST_CHOICES = 30


def page(ask: Ask) -> Response:
    """The page."""
    state = RunsState.parse(ask.query)
    error, shown, table = "", _Shown(), None
    try:
        table = table_of(ask, state)
        shown = _grouped(ask, state, table) if state.group else _single(ask, state, table)
    except QueryError as found:
        error = str(found)
    names = Names(ask.history)
    choices = {what: names.choices(what, _MOST_CHOICES) for what in ("project", "framework", "who")}
    every = [*shown.pinned, *shown.rows, *(row for group in shown.groups for row in group.rows)]
    metrics = {row.metric for row in every if row.metric}
    return ask.page(
        "runs.html",
        400 if error else 200,
        title="Runs", state=state, error=error, rows=shown.rows, pinned=shown.pinned, groups=shown.groups, table=table,
        choices=choices, me=acted_for(), state_type=RunsState,
        metric=metrics.pop() if len(metrics) == 1 else "", sort=_Sort(state),
        filters=_filters(state), columns=shown.columns, lost=shown.lost,
        mean=(MEAN, MEAN_SAID) if any(row.best.text.endswith(MEAN) for row in every) else None,
        has_projects=len({row.project for row in every}) > 1, group_title=group_table.title_of(shown.found),
        is_empty=not error and table is not None and not table.total,
        has_runs=bool(every) or bool(shown.groups) or bool(state.which) or bool(ask.history.runs(limit=1)),
        unchecked=shown.unchecked, risky=sum(bool(row.risks) for row in every),
        explore_query=ExploreState.parse(state.write()).write(),
    )  # fmt: skip


def table_of(ask: Ask, state: RunsState, limit: int = _AT_ONCE) -> RunTable:
    """The runs of a page."""
    return ask.history.table(
        order_by=state.sort or None, reverse=state.reverse, limit=limit, after=state.after or None,
        is_folded=state.view == "folded", group_by=state.group or None, **state.which,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group of runs, as text; its runs where it is open."""

    values: list[str]
    count: int
    failed: int
    best: str
    best_run: str
    spread: str
    started: str
    where: str
    query: str
    is_open: bool
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a page shows."""

    rows: list[Row] = field(default_factory=list)
    pinned: list[Row] = field(default_factory=list)
    groups: list[GroupRow] = field(default_factory=list)
    found: Sequence[RunGroup] = ()
    lost: list[str] = field(default_factory=list)
    columns: Sequence[str] = ()
    unchecked: int = 0


def _single(ask: Ask, state: RunsState, table: RunTable) -> _Shown:
    """Runs, those that are pinned on top; the base is."""
    base, pinned, lost = _held(ask, state)
    columns = state.cols[:_MOST_COLUMNS]
    on_top = {row.run_id for row in pinned}
    found = [*pinned, *(row for row in table.rows if row.run_id not in on_top)]
    ranked = {row.values["metric"] for row in found if row.values["metric"]}
    if len(ranked) == 1:  # its best value has a column already
        columns = tuple(name for name in columns if name not in ranked)
    left = Checks(ask).add_to(found) if state.check else 0
    rows = rows_of(ask, found, columns, base)
    return _Shown(rows[len(pinned) :], rows[: len(pinned)], lost=lost, columns=columns, unchecked=left)


def _held(ask: Ask, state: RunsState) -> tuple[TableRow | None, list[TableRow], list[str]]:
    """The base, the rows on top, and the words that mean no run here any more."""
    runs, lost = {}, []
    for word in dict.fromkeys([*([state.base] if state.base else []), *state.pin][:_MOST_PINNED]):
        try:
            run = ask.history.run(word)
            runs[run.id] = run
        except QueryError:
            lost.append(word)
    found = rows_for(ask.history, list(runs.values()))
    has_base = bool(state.base) and state.base not in lost
    return (found[0] if has_base else None), found, lost


def _grouped(ask: Ask, state: RunsState, table: RunTable) -> _Shown:
    """Groups; the runs of those that are open stand below them."""
    base, pinned, lost = _held(ask, state)
    columns = state.cols[:_MOST_COLUMNS]
    groups = []
    for group in table.groups:
        is_open = group.where is not None and group.where in state.open
        rest = tuple(each for each in state.open if each != group.where)
        turned = state.but(open=rest if is_open or group.where is None else (*state.open, group.where))
        inside: list[TableRow] = []
        if is_open:
            where = f"({state.where}) and {group.where}" if state.where else group.where
            asked = {**state.which, "where": where}
            order = state.sort if state.sort not in ("", "count", *state.group) else None
            inside = list(ask.history.table(is_folded=False, limit=_AT_ONCE, order_by=order, **asked).rows)
        groups.append(
            GroupRow(
                values=[group_table.shown(group.values[name]) for name in state.group], count=group.count,
                failed=group.failed, best="" if group.best is None else number(group.best),
                best_run=group.best_run or "", spread=group_table.spread(group), started=when(group.started_at),
                where=group.where or "", query=turned.write(), is_open=is_open,
                rows=rows_of(ask, inside, columns, base) if inside else [],
            )
        )  # fmt: skip
    return _Shown([], rows_of(ask, pinned, columns, base) if pinned else [], groups, table.groups, lost, columns)


class _Sort:
    """Where a click on the head of a column leads."""

    def __init__(self, state: RunsState) -> None:
        self._state = state

    def _words(self) -> list[str]:
        """What the table is sorted by, in order, each as in :meth:`histhooks.History.runs`."""
        return self._state.sort.split(", ") if self._state.sort else ["started_at"] if self._state.reverse else []

    def place(self, name: str) -> int:
        """The place of a name among those that the table is sorted by, from 1; 0 if it is none."""
        return next((k for k, word in enumerate(self._words(), 1) if order_of(word)[0] == name), 0)

    def way(self, name: str) -> str:
        """`ascending`, `descending` or nothing, as `aria-sort` has it."""
        place = self.place(name)
        if not place:
            return ""
        is_up = self._words()[place - 1].endswith(" asc") != self._state.reverse
        return "ascending" if is_up else "descending"

    def is_many(self) -> bool:
        """Whether the table is sorted by several names."""
        return len(self._words()) > 1

    def query(self, name: str) -> str:
        """The same table, sorted by a name; a second click turns it."""
        turned = self._state.sort == name and not self._state.reverse
        return self._state.but(sort=name, reverse=turned, after="").write()

    def also(self, name: str) -> str:
        """The same table, what is equal by the names before sorted by this one; a second click turns it."""
        words, place = self._words(), self.place(name)
        if not words or self._state.group:
            return self.query(name)
        if not place:
            words.append(name)
        else:
            words[place - 1] = name if words[place - 1].endswith(" asc") else f"{name} asc"
        return self._state.but(sort=", ".join(words), after="").write()


def _filters(state: RunsState) -> list[tuple[str, str, str]]:
    """What is filtered by, in words, each with the query without it."""
    found = []
    for name in ("project", "framework", "kind", "status", "who", "since", "until"):
        if value := getattr(state, name):
            found.append((name, str(value), state.but(**{name: "", "after": ""}).write()))
    for name in state.group:
        rest = tuple(each for each in state.group if each != name)
        found.append(("group by", name, state.but(group=rest, open=(), after="").write()))
    if state.base:
        found.append(("difference to", state.base, state.but(base="").write()))
    for tag in state.tag:
        rest = tuple(each for each in state.tag if each != tag)
        found.append(("tag", tag, state.but(tag=rest, after="").write()))
    return found


# --- for programs -----------------------------------------------------------------------------------------------------


def _found(ask: Ask) -> Sequence[RunRows]:
    """The runs of `histhooks runs --json` with the same filters."""
    state = RunsState.parse(ask.query)
    if state.after:
        ids = [row.run_id for row in table_of(ask, state.but(view="")).rows]
        rows = records(ask.history, ids)
        return [rows[run_id] for run_id in ids]
    is_plain = not state.sort and not state.reverse
    order = {"order_by": state.sort or "started_at", "reverse": state.reverse}
    return listed(ask.history, state.which, _AT_ONCE, is_running_first=is_plain, **order)


def as_json(ask: Ask) -> Response:
    """`histhooks runs --json`, with `--group-by` where the table has groups."""
    state = RunsState.parse(ask.query)
    if state.group:
        return ask.json([asdict(group) for group in table_of(ask, state).groups])
    return ask.json(run_data.as_json(ask.history, _found(ask), Checks(ask).by_id if state.check else None))


def as_csv(ask: Ask) -> Response:
    """`histhooks runs --csv`, safe for table programs."""
    state = RunsState.parse(ask.query)
    if state.group:
        text = group_table.as_csv(state.group, table_of(ask, state).groups, guarded)
        return ask.answer(text, "text/csv; charset=utf-8", name=f"{ask.store}-groups.csv")
    text = run_data.as_csv(ask.history, _found(ask), guarded, Checks(ask).by_id if state.check else None)
    return ask.answer(text, "text/csv; charset=utf-8", name=f"{ask.store}-runs.csv")
