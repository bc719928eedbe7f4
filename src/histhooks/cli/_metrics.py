"""``metrics``: the points of a run."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.text import counted
from histhooks._views import run_words as facts
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import History, RunRecord
    from histhooks.history.curves.thinning import Found, Point

_COLUMNS = ("name", "step", "epoch", "time", "value")


@click.command(
    epilog="Example: histhooks metrics last 'val_*' --thin 100. Thinning keeps the smallest and largest point of "
    "each part, with their steps, and non-finite points; a line on stderr says how many points there were."
)
@click.argument("words", nargs=-1, metavar="[STORE] [RUN] [NAME]...")
@common.store_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, the default in a pipe or a file.")
@common.json_option
@click.option("--from", "from_step", type=int, metavar="STEP", help="Only points from this step on.")
@click.option("--to", "to_step", type=int, metavar="STEP", help="Only points up to this step.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N points of each metric.")
@click.option("--thin", type=click.IntRange(min=2), metavar="N", help="About N points of each metric.")
def metrics(words: tuple[str, ...], store: str | None, as_csv: bool, as_json: bool, **options: int | None) -> None:
    """Print the points of a run, one a line, of all metrics or the named ones.

    A NAME may be a pattern, such as 'val_*'.
    """
    words, store = common.split_store(words, store)
    with common.open_history(store) as history:
        run = history.run(words[0] if words else "last")
        found = _series(history, run, words[1:])
        rows = ((series, point) for series in found for point in _points(history, series, **options))
        if as_json:
            _print_json(rows)
        elif as_csv or not sys.stdout.isatty():
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows(_cells(series, point) for series, point in rows)
        else:
            _print_table(run, found, rows)


def _series(history: History, run: RunRecord, names: tuple[str, ...]) -> list[Found]:
    """The series that are meant, each once, in the order in which they were asked for."""
    from histhooks.history.curves.thinning import find_series, matching

    known = [summary["name"] for summary in run.summaries]
    chosen = matching(names, known) if names else known
    return [find_series(history, run.id, name) for name in chosen]


def _points(
    history: History, found: Found, from_step: int | None, to_step: int | None, last: int | None, thin: int | None
) -> Iterable[Point]:
    from histhooks.history.curves.thinning import part_size, read_points, thinned
    from histhooks.history.curves.thinning import thin as thin_series

    is_part = not (from_step is last is to_step is None)
    if thin is None:
        return read_points(history, found, from_step=from_step, to_step=to_step, last=last)
    if not is_part:
        kept, count = thin_series(history, found, thin), found.count
    else:
        points = read_points(history, found, from_step=from_step, to_step=to_step, last=last)
        numbered = [point._replace(n=n) for n, point in enumerate(points)]
        kept, count = thinned(numbered, part_size(len(numbered), thin)), len(numbered)
    click.echo(f"histhooks: {found.name}: {counted(len(kept), 'point')} stand for {max(count, len(kept)):,}", err=True)
    return kept


def _cells(series: Found, point: Point) -> tuple[Any, ...]:
    from histhooks._base.clock import iso

    return series.name, point.step, "" if point.epoch is None else point.epoch, iso(point.time), repr(point.value)


def _print_json(rows: Iterator[tuple[Found, Point]]) -> None:
    """A list with a line for each point, written as it is read."""
    before = "["
    for series, point in rows:
        odd = None if isfinite(point.value) else str(point.value)
        value = {
            "name": series.name, "metric": series.metric, "split": series.split, "step": point.step,
            "epoch": point.epoch, "time": point.time, "value": None if odd else point.value, "special": odd,
        }  # fmt: skip
        sys.stdout.write(f"{before}\n  {json.dumps(value, ensure_ascii=False)}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def _print_table(run: RunRecord, found: list[Found], rows: Iterator[tuple[Found, Point]]) -> None:
    if not found:
        click.echo("the run has no metrics")
        return
    from histhooks._base.clock import iso

    width = max(4, *(len(series.name) for series in found))
    click.echo(f"{'METRIC':<{width}}  {'STEP':>9}  {'EPOCH':>6}  {'TIME':<19}  VALUE")
    for series, point in rows:
        epoch = facts.epoch(run.framework, point.epoch)
        moment = common.when(iso(point.time))
        click.echo(f"{series.name:<{width}}  {point.step:>9}  {epoch:>6}  {moment:<19}  {point.value:.6g}")
