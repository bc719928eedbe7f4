"""What a file says of itself if it holds a part of a history: why, and which scopes it holds whole."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

VIEW = "view"  # what is known of a target by who sees only some of its projects


def exports(connection: sqlite3.Connection, schema: str = "main") -> list[tuple[str, list[str]]]:
    """Why a file is a part of a history: id, and scopes that it holds. A spool is no part once it came home."""
    sql = f"SELECT id, holds FROM {schema}.exports WHERE kind = 'export' ORDER BY id"
    return [(key, json.loads(holds)) for key, holds in connection.execute(sql)]


def is_view(connection: sqlite3.Connection, schema: str = "main") -> bool:
    """Whether a file has what somebody may see of a target, so that of a line it may lack parts."""
    return any(key == VIEW for key, _ in exports(connection, schema))


def declare(connection: sqlite3.Connection, holds: set[str], *, is_view: bool = False) -> None:
    """Say of a file that it holds a part of a history: always in the same words, in whatever order it was joined.

    Parameters
    ----------
    connection : sqlite3.Connection
    holds : set of str
    is_view : bool
        Whether it is what somebody may see of a target.
    """
    ((first, last),) = connection.execute("SELECT min(session_id), max(time) FROM main.ledger")
    connection.execute("DELETE FROM main.exports")
    sql = "INSERT INTO main.exports (id, kind, holds, time) VALUES (?, 'export', ?, ?)"
    connection.execute(sql, (VIEW if is_view else first or "-", json.dumps(sorted(holds)), last or 0))


def release(connection: sqlite3.Connection, scopes: Iterable[str]) -> None:
    """Take back of a part that it holds some scopes."""
    gone = set(scopes)
    for key, held in exports(connection):
        if not gone.isdisjoint(held):
            kept = json.dumps([scope for scope in held if scope not in gone])
            connection.execute("UPDATE main.exports SET holds = ? WHERE id = ?", (kept, key))
