"""Pieces of HTML that carry their style with them: a notebook strips style sheets from what it does not trust.

Colours are of a middle brightness, so that each can be read on white and on black.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from histhooks._base.vocabulary import GRADES

GOOD, BAD = "#3a9a4b", "#e0483e"
COLOURS = {"good": GOOD, "going": "#2b8fd6", "failure": BAD, "bad": BAD, "doubtful": "#c47f17"}
DIM = "opacity:.65"
_CELL = "text-align:left;padding:2px 12px 2px 0;border:0;vertical-align:top"
_MOST_SAME = 12


def rows(of: Iterable[Sequence[str]], tag: str = "td") -> str:
    """Lines of a table; each cell is HTML."""
    return "".join("<tr>" + "".join(f"<{tag} style='{_CELL}'>{cell}</{tag}>" for cell in row) + "</tr>" for row in of)


def table(inside: str) -> str:
    """A table that scrolls inside its cell if it is wider."""
    return f"<div style='overflow-x:auto'><table style='background:none'>{inside}</table></div>"


def wide(cell: str, n_columns: int) -> str:
    """A line of a table with one cell."""
    style = f"{_CELL};padding-top:8px"
    return f"<tr style='background:none'><td colspan='{n_columns}' style='{style}'><strong>{cell}</strong></td></tr>"


def wide_plain(cell: str, n_columns: int) -> str:
    """The same without weight."""
    return f"<tr style='background:none'><td colspan='{n_columns}' style='{_CELL}'>{cell}</td></tr>"


def dim(html: str) -> str:
    """HTML that is less important."""
    return f"<span style='{DIM}'>{html}</span>"


def coloured(html: str, colour: str) -> str:
    """HTML in a colour."""
    return f"<span style='color:{colour}'>{html}</span>"


def status(word: str) -> str:
    """A status in its colour."""
    return coloured(escape(word), COLOURS[GRADES.get(word, "doubtful")])


def folded(summary: str, inside: str) -> str:
    """HTML that a click opens."""
    return f"<details><summary style='cursor:pointer'>{summary}</summary>{inside}</details>"


def same(names: Sequence[str]) -> str:
    """The parts that are the same: a few in a line, more behind a click."""
    if not names:
        return ""
    text = escape(", ".join(names))
    if len(names) <= _MOST_SAME:
        return f"<div>{dim(f'same: {text}')}</div>"
    return f"<div style='{DIM}'>{folded(f'{len(names)} properties are the same', f'<div>{text}</div>')}</div>"
