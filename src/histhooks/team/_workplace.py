"""A folder for files that are being made, which goes with the process that made it, or with the next merge."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".histhooks-merge-"
_LOCK = "lock"
_MOMENT_S = 60.0  # between making a folder and locking it there is less


@contextmanager
def workplace(where: Path | None) -> Iterator[Path]:
    """A folder beside the target, or where temporary files are; what killed merges left there is removed."""
    if where is not None:
        _sweep(where)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / _LOCK).open("xb") as file:
            _try_lock(file.fileno())
            yield folder


def _sweep(where: Path) -> None:
    for folder in where.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            is_old = time.time() - folder.stat().st_mtime > _MOMENT_S
            lock = folder / _LOCK
            if is_old and not (lock.exists() and _is_locked(lock)):
                shutil.rmtree(folder, ignore_errors=True)


def _try_lock(descriptor: int) -> bool:
    """Whether the file is ours now; false where files cannot be locked."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _is_locked(path: Path) -> bool:
    """Whether a merge has it, or nobody can say."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)
