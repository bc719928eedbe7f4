"""The screen of ``diff --points`` and of ``reproduce``: how far two runs agree, point by point."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from histhooks._base.ids import short_id
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

    from histhooks.history.compare.agreement import Agreement, SeriesAgreement
    from histhooks.history.compare.causes import Cause

LEVEL_WORDS = {
    "bits": "the same numbers, bit by bit",
    "curve": "the same curves within the tolerance",
    "metric": "the same main metric within its uncertainty, other curves",
    "differs": "not the same",
    "failed": "they did not end alike",
    None: "nothing to compare: neither has a point, a result or weights",
}
_STYLES = {"bits": "bold green", "curve": "green", "metric": "yellow"}
_MOST = 24


def screen(found: Agreement) -> None:
    """Print how far two runs agree."""
    from rich.text import Text

    console = common.console()
    for name, run in (("A", found.a), ("B", found.b)):
        line = Text(f"{name}  ", style="bold").append(common.plain(run["name"]))
        line.append(f"  {short_id(run['id'])}  {common.when(run['started_at'])}  {run['status']}", style="not bold dim")
        console.print(line)
    console.print()
    body(console, found)


def body(console: Console, found: Agreement) -> None:
    """Print the metrics, what else was compared, and the level."""
    from rich.table import Table
    from rich.text import Text

    if found.series:
        table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
        table.add_column("METRIC", overflow="fold")
        for title in ("POINTS", "EQUAL", "MAX REL"):
            table.add_column(title, justify="right")
        table.add_column("FIRST DIFFERENCE", overflow="fold")
        # What differs stands on top, and is what is shown if there is no room for all.
        rows = sorted(found.series, key=lambda each: each.is_equal)
        for each in rows[:_MOST]:
            table.add_row(*_row(each))
        console.print(table)
        if len(rows) > _MOST:
            console.print(Text(f"… {len(rows) - _MOST} more, in --json", style="dim"))
    for text in _others(found):
        console.print(Text(text, style="dim"))
    for note in found.notes:
        console.print(Text(common.plain(note), style="yellow"))
    level = found.level or "cannot tell"
    line = Text("\n").append(level, style=_STYLES.get(level, "bold red" if found.level else "yellow"))
    console.print(line.append(f"  {LEVEL_WORDS[found.level]}"))


def reasons(console: Console, found: Agreement, causes: Sequence[Cause]) -> None:
    """Print what differs and could be why, the likeliest first."""
    from rich.text import Text

    is_effect = found.level != "bits"
    for n, each in enumerate(causes):
        label = ("cause" if n == 0 else "also") if is_effect else "no effect"
        is_first = is_effect and n == 0
        line = Text(f"{each.stage}: ", style="bold" if is_first else "default")
        line.append(common.plain(each.text), style="default not bold")
        labelled(console, Text(f"{label:<9}", style="yellow" if is_first else "dim"), line)
    if is_effect and not causes and found.level not in (None, "failed"):
        text = "nothing that is recorded differs before it: threads that race, the time, another source of randomness"
        labelled(console, Text(f"{'cause':<9}", style="yellow"), Text(text))


def labelled(console: Console, label: Text, text: Text) -> None:
    """Print a text behind a label, its further lines below its first."""
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(label, text)
    console.print(table)


def _row(each: SeriesAgreement) -> tuple[str | Text, ...]:
    from rich.text import Text

    n = f"{each.n_a:,}" if each.n_a == each.n_b or each.is_cut else f"{each.n_a:,} / {each.n_b:,}"
    relative = "" if not each.max_rel else "∞" if math.isinf(each.max_rel) else f"{each.max_rel:.2g}"
    where = Text()
    if each.first is not None:
        place = f"point {each.first.n}" if each.first.step is None else f"step {each.first.step}"
        values = (_value(each.first.value), _value(each.first.other))
        where.append(f"{place}  ").append(values[0], style="red").append(" → ", style="dim")
        where.append(values[1], style="green")
    return common.plain(each.name), n, f"{each.n_equal:,}", relative, where


def _value(value: float | None) -> str:
    return "none" if value is None else repr(value)


def _others(found: Agreement) -> list[str]:
    out = []
    words = {True: "the same", False: "not the same"}
    for name, is_equal in (("start", found.weights_start_equal), ("end", found.weights_equal)):
        if is_equal is not None:
            out.append(f"weights at {name}: {words[is_equal]}")
    if found.results:
        shown = ", ".join(common.plain(name) for name in found.results[:6])
        more = f", … {len(found.results) - 6} more" if len(found.results) > 6 else ""
        out.append(f"results: {len(found.results)} of {found.n_results} differ: {shown}{more}")
    elif found.n_results:
        out.append(f"results: all {found.n_results} the same")
    if found.n_artifacts:
        out.append(f"files of the same name: {found.artifacts_equal} of {found.n_artifacts} have the same content")
    return out
