"""``restore``: the bytes of a recorded file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import History, RunRecord
    from histhooks.history._artifacts import Artifact

_HASH = 12
_CHUNK = 1 << 20
_LEAST = 6  # digits of a hash


@click.command(epilog="Example: histhooks restore last -o model.pt; histhooks restore fraud@production -o -")
@click.argument("words", nargs=-1, metavar="[STORE] RUN [NAME] | NAME@VERSION | SHA256")
@common.store_option
@click.option("-o", "--output", "to", metavar="PATH", help="The file or folder to write; - is stdout.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@common.json_option
@click.pass_context
def restore(
    context: click.Context, words: tuple[str, ...], store: str | None, to: str | None, force: bool, as_json: bool
) -> None:
    """Write a file or a folder of a run again, from its kept copy, and verify it. Without -o, lists what there is.

    A version of a model is named as fraud@production or fraud@3.

    NAME is a path, the end of one, or the beginning of a SHA-256; by default the latest model that the run wrote, else
    its latest checkpoint. A file that was not kept is read from where it was, if it is still what was recorded.

    Exit code 1 if the bytes are gone or are not what was recorded; 2 for wrong use, or a name that is not known.
    """
    from histhooks.errors import StoreError

    words, store = common.split_store(words, store)
    if not 1 <= len(words) <= 2:
        raise click.UsageError(
            "restore takes a run, and the name of one of its files: histhooks restore last -o model.pt"
        )
    with common.open_history(store) as history:
        found, run = _find(history, words, wants_one=to is not None)
        if found is None:
            assert run is not None
            _list(run, as_json=as_json)
            return
        if to is None:
            raise click.UsageError("where to? give a path (-o PATH), or - for stdout")
        try:
            if to == "-":
                _to_stdout(found)
                return
            written = found.save(to, force=force)
        except StoreError as error:
            click.echo(f"histhooks: {error}", err=True)
            context.exit(1)
        if as_json:
            common.print_json({"path": str(written), **_told(found)})
            return
        click.echo(f"{found['path']} ({common.size(found['size_bytes'])}, {found['sha256'][:_HASH]}) → {written}")


def _find(history: History, words: tuple[str, ...], *, wants_one: bool) -> tuple[Artifact | None, RunRecord | None]:
    """The file that is meant, or the run whose files are to be listed."""
    from histhooks.history._models import is_version_name, version_by_hash

    if len(words) == 1 and is_version_name(history, words[0]):
        return history.version(words[0]).file, None
    from histhooks.errors import QueryError
    from histhooks.history._artifacts import by_hash

    name = words[1] if len(words) > 1 else None
    if name is None and len(words[0]) >= _LEAST and all(sign in "0123456789abcdef" for sign in words[0].lower()):
        found = by_hash(history, words[0].lower())
        version = version_by_hash(history, words[0].lower()) if found is None else None
        if found is not None or version is not None:
            return found or (version.file if version is not None else None), None
    run = history.run(words[0])
    if name is None and not wants_one:
        return None, run
    try:
        return run.artifacts.find(name), run
    except QueryError as error:
        raise QueryError(f"{error}; `histhooks restore {words[0]}` lists them") from error


def _list(run: RunRecord, *, as_json: bool) -> None:
    from histhooks._views.run_words import folder_of
    from histhooks._views.table import Cell, Column, lines, width
    from histhooks.history._places import place

    files = run.artifacts
    if as_json:
        common.print_json({"run_id": run.id, "files": [_told(file) for file in files]})
        return
    if not files:
        click.echo("the run read and wrote no file that was recorded")
    columns = [
        Column("file", least=20), Column("size", is_right=True), Column("role", rank=2), Column("bytes"),
        Column("sha256", rank=1),
    ]  # fmt: skip
    rows = []
    for file in files:
        role = "read" if file["direction"] == "in" else file["role"]
        words = {"kept": "kept", "lost": "copy gone", "elsewhere": "kept elsewhere"}
        where = next((text for name, text in words.items() if file[name]), "not kept")
        cells = [common.size(file["size_bytes"]), common.plain(role), where, file["sha256"][:_HASH]]
        style = "error" if file["lost"] else ""
        rows.append([Cell(common.plain(place(run, file["path"]) + folder_of(file))), *(Cell(c, style) for c in cells)])
    for line in lines(columns, rows, width()) if rows else []:
        click.echo(line, color=True)
    if files:
        click.echo("-o PATH writes one: histhooks restore RUN NAME -o PATH", err=True)


def _told(file: Artifact) -> dict[str, Any]:
    names = ("sha256", "size_bytes", "format", "role", "direction", "kept", "lost", "elsewhere")
    return {"recorded_path": file["path"], **{name: file[name] for name in names}}


def _to_stdout(file: Artifact) -> None:
    with file.open() as source:
        out = sys.stdout.buffer
        while data := source.read(_CHUNK):
            out.write(data)
