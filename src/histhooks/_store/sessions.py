"""Queries about sessions for writers: the open ones, those of child processes, and the last line of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._base.vocabulary import OPEN, RUNNING, in_sql

if TYPE_CHECKING:
    import sqlite3

    from histhooks._host.process import ProcessIdentity
    from histhooks._store.store import Store

# Ids sort by time: of all sessions of a store only those are looked at that began after this process did.
_CHILDREN = """
    SELECT pid, id FROM sessions
    WHERE id >= ? AND pid_namespace IS ? AND boot_id IS ? AND exit_code IS NULL AND signal IS NULL
      AND ? IN (json_extract(details, '$.parent_pid'), json_extract(details, '$.started_by_pid'))
    ORDER BY id"""


def _rows(store: Store, sql: str, *values: Any) -> list[dict[str, Any]]:
    cursor = store.connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def session_of(store: Store, session_id: str) -> dict[str, Any] | None:
    """The row of a session; None if it has none."""
    return next(iter(_rows(store, "SELECT * FROM sessions WHERE id = ?", session_id)), None)


def runs_of(store: Store, session_id: str) -> list[dict[str, Any]]:
    """The runs of a session: id, status, parent and start of each."""
    return _rows(store, "SELECT id, status, parent_id, started_at FROM runs WHERE session_id = ?", session_id)


def open_sessions(store: Store, besides: str) -> list[dict[str, Any]]:
    """The sessions that say they are running, but for one's own."""
    return _rows(store, f"SELECT * FROM sessions WHERE status = '{RUNNING}' AND id <> ?", besides)


def open_runs(store: Store, session_id: str) -> list[tuple[str, str]]:
    """The runs of a session that say they are running, or that were given up as lost, with their start."""
    sql = f"SELECT id, started_at FROM runs WHERE session_id = ? AND status IN {in_sql(OPEN)}"
    return store.connection.execute(sql, (session_id,)).fetchall()


def status_of(store: Store, session_id: str) -> str | None:
    """The status of a session as it stands in the file."""
    row = store.connection.execute("SELECT status FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return None if row is None else str(row[0])


def children_of(connection: sqlite3.Connection, parent: ProcessIdentity, since: str) -> list[tuple[int, str]]:
    """The sessions of children of a process whose end is not known: their pid and id, in order of time.

    Parameters
    ----------
    connection : sqlite3.Connection
    parent : ProcessIdentity
    since : str
        The beginning of the ids of all that came after the parent began.
    """
    return connection.execute(_CHILDREN, (since, parent.pid_namespace, parent.boot_id, parent.pid)).fetchall()


def where_stopped(store: Store, session_id: str) -> tuple[int, str, dict[tuple[str, str], int]]:
    """Where the ledger of a session stopped: number and digest of its last line, and the next ordinals."""
    sql = "SELECT seq, digest FROM ledger WHERE session_id = ? ORDER BY seq DESC LIMIT 1"
    ((seq, digest),) = store.connection.execute(sql, (session_id,)).fetchall()
    sql = "SELECT scope, table_name, max(last) + 1 FROM ledger_parts WHERE session_id = ? GROUP BY scope, table_name"
    ordinals = {(scope, table): number for scope, table, number in store.connection.execute(sql, (session_id,))}
    return seq, digest, ordinals
