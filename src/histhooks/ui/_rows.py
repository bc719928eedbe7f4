"""Rows of the table of runs as text, with what their cells hold, and how far they are from a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks._base.text import number, seconds, value_text, when
from histhooks._base.vocabulary import WORST_FIRST
from histhooks._views import run_table
from histhooks._views.differing import differences, program_of, short_keys
from histhooks.history._named_values import Value, values_under
from histhooks.history._table import TableRow

if TYPE_CHECKING:
    from histhooks.ui._pages import Ask

_MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a column that was asked for.

    Attributes
    ----------
    text : str
    value : object
        What the store has.
    direction : int
        Of a metric: 1 if more is better, -1 if less is.
    """

    text: str
    value: Any = None
    direction: int = 0


@dataclass(frozen=True, slots=True)
class Word:
    """What tells a run from others: a text, and the name and the value that a filter takes, if one can."""

    text: str
    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """How far a value is from that of the base."""

    text: str
    grade: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the page, as text."""

    id: str
    short: str
    name: str
    many: int
    inside: int
    depth: int
    status: str
    said: str
    risks: str
    level: str
    words: list[Word]
    more: int
    metric: str
    arrow: str
    best: Cell
    last: Cell
    error: str
    started: str
    started_at: str
    took: Cell
    kind: str
    project: str
    cells: list[Cell]
    is_base: bool = False
    deltas: Mapping[str, Delta] = field(default_factory=dict)


def rows_of(ask: Ask, found: Sequence[TableRow], columns: Sequence[str], base: TableRow | None = None) -> list[Row]:
    """The rows of a page, with their distance from a base."""
    told, names = differences(found), short_keys(found)
    wanted = [row.run_id for row in found]
    cells = cells_of(ask, [*wanted, *([base.run_id] if base is not None else [])], columns)
    rows = [
        _row(row, _words(row, words, names[program_of(row)]), cells[row.run_id])
        for row, words in zip(found, told, strict=True)
    ]
    if base is None:
        return rows
    compared = _row(base, [], cells[base.run_id])
    return [_with_deltas(row, compared) for row in rows]


def _words(row: TableRow, words: Sequence[str], names: Mapping[str, str]) -> list[Word]:
    """The words with the condition that each stands for."""
    known: dict[str, tuple[str, Any]] = {}
    for prefix, sign, values in (("params", "", row.values["params"]), ("tags", "#", row.values["tags"])):
        for key, found in values.items():
            if len(found) == 1:
                known[f"{sign}{names.get(key, key) if not sign else key}"] = (f"{prefix}.{key}", found[0])
    out = []
    for word in words:
        head, sign, _ = word.partition("=")
        name, value = known.get(head, ("", None)) if sign else ("", None)
        is_plain = isinstance(value, (bool, int, float, str)) and (not isinstance(value, float) or isfinite(value))
        out.append(Word(word, name, _plain(value)) if name and is_plain else Word(word))
    return out


def _plain(value: Any) -> str:
    """A value as a filter writes it."""
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)


def _row(row: TableRow, words: list[Word], cells: list[Cell]) -> Row:
    values = row.values
    level = "fail" if values["risks"].get("fail") else "warn"
    last = values["last"]
    direction = values["direction"]
    return Row(
        id=row.run_id, short=short_id(values["id"]), name=values["name"], many=len(row.ids), inside=values["inside"],
        depth=row.depth, status=values["status"] if len(row.ids) == 1 else _worst(row), said=_said(row),
        risks=f"{values['risks'][level]} {level}" if values["risks"].get(level) else "", level=level,
        words=words[:_MOST_WORDS], more=max(0, len(words) - _MOST_WORDS), metric=values["metric"] or "",
        arrow={1: "↑", -1: "↓", 0: ""}[direction],
        best=Cell(run_table.best_text(values["best"], values["mean_of"]), values["best"], direction),
        last=Cell(last if isinstance(last, str) else "" if last is None else number(last), last, direction),
        error=values["error"] or "", started=when(values["started_at"]), started_at=values["started_at"],
        took=Cell("" if values["took_s"] is None else seconds(values["took_s"]), values["took_s"]), kind=values["kind"],
        project=values["project"] or "", cells=cells,
    )  # fmt: skip


def _said(row: TableRow) -> str:
    if row.values["progress"] is not None and len(row.ids) == 1:
        return run_table.progress(row.values["progress"], row.values["framework"])
    if len(row.ids) == 1:
        return str(row.values["status"])
    return ", ".join(f"{count} {status}" for status, count in row.values["statuses"].items())


def _worst(row: TableRow) -> str:
    return next(word for word in WORST_FIRST if word in row.values["statuses"])


# --- columns that were asked for --------------------------------------------------------------------------------------


def cells_of(ask: Ask, ids: Sequence[str], names: Sequence[str]) -> dict[str, list[Cell]]:
    """What the columns that were asked for hold, by run; the names are those of `--where`."""
    found = values_under(ask.history, ids, names)
    return {run_id: [_cell(each) for each in values] for run_id, values in found.items()}


def _cell(found: Value) -> Cell:
    value, name = found.value, found.name
    if value is None:
        return Cell("")
    if found.kind == "metric":
        return Cell(value if isinstance(value, str) else number(value), value, found.direction)
    if found.kind == "column" and name.endswith("_at"):
        return Cell(when(value), value)
    return Cell(seconds(value) if found.kind == "column" and name.endswith("_s") else value_text(value, 40), value)


# --- against a base ---------------------------------------------------------------------------------------------------


def _with_deltas(row: Row, base: Row) -> Row:
    """The row with the difference of each number to that of the base."""
    pairs = {str(place): pair for place, pair in enumerate(zip(row.cells, base.cells, strict=True))}
    if row.metric == base.metric:
        pairs |= {"best": (row.best, base.best), "last": (row.last, base.last)}
    pairs["took"] = (row.took, base.took)
    is_base = row.id == base.id
    deltas = {} if is_base else {key: found for key, pair in pairs.items() if (found := _delta(key, *pair)) is not None}
    return replace(row, is_base=is_base, deltas=deltas)


def _delta(key: str, cell: Cell, base: Cell) -> Delta | None:
    numbers = [v for v in (cell.value, base.value) if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) < 2:
        return None
    try:
        by = numbers[0] - numbers[1]
        is_known = isfinite(by)
    except OverflowError:  # of a whole number that no float holds
        return None
    if not is_known:
        return None
    if by == 0:
        return Delta("±0", "")
    text = seconds(abs(by)) if key == "took" else number(abs(by))
    grade = "" if not cell.direction else "better" if (by > 0) == (cell.direction > 0) else "worse"
    return Delta(f"{'+' if by > 0 else '−'}{text}", grade)
