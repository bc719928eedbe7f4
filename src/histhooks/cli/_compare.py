"""``compare``: many runs side by side."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.ids import short_id
from histhooks._views import comparison_words as words
from histhooks._views.comparison_data import as_csv as csv_of
from histhooks._views.table import is_endless
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from histhooks.history import History, RunRecord
    from histhooks.history.compare.comparison import Column, Comparison

_WIDE = 22  # of one cell, where there is an end


@click.command(epilog="Example: histhooks compare last~2 last~1 last")
@click.argument("words", nargs=-1, metavar="[STORE] [RUN]...")
@common.store_option
@click.option(
    "--children", "is_inside", is_flag=True, help="The runs inside the named ones, such as a search's candidates."
)
@click.option(
    "--where", metavar="CONDITION", help='Runs that match, such as "val_loss < 0.3"; see docs/reference/where.md.'
)
@click.option("--group", help="Runs of one group.")
@click.option("--project", help="Runs of one project.")
@click.option("--tag", multiple=True, help="Runs with a tag, such as team=red.")
@click.option(
    "--without", multiple=True, metavar="NAME",
    help="Leave out a column by its name, its title or its kind; may be a pattern, and repeated.",
)  # fmt: skip
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=2), help="Maximum number of runs.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line for each run.")
@common.json_option
def compare(
    words: tuple[str, ...],
    store: str | None,
    is_inside: bool,
    limit: int,
    as_csv: bool,
    as_json: bool,
    without: tuple[str, ...],
    **wanted: Any,
) -> None:
    """Show runs side by side: only what differs, with the best value of each metric marked.

    A metric is shown by its best value, or by its last if it is unknown which direction is better.
    """
    words, store = common.split_store(words, store)
    with common.open_history(store) as history:
        runs = _selected(history, words, is_inside, limit, wanted)
        found = history.compare(*runs, without=without)
        if as_json:
            common.print_json(found.as_json())
        elif as_csv:
            sys.stdout.write(csv_of(found))
        else:
            screen(found)


def _selected(
    history: History, words: tuple[str, ...], is_inside: bool, limit: int, wanted: dict[str, Any]
) -> list[RunRecord]:
    runs: list[RunRecord] = history.select(*words)
    if is_inside:
        if not runs:
            raise click.UsageError("--children needs the run whose children to compare")
        runs = [child for run in runs for child in run.children]
    given = {name: value for name, value in wanted.items() if value}
    if given:
        if words:
            raise click.UsageError(f"give runs, or --{next(iter(given))}, not both")
        runs = history.runs(**given, is_nested=None if "where" in given else False, limit=limit + 1)
    if len(runs) > limit and (given or is_inside):
        click.echo(f"histhooks: only the first {limit} runs are compared; --limit takes more", err=True)
        runs = runs[:limit]
    if len(runs) < 2:
        raise click.UsageError(f"compare needs two runs or more, not {len(runs)}")
    return runs


def screen(found: Comparison) -> None:
    """Print runs side by side: a line for each run where the columns fit, else a line for each column."""
    from dataclasses import replace

    from rich.text import Text

    console = common.console()
    notes = words.hidden(found)
    found = replace(found, columns=tuple(words.shown(found)))
    titles, names = words.titles(found.columns), _names(found)
    widths = [
        max(len(title), *(len(_cell(column, n).plain) for n in range(len(found.runs))))
        for title, column in zip(titles, found.columns, strict=True)
    ]
    room = console.width - 10 - min(28, max(len(name) for name in names))
    if is_endless() or sum(min(width, _WIDE) + 2 for width in widths) <= room:
        places = list(range(len(widths)))
        _by_run(console, found, titles, names, places)
    elif 26 + len(found.runs) * 14 <= console.width:
        _by_column(console, found, titles, names)
    else:
        places = _fitting(found, widths, room)
        _by_run(console, found, titles, names, places)
        left = [title for place, title in enumerate(titles) if place not in places]
        notes.insert(0, f"no room for {words.few(left, 10)}: a wider terminal, a pipe or --csv has all")
    for note in notes:
        console.print(Text(common.plain(note), style="dim"))
    if found.same:
        texts = ", ".join(found.same) if is_endless() else words.few(list(found.same), 12)
        console.print(Text("same  ", style="dim").append(common.plain(texts)), soft_wrap=is_endless())


def _names(found: Comparison) -> list[str]:
    """Names of the runs, without what all of them share at the beginning."""
    names = [common.plain(run["name"]) for run in found.runs]
    if is_endless():
        return names
    if len({*names}) == 1:
        return [""] * len(names)
    prefix = os.path.commonprefix(names)  # noqa: RUF071, letters are meant
    shared = len(prefix.rstrip("([{")) if prefix[-1:] in ("(", "[", "{") else len(re.sub(r"\w*$", "", prefix))
    return [f"…{name[shared:]}" for name in names] if shared > 8 else names


def _fitting(found: Comparison, widths: list[int], room: int) -> list[int]:
    """Places of the columns that fit: one outcome, then what differs, then the other outcomes."""
    outcomes = [n for n, column in enumerate(found.columns) if column.direction]
    main = sorted(outcomes, key=lambda n: (sum(found.columns[n].missing), found.columns[n].direction))[:1]
    chosen: list[int] = []
    for place in [*main, *(n for n in range(len(widths)) if n not in main)]:
        room -= min(widths[place], _WIDE) + 2
        if room < 0:
            break
        chosen.append(place)
    return sorted(chosen)


def _by_run(console: Console, found: Comparison, titles: list[str], names: list[str], places: list[int]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    grid.add_column("RUN", no_wrap=True)
    if any(names):
        grid.add_column("NAME", no_wrap=True, overflow="ellipsis", max_width=None if is_endless() else 28)
    most = None if is_endless() else _WIDE
    for place in places:
        title = Text(titles[place])
        grid.add_column(title, justify=_side(found.columns[place]), no_wrap=True, overflow="ellipsis", max_width=most)
    for number, run in enumerate(found.runs):
        cells = [_cell(found.columns[place], number) for place in places]
        grid.add_row(short_id(run["id"]), *([Text(names[number])] if any(names) else []), *cells)
    console.print(grid)


def _by_column(console: Console, found: Comparison, titles: list[str], names: list[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    room = (console.width - 26) // len(found.runs) - 2
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    grid.add_column(
        "", no_wrap=True, overflow="ellipsis", max_width=max(24, console.width - (room + 2) * len(found.runs))
    )
    for run in found.runs:
        grid.add_column(short_id(run["id"]), overflow="fold", max_width=max(12, room))
    if any(names):
        grid.add_row(Text("name", style="dim"), *(Text(name) for name in names))
    for title, column in zip(titles, found.columns, strict=True):
        cells = [_cell(column, number) for number in range(len(found.runs))]
        grid.add_row(Text(title, style="dim"), *cells)
    console.print(grid)


def _side(column: Column) -> Any:
    return "right" if all(isinstance(value, (int, float)) or value is None for value in column.values) else "left"


def _cell(column: Column, number: int) -> Text:
    from rich.text import Text

    value = column.values[number]
    if column.missing[number]:
        return Text("–", style="dim")
    if column.kind == "duration":
        return Text(common.seconds(value))
    if column.kind == "run" and column.name == "model" and value is not None:
        value = value.rpartition(".")[2]
    text = common.number(value) if isinstance(value, float) else common.value_text(value, 40)
    is_best = number in column.best
    mark = " *" if is_best else "  " if column.best else ""
    return Text(common.plain(text) + mark, style="bold green" if is_best else "")
