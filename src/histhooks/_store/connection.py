"""The writer's connection to a store: closed for a fork, opened again, and never used if that is unsafe.

:mod:`histhooks._host.inherited_files` explains what forks and closed descriptors do to a connection.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

from histhooks._host import inherited_files
from histhooks._host.store_location import is_stream
from histhooks._store.open_files import Files
from histhooks.errors import StoreError

_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"), (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)  # fmt: skip


_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


class Unwritable(StoreError):
    """A store that this session must leave alone; it records in a spool instead."""


class Link:
    """A connection that may be closed and opened again.

    Parameters
    ----------
    path : Path
        The file. It is made where there is none.
    prepare : callable
        Makes a connection that was just opened ready for use.
    timeout_s : float, seconds
        How long SQLite waits for a lock.
    n_statements : int
        How many prepared statements are kept.
    """

    def __init__(self, path: Path, prepare: Callable[[], None], *, timeout_s: float, n_statements: int) -> None:
        self._path = path
        self._prepare = prepare
        self._timeout_s = timeout_s
        self._n_statements = n_statements
        self._connection: sqlite3.Connection | None = None
        self._files: Files | None = None  # None until it was open once
        self._descriptors: dict[int, inherited_files.Place] = {}
        self._is_dead = self._is_opening = False

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection; opened again where it was closed."""
        self.open_again()
        if not self.is_whole():
            raise Unwritable(f"the descriptors of {self._path} were closed")
        assert self._connection is not None
        return self._connection

    def open_again(self) -> None:
        """Open it where it was closed."""
        if self._connection is None:
            self.open()

    def open(self) -> None:
        """Open it.

        Raises
        ------
        Unwritable
            If the file must be left alone, or is another one than it was.
        sqlite3.OperationalError
            If it stays locked.
        """
        path = self._path
        if self._files is not None and not self._files.are_there():
            raise Unwritable(f"{path} was deleted, moved or replaced")
        if self._is_dead or inherited_files.holds(path):
            raise Unwritable(f"{path} was open when this process was forked, or its descriptors were closed")
        self._is_opening = True
        try:
            self._open("rwc" if self._files is None else "rw")
        finally:
            self._is_opening = False

    def _open(self, mode: str) -> None:
        path = self._path
        try:
            odd = what_else(path)
            if odd:
                raise Unwritable(f"{path} is {odd} and no file; name another store")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=self._timeout_s, isolation_level=None,
                check_same_thread=False, cached_statements=self._n_statements,
            )  # fmt: skip
        except (OSError, sqlite3.OperationalError) as error:
            text = f"{path} cannot be opened ({error}); make its folder writable or name another store"
            raise Unwritable(text) from error
        # Only those of the file: its log is opened with its first use, so one that is open is of another connection.
        self._descriptors = inherited_files.descriptors(path, has_log=False)
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            self.close()
            if is_busy(error):
                raise
            raise Unwritable(f"{path} cannot be written ({error}); make it writable or name another store") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of SQLite's words on a damaged file
            self.close()
            raise Unwritable(f"{path} is not an SQLite file ({error}); name another store") from error
        except BaseException:
            self.close()
            raise
        self._files = Files(path)
        self._descriptors = inherited_files.descriptors(path)
        if self._files.place not in self._descriptors.values():
            self.keep_away()  # they were closed by the program as we opened them
            raise Unwritable(f"the descriptors of {path} were closed")

    def wait_for_locks(self, timeout_s: float) -> None:
        """Set how long SQLite waits for a lock, also after it was closed and opened again."""
        self._timeout_s = timeout_s
        if self._connection is not None:
            self._connection.execute(f"PRAGMA busy_timeout = {int(timeout_s * 1000)}")

    def holds(self, low: int, high: int) -> bool:
        """Whether a descriptor from ``low`` to below ``high`` is one of its own."""
        if self._is_opening:
            return any(low <= number < high for number in inherited_files.descriptors(self._path))
        return self._connection is not None and any(low <= number < high for number in self._descriptors)

    def is_open(self) -> bool:
        """Whether it is open."""
        return self._connection is not None

    def is_there(self) -> bool:
        """Whether the files are those that were opened."""
        return self._files is not None and self._files.are_there()

    def is_whole(self) -> bool:
        """Whether only SQLite has closed its descriptors; otherwise the connection is never used again."""
        if self._connection is not None and not inherited_files.are_open(self._descriptors):
            # Some may be of other connections in this process; then those of this connection are still open.
            now = inherited_files.descriptors(self._path)
            if set(self._descriptors.values()) <= set(now.values()):
                self._descriptors = now
            else:
                self.keep_away()
        return not self._is_dead

    def let_go(self) -> bool:
        """Close the connection until it is asked for; False if that would do harm."""
        if self._connection is None:
            return True
        if not self.is_whole() or self._files is None or not self._files.are_there():
            return False
        try:
            self._connection.close()
        except sqlite3.Error:
            return False
        self._connection, self._descriptors = None, {}
        self._files.has_no_log()
        return True

    def keep_away(self) -> None:
        """Never use the connection again, nor close it."""
        if self._connection is not None:
            inherited_files.leave(None if self._files is None else self._files.place, self._connection)
            self._connection, self._is_dead = None, True

    def leave(self) -> None:
        """Let go of a store that goes on without us, or is none any more."""
        if self._connection is not None and self._files is not None and self.is_whole():
            self._files.leave(self._connection)
            self._connection = None
        self._is_dead = True

    def close(self) -> None:
        """Close it."""
        if self._connection is not None and self.is_whole():
            self._connection.close()
            self._connection = None


def what_else(path: Path) -> str:
    """What stands where a store shall be and is no file; empty for a file, and where nothing is there."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return ""
    if is_stream(path):
        return "a stream of this process" if stat.S_ISREG(mode) else "a device"
    return "" if stat.S_ISREG(mode) else next((word for is_kind, word in _KINDS if is_kind(mode)), "something else")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else holds the lock."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY
