"""The table of runs for a terminal: the text in each row of ``runs``, what tells it from the others first."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso
from histhooks._base.ids import short_id
from histhooks._base.text import number, seconds, when
from histhooks._base.vocabulary import FINISHED, RUNNING, WORST_FIRST
from histhooks._views import run_words as facts
from histhooks._views.differing import differences
from histhooks._views.table import ENDLESS, Cell, Column, Fitted, cut, fit, measured, plain_line, styled
from histhooks._views.table import cells as width_of

if TYPE_CHECKING:
    from histhooks.history._table import TableRow

_NAME, _DIFFERS, _ERROR, _PROJECT = 1, 2, 7, 11
_COLUMNS = (
    Column("RUN"),
    Column("NAME", least=10, enough=16),
    Column("DIFFERS IN", least=24, enough=34),
    Column("STATUS", least=8),
    Column("METRIC", least=8, enough=10),
    Column("BEST", is_right=True),
    Column("LAST", rank=5, is_right=True),
    Column("ERROR", rank=1, least=12, enough=14),
    Column("STARTED", rank=3),
    Column("TOOK", rank=6, is_right=True),
    Column("KIND", rank=8),
    Column("PROJECT", rank=2, least=6),
)
MEAN = "~"  # stands behind a best value that is no point
MEAN_SAID = "the best mean of an epoch, or of a part of the run"
_MOST_LINES = 2  # in the column of differences; where it takes more, they stand below
_INDENT = 10


def lines(rows: Sequence[TableRow], room: int) -> Fitted:
    """The lines of a table. Differences that have no room beside the rest stand below it, and none is cut.

    Parameters
    ----------
    rows : sequence of TableRow
    room : int, characters
        Of each line; from 100,000 on it is a pipe, in which nothing is shortened.
    """
    columns, cells, told = table(rows, is_whole=room >= ENDLESS)
    widths = measured(columns, cells, room)
    cells = [[Cell(_narrow(one.text, widths[n])) if n == _NAME else one for n, one in enumerate(row)] for row in cells]
    beside = [_wrapped(words, widths.get(_DIFFERS, 0)) for words in told]
    is_below = sum(widths.values()) + 2 * (len(widths) - 1) > room
    is_below |= any(row[n].text for n in (_ERROR, _PROJECT) if n not in widths for row in cells)
    if not is_below and max(map(len, beside)) <= _MOST_LINES:
        out = []
        for row, (first, *rest) in zip(cells, beside, strict=True):
            out.append([*row[:_DIFFERS], Cell(first), *row[_DIFFERS + 1 :]])
            out += [[Cell(line if n == _DIFFERS else "") for n in range(len(columns))] for line in rest]
        return fit(columns, out, room)
    places = [n for n in range(len(columns)) if n != _DIFFERS]
    bold = [[Cell(row[0].text, "bold"), *(row[n] for n in places[1:])] for row in cells]
    fitted = fit([columns[n] for n in places], bold, room)
    is_error_below = columns[_ERROR].title in fitted.dropped
    lines = fitted.lines[:1]
    for line, row, words in zip(fitted.lines[1:], cells, told, strict=True):
        lines += [line, *(" " * _INDENT + each for each in _wrapped(words, room - _INDENT) if each)]
        error = row[_ERROR].text if is_error_below else ""
        lines += [" " * _INDENT + styled(cut(plain_line(error), room - _INDENT), "error")] if error else []
    return Fitted(lines, [title for title in fitted.dropped if title != columns[_ERROR].title])


def _narrow(title: str, room: int) -> str:
    """A name of a program and its model in so many characters: the program is cut first, to four at the least."""
    program, dot, model = title.rpartition("·")
    if not dot or width_of(title) <= room:
        return title
    return f"{cut(program, max(4, room - width_of(model) - 1))}·{model}"


def _wrapped(words: Sequence[str], room: int) -> list[str]:
    """Words in lines that have room for them; at least one line."""
    out = [""]
    for word in words:
        longer = f"{out[-1]} {word}" if out[-1] else word
        if width_of(longer) <= room or not out[-1]:
            out[-1] = cut(longer, room)
        else:
            out.append(cut(word, room))
    return out


def table(
    rows: Sequence[TableRow], *, is_whole: bool = False
) -> tuple[Sequence[Column], list[list[Cell]], list[list[str]]]:
    """Columns and cells, and in what each row differs, for a terminal of any width to choose from.

    Parameters
    ----------
    rows : sequence of TableRow
    is_whole : bool
        Whether names are not shortened.
    """
    projects = {row.values["project"] for row in rows}
    shared = "" if is_whole else shared_name(rows)
    out, told = [], differences(rows)
    above: dict[int, str] = {}
    for row, words in zip(rows, told, strict=True):
        values = row.values
        above[row.depth] = values["name"]
        known = "" if is_whole else above.get(row.depth - 1, "") if row.depth else shared
        took = seconds(values["took_s"]) if values["took_s"] is not None else ""
        out.append(
            [
                Cell(short_id(values["id"]), "bold" if len(row.ids) > 1 else ""),
                Cell(_title(row, known)),
                Cell(" ".join(words)),
                _status(row),
                *_outcome(row),
                Cell(values["error"] or "" if len(row.ids) == 1 else "", "error"),
                Cell(when(values["started_at"]), "dim"),
                Cell(took, "dim"),
                Cell(values["kind"], "dim"),
                Cell(values["project"] or "" if len(projects) > 1 else "", "dim"),
            ]
        )
    return _COLUMNS, out, told


def shared_name(rows: Sequence[TableRow]) -> str:
    """The program that all names begin with, such as ``train·``, where there are several of them."""
    prefix = commonprefix([str(row.values["name"]) for row in rows])  # noqa: RUF071, letters are meant
    return prefix[: prefix.rfind("·") + 1] if len(rows) > 1 else ""


def _title(row: TableRow, known: str) -> str:
    """The name, without what stands above: the program of all, or the run that this one is inside."""
    values, many = row.values, len(row.ids) > 1
    title: str = "  " * row.depth + ("└ " if row.depth else "") + (values["name"].removeprefix(known) or values["name"])
    if many:
        title += f" ×{len(row.ids)}"
    if values["inside"] and not many:
        title += f" ▸{values['inside']}"
    return title


def _outcome(row: TableRow) -> list[Cell]:
    values = row.values
    best = best_text(values["best"], values["mean_of"])
    last = values["last"]
    last = last if isinstance(last, str) else "" if last is None else number(last)
    if values["metric"] is None:
        return [Cell(""), Cell(""), Cell("")]
    arrow = {1: "↑ ", -1: "↓ ", 0: ""}[values["direction"]]
    return [Cell(arrow + values["metric"]), Cell(best, "bold"), Cell(last)]


def best_text(value: float | None, mean_of: str | None) -> str:
    """A best value; of minibatches, where it is a mean, with a mark."""
    return "" if value is None else number(value) + (MEAN if mean_of else "")


def _status(row: TableRow) -> Cell:
    status, statuses = row.values["status"], row.values["statuses"]
    if status == RUNNING and len(row.ids) == 1:
        return Cell(progress(row.values["progress"], row.values["framework"]), "running")
    if len(statuses) == 1:
        found = row.values.get("risks") or {}
        level = "fail" if found.get("fail") else "warn"
        mark = f" · {found[level]} {level}" if found else ""
        return Cell(status + mark, status if not mark else "error" if level == "fail" else "interrupted")
    bad = sum(count for word, count in statuses.items() if word != FINISHED)
    worst = next(word for word in WORST_FIRST if word in statuses)
    return Cell(f"{bad} of {len(row.ids)} {worst}" if bad == statuses[worst] else f"{bad} not finished", worst)


def progress(found: dict[str, Any], framework: str | None) -> str:
    """How far a running run is: epochs of those planned, else steps and their rate; or since when nothing is known."""
    if found.get("last_heard_at"):
        return f"running, {facts.last_heard(from_iso(found['last_heard_at']))}"
    if found["epochs_planned"]:
        return f"{found['epochs_done'] or 0} of {found['epochs_planned']} epochs"
    if found["epoch"] is not None:
        return f"epoch {facts.epoch(framework, found['epoch'])}"
    if not found["steps_done"]:
        return "running"
    rate = found["rate"]
    shown = f"{rate:.0f}/s" if rate >= 1 else f"{rate * 60:.1f}/min"
    return f"step {found['steps_done']}, {shown}"
