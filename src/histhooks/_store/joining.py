"""Take the rows of another store, or of a spool, into this one: the union of both, inside one transaction.

The other file is attached under a name. What tombstones remove is not taken in, and neither is what is refused.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from histhooks._store.graves import (
    LISTED,
    Graves,
    Range,
    erased_fields,
    has_table,
    listed,
    outdated_rows,
    redacted_content,
)
from histhooks._store.tables import COVERED, FOLDS, PERSONAL_COLUMNS, TABLES, of_kind


@dataclass(frozen=True, slots=True)
class Refused:
    """Sessions of which nothing is taken in.

    Attributes
    ----------
    sessions : frozenset of str
    scopes : frozenset of str
        These, and the runs that belong to them.
    ranges : tuple of Range
        Rows that they wrote about other runs.
    """

    sessions: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    ranges: tuple[Range, ...] = field(default=())


def refused_in(connection: sqlite3.Connection, sessions: frozenset[str], schema: str = "main") -> Refused:
    """What some sessions have in a file."""
    if not sessions:
        return Refused()
    sql = f"SELECT id FROM {schema}.runs WHERE session_id {LISTED.format('?')}"
    scopes = sessions | {run_id for (run_id,) in connection.execute(sql, (listed(sessions),))}
    sql = (
        f"SELECT table_name, scope, first, last FROM {schema}.ledger_parts WHERE session_id {LISTED.format('?')} "
        f"AND scope NOT {LISTED.format('?')} AND table_name <> 'points'"
    )
    found = connection.execute(sql, (listed(sessions), listed(scopes))).fetchall()
    return Refused(
        sessions,
        frozenset(scopes),
        tuple(row for row in found if COVERED[row[0]].kind == "row" and "session_id" not in COVERED[row[0]].columns),
    )


def columns_of(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    """Columns of a table of a file; none where it has no such table."""
    return [row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")]


def shared_columns(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    """Columns that both files have; a later version only adds some."""
    theirs = set(columns_of(connection, schema, table))
    return [name for name in columns_of(connection, "main", table) if name in theirs]


def take(
    connection: sqlite3.Connection,
    schema: str,
    graves: Graves,
    refused: Refused | None = None,
    *,
    may_change: bool = True,
) -> None:
    """Take in all rows of a file but its points, and leave out what is removed or refused.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction, with the other file attached.
    schema : str
        The name that it is attached under.
    graves : Graves
        Of both files, and of those that follow.
    refused : Refused, optional
    may_change : bool
        Whether rows that are here may go or be filled in; else rows are only added.
    """
    filters = _Filters(connection, schema, graves, refused or Refused())
    for table in FOLDS:  # first: who may add the rows of a session is a matter of its row
        _take_folds(connection, schema, table, filters)
    for table, scope, first, last in outdated_rows(connection, graves) if may_change else ():
        sql = f"DELETE FROM main.{table} WHERE {COVERED[table].scope} = ? AND ordinal BETWEEN ? AND ?"
        connection.execute(sql, (scope, first, last))
    for table, spec in TABLES.items():
        if spec.kind in ("ledger", "row", "content"):
            columns = shared_columns(connection, schema, table)
            if columns:  # an older version has not all tables
                _copy(connection, schema, table, columns, filters)
    if may_change:
        _fill_values(connection, schema, graves)


class _Filters:
    """Which rows of a file are taken in: conditions of SQL, and their parameters."""

    def __init__(self, connection: sqlite3.Connection, schema: str, graves: Graves, refused: Refused) -> None:
        self.graves, self.refused = graves, refused
        self.fields = erased_fields(connection, graves, schema)
        self._hidden = redacted_content(connection, graves, schema)
        self._outdated = outdated_rows(connection, graves, schema)
        # No session that did not write this file names one of its own in it twice: the lists are short.
        self._values = {
            "deleted": listed(graves.deleted), "erased": listed(graves.erased), "sessions": listed(refused.sessions),
            "scopes": listed(refused.scopes), "fields": listed(f"{subject} {name}" for subject, name in self.fields),
        }  # fmt: skip

    def of(self, table: str) -> tuple[str, dict[str, object]]:
        """The condition for the rows of a table, and its parameters."""
        spec = TABLES[table]
        found: list[str] = []
        values: dict[str, object] = dict(self._values)
        if spec.kind == "row":
            found += [f"{spec.scope} NOT {LISTED.format(':deleted')}"] if self.graves.deleted else []
            for number, (where, scope, first, last) in enumerate((*self._outdated, *self.refused.ranges)):
                if where == table:
                    values |= {f"s{number}": scope, f"f{number}": first, f"l{number}": last}
                    found.append(f"NOT ({spec.scope} = :s{number} AND ordinal BETWEEN :f{number} AND :l{number})")
        if self.refused.sessions and spec.kind != "content":
            found.append(f"{spec.scope or 'id'} NOT {LISTED.format(':scopes')}" if table not in _LINES else "true")
            if "session_id" in (*spec.columns, *_LINES.get(table, ())):
                found.append(f"session_id NOT {LISTED.format(':sessions')}")
        if table == "salts":
            found += [f"subject_id NOT {LISTED.format(':deleted')}"] if self.graves.deleted else []
            found += [f"subject_id || ' ' || field NOT {LISTED.format(':fields')}"] if self.fields else []
            if self.refused.sessions:
                found.append(
                    "NOT EXISTS (SELECT 1 FROM json_each(:sessions) AS j WHERE instr(field, '/' || j.value || '/'))"
                )
        if table == "runs" and self.graves.deleted:
            found.append(f"id NOT {LISTED.format(':deleted')}")
        if self._hidden.get(table):
            values["hidden"] = listed(self._hidden[table])
            found.append(f"{spec.scope} NOT {LISTED.format(':hidden')}")
        return (f"WHERE {' AND '.join(found)}" if found else ""), values


# Lines of the ledger belong to the session that wrote them, whatever they cover.
_LINES = {table: ("session_id",) for table in of_kind("ledger") if TABLES[table].scope == "session_id"}


def _copy(connection: sqlite3.Connection, schema: str, table: str, columns: list[str], filters: _Filters) -> None:
    where, values = filters.of(table)
    personal = TABLES[table].personal if filters.graves.erased else ()
    chosen = ", ".join(
        f"CASE WHEN {name}_sha256 {LISTED.format(':erased')} THEN NULL ELSE {name} END" if name in personal else name
        for name in columns
    )
    sql = f"INSERT OR IGNORE INTO main.{table} ({', '.join(columns)}) SELECT {chosen} FROM {schema}.{table} {where}"
    connection.execute(sql, values)


def _fill_values(connection: sqlite3.Connection, schema: str, graves: Graves) -> None:
    """Personal values that this file lacks and the other has: one of them may have been exported without."""
    for table, spec in TABLES.items():
        if not spec.personal or spec.kind != "row" or not has_table(connection, schema, table):
            continue
        same = f"o.ordinal = t.ordinal AND {of_alias('o', spec.scope)} = {of_alias('t', spec.scope)}"
        same += " AND o.session_id = t.session_id" if spec.by_session else ""
        for column in spec.personal:
            where = f"{column} IS NOT NULL"
            where += f" AND {column}_sha256 NOT {LISTED.format('?')}" if graves.erased else ""
            values = (listed(graves.erased),) if graves.erased else ()
            connection.execute(
                f"UPDATE main.{table} AS t SET {column} = o.{column} FROM "
                f"(SELECT * FROM {schema}.{table} WHERE {where}) AS o "
                f"WHERE {same} AND t.{column} IS NULL AND t.{column}_sha256 = o.{column}_sha256",
                values,
            )


def of_alias(alias: str, scope: str) -> str:
    """The scope of a row, of a table under another name."""
    if scope.startswith("coalesce"):
        return f"coalesce({alias}.run_id, {alias}.session_id)"
    return f"{alias}.{scope}"


def _take_folds(connection: sqlite3.Connection, schema: str, table: str, filters: _Filters) -> None:
    """Rows of `sessions` and `runs`, as the other file has them: they are made again from states later."""
    columns = shared_columns(connection, schema, table)
    where, values = filters.of(table)
    if table == "sessions":
        _fill_sessions(connection, schema, filters)
    chosen = list(columns)
    if table == "sessions" and filters.fields:
        erased: dict[str, list[str]] = {}
        for subject_id, name in filters.fields:
            if "/" not in name:
                erased.setdefault(name, []).append(subject_id)
        for number, (name, ids) in enumerate(erased.items()):
            values[f"e{number}"] = listed(ids)
            chosen[columns.index(name)] = f"CASE WHEN id {LISTED.format(f':e{number}')} THEN NULL ELSE {name} END"
    sql = f"INSERT OR IGNORE INTO main.{table} ({', '.join(columns)}) SELECT {', '.join(chosen)} FROM {schema}.{table}"
    connection.execute(f"{sql} {where}", values)


def _fill_sessions(connection: sqlite3.Connection, schema: str, filters: _Filters) -> None:
    """Personal values, and the last sign of life, of sessions that both have."""
    erased = set(filters.fields)
    names = [*PERSONAL_COLUMNS, "heartbeat_at"]
    ours, theirs = (", ".join(f"{alias}.{name}" for name in names) for alias in "ot")
    sql = f"SELECT t.id, {ours}, {theirs} FROM main.sessions AS o JOIN {schema}.sessions AS t ON t.id = o.id"
    for session_id, *values in connection.execute(sql).fetchall():
        if session_id in filters.refused.sessions:
            continue
        for name, own, other in zip(names, values[: len(names)], values[len(names) :], strict=True):
            is_new = other is not None and (own is None or (name == "heartbeat_at" and other > own))
            if is_new and (session_id, name) not in erased:
                connection.execute(f"UPDATE main.sessions SET {name} = ? WHERE id = ?", (other, session_id))
