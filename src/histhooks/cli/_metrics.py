"""``metrics``: the points of a run."""

from __future__ import annotations

import click

from histhooks.cli import _common as common


@click.command(epilog="Example: histhooks metrics last val_loss")
@click.argument("words", nargs=-1, metavar="[STORE] RUN [NAME]...")
@common.store_option
@common.json_option
def metrics(words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Print the points of a run, one line each; all metrics, or the named ones."""
    words, store = common.split_store(words, store)
    with common.open_history(store) as history:
        run = history.run(words[0] if words else "last")
        names = words[1:]
        known = [summary["name"] for summary in run.summaries]
        for name in names:
            if name not in known:
                raise click.UsageError(f"run {run.name!r} has no metric {name!r}; it has {', '.join(known) or 'none'}")
        points = [point for name in (names or known) for point in run.metrics(name)]
        if as_json:
            common.print_json(points)
            return
        click.echo("name,step,epoch,value")
        for p in points:
            value = p["special"] if p["value"] is None else repr(p["value"])
            click.echo(f"{p['name']},{p['step']},{'' if p['epoch'] is None else p['epoch']},{value}")
