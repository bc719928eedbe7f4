"""``compare``: many runs side by side."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.ids import short_id
from histhooks._base.metric_names import describe
from histhooks._views.table import is_endless
from histhooks.cli import _common as common
from histhooks.history.compare.outputs import is_clock

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
@click.option("--where", metavar="CONDITION", help='Runs that match, such as "val_loss < 0.3"; see docs/where.md.')
@click.option("--group", help="Runs of one group.")
@click.option("--project", help="Runs of one project.")
@click.option("--tag", multiple=True, help="Runs with a tag, such as team=red.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=2), help="Maximum number of runs.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line for each run.")
@common.json_option
def compare(
    words: tuple[str, ...], store: str | None, is_inside: bool, limit: int, as_csv: bool, as_json: bool, **wanted: Any
) -> None:
    """Show runs side by side: only what differs, with the best value of each metric marked.

    A metric is shown by its best value, or by its last if it is unknown which direction is better.
    """
    words, store = common.split_store(words, store)
    with common.open_history(store) as history:
        runs = _selected(history, words, is_inside, limit, wanted)
        found = history.compare(*runs)
        if as_json:
            common.print_json(found.as_json())
        elif as_csv:
            _csv(found)
        else:
            screen(found)


def _selected(
    history: History, words: tuple[str, ...], is_inside: bool, limit: int, wanted: dict[str, Any]
) -> list[RunRecord]:
    runs = history.select(*words)
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
        click.echo(f"the first {limit} only; all with --limit", err=True)
        runs = runs[:limit]
    if len(runs) < 2:
        raise click.UsageError(f"compare needs two runs or more, not {len(runs)}")
    return runs


def screen(found: Comparison) -> None:
    """Print runs side by side: a line for each run where the columns fit, else a line for each column."""
    from dataclasses import replace

    from rich.text import Text

    console = common.console()
    n_all = len(found.columns)
    found = replace(found, columns=tuple(column for column in found.columns if _tells(column)))
    table = [_cells(column) for column in found.columns]
    widths = [max(len(column.title), *(len(text) for text in cells)) for column, cells in zip(found.columns, table)]
    names = _names(found)
    lead = 10 + min(28, max(len(name) for name in names))
    if is_endless() or lead + sum(min(width, _WIDE) + 2 for width in widths) <= console.width:
        _by_run(console, found, names, list(range(len(table))))
    elif 26 + len(found.runs) * 14 <= console.width:
        _by_column(console, found, names)
    else:
        _by_run(console, found, names, _fitting(found, widths, console.width - lead))
    if n_all > len(found.columns):
        hidden = (
            f"{n_all - len(found.columns)} params that only some have, none of them chosen, are in --csv and --json"
        )
        console.print(Text(hidden, style="dim"))
    if found.same:
        texts = ", ".join(found.same[:12]) + (f" and {len(found.same) - 12} more" if len(found.same) > 12 else "")
        console.print(Text("same  ", style="dim").append(common.plain(texts)))


def _tells(column: Column) -> bool:
    """Whether a column says more than that some runs have a param, left as it is, which others do not know."""
    return not (any(column.missing) and (column.is_default or not any(v is not None for v in column.values)))


def _names(found: Comparison) -> list[str]:
    """Names of the runs, without what all of them share at the beginning."""
    names = [common.plain(run["name"]) for run in found.runs]
    if len({*names}) == 1:
        return [""] * len(names)
    prefix = os.path.commonprefix(names)  # noqa: RUF071, letters are meant
    shared = len(prefix.rstrip("([{")) if prefix[-1:] in ("(", "[", "{") else len(re.sub(r"\w*$", "", prefix))
    return [f"…{name[shared:]}" for name in names] if shared > 8 else names


def _fitting(found: Comparison, widths: list[int], room: int) -> list[int]:
    """Places of the columns that fit: metrics first, those on validation data before all, then what was chosen, then
    results; times come last."""
    order = {"metric": 0, "param": 1, "command": 1, "result": 2}
    chosen: list[int] = []

    def rank(place: int) -> tuple[Any, ...]:
        column = found.columns[place]
        is_metric = column.kind == "metric"
        is_valid = is_metric and describe(column.name).split == "valid"
        is_time = column.kind == "duration" or (column.kind != "param" and is_clock(column.name))
        return (4 if is_time else order.get(column.kind, 3)), is_metric and not column.direction, not is_valid, place

    for place in sorted(range(len(widths)), key=rank):
        room -= min(widths[place], _WIDE) + 2
        if room < 0:
            break
        chosen.append(place)
    return sorted(chosen)


def _by_run(console: Console, found: Comparison, names: list[str], places: list[int]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    grid.add_column("RUN", no_wrap=True)
    if any(names):
        grid.add_column("NAME", no_wrap=True, overflow="ellipsis", max_width=None if is_endless() else 28)
    most = None if is_endless() else _WIDE
    for place in places:
        column = found.columns[place]
        title = Text(common.plain(column.title))
        grid.add_column(title, justify=_side(column), no_wrap=True, overflow="ellipsis", max_width=most)
    for number, run in enumerate(found.runs):
        cells = [_cell(found.columns[place], number) for place in places]
        grid.add_row(short_id(run["id"]), *([Text(names[number])] if any(names) else []), *cells)
    console.print(grid)
    left = [column.title for place, column in enumerate(found.columns) if place not in places]
    if left:
        text = common.plain(f"not shown, for want of room: {', '.join(left[:10])}")
        more = f" and {len(left) - 10} more" if len(left) > 10 else ""
        console.print(Text(f"{text}{more}; all of it with --csv or --json", style="dim"))


def _by_column(console: Console, found: Comparison, names: list[str]) -> None:
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
    for column in found.columns:
        cells = [_cell(column, number) for number in range(len(found.runs))]
        grid.add_row(Text(common.plain(column.title), style="dim"), *cells)
    console.print(grid)


def _side(column: Column) -> Any:
    return "right" if all(isinstance(value, (int, float)) or value is None for value in column.values) else "left"


def _cells(column: Column) -> list[str]:
    return [_cell(column, number).plain for number in range(len(column.values))]


def _cell(column: Column, number: int) -> Text:
    from rich.text import Text

    value = column.values[number]
    if column.missing[number] or value is None:
        return Text("–", style="dim")
    if column.kind == "duration":
        return Text(common.seconds(value))
    if column.kind == "run" and column.name == "model":
        value = value.rpartition(".")[2]
    text = common.number(value) if isinstance(value, float) else common.value_text(value, 40)
    is_best = number in column.best
    mark = " *" if is_best else "  " if column.best else ""
    return Text(common.plain(text) + mark, style="bold green" if is_best else "")


def _csv(found: Comparison) -> None:
    rows = found.rows()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows[0].keys())
    for row in rows:
        writer.writerow(value if isinstance(value, (str, int, float)) else _json(value) for value in row.values())


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
