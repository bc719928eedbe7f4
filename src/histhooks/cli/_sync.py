"""``sync``: merge the spools that wait beside a store, and push it where a target is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histhooks.cli import _common as common
from histhooks.cli._push import tell
from histhooks.cli._watching import Ending

if TYPE_CHECKING:
    from histhooks.team import Pushed

_LEAST_S, _LONGEST_S = 0.1, 300.0


@click.command(epilog="Example: histhooks sync /shared/histhooks.db; histhooks sync --to folder:/shared/runs --watch")
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.written_store_option
@click.option(
    "--to", metavar="TARGET",
    help="Where to push it then: postgresql://..., folder:PATH, s3://...; by default HISTHOOKS_TEAM or pyproject.toml.",
)  # fmt: skip
@click.option("--watch", is_flag=True, help="Go on, until Ctrl-C or SIGTERM, and once more then.")
@click.option("--every", metavar="TIME", default="60s", show_default=True, help="With --watch: how often.")
@common.json_option
@click.pass_context
def sync(
    context: click.Context,
    words: tuple[str, ...],
    store: str | None,
    to: str | None,
    watch: bool,
    every: str,
    as_json: bool,
) -> None:
    """Merge the spools of sessions that have ended into their store.

    Then push it, if the target of a team is named. Sessions that still record keep their spools.

    Exit code 1 if store and target say different things of a session, or something else was left out; 2 if the target
    cannot be reached: what was sent before is there, and the next sync goes on.
    """
    words, store = common.split_store(words, store)
    if words:
        raise click.UsageError(f"sync takes a store's path, not {words[0]!r}; the target follows --to")
    if watch:
        every_s = max(common.interval_s("--every", every) or 0.0, _LEAST_S)
        context.exit(_watch(store, to, every_s, as_json=as_json))
    found, done = _once(store, to, as_json=as_json, is_first=True)
    if as_json:
        common.print_json(found)
    context.exit(0 if done is None or done.ok else 1)


def _once(store: str | None, to: str | None, *, as_json: bool, is_first: bool) -> tuple[dict[str, Any], Pushed | None]:
    """Merge and push: what there is to say as JSON, and what was pushed if a target is named."""
    from histhooks.curate._session import refuse_target
    from histhooks.history._opening import locate

    refuse_target(store)
    path = locate(store)
    merged, left = _merged(path)
    found: dict[str, Any] = {"store": str(path), "merged": merged, "left": left, "pushed": None}
    if not as_json:
        _tell_merged(path, merged, left, is_first=is_first)
    done = _pushed(path, to)
    if done is not None:
        found["pushed"] = done.as_json()
        if not as_json and (is_first or done.lines or not done.ok):
            tell(done, is_dry=False)
    return found, done


def _merged(path: Path) -> tuple[list[str], list[str]]:
    """The spools that came home, and those that wait still."""
    import sqlite3

    from histhooks._store.kept_files import spool_folders
    from histhooks._store.spools import merge_waiting, waiting
    from histhooks._store.store import Store
    from histhooks.errors import StoreError

    merged: list[str] = []
    if waiting(path) or spool_folders(path):
        try:
            opened = Store(path, timeout_s=30.0)
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path} is in use ({error}); try again") from error
        try:
            merged = merge_waiting(opened)
        finally:
            opened.close()
    return merged, [file.name for file in waiting(path)]


def _tell_merged(path: Path, merged: list[str], left: list[str], *, is_first: bool) -> None:
    if merged:
        click.echo(f"merged {len(merged)} {'session' if len(merged) == 1 else 'sessions'} into {path}")
    elif is_first:
        click.echo(f"nothing to merge into {path}")
    for name in left if is_first or merged else ():
        click.echo(f"not merged, since its session still records, it cannot be read, or it does not fit: {name}")


def _pushed(path: Path, to: str | None) -> Pushed | None:
    """Push a store, if a target is named."""
    from histhooks.team import ForkError, push
    from histhooks.team._target import is_named

    if to is None and not is_named():
        return None
    try:
        return push(path, to=to)
    except ForkError as error:
        done: Pushed = error.merged
        return done


def _watch(store: str | None, to: str | None, every_s: float, *, as_json: bool) -> int:
    """Merge and push again and again, and once more at the end, when what runs beside may have written its last.

    Returns
    -------
    int
        The exit code.
    """
    from histhooks.errors import HisthooksError

    pause, is_ok, is_first, is_last, said = every_s, True, True, False, ""
    with Ending() as ending:
        while True:
            try:
                found, done = _once(store, to, as_json=as_json, is_first=is_first)
                pause, is_ok, said = every_s, done is None or done.ok, ""
                if as_json and (is_first or found["merged"] or (done is not None and done.lines)):
                    common.print_json(found)
                is_first = False
            except HisthooksError as error:  # there may be no store yet, and a network that comes back
                pause, is_ok = min(max(2 * pause, 1.0), max(_LONGEST_S, every_s)), False
                if str(error) != said:
                    click.echo(f"histhooks: {error}; trying again in {pause:.0f} s", err=True)
                said = str(error)
            if is_last:
                return 0 if is_ok else 1
            is_last = ending.wait(pause)
