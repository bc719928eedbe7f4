"""``whence``: where a file comes from."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import History
    from histhooks.history.query.whence import Origin

_LARGE = 256 << 20


@click.command(epilog="Example: histhooks whence model.pt")
@click.argument("words", nargs=-1, metavar="[STORE] FILE")
@common.store_option
@common.json_option
@click.pass_context
def whence(context: click.Context, words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Find the run that made a file, or read it, by the file's content.

    Exit code 0: a run made it; 1: no run is known to have made it; 2: no such file.
    """
    if len(words) > 1:
        words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError("whence takes one file")
    file = words[0]
    if not os.path.isfile(file):
        raise click.UsageError(f"{file} is a folder" if os.path.isdir(file) else f"no file {file!r}")
    with common.open_history(store or _beside(file)) as history:
        found = _look(history, file)
        if as_json:
            common.print_json({
                "path": str(found.path), "sha256": found.sha256, "made_by": found.made, "read_by": found.read,
                "path_written_by": found.overwritten,
            })  # fmt: skip
        else:
            _print(found, history)
    context.exit(0 if found.made else 1)


def _beside(file: str) -> str | None:
    """The store of this folder, else the store of the file's folder."""
    from histhooks._host.store_location import find_store

    if find_store() is not None:
        return None
    found = find_store(start=Path(file).absolute().parent)
    return None if found is None else str(found)


def _look(history: History, file: str) -> Origin:
    from histhooks.history.query.whence import whence as look

    try:
        size = os.path.getsize(file)
        return look(history, file, _Progress(file, size) if size >= _LARGE and sys.stderr.isatty() else None)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from error


class _Progress:
    """How much of a large file was read, on the terminal."""

    def __init__(self, file: str, size: int) -> None:
        self._title, self._size, self._done, self._shown = f"reading {os.path.basename(file)}", size, 0, -1

    def __call__(self, count: int) -> None:
        self._done += count
        percent = 100 * self._done // self._size
        if percent != self._shown:
            self._shown = percent
            click.echo(f"\r{self._title} {percent} %", nl=percent >= 100, err=True)


def _print(found: Origin, history: History) -> None:
    for rows, verb in ((found.made, "made by"), (found.read, "read by")):
        for row in rows:
            click.echo(_line(row, verb, found))
    if found.made:
        return
    click.echo(f"no run in {history.path} is known to have made {found.path}")
    for row in found.overwritten[:3]:
        click.echo(f"  other content was written there, sha256 {row['sha256'][:12]}: {_line(row, 'by', found)}")


def _line(row: dict[str, Any], verb: str, found: Origin) -> str:
    from histhooks._base.clock import iso
    from histhooks._base.ids import short_id

    step = f" at step {row['step']}" if row["step"] is not None else ""
    moved = ""
    if Path(row["path"]) != found.path:
        moved = f", as {row['path']}" + ("" if os.path.exists(row["path"]) else ", which is there no longer")
    when = common.when(iso(row["time"]))
    return f"{verb} {short_id(row['id'])} {row['name']} ({row['status']}), {row['role']}{step}, {when}{moved}"
