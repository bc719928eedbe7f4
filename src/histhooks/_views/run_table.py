"""The rows of ``runs``: what each shows of one run, or of several from one call site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso, now_us
from histhooks._base.ids import short_id
from histhooks._base.text import number, seconds, value_text, when
from histhooks._views import run_words as facts
from histhooks._views.table import Cell, Column
from histhooks.history._ranking import Outcome, leader_of, outcomes_of
from histhooks.history.query.run_query import beyond_of, params_of, rows_of, summaries_of

if TYPE_CHECKING:
    from histhooks.history import History, RunRecord

_COLUMNS = (
    Column("RUN"),
    Column("NAME", least=14),
    Column("KIND", rank=8),
    Column("STATUS", least=8),
    Column("STARTED", rank=3),
    Column("TOOK", rank=6, is_right=True),
    Column("METRIC", least=8),
    Column("BEST", is_right=True),
    Column("LAST", rank=5, is_right=True),
    Column("PARAMS", rank=4, least=14),
    Column("PROJECT", rank=7, least=6),
)
_FEW = 3
_WORST = ("failed", "killed", "lost", "interrupted", "ended", "running")


@dataclass(slots=True)
class Line:
    """A row of the table.

    Attributes
    ----------
    run : RunRecord
        The run, or the newest of several.
    ids : list of str
        All of them.
    statuses : Counter
        How they ended.
    took_s : float or None, seconds
        All together.
    depth : int
        How deep inside another run.
    """

    run: RunRecord
    ids: list[str]
    statuses: Counter[str]
    took_s: float | None
    depth: int = 0


@dataclass(slots=True)
class Details:
    """What the rows need to know of their runs, asked for all of them at once."""

    outcomes: dict[str, Outcome | None]
    params: dict[str, dict[str, Any]]
    inside: dict[str, int] = field(default_factory=dict)
    sorted_by: str | None = None


def line_of(run: RunRecord, depth: int = 0) -> Line:
    """The row of one run."""
    return Line(run, [run.id], Counter([run.status]), run.duration_s, depth)


def details_of(history: History, shown: Sequence[Line], metric: str | None = None, param: str | None = None) -> Details:
    """Ask for what the rows show: a handful of queries, however many rows there are."""
    mains: dict[str, str | None] = {i: line.run.main_metric for line in shown for i in line.ids}
    sql = "SELECT parent_id, count(*) AS n FROM runs WHERE parent_id IN {} GROUP BY parent_id"
    inside = {row["parent_id"]: row["n"] for row in rows_of(history, sql, [line.run.id for line in shown])}
    for run_id, beyond in beyond_of(history, list(inside)).items():
        inside[run_id] += beyond
    return Details(outcomes_of(history, mains, metric), params_of(history, mains), inside, param)


def table(history: History, shown: Sequence[Line], details: Details) -> tuple[Sequence[Column], list[list[Cell]]]:
    """Columns and cells, for a terminal of any width to choose from."""
    varied = varying(shown, details.params)
    summaries = summaries_of(history, [line.run.id for line in shown if line.run.status == "running"])
    projects = {line.run.project for line in shown}
    rows = []
    for line in shown:
        cells = _cells(line, details, summaries.get(line.run.id, []))
        keys = varied.get(_kin(line), [])
        if details.sorted_by is not None:
            keys = list(dict.fromkeys([details.sorted_by, *keys]))
        cells.append(Cell(_params(line, details.params, keys)))
        cells.append(Cell(line.run.project or "" if len(projects) > 1 else "", "dim"))
        rows.append(cells)
    return _COLUMNS, rows


def _cells(line: Line, details: Details, summaries: list[dict[str, Any]]) -> list[Cell]:
    run, many = line.run, len(line.ids) > 1
    name = next((o.name for i in line.ids if (o := details.outcomes.get(i)) is not None), None)
    best = leader_of({i: details.outcomes.get(i) for i in line.ids}, name) if name else None
    found = details.outcomes.get(best or run.id)
    title = "  " * line.depth + ("└ " if line.depth else "") + run.name
    if many:
        title += f" ×{len(line.ids)}"
    if details.inside.get(run.id) and not many:
        title += f" ▸{details.inside[run.id]}"
    cells = [
        Cell(short_id(best or run.id) if many else short_id(run.id), "bold" if many else ""),
        Cell(title),
        Cell(run.kind, "dim"),
        _status(line, summaries),
        Cell(when(run.started_at), "dim"),
        Cell(seconds(line.took_s) if line.took_s is not None else "", "dim"),
    ]
    return cells + _outcome(line, found)


def _outcome(line: Line, found: Outcome | None) -> list[Cell]:
    if line.run.error_type and len(line.ids) == 1:
        best = number(found.best) if found and found.best is not None else ""
        return [Cell(line.run.error_type, "error"), Cell(best), Cell(_last(found))]
    if found is None:
        return [Cell(""), Cell(""), Cell("")]
    arrow = {1: "↑ ", -1: "↓ ", 0: ""}[found.direction]
    best = number(found.best) if found.best is not None else ""
    return [Cell(arrow + found.name), Cell(best, "bold"), Cell(_last(found))]


def _last(found: Outcome | None) -> str:
    if found is None:
        return ""
    return found.special or (number(found.last) if found.last is not None else "")


def _status(line: Line, summaries: list[dict[str, Any]]) -> Cell:
    if line.run.status == "running" and len(line.ids) == 1:
        return Cell(progress(line.run, summaries), "running")
    bad = sum(count for word, count in line.statuses.items() if word != "finished")
    if len(line.statuses) == 1:
        return Cell(line.run.status, line.run.status)
    worst = next(word for word in _WORST if line.statuses[word])
    return Cell(f"{bad} of {len(line.ids)} {worst}" if bad == line.statuses[worst] else f"{bad} not finished", worst)


def progress(run: RunRecord, summaries: Iterable[dict[str, Any]]) -> str:
    """How far a running run is: epochs of those planned, else steps and their rate."""
    found = [row for row in summaries if row["split"] != "system"]
    epochs = [row["last_epoch"] for row in found if row["last_epoch"] is not None]
    if epochs or run.epochs_planned:
        last = max(epochs, default=None)
        if run.epochs_planned:
            done = run.epochs_done if run.epochs_done is not None else last
            return f"{done or 0} of {run.epochs_planned} epochs"
        return f"epoch {facts.epoch(run, last)}"
    steps = max([run.steps_done or 0, *(row["last_step"] + 1 for row in found if row["last_step"] is not None)])
    if not steps:
        return "running"
    elapsed = max(1e-6, (now_us() - from_iso(run.started_at)) / 1e6)
    rate = steps / elapsed
    return f"step {steps}, {rate:.0f}/s" if rate >= 1 else f"step {steps}, {rate * 60:.1f}/min"


def _kin(line: Line) -> tuple[Any, ...]:
    """Rows with the same are compared with each other."""
    run = line.run
    return (line.depth, run.parent_id, run.kind, run.model_class, None if run.kind == "candidate" else run.call_site)


def varying(shown: Sequence[Line], params: dict[str, dict[str, Any]]) -> dict[tuple[Any, ...], list[str]]:
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


def _params(line: Line, params: dict[str, dict[str, Any]], keys: Sequence[str]) -> str:
    parts = []
    for key in keys:
        seen = {repr(v): v for i in line.ids if (v := params.get(i, {}).get(key)) is not None}
        if seen:
            parts.append(f"{key}={_values(list(seen.values()))}")
    return " ".join(parts)


def _values(values: list[Any]) -> str:
    if len(values) == 1:
        value = values[0]
        return number(value) if isinstance(value, float) else value_text(value, 24)
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) == len(values) and len(values) > _FEW:
        return f"{number(min(numbers))}…{number(max(numbers))}"
    if len(values) <= _FEW:
        return "|".join(number(v) if isinstance(v, float) else value_text(v, 12) for v in values)
    return f"({len(values)} values)"
