"""Open a store for verification, without changing a byte or creating a file beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from histhooks._store.stamp import SCHEMA_VERSION, marks
from histhooks.errors import StoreError

_TICK_NS = 100_000_000


def is_left_alone(path: Path) -> bool:
    """Whether nobody has a store open, so that it can be read without the files that share it with others."""
    beside = ("-wal", "-shm", "-journal")
    return not any(path.with_name(path.name + suffix).exists() for suffix in beside)


def state_of(path: Path) -> tuple[int, int, int]:
    """What changes when somebody writes to a file."""
    now = os.stat(path)
    return now.st_ino, now.st_size, now.st_mtime_ns


def _is_held(path: Path) -> bool:
    """Whether a process is seen to have a store open: each holds a lock on the file that they share (proc(5))."""
    try:
        inode = path.with_name(path.name + "-shm").stat().st_ino
        with open("/proc/locks", encoding="ascii") as file:
            return any(f":{inode} " in line for line in file)
    except OSError:
        return False


def _copy_at_rest(path: Path, folder: str) -> bool:
    """Copy a store and its logs, unless somebody writes meanwhile.

    Another process copies: where this one has the store open too, its locks would go when it closes any file of it.
    """
    files = [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-journal")]
    files = [file for file in files if file.exists()]
    before = [state_of(file) for file in files]
    # File times have a resolution of ticks: a change in the same tick as the last one would not be seen.
    if time.time_ns() - max(state[2] for state in before) < _TICK_NS:
        time.sleep(_TICK_NS / 1e9)
    program = "import shutil, sys; [shutil.copy(file, sys.argv[1]) for file in sys.argv[2:]]"
    command = [sys.executable, "-I", "-S", "-c", program, folder, *map(str, files)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    try:
        return done.returncode == 0 and [state_of(file) for file in files] == before
    except OSError:
        return False


@contextmanager
def opened(path: Path, *, is_alone: bool) -> Iterator[sqlite3.Connection]:
    """A store in one read transaction.

    Parameters
    ----------
    path : Path
    is_alone : bool
        Whether to assume that no process writes meanwhile; the caller then compares :func:`state_of` afterwards.

    Raises
    ------
    StoreError
        If it is no store, or cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="histhooks-") as folder:
        uri = untouched(path, folder, is_alone=is_alone)
        with closing(sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None)) as connection:
            _check(path, connection)
            yield connection


def untouched(path: Path, folder: str, *, is_alone: bool) -> str:
    """The URI to open a store by, so that no byte of it changes and no file comes beside it.

    Parameters
    ----------
    path : Path
    folder : str
        A folder for a copy, where one is needed.
    is_alone : bool
        Whether to assume that no process writes meanwhile; the caller then compares :func:`state_of` afterwards.
    """
    uri = path.absolute().as_uri()
    if is_alone:
        return uri + "?immutable=1&mode=ro"
    if not _is_held(path) and _copy_at_rest(path, folder):
        # A log that was left behind: SQLite would write to the -shm file beside it, or make one.
        return (Path(folder) / path.name).as_uri()
    return uri + "?mode=ro"


def _check(path: Path, connection: sqlite3.Connection) -> None:
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        is_store, version = marks(connection)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it from a copy") from error
    if not is_store:
        raise StoreError(f"{path} is not a store of histhooks; name one with --store PATH")
    if version // 1000 > SCHEMA_VERSION // 1000:
        raise StoreError(f"{path} has schema version {version // 1000}.{version % 1000}; update histhooks")


def newer_version(connection: sqlite3.Connection) -> str | None:
    """The schema version of a store that is newer than this one knows; None of any other."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return f"{version // 1000}.{version % 1000}" if version > SCHEMA_VERSION else None


@contextmanager
def copied(spool: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a spool in memory, so that its session never waits for a reader.

    Raises
    ------
    sqlite3.Error, OSError
        If it cannot be read.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        try:
            _copy(f"{spool.absolute().as_uri()}?mode=ro", memory)
        except sqlite3.Error:
            # Cut short in a commit: SQLite mends a copy of it and its journal.
            with tempfile.TemporaryDirectory(prefix="histhooks-") as folder:
                for file in (spool, spool.with_name(spool.name + "-journal")):
                    if file.exists():
                        shutil.copy(file, folder)
                _copy((Path(folder) / spool.name).as_uri(), memory)
        yield memory


def _copy(uri: str, memory: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as source:
        source.backup(memory)
