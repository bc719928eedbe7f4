"""Keep copies of files beside the store, within bounds, so that a program finds the room that it needs itself."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from histhooks._store.connection import what_else
from histhooks._store.kept_files import Part, folder_of, has, sweep
from histhooks._store.spool_folders import folders

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "HISTHOOKS_KEEP_MB"
_MOST_MB = 10_240.0
_RESERVE = 1 << 30  # bytes of the disk that stay free, at most
_SHARE = 0.05  # of the disk


class NotKept(Exception):
    """Why a file is not kept, in words for a person."""


class Keeper:
    """The kept files of one session.

    Parameters
    ----------
    store : Path
        Where the session records.
    session_id : str
    """

    def __init__(self, store: Path, session_id: str) -> None:
        self._store = store
        self._folders = [*_beside(store), *(place / f"{session_id}.db.files" for place in folders(store))]
        self._is_swept = False
        self.size_bytes = 0

    def part(self, size_bytes: int) -> Part:
        """Begin a copy.

        Parameters
        ----------
        size_bytes : int
            How large the file seems to be.

        Raises
        ------
        NotKept
            If it is too much, or no disk has room for it.
        """
        most = _most_bytes()
        if self.size_bytes + size_bytes > most:
            raise NotKept(f"{most / 1e6:,.0f} MB of a session are kept, and no more ({VARIABLE})")
        if not self._is_swept:
            self._is_swept = True
            for folder in self._folders:
                sweep(folder)
        reasons: list[str] = []
        for folder in self._folders:
            try:
                _check_room(folder, size_bytes)
                return Part(folder, self._store)
            except NotKept as why:
                reasons.append(str(why))
            except OSError as error:
                reasons.append(f"{folder} cannot be written ({error.strerror})")
        raise NotKept(reasons[0])

    def count(self, part: Part) -> None:
        """Count a copy that was made, unless there was one."""
        self.size_bytes += part.size_bytes if part.is_new else 0

    def has(self, sha256: str, size_bytes: int) -> bool:
        """Whether the content is kept already."""
        return any(has(folder, sha256, size_bytes) for folder in self._folders)


def _beside(store: Path) -> list[Path]:
    """Beside the store, unless there is no place for folders there."""
    return [folder_of(store)] if not what_else(store) and store.parent.is_dir() else []


def _most_bytes() -> float:
    try:
        return 1e6 * float(os.environ.get(VARIABLE) or _MOST_MB)
    except ValueError:
        return 1e6 * _MOST_MB


def _check_room(folder: Path, size_bytes: int) -> None:
    place = next(path for path in (folder, *folder.parents) if os.path.isdir(path))
    disk = shutil.disk_usage(place)
    if disk.free - size_bytes < min(_RESERVE, disk.total * _SHARE):
        raise NotKept(f"the disk of {place} has {disk.free / 1e6:,.0f} MB left, and some of it must stay free")
