"""``whence``: where a file comes from, and what a hash is of."""

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
_MOST_LINES = 20


@click.command(epilog="Example: histhooks whence model.pt; histhooks whence data/churn.csv; histhooks whence 9f31c02a")
@click.argument("words", nargs=-1, metavar="[STORE] FILE|HASH")
@common.store_option
@common.json_option
@click.pass_context
def whence(context: click.Context, words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Find the runs that made or read a file, by its content; or what a hash belongs to.

    FILE may be a folder, or lie in a folder that was recorded. HASH is that of a file, of data or of weights, or 6
    digits or more of its beginning. Exit code 0: a run made it, read it or has it; 1: no run is known to; 2: no such
    file, or several hashes begin so.
    """
    if len(words) > 1:
        words, store = common.split_store(words, store)
    if len(words) != 1:
        raise click.UsageError("whence takes one file or one hash")
    from histhooks.history.query.whence import is_hash

    if not os.path.exists(words[0]) and is_hash(words[0]):
        context.exit(_of_hash(words[0], store, as_json=as_json))
    context.exit(_of_file(words[0], store, as_json=as_json))


def _of_file(file: str, store: str | None, *, as_json: bool) -> int:
    if not os.path.isfile(file) and not os.path.isdir(file):
        raise click.UsageError(f"{file} is no file" if os.path.lexists(file) else f"no file {file!r}")
    with common.open_history(store or _beside(file)) as history:
        found = _look(history, file)
        if as_json:
            common.print_json({
                "path": str(found.path), "sha256": found.sha256, "made_by": found.made, "read_by": found.read,
                "path_written_by": found.overwritten, "path_read_by": found.reread, "versions": found.versions,
            })  # fmt: skip
        else:
            _print(found, history)
    return 0 if found.made or found.read or found.versions else 1


def _of_hash(text: str, store: str | None, *, as_json: bool) -> int:
    from histhooks.history.query.whence import whose

    with common.open_history(store) as history:
        found = whose(history, text)
        if as_json:
            common.print_json({"hash": found.hash, "uses": found.uses, "versions": found.versions})
        elif found.hash is None:
            click.echo(f"no run in {history.place} has a file, data or weights whose hash begins with {text}")
        else:
            click.echo(found.hash)
            _echo([_use(row) for row in found.uses])
            _echo([_version(row) for row in found.versions])
    return 0 if found.hash is not None else 1


def _use(row: dict[str, Any]) -> str:
    verb = {"file": "made by" if row["way"] == "out" else "read by", "weights": "weights of"}.get(
        row["what"], "data of"
    )
    return f"{verb} {_run(row)}, {row['role']}, {_when(row)}{'' if row['path'] is None else ', as ' + row['path']}"


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
    _echo([_line(row, "made by", found) for row in found.made])
    _echo([_line(row, "read by", found) for row in found.read])
    _echo([_version(row) for row in found.versions])
    if found.made:
        return
    click.echo(f"no run in {history.place} is known to have made {found.path}")
    for rows, verb in ((found.overwritten, "written"), (found.reread, "read")):
        for row in rows[:3]:
            where = "there" if verb == "written" else "from there"
            content = f"other content was {verb} {where}, sha256 {row['sha256'][:12]}"
            click.echo(f"  {content}: {_line(row, 'by', found)}")


def _version(row: dict[str, Any]) -> str:
    from histhooks._views.model_words import version_lines

    return f"version {version_lines([row])[0]}"


def _echo(lines: list[str]) -> None:
    for line in lines[:_MOST_LINES]:
        click.echo(line)
    if len(lines) > _MOST_LINES:
        click.echo(f"and {len(lines) - _MOST_LINES} more, which --json lists")


def _line(row: dict[str, Any], verb: str, found: Origin) -> str:
    step = f" at step {row['step']}" if row["step"] is not None else ""
    place = f" at {row['location']}" if row.get("location") else ""
    before = " before it began" if row.get("is_before") else ""
    moved = ""
    if Path(row["path"]) != found.path:
        moved = f", as {row['path']}" + ("" if os.path.exists(row["path"]) else ", which is there no longer")
    return f"{verb} {_run(row)}, {row['role']}{step}{place}{before}, {_when(row)}{moved}"


def _run(row: dict[str, Any]) -> str:
    from histhooks._base.ids import short_id

    return f"{short_id(row['id'])} {row['name']} ({row['status']})"


def _when(row: dict[str, Any]) -> str:
    from histhooks._base.clock import iso

    return common.when(iso(row["time"]))
