"""``models``: which versions there are, what is live, and what was at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from histhooks._views import model_data as data_for
from histhooks._views import model_words as words_of
from histhooks._views.table import lines, styled, width
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import History, Model


@click.command(
    epilog="Example: histhooks models; histhooks models fraud; histhooks models fraud --at '2026-05-03 12:00'"
)
@click.argument("words", nargs=-1, metavar="[STORE] [MODEL]")
@common.store_option
@click.option(
    "--at", metavar="WHEN", help="What was live then: 2026-05-03T12:00, '2 days ago'; of a day its end counts."
)
@common.json_option
@click.pass_context
def models(ctx: click.Context, words: tuple[str, ...], store: str | None, at: str | None, as_json: bool) -> None:
    """List models and what is live; or show all that was done to the versions of one, newest on top.

    Exit code 0: known; 1: with --at, nothing was live; 2: no such model, or wrong use.
    """
    words, store = common.split_store(words, store)
    if len(words) > 1:
        raise click.UsageError("models takes one name: histhooks models fraud")
    with common.open_history(store) as history:
        if not words:
            ctx.exit(_all(history, at, as_json=as_json))
        name, sign, alias = words[0].rpartition("@")
        if sign:
            version = history.version(words[0])
            raise click.UsageError(
                f"models takes a name without @{alias}: histhooks models {name}; its run: histhooks show {version.name}"
            )
        model = history.model(words[0])
        ctx.exit(_at(model, at, as_json=as_json) if at is not None else _one(model, as_json=as_json))


def _all(history: History, at: str | None, *, as_json: bool) -> int:
    found = history.models()
    code = 0 if at is None or any(model.aliases(at) for model in found) else 1
    if as_json:
        common.print_json(data_for.summaries(found, at))
        return code
    if not found:
        click.echo(f"no model in {history.place} yet; histhooks promote FILE --model NAME --reason WHY makes one")
        return code
    columns, rows = words_of.models_table(found, at)
    for line in lines(columns, rows, width()):
        click.echo(line, color=True)
    for text in (text for model in found for text in words_of.warnings(model)) if at is None else ():
        click.echo(styled(text, "interrupted"), color=True)
    count = f"{len(found)} model{'s' if len(found) > 1 else ''} in {history.place}"
    click.echo(f"{count}, {_told(at)}" if at is not None else f"{count}; histhooks models NAME shows what was done")
    return code


def _at(model: Model, at: str, *, as_json: bool) -> int:
    from histhooks._base.clock import iso
    from histhooks.history._models import instant
    from histhooks.history._version_rows import data_of

    lives = list(model.aliases(at).values())
    if as_json:
        told = [data_for.live_data(live) for live in lives]
        common.print_json({"model": model.name, "at": iso(instant(at)), "live": told})
        return 0 if lives else 1
    click.echo(f"{model.name}, {_told(at)}")
    for live in lives:
        for line in words_of.live_lines(live, data_of(live.version)):
            click.echo(line)
    if not lives:
        first = f"; its first event is of {common.when(model.events[0].at)}" if model.events else ""
        click.echo(f"nothing was live{first}")
    return 0 if lives else 1


def _told(at: str) -> str:
    from histhooks._base.clock import iso
    from histhooks.history._models import instant

    return f"at {iso(instant(at))[:19]}Z ({common.when(iso(instant(at)))} here)"


def _one(model: Model, *, as_json: bool) -> int:
    if as_json:
        common.print_json(data_for.whole(model))
        return 0
    live = ", ".join(f"{alias} {each.version.label}" for alias, each in model.aliases().items()) or "nothing is live"
    count = f"{len(model.versions)} version{'s' if len(model.versions) > 1 else ''}"
    click.echo(f"{styled(model.name, 'bold')}  {count}; {live}", color=True)
    for columns, rows in (words_of.events_table(model), words_of.versions_table(model)):
        click.echo()
        for line in lines(columns, rows, width()):
            click.echo(line, color=True)
    warnings = words_of.warnings(model)
    if warnings:
        click.echo()
    for text in warnings:
        click.echo(styled(text, "interrupted"), color=True)
    return 0
