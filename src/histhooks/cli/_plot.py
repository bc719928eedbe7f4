"""``plot``: curves of runs, in the terminal or as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import History, RunRecord

_LOOKS = ("x", "log", "log_x", "smooth", "start", "stop", "bottom", "top", "band", "clip", "align")


@click.command(
    epilog="Example: histhooks plot last loss val_loss --log; histhooks plot last last~1 val_loss -o chart.html. "
    "Leading words that name a run are runs; the rest are metrics."
)
@click.argument("words", nargs=-1, metavar="[STORE] [RUN]... [NAME]...")
@common.store_option
@click.option("--x", type=click.Choice(["step", "epoch", "time", "relative", "n"]), default="step", show_default=True,
              help="Unit of the x-axis; relative is the time since the start, n the order of arrival.")  # fmt: skip
@click.option("--from", "start", type=float, metavar="X", help="Only points from this place of the x-axis on.")
@click.option("--to", "stop", type=float, metavar="X", help="Only points up to this place of the x-axis.")
@click.option("--log", is_flag=True, help="A logarithmic y-axis.")
@click.option("--log-x", is_flag=True, help="A logarithmic x-axis.")
@click.option("--smooth", type=click.FloatRange(0, 1, max_open=True), default=0.0, metavar="WEIGHT",
              help="Weight of an exponential moving average, such as 0.9; the logged points stay, faint.")  # fmt: skip
@click.option("--bottom", type=float, metavar="Y", help="Where the y-axis begins; --top is where it ends.")
@click.option("--top", type=float, metavar="Y", help="Where the y-axis ends.")
@click.option("--band", is_flag=True, help="The mean of each part of a long curve, between its extremes.")
@click.option("--clip", is_flag=True, help="A y-axis from the 1st to the 99th percentile.")
@click.option("--align", is_flag=True,
              help="A run that goes on from another and counts anew begins where that one was left.")  # fmt: skip
@click.option("--no-attempts", is_flag=True, help="Draw one run only, without the earlier attempts that it resumed.")
@click.option("--width", type=click.IntRange(min=20), help="Width in columns, or in pixels of a file.")
@click.option("--height", type=click.IntRange(min=8), help="Height in lines, or in pixels of a file.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE",
              help="Write .html (one page), .svg, .png or .pdf (the latter two with matplotlib).")  # fmt: skip
@common.json_option
def plot(words: tuple[str, ...], store: str | None, as_json: bool, output: str | None, **options: Any) -> None:
    """Draw curves of runs, in the terminal or to a file.

    A NAME may be a pattern, such as 'val_*'. Without a NAME: the metric that ranks the run, and the same metric
    on training data. Attempts of one training are one curve; the part that a later attempt repeated is faint.
    """
    from histhooks.plot import plot as make

    words, store = common.split_store(words, store)
    with common.open_history(store) as history:
        runs, names = split_words(history, words)
        size = {"width": options["width"], "height": options["height"]}
        look = {name: options[name] for name in _LOOKS}
        chart = make(runs, names, attempts=not options["no_attempts"], **look)
        if output:
            chart.save(output, **size)
            count = len(chart.curves)
            click.echo(f"histhooks: {count} curve{'' if count == 1 else 's'} → {output}", err=True)
            for note in chart.notes:
                click.echo(f"histhooks: {note}", err=True)
        if as_json:
            common.print_json(chart.as_json())
        elif not output:
            chart.show(**size)


def split_words(history: History, words: tuple[str, ...]) -> tuple[list[RunRecord], list[str]]:
    """Which of the words are runs: those at the start that mean one, and are no metric of a run before them."""
    from histhooks.errors import QueryError
    from histhooks.history.curves.thinning import matching

    runs: list[RunRecord] = []
    known: list[str] = []
    for number, word in enumerate(words):
        try:
            matching([word], known)
            return runs, list(words[number:])
        except QueryError:
            pass
        try:
            run = history.run(word)
        except QueryError:
            if runs:
                return runs, list(words[number:])
            latest = history.run("last")
            if not _is_metric(word, latest):
                raise
            return [latest], list(words)
        runs.append(run)
        known += [summary["name"] for summary in run.summaries]
    return runs or [history.run("last")], []


def _is_metric(word: str, run: RunRecord) -> bool:
    from fnmatch import filter as matching

    names = [summary["name"] for summary in run.summaries]
    return word in names or bool(matching(names, word))
