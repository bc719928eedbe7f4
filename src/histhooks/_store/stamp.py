"""Recognise a store among SQLite files, and read its version.

Two numbers in the header of the file identify it. Both are lost if a store is dumped as text and read back
(``sqlite3 old.db .dump | sqlite3 new.db``). Then its tables and its list of migrations identify it.
"""

from __future__ import annotations

import sqlite3

from histhooks._store.tables import IN_EVERY_STORE

SCHEMA_VERSION = 1003  # 1000 * major + minor
APPLICATION_ID = 0x48495354  # "HIST" in ASCII: `file` can recognise a store
_STEPS = {
    "0001_initial": 1000,
    "0002_fewer_indexes": 1001,
    "0003_split_may_be_unknown": 1001,
    "0004_traceability": 1002,
    "0005_evictions": 1003,
}


def marks(connection: sqlite3.Connection, schema: str = "main") -> tuple[bool, int]:
    """Whether a file is a store, and its schema version, 1000 * major + minor."""
    (application,) = connection.execute(f"PRAGMA {schema}.application_id").fetchone()
    (version,) = connection.execute(f"PRAGMA {schema}.user_version").fetchone()
    if application or version:
        return application == APPLICATION_ID, int(version)
    steps = _steps(connection, schema)
    return bool(steps), max((_STEPS.get(step, max(_STEPS.values())) for step in steps), default=0)


def set_marks(connection: sqlite3.Connection) -> None:
    """Give a store that was written as text its numbers back, inside a transaction that somebody began."""
    steps = _steps(connection)
    if steps and steps <= _STEPS.keys():  # else a newer version made it, which alone knows its number
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {max(_STEPS[step] for step in steps)}")


def _steps(connection: sqlite3.Connection, schema: str = "main") -> set[str]:
    """The steps that made the tables of a store; none where these are not the tables of one."""
    tables = {name for (name,) in connection.execute(f"SELECT name FROM {schema}.sqlite_master WHERE type = 'table'")}
    if not tables >= IN_EVERY_STORE:
        return set()
    rows = connection.execute(f"SELECT name FROM {schema}._sqlite_migrations WHERE migration_set = 'histhooks'")
    return {str(name) for (name,) in rows}
