"""Never use files that SQLite had open at a fork, or whose descriptors the program has closed.

SQLite keeps its state of an open file for the whole process: locks, the index of the log, descriptors. A forked child
inherits that state without the locks (fcntl(2)), and a new connection to the same file shares it: two writers then work
on one file, each with its own index (https://www.sqlite.org/howtocorrupt.html, sections 2.6 and 1.1). The same happens
in a process that closes all descriptors, as daemons do. So histhooks closes its connections before a fork
(`_record.forks`). If that is not possible, or for connections of the program, the child neither opens nor closes a
connection to that file: it records in a spool, and reads a copy.

The child lists those files at once, before the program can close anything: SQLite holds a descriptor of each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Place = tuple[int, int]  # device and inode

_FOLDERS = ("/proc/self/fd", "/dev/fd")
_MOST = 1 << 16
_places: set[Place] = set()
_kept: list[Any] = []
# Called before a fork: connections of the reading side, which come back by themselves when they are asked.
before_fork: list[Callable[[], None]] = []


def holds(path: Path) -> bool:
    """Whether a file must not be opened by SQLite in this process."""
    if not _places:
        return False
    try:
        return place_of(os.stat(path)) in _places
    except OSError:
        return False


def place_of(found: os.stat_result) -> Place:
    """The identity of a file."""
    return found.st_dev, found.st_ino


def descriptors(path: Path, *, has_log: bool = True) -> dict[int, Place]:
    """The open descriptors of a file, and of the log and the index beside it if ``has_log``."""
    places = set()
    for end in ("", "-wal", "-shm") if has_log else ("",):
        try:
            places.add(place_of(os.stat(f"{path}{end}")))
        except OSError:
            continue
    return {number: place for number, place in _open().items() if place in places}


def are_open(known: dict[int, Place]) -> bool:
    """Whether descriptors are still those of the files that they were of."""
    try:
        return all(place_of(os.fstat(number)) == place for number, place in known.items())
    except OSError:
        return False


def see() -> None:
    """In a forked child, before anything else: keep in mind what SQLite may have open."""
    if "_sqlite3" in sys.modules:
        _places.update(_open().values())


def leave(place: Place | None, connection: Any) -> None:
    """Never use a connection or a stream again, nor close it; not at the end of the interpreter either."""
    import ctypes

    if place is not None:
        _places.add(place)
    _kept.append(connection)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _open() -> dict[int, Place]:
    """Descriptors of regular files."""
    numbers: Any = ()
    for folder in _FOLDERS:
        try:
            numbers = [int(name) for name in os.listdir(folder)]
            break
        except OSError:  # another system, or no descriptor is left to list them with
            numbers = range(min(_MOST, os.sysconf("SC_OPEN_MAX"))) if hasattr(os, "sysconf") else ()
    found = {}
    for number in numbers:
        try:
            status = os.fstat(number)
        except OSError:
            continue
        if status.st_mode & 0o170000 == 0o100000:
            found[number] = place_of(status)
    return found
