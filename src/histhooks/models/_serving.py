"""The bytes of versions: written to a file, or as a path for a program that serves the model."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from histhooks._host.fork_lock import ForkLock
from histhooks._host.store_location import user_folder
from histhooks._store.kept_files import digest_of
from histhooks.errors import QueryError, StoreError
from histhooks.history import Artifact, History

_Store = str | os.PathLike[str] | None
_UNUSED_S = 30 * 86_400.0
# Files that this process has verified: size, times and inode of each, by its path.
_verified: dict[str, tuple[int, ...]] = {}
_lock = ForkLock()


def restore(name: str, output: str | os.PathLike[str], *, force: bool = False, store: _Store = None) -> Path:
    """Write the file of a version, and verify it.

    Parameters
    ----------
    name : str
        ``"fraud@production"``, ``"fraud@3"``; ``"fraud"`` alone means its production.
    output : str or path
        A new path; or a folder that is there, in which a file gets its own name.
    force : bool
        Overwrite a file that is there.
    store : str or path, optional

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    QueryError
        If there is no such version, or the target is there already.
    StoreError
        If the bytes are gone, are not right, or cannot be written.

    Examples
    --------
    >>> models.restore("churn@production", "churn.pt").read_bytes()
    b'weights'
    """
    with History(store) as history:
        return history.version(name).file.save(output, force=force)


def path(name: str, *, store: _Store = None) -> Path:
    """A file with the verified bytes of a version, for a program that serves it.

    It lies in the user's cache under its content, with its own name, so that no training overwrites it. The first call
    copies and reads it; later ones only look whether the alias has moved, which takes some milliseconds.

    Parameters
    ----------
    name : str
        ``"fraud@production"``, ``"fraud@3"``; ``"fraud"`` alone means its production.
    store : str or path, optional

    Returns
    -------
    Path
        Of a folder, the folder. Other versions have other paths, so that a changed path means another version.

    Raises
    ------
    QueryError
        If there is no such version.
    StoreError
        If the bytes are gone, are not right, or the cache cannot be written (XDG_CACHE_HOME names another place).

    Examples
    --------
    >>> models.path("churn@production").read_bytes()
    b'weights'
    """
    with History(store) as history:
        version = history.version(name)
        file = version.file
        place = _place(version.sha256, file.name)
        with _lock.held():
            if not _is_right(file, place):
                _put(file, place)
                _tidy()
            with contextlib.suppress(OSError):
                os.utime(place.parent)
    return place


def _tidy() -> None:
    """Remove versions from the cache that nobody has asked for in a long time."""
    import shutil

    with contextlib.suppress(OSError):
        for entry in os.scandir(_folder()):
            if time.time() - entry.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(entry.path, ignore_errors=True)


def _folder() -> Path:
    found = user_folder("XDG_CACHE_HOME", ".cache")
    if found is None:
        raise StoreError("this account has no folder for a cache; name one: XDG_CACHE_HOME=/var/cache/app")
    return found / "models"


def _place(sha256: str, name: str) -> Path:
    """Where the cache has a version: never outside of the folder of its content, whatever the store says."""
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise StoreError(f"{sha256!r} is no SHA-256; find out what else is wrong: histhooks verify")
    return _folder() / sha256 / ("model" if name in ("", ".", "..") or "\0" in name else name)


def _is_right(file: Artifact, place: Path) -> bool:
    """Whether the cache has the bytes. What this process has read once is only looked at."""
    if not file.is_folder:
        return _has(place, str(file["sha256"]))
    inside = [(each, place / each["path"].removeprefix(f"{file['path']}/")) for each in file.files]
    return bool(inside) and all(_has(path, str(each["sha256"])) for each, path in inside)


def _has(place: Path, sha256: str) -> bool:
    try:
        found = os.stat(place)
        seen = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        if _verified.get(str(place)) == seen:
            return True
        with open(place, "rb") as stream:
            if digest_of(stream) != sha256:
                return False
    except OSError:
        return False
    _verified[str(place)] = seen
    return True


def _put(file: Artifact, place: Path) -> None:
    import shutil

    try:
        if place.is_dir():
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"{place} cannot be written ({error.strerror}); name another cache: XDG_CACHE_HOME=/var/cache/app"
        ) from error
    try:
        file.save(place, force=True)
    except QueryError:
        if not _is_right(file, place):  # another process has put it there
            raise
    if not _is_right(file, place):
        raise StoreError(f"{place} was changed while it was written; try again")
