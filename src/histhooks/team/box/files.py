"""Kept files in a box: by their content, beside the history that names them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from histhooks._store.kept_files import Part, digest_of, find, folder_of, spool_folders
from histhooks.team._files import files_of_sessions, named_files
from histhooks.team._merged import Merged
from histhooks.team._pushed import Pushed
from histhooks.team.box.places import Gone, Place

FILES = "files"
_CHUNK = 1 << 20
_HASH = 12


def send_files(
    place: Place, store: Path, connection: sqlite3.Connection, sessions: set[str] | None, done: Pushed
) -> None:
    """Copy kept files of a store that a box has not; one that is not what was kept is left out, and named.

    Parameters
    ----------
    place : Place
    store : Path
    connection : sqlite3.Connection
        Of the store.
    sessions : set of str or None
        Only files of runs of these sessions.
    done : Pushed
        Gets the numbers, and what was left out.
    """
    if not folder_of(store).is_dir() and not spool_folders(store):
        return
    wanted = named_files(connection)
    if sessions is not None:
        wanted &= files_of_sessions(connection, sessions)
    there = place.files(FILES)
    for sha256 in sorted(wanted):
        path = find(store, sha256)
        name = f"{FILES}/{sha256}"
        if path is None or there.get(name, "").split(" ")[0] == str(path.stat().st_size):
            continue
        with path.open("rb") as file:
            digest = digest_of(file)
        if digest != sha256:
            why = f"it is not what was kept (SHA-256 {digest[:_HASH]}); `histhooks verify` its store"
            done.left_out.append({"what": f"the kept file {path}", "why": why})
            continue
        place.send(path, name)
        done.kept_files += 1


def fetch_files(place: Place, names: Iterable[str], store: Path, folder: Path, merged: Merged) -> None:
    """Copy the kept files that a store names and has not; one that is not what was kept is left out, and named.

    Parameters
    ----------
    place : Place
    names : iterable of str
        All files in the box.
    store : Path
    folder : Path
        A place for files that are being copied.
    merged : Merged
        Gets the numbers, and what was left out.
    """
    there = {name.removeprefix(f"{FILES}/") for name in names if name.startswith(f"{FILES}/")}
    if not there:
        return
    connection = sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)
    try:
        wanted = named_files(connection)
    finally:
        connection.close()
    for sha256 in sorted(wanted & there):
        if find(store, sha256) is None:
            _fetch(place, sha256, store, folder, merged)


def _fetch(place: Place, sha256: str, store: Path, folder: Path, merged: Merged) -> None:
    path = folder / "fetched"
    try:
        place.fetch(f"{FILES}/{sha256}", path)
        part = Part(folder_of(store), store)
        try:
            with path.open("rb") as file:
                while data := file.read(_CHUNK):
                    part.write(data)
            if part.digest != sha256:
                raise Gone(f"it is not what was kept (SHA-256 {part.digest[:_HASH]})")
            part.commit()
        except BaseException:
            part.discard()
            raise
    except (Gone, OSError) as error:
        merged.left_out.append({"what": f"the kept file {sha256}", "why": str(error)})
        return
    finally:
        path.unlink(missing_ok=True)
    merged.kept_files += 1
    merged.kept_bytes += part.size_bytes
