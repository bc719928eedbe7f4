"""The table of runs for a terminal: the text in each row of ``runs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks._base.text import number, seconds, value_text, when
from histhooks._base.vocabulary import FINISHED, RUNNING, WORST_FIRST
from histhooks._views import run_words as facts
from histhooks._views.table import Cell, Column

if TYPE_CHECKING:
    from histhooks.history._table import TableRow

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


def table(rows: Sequence[TableRow]) -> tuple[Sequence[Column], list[list[Cell]]]:
    """Columns and cells, for a terminal of any width to choose from."""
    projects = {row.values["project"] for row in rows}
    out = []
    for row in rows:
        project = row.values["project"] or "" if len(projects) > 1 else ""
        params = " ".join(f"{key}={_values(values)}" for key, values in row.values["params"].items())
        out.append([*_cells(row), *_outcome(row), Cell(params), Cell(project, "dim")])
    return _COLUMNS, out


def _cells(row: TableRow) -> list[Cell]:
    values, many = row.values, len(row.ids) > 1
    title = "  " * row.depth + ("└ " if row.depth else "") + values["name"]
    if many:
        title += f" ×{len(row.ids)}"
    if values["inside"] and not many:
        title += f" ▸{values['inside']}"
    return [
        Cell(short_id(values["id"]), "bold" if many else ""),
        Cell(title),
        Cell(values["kind"], "dim"),
        _status(row),
        Cell(when(values["started_at"]), "dim"),
        Cell(seconds(values["took_s"]) if values["took_s"] is not None else "", "dim"),
    ]


def _outcome(row: TableRow) -> list[Cell]:
    values = row.values
    best = number(values["best"]) if values["best"] is not None else ""
    last = values["last"]
    last = last if isinstance(last, str) else "" if last is None else number(last)
    if values["error_type"] and len(row.ids) == 1:
        return [Cell(values["error_type"], "error"), Cell(best), Cell(last)]
    if values["metric"] is None:
        return [Cell(""), Cell(""), Cell("")]
    arrow = {1: "↑ ", -1: "↓ ", 0: ""}[values["direction"]]
    return [Cell(arrow + values["metric"]), Cell(best, "bold"), Cell(last)]


def _status(row: TableRow) -> Cell:
    status, statuses = row.values["status"], row.values["statuses"]
    if status == RUNNING and len(row.ids) == 1:
        return Cell(progress(row.values["progress"], row.values["framework"]), "running")
    if len(statuses) == 1:
        return Cell(status, status)
    bad = sum(count for word, count in statuses.items() if word != FINISHED)
    worst = next(word for word in WORST_FIRST if word in statuses)
    return Cell(f"{bad} of {len(row.ids)} {worst}" if bad == statuses[worst] else f"{bad} not finished", worst)


def progress(found: dict[str, Any], framework: str | None) -> str:
    """How far a running run is: epochs of those planned, else steps and their rate."""
    if found["epochs_planned"]:
        return f"{found['epochs_done'] or 0} of {found['epochs_planned']} epochs"
    if found["epoch"] is not None:
        return f"epoch {facts.epoch(framework, found['epoch'])}"
    if not found["steps_done"]:
        return "running"
    rate = found["rate"]
    shown = f"{rate:.0f}/s" if rate >= 1 else f"{rate * 60:.1f}/min"
    return f"step {found['steps_done']}, {shown}"


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
