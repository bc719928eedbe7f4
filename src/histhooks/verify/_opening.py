"""Opening what is to be verified, so that no byte of it changes, nor a file appears beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from histhooks.errors import StoreError

APPLICATION_ID = 0x48495354
MAJOR = 1


def is_left_alone(path: Path) -> bool:
    """Whether nobody has a store open, so that it can be read without the files that share it with others."""
    beside = ("-wal", "-shm", "-journal")
    return not any(path.with_name(path.name + suffix).exists() for suffix in beside)


def state_of(path: Path) -> tuple[int, int, int]:
    """What changes when somebody writes to a file."""
    now = os.stat(path)
    return now.st_ino, now.st_size, now.st_mtime_ns


@contextmanager
def opened(path: Path, *, is_alone: bool) -> Iterator[sqlite3.Connection]:
    """A store in one read transaction.

    Parameters
    ----------
    path : Path
    is_alone : bool
        Whether to trust that nobody writes meanwhile; who does so compares :func:`state_of` afterwards.

    Raises
    ------
    StoreError
        Where it is no store, or cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="histhooks-") as folder:
        uri = path.absolute().as_uri()
        log = path.with_name(path.name + "-wal")
        if is_alone:
            uri += "?immutable=1&mode=ro"
        elif not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-shm").exists():
            # SQLite needs a -shm file beside a log, and cannot make one here.
            for file in (path, log):
                if file.exists():
                    shutil.copy(file, folder)
            uri = (Path(folder) / path.name).as_uri()
        else:
            uri += "?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None)) as connection:
            _check(path, connection)
            yield connection


def _check(path: Path, connection: sqlite3.Connection) -> None:
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it from a copy") from error
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is not a store of histhooks; name one with --store PATH")
    if version // 1000 > MAJOR:
        raise StoreError(f"{path} has schema version {version // 1000}.{version % 1000}; update histhooks")


@contextmanager
def copied(spool: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a spool in memory, so that its session never waits for who reads it.

    Raises
    ------
    sqlite3.Error, OSError
        Where it cannot be read.
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
