"""A drop box as a file in this user's cache, which takes in each file of it once."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path

from histhooks._store.store import Store
from histhooks.errors import StoreError
from histhooks.team import _cache
from histhooks.team._workplace import workplace
from histhooks.team.box.address import Box
from histhooks.team.box.drops import drops_in, merged_names, snapshots_in, unpack
from histhooks.team.box.gathering import Gathered, gather, take_beats
from histhooks.team.box.places import Gone, Place, place_of


def file_of(box: Box) -> Path:
    """Where the file of a box is, or will be."""
    return _cache.folder() / f"{_cache.name_of(box.shown, 'folder', box.root)}.db"


def cached(box: Box, place: Place | None = None) -> tuple[Path, Gathered]:
    """The file that has what a box has now, and what of the box could not be read.

    Parameters
    ----------
    box : Box
    place : Place, optional
        Where its files are.

    Raises
    ------
    TeamError
        If the box cannot be reached, or there is no place for a cache.
    StoreError
        If nothing was pushed to it yet.
    """
    place = place or place_of(box)
    path = file_of(box)
    with _cache.locked(path):
        names = place.names()
        if not drops_in(names) and not snapshots_in(names):
            raise StoreError(f"nothing was pushed to {box.shown} yet: histhooks push --to {box.shown}")
        with workplace(path.parent) as folder:
            if not is_current(path, names):
                part = folder / "whole.db"
                begin(place, names, part)
                done = gather(place, names, part, folder)
                _settle(part)
                _cache.put(part, path)
            else:
                done = gather(place, names, path, folder)
            take_beats(place, names, path)
    return path, done


def _settle(path: Path) -> None:
    """Bring the log of a file home, so that it can be renamed."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")


def is_current(path: Path, names: set[str]) -> bool:
    """Whether all that a file took in is still there; else what is read shall be what is there now."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return merged_names(connection) <= names
    except sqlite3.Error:
        return False


def begin(place: Place, names: set[str], path: Path) -> None:
    """Begin a file with the latest snapshot of which all files are still there, where there is one."""
    for _, name in reversed(snapshots_in(names)):
        with contextlib.suppress(Gone, sqlite3.Error):
            unpack(name, place.read(name), path)
            if is_current(path, names):
                Store(path).close()  # as this version has stores, or not at all
                return
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
