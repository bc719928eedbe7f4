"""Check that the files of an open store are still the opened ones, and detach from them if not.

A file that was deleted, moved or replaced accepts writes silently. So do a log and its index: a later connection
creates new ones, and the two do not see each other (https://www.sqlite.org/howtocorrupt.html, section 1.4).
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


class Files:
    """The files of one store, as they were when it was opened.

    Parameters
    ----------
    path : Path
        The store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        beside = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
        self._places = {file: _place(os.stat(file)) for file in (path, *beside) if file.exists()}

    @property
    def place(self) -> tuple[int, int]:
        """Device and inode of the store."""
        return self._places[self._path]

    def has_no_log(self) -> None:
        """The store was closed: the log and its index may go, and others come."""
        self._places = {self._path: self.place}

    def are_there(self) -> bool:
        """Whether all of them are where they were."""
        return all(_is_at(file, place) for file, place in self._places.items())

    def leave(self, connection: sqlite3.Connection) -> None:
        """Let go of a store that goes on without us, or is none any more."""
        is_gone, is_moved = not self.are_there(), not _is_at(self._path, self._places[self._path])
        if is_gone and not is_moved:
            # Only the log: closing would bring our part of it home, over what others wrote meanwhile. Kept for ever.
            import ctypes

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
            return
        connection.close()
        for file, place in self._places.items():
            if is_moved and _is_at(file, place):  # SQLite would take it for the log of the file that stands there now
                file.unlink()


def _place(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _is_at(file: Path, place: tuple[int, int]) -> bool:
    try:
        return _place(os.stat(file)) == place
    except FileNotFoundError:
        return False
    except OSError:
        return True  # nobody can tell
