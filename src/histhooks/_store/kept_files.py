"""Kept files: copies by content in ``<store>.files/``, each under the first two digits of its SHA-256.

A copy is written under another name, flushed to the disk and then renamed, so that a file under a content's name is
whole. What a killed process leaves has the name of a part, and :func:`sweep` removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from histhooks._base.ids import new_id
from histhooks._host.store_location import real_path
from histhooks._store.spool_folders import folders

_CHUNK = 1 << 20
_PARTS = ".parts"
_ELSEWHERE = "elsewhere"
_NAME = re.compile(r"[0-9a-f]{64}")
_MOMENT_S = 60.0  # between making a part and locking it there is less


def folder_of(store: Path) -> Path:
    """The folder of the files that are kept beside a store or a spool; of every name of a store the same."""
    place = real_path(store)
    return place.with_name(f"{place.name}.files")


def spool_folders(store: Path) -> list[Path]:
    """The folders that sessions keep files in which could not write beside the store."""
    places = [place for place in dict.fromkeys(folders(store)) if os.path.isdir(place)]
    return sorted(path for place in places for path in place.glob("*.files"))


def find(store: Path, sha256: str) -> Path | None:
    """Where the copy of a content is, whole or not; None if there is none."""
    for folder in (folder_of(store), *spool_folders(store)):
        path = _place(folder, sha256)
        if os.path.isfile(path):
            return path
    return None


def elsewhere(store: Path) -> set[str]:
    """Contents whose copies never came to a store, since its rows came from where no files are."""
    try:
        text = (folder_of(store) / _ELSEWHERE).read_text("ascii")
    except (OSError, ValueError):
        return set()
    return {*text.split()}


def say_elsewhere(store: Path, contents: set[str]) -> None:
    """Note contents whose copies did not come along; `verify` counts them, and misses none of them.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    new = contents - elsewhere(store)
    if new:
        folder = _make_folder(folder_of(store), _mode_of(store))
        with open(folder / _ELSEWHERE, "a", encoding="ascii") as file:
            file.write("".join(f"{sha256}\n" for sha256 in sorted(new)))


def kept_in(folder: Path) -> Iterator[Path]:
    """The kept files of a folder; whatever else lies there is left alone."""
    if not os.path.isdir(folder):
        return
    for part in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if len(part.name) == 2 and part.is_dir(follow_symlinks=False):
            for entry in sorted(os.scandir(part.path), key=lambda entry: entry.name):
                if _NAME.fullmatch(entry.name) and entry.name.startswith(part.name):
                    yield Path(entry.path)


def digest_of(file: BinaryIO) -> str:
    """The SHA-256 of an open file, from where it stands to its end."""
    digest = hashlib.sha256()
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.hexdigest()


class Part:
    """A file that is being copied.

    Parameters
    ----------
    folder : Path
        That of the kept files; it is made if it is not there.
    like : Path
        A file whose permissions it gets: the store.

    Raises
    ------
    OSError
        If it cannot be written.
    """

    def __init__(self, folder: Path, like: Path) -> None:
        self._folder, self._mode = folder, _mode_of(like)
        self._path = _make_folder(folder / _PARTS, self._mode) / new_id()
        self._file = open(self._path, "xb")  # noqa: SIM115, until `commit` or `discard`
        _try_lock(self._file)
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        self.is_new = True

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._file.write(data)
        self._digest.update(data)
        self.size_bytes += len(data)

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written so far."""
        return self._digest.hexdigest()

    def commit(self) -> str:
        """Put the file under the name of its content; the SHA-256. What is there already stays if it is as long."""
        sha256 = self._digest.hexdigest()
        place = _place(self._folder, sha256)
        if _touched(place, self.size_bytes):
            self.is_new = False
            self.discard()
            return sha256
        self._file.flush()
        os.fsync(self._file.fileno())
        if hasattr(os, "fchmod"):
            os.fchmod(self._file.fileno(), self._mode)
        _make_folder(place.parent, self._mode)
        if os.name == "nt":
            self._file.close()  # an open file is not renamed there
        os.replace(self._path, place)
        self._file.close()
        flush_folder(place.parent)
        return sha256

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)


def has(folder: Path, sha256: str, size_bytes: int) -> bool:
    """Whether a content is kept already, as long as it must be; it then counts as new, so that no deletion takes it."""
    return _touched(_place(folder, sha256), size_bytes)


def keep_bytes(folder: Path, like: Path, data: bytes) -> str:
    """Keep bytes; their SHA-256.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    part = Part(folder, like)
    try:
        part.write(data)
        return part.commit()
    except BaseException:
        part.discard()
        raise


def sweep(folder: Path) -> int:
    """Remove the parts that killed processes left; how many these were."""
    try:
        entries = list(os.scandir(folder / _PARTS))
    except OSError:
        return 0
    count = 0
    for entry in entries:
        with contextlib.suppress(OSError):
            if time.time() - entry.stat().st_mtime > _MOMENT_S and not _is_locked(entry.path):
                os.unlink(entry.path)
                count += 1
    return count


def remove(
    store: Path, contents: Iterable[str], *, is_young: Callable[[float], bool] = lambda mtime: False
) -> tuple[int, int]:
    """Remove kept files of some contents.

    Parameters
    ----------
    store : Path
    contents : iterable of str
        Their SHA-256.
    is_young : callable, optional
        Whether one that was kept at a time (seconds since 1970) stays.

    Returns
    -------
    files, size_bytes : int
        How many are gone, and how large they were.
    """
    count = size = 0
    for sha256 in contents:
        path = find(store, sha256)
        if path is None:
            continue
        with contextlib.suppress(OSError):
            found = os.stat(path)
            if is_young(found.st_mtime):
                continue
            os.unlink(path)
            count, size = count + 1, size + found.st_size
            os.rmdir(path.parent)  # if it is empty now
    return count, size


def carry_home(store: Path, *, may_copy: bool) -> None:
    """Move the files of sessions that have come home beside the store; what cannot be moved waits.

    Parameters
    ----------
    store : Path
    may_copy : bool
        Whether files of another file system are moved too, which takes as long as copying them.
    """
    for folder in spool_folders(store):
        if os.path.exists(folder.with_name(folder.name.removesuffix(".files"))):
            continue  # its session has not come home
        with contextlib.suppress(OSError):
            for path in kept_in(folder):
                _carry(path, folder_of(store), store, may_copy=may_copy)
            _clear(folder)


def _carry(path: Path, home: Path, store: Path, *, may_copy: bool) -> None:
    if not has(home, path.name, path.stat().st_size):
        mode, place = _mode_of(store), _place(home, path.name)
        with contextlib.suppress(OSError):
            _make_folder(place.parent, mode)
            os.replace(path, place)
            os.chmod(place, mode)
            return
        if not may_copy:
            return
        part = Part(home, store)
        try:
            with open(path, "rb") as file:
                while data := file.read(_CHUNK):
                    part.write(data)
            part.commit()  # under what it is now, should it have changed: `verify` then misses it
        except BaseException:
            part.discard()
            raise
    os.unlink(path)


def _clear(folder: Path) -> None:
    sweep(folder)
    places = [entry.path for entry in os.scandir(folder) if entry.is_dir()]
    for place in [*places, os.fspath(folder)]:
        with contextlib.suppress(OSError):  # something else lies there
            os.rmdir(place)


def _place(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256


def _touched(path: Path, size_bytes: int) -> bool:
    try:
        if os.stat(path).st_size != size_bytes:
            return False
        os.utime(path)
        return os.path.exists(path)
    except OSError:
        return False


def _mode_of(like: Path) -> int:
    try:
        return stat.S_IMODE(os.stat(like).st_mode) & 0o666
    except OSError:
        return 0o600


def _make_folder(folder: Path, mode: int) -> Path:
    """Make a folder that whoever may read the store can enter, and whoever may write it can write to."""
    if not os.path.isdir(folder):
        if not os.path.isdir(folder.parent):
            _make_folder(folder.parent, mode)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
            inherited = os.stat(folder).st_mode & stat.S_ISGID
            os.chmod(folder, mode | (mode & 0o444) >> 2 | inherited)
    return folder


def flush_folder(folder: Path) -> None:
    """Have the new name on the disk, where a folder can be flushed (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _try_lock(file: BinaryIO) -> None:
    """Show that the part is being written; where files cannot be locked, its age does."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_locked(path: str) -> bool:
    """Whether a process writes it. An open file cannot be removed on Windows, which answers the same."""
    try:
        import fcntl
    except ImportError:
        return False
    with open(path, "rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks: what is a day old is nobody's
            return time.time() - os.stat(path).st_mtime < 24 * 3600
        return False
