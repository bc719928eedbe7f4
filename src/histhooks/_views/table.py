"""Fit a table into the terminal: drop less important columns first, then cut long ones."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from histhooks._base.vocabulary import GRADES

ENDLESS = 100_000
_EXTRA = 3  # columns of this rank give way to those that have not enough
_GRADES: dict[str, dict[str, Any]] = {
    "good": {"fg": "green"}, "going": {"fg": "cyan"}, "failure": {"fg": "red", "bold": True}, "bad": {"fg": "red"},
    "doubtful": {"fg": "yellow"},
}  # fmt: skip
STYLES: dict[str, dict[str, Any]] = {
    **{status: _GRADES[grade] for status, grade in GRADES.items()},
    "dim": {"dim": True}, "bold": {"bold": True}, "error": {"fg": "red"},
    "hit": {"fg": "yellow", "bold": True},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    title : str
    rank : int
        The column with the highest goes first where there is no room; those with 0 stay.
    least : int
        To how many characters it may be cut; 0: never.
    is_right : bool
        Whether its cells stand on the right, as numbers do.
    enough : int
        How many characters it should have before columns of rank 3 and more have any.
    """

    title: str
    rank: int = 0
    least: int = 0
    is_right: bool = False
    enough: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and how it looks."""

    text: str
    style: str = ""


def width() -> int:
    """The width of the terminal; COLUMNS says another one, and where there is neither, as in a pipe, nothing is cut."""
    return max(20, shutil.get_terminal_size((ENDLESS, 24)).columns)


def is_endless() -> bool:
    """Whether there is room for anything: what is read by a program, such as grep, is never cut."""
    return width() >= ENDLESS


def is_coloured() -> bool:
    """Whether colours are wanted (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    is_terminal = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal


def styled(text: str, style: str) -> str:
    """A text in its colour, where colours are wanted."""
    known = STYLES.get(style)
    return click.style(text, **known) if known and is_coloured() else text


@dataclass(frozen=True, slots=True)
class Fitted:
    """A table as it fits.

    Attributes
    ----------
    lines : list of str
        Its titles first.
    dropped : list of str
        Titles of the columns that have no room, in their order.
    """

    lines: list[str]
    dropped: list[str]


def lines(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int) -> list[str]:
    """The lines of :func:`fit`."""
    return fit(columns, rows, room).lines


def fit(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int) -> Fitted:
    """Fit a table into so many characters; no line is wider.

    Columns in which no row has anything are left out.
    """
    plain = [[plain_line(cell.text) for cell in row] for row in rows]
    filled = [n for n in range(len(columns)) if any(row[n] for row in plain)]
    widths = measured(columns, rows, room)
    kept = list(widths)
    out = [_line([Cell(columns[n].title, "bold") for n in kept], columns, kept, widths)]
    for row, texts in zip(rows, plain, strict=True):
        out.append(_line([Cell(texts[n], row[n].style) for n in kept], columns, kept, widths))
    return Fitted(out, [columns[n].title for n in filled if n not in kept])


def without(dropped: Sequence[str], room: int) -> list[str]:
    """What to say of columns that have no room, in lines that fit."""
    import textwrap

    if not dropped:
        return []
    text = f"no room for {', '.join(dropped)}: a wider terminal or a pipe shows all"
    return [styled(line, "dim") for line in textwrap.wrap(text, max(20, room), initial_indent="  ",
                                                         subsequent_indent="  ")]  # fmt: skip


def measured(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int) -> dict[int, int]:
    """The width of each column that has room, by its place."""
    filled = [n for n in range(len(columns)) if any(row[n].text for row in rows)]
    natural = {n: max([cells(columns[n].title), *(cells(plain_line(row[n].text)) for row in rows)]) for n in filled}
    return _widths(columns, _keep(columns, filled, natural, room), natural, room)


def _keep(columns: Sequence[Column], kept: list[int], natural: dict[int, int], room: int) -> list[int]:
    def need(numbers: list[int], *, is_ample: bool) -> int:
        wanted = {n: (is_ample and columns[n].enough) or columns[n].least or natural[n] for n in numbers}
        return sum(min(natural[n], wanted[n]) for n in numbers) + 2 * (len(numbers) - 1)

    for is_ample, rank in ((True, _EXTRA), (False, 1)):
        while need(kept, is_ample=is_ample) > room:
            droppable = [n for n in kept if columns[n].rank >= rank]
            if not droppable:
                break
            kept = [n for n in kept if n != max(droppable, key=lambda n: columns[n].rank)]
    return kept


def _widths(columns: Sequence[Column], kept: list[int], natural: dict[int, int], room: int) -> dict[int, int]:
    widths = {n: natural[n] for n in kept}
    for is_ample in (True, False):
        floor = {n: (is_ample and columns[n].enough) or columns[n].least for n in kept if columns[n].least}
        while sum(widths.values()) + 2 * (len(kept) - 1) > room:
            # The one that has most to give is cut by one character.
            spare = {n: widths[n] - least for n, least in floor.items() if widths[n] > least}
            if not spare:
                break
            widths[max(spare, key=lambda n: (spare[n], n))] -= 1
    return widths


def _line(row: list[Cell], columns: Sequence[Column], kept: list[int], widths: dict[int, int]) -> str:
    out = []
    for n, cell in zip(kept, row, strict=True):
        text = cut(cell.text, widths[n])
        gap = " " * (widths[n] - cells(text))
        shown = styled(text, cell.style)
        out.append(gap + shown if columns[n].is_right else shown + gap)
    return "  ".join(out).rstrip()


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, room: int) -> str:
    """A text in no more columns than there is room, with … where it was cut."""
    if cells(text) <= room:
        return text
    while text and cells(text) > room - 1:
        text = text[:-1]
    return f"{text}…" if room > 0 else ""


def plain_line(text: str) -> str:
    """On one line, and without what would move the cursor."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else " " for sign in text)
