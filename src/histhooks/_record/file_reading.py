"""Read files as they are at a call: small ones at once, others through descriptors that are opened then."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from typing import BinaryIO

from histhooks._record.file_work import work

AT_ONCE = 8 << 20  # bytes; about 10 ms
_HELD = 64 << 20  # bytes of small files in memory that wait to be written
_OPEN = 32  # descriptors that wait
_waiting = {"bytes": 0, "files": 0}


def read_at_once(place: str) -> tuple[bytes, str] | None:
    """A small file and its hash; None if it changed meanwhile."""
    with contextlib.suppress(FileNotFoundError), open(place, "rb") as file:
        before = os.fstat(file.fileno())
        data = file.read()
        if is_same(before, os.fstat(file.fileno())) and len(data) == before.st_size:
            return data, hashlib.sha256(data).hexdigest()
    return None


def is_same(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a file is as it was."""
    return (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)


def hold(places: Iterable[str]) -> dict[str, BinaryIO]:
    """Open files now that are read later; none if too many wait, and on Windows, where no open file can be removed.

    What is held must be given to :func:`let_go`.
    """
    listed = list(places)
    if os.name == "nt" or _waiting["files"] + len(listed) > _OPEN:
        return {}
    held: dict[str, BinaryIO] = {}
    for place in listed:
        with contextlib.suppress(OSError):
            held[place] = open(place, "rb")  # noqa: SIM115, until `let_go`
            _waiting["files"] += 1
    return held


def let_go(held: dict[str, BinaryIO]) -> None:
    """Close what was held."""
    while held:
        held.popitem()[1].close()
        _waiting["files"] -= 1


def later(keep: Callable[[], None], size_bytes: int) -> None:
    """Write in the thread, unless so much waits in memory that it is done at once."""
    if _waiting["bytes"] + size_bytes > _HELD:
        keep()
        return
    _waiting["bytes"] += size_bytes

    def done() -> None:
        _waiting["bytes"] -= size_bytes
        keep()

    work.add(done)
