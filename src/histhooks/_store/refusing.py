"""Take sessions out of a file again, with all that they wrote, and see which sessions a file lacks lines of."""

from __future__ import annotations

import json
import sqlite3

from histhooks._store.graves import LISTED, listed
from histhooks._store.joining import refused_in
from histhooks._store.shared_clashes import content_digest
from histhooks._store.tables import CONTENT, COVERED, FOLDS, TABLES, of_kind


def drop(connection: sqlite3.Connection, sessions: frozenset[str], content: set[tuple[str, str]]) -> frozenset[str]:
    """Remove sessions, their runs, and what no line covers any more, inside a transaction.

    Parameters
    ----------
    connection : sqlite3.Connection
    sessions : frozenset of str
    content : set of (str, str)
        Shared content that they wrote in files which they were not taken in from: table and id of each.

    Returns
    -------
    frozenset of str
        The ids of the sessions, of their runs, and of shared content that others wrote too and is gone with them.
    """
    refused = refused_in(connection, sessions)
    content = content | content_of(connection, sessions)
    values = {"sessions": listed(refused.sessions), "scopes": listed(refused.scopes)}
    series = f"(SELECT series FROM main.metric_summaries WHERE run_id {LISTED.format(':scopes')})"
    for table in of_kind("series"):
        if table != "metric_summaries":
            connection.execute(f"DELETE FROM main.{table} WHERE series IN {series}", values)
    connection.execute(f"DELETE FROM main.metric_summaries WHERE run_id {LISTED.format(':scopes')}", values)
    for table, spec in TABLES.items():
        if spec.kind not in ("ledger", "row"):
            continue
        where = f"{spec.scope} {LISTED.format(':scopes')}"
        if "session_id" in spec.columns or spec.scope == "session_id":
            where = f"session_id {LISTED.format(':sessions')}" + (f" OR {where}" if spec.kind == "row" else "")
        connection.execute(f"DELETE FROM main.{table} WHERE {where}", values)
    for table, scope, first, last in refused.ranges:
        sql = f"DELETE FROM main.{table} WHERE {COVERED[table].scope} = ? AND ordinal BETWEEN ? AND ?"
        connection.execute(sql, (scope, first, last))
    connection.execute(
        "DELETE FROM main.salts WHERE EXISTS (SELECT 1 FROM json_each(:sessions) AS j "
        "WHERE instr(field, '/' || j.value || '/'))",
        values,
    )
    for table in FOLDS:
        connection.execute(f"DELETE FROM main.{table} WHERE id {LISTED.format(':scopes')}", values)
    return refused.scopes | forget_uncovered(connection, content)


def content_of(connection: sqlite3.Connection, sessions: frozenset[str], schema: str = "main") -> set[tuple[str, str]]:
    """Shared content that some sessions wrote: table and id of each."""
    sql = f"SELECT table_name, scope FROM {schema}.ledger_parts WHERE session_id {LISTED.format('?')}"
    return {row for row in connection.execute(sql, (listed(sessions),)) if row[0] in CONTENT}


def forget_uncovered(connection: sqlite3.Connection, content: set[tuple[str, str]]) -> frozenset[str]:
    """Remove shared content that no line covers as it is, since the session that wrote it so was left out.

    Returns
    -------
    frozenset of str
        The ids of what other sessions wrote too, in other words: they are here, and it is not.
    """
    digests: dict[tuple[str, str], set[str]] = {key: set() for key in content}
    sql = f"SELECT table_name, scope, digest FROM main.ledger_parts WHERE scope {LISTED.format('?')}"
    for table, scope, digest in connection.execute(sql, (listed(scope for _, scope in content),)):
        if (table, scope) in digests:
            digests[table, scope].add(digest)
    lacking = set()
    for (table, scope), covered in digests.items():
        if content_digest(connection, "main", table, scope) not in covered:
            connection.execute(f"DELETE FROM main.{table} WHERE {COVERED[table].scope} = ?", (scope,))
            lacking |= {scope} if covered else set()
    return frozenset(lacking)


def gaps(connection: sqlite3.Connection, schema: str = "main") -> dict[str, tuple[int, int]]:
    """Sessions of which lines are missing in between: the first and the last that is."""
    sql = (
        "SELECT session_id, before + 1, seq - 1 FROM (SELECT session_id, seq, lag(seq) OVER "
        f"(PARTITION BY session_id ORDER BY seq) AS before FROM {schema}.ledger) WHERE seq > before + 1"
    )
    return {session_id: (first, last) for session_id, first, last in connection.execute(sql)}


def begun_later(connection: sqlite3.Connection) -> frozenset[str]:
    """Sessions whose first lines are not in a file."""
    sql = "SELECT session_id FROM main.ledger GROUP BY session_id HAVING min(seq) > 0"
    return frozenset(session_id for (session_id,) in connection.execute(sql))


def strangers(connection: sqlite3.Connection, schema: str) -> dict[str, str]:
    """Sessions of another file that saw lines of a session which are not the ones here, with that session."""
    sql = (
        f"SELECT l.session_id, json_extract(h.value, '$[0]') FROM {schema}.ledger AS l, json_each(l.heads) AS h "
        "JOIN main.ledger AS o ON o.session_id = json_extract(h.value, '$[0]') "
        "AND o.seq = json_extract(h.value, '$[1]') "
        "WHERE l.seq = 0 AND l.heads IS NOT NULL AND o.digest <> json_extract(h.value, '$[2]')"
    )
    return dict(connection.execute(sql).fetchall())


def lacks_heads(connection: sqlite3.Connection) -> bool:
    """Whether a session here saw lines that are not here."""
    known = set(connection.execute("SELECT session_id, seq FROM main.ledger"))
    sql = "SELECT heads FROM main.ledger WHERE seq = 0 AND heads IS NOT NULL"
    return any((other, seq) not in known for (text,) in connection.execute(sql) for other, seq, _ in json.loads(text))
