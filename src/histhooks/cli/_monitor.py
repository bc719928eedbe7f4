"""``monitor``: is a model in production inside what its training promised?"""

from __future__ import annotations

from typing import Any

import click

from histhooks.cli import _common as common

_FILE_OPTIONS = ("time", "labels", "key", "prediction", "target")


@click.command(
    epilog="Example: histhooks monitor credit --since 7d; histhooks monitor credit --data batch.csv --time when "
    "--prediction score --target paid"
)
@click.argument("words", nargs=-1, metavar="[STORE] NAME[@ALIAS|@VERSION]")
@common.written_store_option
@click.option("--since", metavar="WHEN", default="7d", show_default=True, help="Windows since a date or an age; all.")
@click.option("--window", metavar="SPAN", default="1d", show_default=True, help="What is judged at once: 1d, 1h, 30m.")
@click.option("--against", type=click.Choice(["train", "baseline"]), default="train", show_default=True,
              help="The training data alone, or also windows that were accepted.")  # fmt: skip
@click.option("--accept", metavar="AGE", help="Accept the windows of the last 14d as a baseline; with --reason.")
@click.option("--reason", metavar="WHY", help="Why they are accepted; kept in the history, with your name.")
@click.option("--data", metavar="FILE", help="Count the rows of a CSV or Parquet file, and store the windows.")
@click.option("--time", metavar="COLUMN", help="With --data: the column that says when; without it, one window.")
@click.option("--labels", metavar="FILE", help="With --data: a file with the labels.")
@click.option("--key", metavar="COLUMN", help="With --labels: the column that both files share.")
@click.option("--prediction", metavar="COLUMN", help="With --data: the column of what was predicted.")
@click.option("--target", metavar="COLUMN", help="With --data: the column of what was true.")
@common.json_option
@click.pass_context
def monitor(ctx: click.Context, /, words: tuple[str, ...], store: str | None, as_json: bool, **options: Any) -> None:
    """Judge a model in production: is it inside its training data and its promised score?

    Each window is held against the deciles, ranges and categories of the training data of its version, and labels
    against the last test score. A server leaves windows under histhooks run --watch NAME@production. Nothing is written
    without --data or --accept, and no row and no value ever is. Exit code 0: inside; 1: outside; 2: cannot tell.
    """
    words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError("monitor takes a model: histhooks monitor credit; `histhooks models` lists them")
    _check(options)
    from histhooks import monitor as room

    name = words[0]
    if options["accept"]:
        n = room.accept(name, options["accept"], reason=options["reason"] or "", window=options["window"], store=store)
        _say_accepted(name, n, options["accept"], as_json=as_json)
        return
    if options["data"]:
        found = room.from_file(
            name, options["data"], **{one: options[one] for one in _FILE_OPTIONS}, window=options["window"],
            against=options["against"], store=store,
        )  # fmt: skip
    else:
        since = None if options["since"] == "all" else options["since"]
        with common.open_history(store) as history:
            found = room.judge(history, name, since=since, window=options["window"], against=options["against"])
    _print(found, as_json=as_json)
    ctx.exit(found.code)


def _check(options: dict[str, Any]) -> None:
    given = [f"--{one}" for one in _FILE_OPTIONS if options[one]]
    if given and not options["data"]:
        raise click.UsageError(f"{given[0]} is of a file: give --data FILE")
    if options["accept"] and options["data"]:
        raise click.UsageError("--accept accepts windows that are recorded; count a file by --data first")
    if options["accept"] and not (options["reason"] or "").strip():
        raise click.UsageError("--accept takes --reason: why are these windows as they should be?")
    if options["reason"] and not options["accept"]:
        raise click.UsageError("--reason belongs to --accept AGE")


def _say_accepted(name: str, n: int, age: str, *, as_json: bool) -> None:
    if as_json:
        common.print_json({"model": name.rpartition("@")[0] or name, "accepted": n, "since": age})
    else:
        click.echo(f"{n} windows of {name} are accepted; histhooks monitor {name} --against baseline judges by them")


def _print(found: Any, *, as_json: bool) -> None:
    from histhooks._views.table import is_endless, width
    from histhooks.monitor import _words

    if as_json:
        common.print_json(found.as_json())
        return
    lines = _words.records(found) if is_endless() else _words.screen(found, width())
    for line in lines:
        click.echo(line, color=True)
