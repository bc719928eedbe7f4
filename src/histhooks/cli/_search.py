"""``search``: words anywhere in the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from histhooks._views.run_data import hits_data
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history.query.search import Found

_FEW = 5


@click.command(epilog="Example: histhooks search 'shapes do not fit' --since 30d")
@click.argument("words", nargs=-1, metavar="[STORE] TEXT...")
@common.store_option
@click.option("--project", help="In runs of one project.")
@click.option("--since", metavar="TIME", help="In runs that began at or after this time: 7d, 2026-11-01, yesterday.")
@click.option("--where", metavar="EXPRESSION", help="In runs that match, as in histhooks runs.")
@click.option(
    "--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="Maximum number of runs."
)
@common.json_option
@click.pass_context
def search(context: click.Context, /, words: tuple[str, ...], store: str | None, as_json: bool, **options: Any) -> None:
    """Search names, params, notes, tags, errors, files, metrics and events for words.

    A run is found if it contains all words, ignoring case. The newest is on top. Exit code 1 if nothing is found.
    """
    if len(words) > 1:
        words, store = common.split_store(words, store)
    text = " ".join(words)
    if not text.strip():
        raise click.UsageError("search takes the words to look for")
    limit = options.pop("limit")
    asked = {name: value for name, value in options.items() if value is not None}
    with common.open_history(store) as history:
        found, total = history._search(text, limit, **asked)
        if as_json:
            common.print_json([hits_data(one) for one in found])
        else:
            _print(found, text)
            shown = f"{len(found)} of {total}" if len(found) < total else str(total)
            click.echo(f"{shown} run{'' if total == 1 else 's'} in {history.place}")
    context.exit(0 if found else 1)


def _print(found: list[Found], text: str) -> None:
    from histhooks._base.ids import short_id
    from histhooks._views import table
    from histhooks.history.query.search import pattern_of

    pattern, room = pattern_of(text), table.width()
    for one in found:
        run = one.run
        name = table.cut(run.name, max(10, room - 40))
        status = table.styled(run.status, run.status)
        click.echo(
            f"{table.styled(short_id(run.id), 'bold')}  {name}  {status}  {common.when(run.started_at)}", color=True
        )
        for hit in one.hits[:_FEW]:
            line = table.cut(f"  {hit.what:9} {_printable(hit.text)}", room)
            click.echo(pattern.sub(lambda part: table.styled(part[0], "hit"), line), color=True)
        if len(one.hits) > _FEW:
            click.echo(f"  and {len(one.hits) - _FEW} more")


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
