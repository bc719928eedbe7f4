"""``runs --timeline``: runs in the order in which they began, and under each what changed."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from histhooks._base.ids import short_id
from histhooks._base.vocabulary import FINISHED
from histhooks._views import timeline_words as words
from histhooks._views.table import Cell, Column, fit, is_endless, plain_line, styled, width, without
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history.compare.timeline import Timeline, TimelineRow

_INDENT = 10
_LABEL = 15


def screen(found: Timeline) -> None:
    """Print a timeline: a line for each run and one for each part that changed; in a pipe one line for each run."""
    if not found:
        return
    is_pipe, room = is_endless(), width()
    is_odd = any(row.run["status"] != FINISHED for row in found)
    columns = [
        Column("STARTED", rank=5),
        Column("RUN"),
        Column("NAME", least=8, enough=12),
        Column("STATUS", least=8, rank=1 if is_odd else 6),
        Column("METRIC", least=6),
        Column("VALUE", is_right=True),
        Column("GAIN"),
        *([Column("CHANGES")] if is_pipe else []),
    ]
    cells = [_cells(row, above, is_pipe) for row, above in zip(found, [None, *found[:-1]], strict=True)]
    fitted = fit(columns, cells, room)
    click.echo(fitted.lines[0], color=True)
    for line, row in zip(fitted.lines[1:], found, strict=True):
        click.echo(line, color=True)
        if not is_pipe:
            for text in _below(row, room):
                click.echo(text, color=True)
    for line in without(fitted.dropped, room):
        click.echo(line, color=True)


def _cells(row: TimelineRow, above: TimelineRow | None, is_pipe: bool) -> list[Cell]:
    run = row.run
    arrow = {1: "↑ ", -1: "↓ ", 0: ""}[row.direction] if row.metric else ""
    gain = words.gain(row)
    if row.before_id is not None and (above is None or above.run["id"] != row.before_id):
        gain = f"{gain} than {short_id(row.before_id)}" if row.verdict in ("better", "worse") else (
            f"{gain} as {short_id(row.before_id)}" if gain else f"after {short_id(row.before_id)}"
        )  # fmt: skip
    style = {"better": "finished", "worse": "error"}.get(row.verdict or "", "dim")
    texts = [
        Cell(common.when(run["started_at"]), "dim"),
        Cell(short_id(run["id"]), "bold"),
        Cell(run["name"]),
        Cell(run["status"], run["status"]),
        Cell(f"{arrow}{row.metric or ''}"),
        Cell("" if row.value is None else common.number(row.value), "bold"),
        Cell(gain, style),
    ]
    return [*texts, *([Cell(words.changes_text(row))] if is_pipe else [])]


def _below(row: TimelineRow, room: int) -> list[str]:
    """A line for each part that changed, or more where it is long."""
    out = []
    for name, text in words.changes(row):
        lines = textwrap.wrap(plain_line(text), max(20, room - _INDENT - _LABEL), break_on_hyphens=False) or [""]
        head = styled(f"{name:<{_LABEL}}", "dim")
        if name == "same":
            out.append(" " * _INDENT + styled(text, "dim"))
            continue
        out.append(" " * _INDENT + head + lines[0])
        out += [" " * (_INDENT + _LABEL) + line for line in lines[1:]]
    return out
