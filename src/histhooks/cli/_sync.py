"""``sync``: merge the spools that wait beside a store."""

from __future__ import annotations

import click

from histhooks.cli import _common as common


@click.command(epilog="Example: histhooks sync /shared/histhooks.db")
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.written_store_option
@common.json_option
def sync(words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Merge the spools of sessions that have ended into their store. Sessions that still record are left alone."""
    import sqlite3

    from histhooks._store.spools import merge_waiting, waiting
    from histhooks._store.store import Store
    from histhooks.errors import StoreError
    from histhooks.history._opening import locate

    words, store = common.split_store(words, store)
    path = locate(store)
    merged: list[str] = []
    if waiting(path):
        try:
            opened = Store(path, timeout_s=30.0)
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path} is in use ({error}); try again") from error
        try:
            merged = merge_waiting(opened)
        finally:
            opened.close()
    left = [file.name for file in waiting(path)]
    if as_json:
        common.print_json({"store": str(path), "merged": merged, "left": left})
        return
    click.echo(f"{len(merged)} {'session' if len(merged) == 1 else 'sessions'} came home to {path}")
    for name in left:
        click.echo(f"left where it is, since its session still records or it cannot be read: {name}")
