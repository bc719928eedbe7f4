"""A report as Markdown: for issues, wikis and diffs."""

from __future__ import annotations

import re

from histhooks._base.text import plain
from histhooks.report._blocks import Block, Code, Columns, Curves, Facts, Page, Table, Text

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~])")


def _escape(text: str) -> str:
    """Text on one line in which nothing is Markdown or HTML."""
    return _MARKS.sub(r"\\\1", plain(text)).replace("&", "&amp;").replace("\n", "<br>")


def write(page: Page) -> str:
    """The report as text."""
    status = f"{page.status}, {page.alarms}" if page.alarms else page.status
    parts = [f"# {_escape(page.title)} ({status})", _escape(page.subtitle), _escape(page.verdict.text)]
    parts += [f"- {_escape(label)}: {_escape(value)}" for label, value in page.highlights]
    for section in page.sections:
        parts += [f"## {section.title}", *(_block(block) for block in section.blocks)]
    return "\n\n".join([*parts, _escape(page.foot)]) + "\n"


def _block(block: Block) -> str:
    match block:
        case Facts(rows):
            return _table(["", ""], [[label, value] for label, value in rows if value])
        case Table(head, rows):
            return _table(list(head), [list(row) for row in rows])
        case Code(text, language, title):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            return f"{_escape(title)}\n\n{fence}{language}\n{plain(text)}\n{fence}"
        case Columns(words):
            return ", ".join(_escape(word) for word in words)
        case Curves(_, instead):
            return instead
        case Text(text):
            return _escape(text)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(_escape(cell) for cell in row) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + " --- |" * len(head), *lines[1:]])
