"""What a file that holds a part of a history holds whole, where files are joined."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from histhooks._store.graves import LISTED, has_table, listed
from histhooks._store.parts import exports, is_view
from histhooks._store.refusing import lacks_heads
from histhooks._store.tables import CONTENT, COVERED

Covered = tuple[str, str, int]  # a scope, and a line that covers some of it


@dataclass(slots=True)
class Wholeness:
    """Which scopes are whole in the union of files.

    Attributes
    ----------
    is_part : bool
        Whether one of the files is a part.
    is_view : bool
        Whether one of them is what somebody may see of a target: what it lacks nobody here knows.
    holds : set of str
        Scopes that one of the files has whole, as of its time.
    lacking : set of Covered
        What a part's ledger covers and it does not hold, until another file does.
    """

    is_part: bool = False
    is_view: bool = False
    holds: set[str] = field(default_factory=set)
    lacking: set[Covered] = field(default_factory=set)

    def look_at(self, connection: sqlite3.Connection, schema: str) -> None:
        """See what a file lacks, before any is joined."""
        parts = exports(connection, schema)
        if not parts:
            return
        self.is_part = True
        self.is_view |= is_view(connection, schema)
        held = {scope for _, scopes in parts for scope in scopes}
        self.lacking |= {row for row in _covered(connection, schema) if row[0] not in held}

    def take(self, connection: sqlite3.Connection, schema: str) -> None:
        """Add what a file holds."""
        parts = exports(connection, schema)
        held = {scope for _, scopes in parts for scope in scopes}
        self.holds |= held | _content_in(connection, schema) if parts else scopes_in(connection, schema)
        if self.lacking:
            self.lacking -= {row for row in _covered(connection, schema) if not parts or row[0] in held}

    def whole(self) -> set[str]:
        """The scopes that are whole."""
        return self.holds - {scope for scope, _, _ in self.lacking}


def scopes_in(connection: sqlite3.Connection, schema: str = "main") -> set[str]:
    """What the ledger of a file covers."""
    return {scope for (scope,) in connection.execute(f"SELECT DISTINCT scope FROM {schema}.ledger_parts")}


def _covered(connection: sqlite3.Connection, schema: str) -> set[Covered]:
    """What lines cover but shared content, which is whole wherever it is, whoever wrote it too."""
    sql = f"SELECT scope, session_id, seq FROM {schema}.ledger_parts WHERE table_name NOT {LISTED.format('?')}"
    return set(connection.execute(sql, (listed(sorted(CONTENT)),)))


def _content_in(connection: sqlite3.Connection, schema: str) -> set[str]:
    found: set[str] = set()
    for table in CONTENT:
        if has_table(connection, schema, table):
            rows = connection.execute(f"SELECT DISTINCT {COVERED[table].scope} FROM {schema}.{table}")
            found |= {key for (key,) in rows}
    return found


def complete(connection: sqlite3.Connection, sessions: set[str]) -> None:
    """Take back that a file is a part of a history, where it has got all of it.

    Parameters
    ----------
    connection : sqlite3.Connection
    sessions : set of str
        Those that were brought with all that they wrote.
    """
    found = exports(connection)
    held = {scope for _, scopes in found for scope in scopes}
    owners = {session_id for (session_id,) in connection.execute("SELECT DISTINCT session_id FROM runs")}
    if not found or is_view(connection) or lacks_heads(connection):
        return
    if scopes_in(connection) <= held and owners <= sessions:
        connection.execute("DELETE FROM exports WHERE kind = 'export'")
        connection.commit()
