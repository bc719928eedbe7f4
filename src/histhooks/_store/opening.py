"""Open a store for writing: create it in a new file, and upgrade an old one."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from histhooks._store.connection import Unwritable, is_busy
from histhooks._store.stamp import SCHEMA_VERSION, marks, set_marks
from histhooks._store.upgrade import migrate_apart, run_script

_LOG_BYTES = 16_000_000  # to which the log is cut back once no reader needs it


def check(path: Path, connection: sqlite3.Connection) -> int:
    """See whether a file is a store that this version may use.

    Returns
    -------
    int
        Its schema version, 0 for a file that is empty.

    Raises
    ------
    Unwritable
        If it is somebody else's, or of a newer major version.
    """
    # One snapshot: another process may be making the tables between two of these questions.
    is_own = not connection.in_transaction
    if is_own:
        connection.execute("BEGIN")
    try:
        is_store, version = marks(connection)
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        if is_own and connection.in_transaction:
            connection.execute("COMMIT")
    if is_store:
        if version // 1000 > SCHEMA_VERSION // 1000:
            raise Unwritable(
                f"{path} has schema version {version // 1000}.{version % 1000}, newer than {SCHEMA_VERSION // 1000}, "
                "which this histhooks knows; update histhooks"
            )
        return version
    if tables:
        raise Unwritable(f"{path} is an SQLite file of another program; name another store")
    return 0


def prepare(path: Path, connection: sqlite3.Connection, *, has_log: bool) -> None:
    """Make an open file a store that can be written to: its tables, their version, and how SQLite treats it.

    Raises
    ------
    Unwritable
        If the file must be left alone.
    sqlite3.OperationalError
        If it stays locked.
    """
    execute = connection.execute
    version = check(path, connection)
    if version and not os.access(path, os.W_OK):
        raise Unwritable(f"{path} is read-only; make it writable or name another store")
    if version == 0:
        _make(path, connection, has_log)
    elif version < SCHEMA_VERSION:
        _migrate(path, connection)
    elif execute("PRAGMA user_version").fetchone() == (0,):  # it was written as text and read back
        _until_free(connection, "BEGIN IMMEDIATE")
        set_marks(connection)
        execute("COMMIT")
    execute(f"PRAGMA journal_mode = {'WAL' if has_log else 'DELETE'}")
    execute("PRAGMA synchronous = NORMAL")
    execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")


def _make(path: Path, connection: sqlite3.Connection, has_log: bool) -> None:
    """Make the tables, whoever else is trying to at the same moment."""
    if has_log:
        _until_free(connection, "PRAGMA journal_mode = WAL")
    _until_free(connection, "BEGIN IMMEDIATE")
    try:
        if check(path, connection) == 0:
            run_script(connection, Path(__file__).with_name("schema.sql"))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _until_free(connection: sqlite3.Connection, statement: str, timeout_s: float = 30.0) -> None:
    # Changing the journal mode takes an exclusive lock and does not call the busy handler.
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    """Bring an old store up to date."""
    # Other writers are waited for here, and a store that cannot be written is reported without a process.
    execute = connection.execute
    execute("BEGIN IMMEDIATE")
    try:
        version = check(path, connection)
        execute(f"PRAGMA user_version = {version}")  # changes nothing, but needs all that a change needs
    finally:
        if connection.in_transaction:
            execute("ROLLBACK")
    why = migrate_apart(path) if version < SCHEMA_VERSION else ""  # else somebody was first
    if why:
        raise Unwritable(f"{path} could not be brought up to date ({why}); try `python -m histhooks.migrations {path}`")
