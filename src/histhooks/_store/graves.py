"""What the tombstones of a store remove, and which lines came after them.

Where stores are joined, a tombstone of one of them holds for all: what it names is not taken in, and goes where it is.
Content that a session recorded anew, in a history that knew of the tombstone, is another recording and stays.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from histhooks._base.vocabulary import OPEN, in_sql
from histhooks._store.tables import COVERED, PERSONAL, of_kind

Line = tuple[str, int]  # a ledger line: its session and its number
LISTED = "IN (SELECT value FROM json_each({}))"


def listed(values: Iterable[object]) -> str:
    """Values as the JSON that `json_each` takes apart."""
    return json.dumps(list(values))


@dataclass(frozen=True, slots=True)
class Graves:
    """What tombstones name.

    Attributes
    ----------
    deleted : frozenset of str
        Ids of the runs and the shared content that were deleted.
    redacted : dict of str to frozenset of Line
        Ids of what was redacted, each with the lines of its tombstones.
    erased : frozenset of str
        Digests of the values and the parts that were redacted.
    """

    deleted: frozenset[str] = frozenset()
    redacted: dict[str, frozenset[Line]] = field(default_factory=dict)
    erased: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.deleted or self.redacted)

    def __or__(self, other: Graves) -> Graves:
        nobody = frozenset[Line]()
        both = self.redacted.keys() | other.redacted.keys()
        redacted = {key: self.redacted.get(key, nobody) | other.redacted.get(key, nobody) for key in both}
        return Graves(self.deleted | other.deleted, redacted, self.erased | other.erased)


def graves_in(connection: sqlite3.Connection, schema: str = "main", without: frozenset[str] = frozenset()) -> Graves:
    """What the tombstones of a store name, but for those of some sessions; a part of the ledger has to cover one."""
    sql = (
        f"SELECT t.action, t.subject_id, t.digests, t.session_id, p.seq FROM {schema}.tombstones AS t "
        f"JOIN {schema}.ledger_parts AS p ON p.session_id = t.session_id AND p.table_name = 'tombstones' "
        "AND p.scope = t.session_id AND t.ordinal BETWEEN p.first AND p.last"
    )
    deleted, erased, redacted = set[str](), set[str](), dict[str, set[Line]]()
    for action, subject_id, digests, session_id, seq in connection.execute(sql):
        if session_id in without:
            continue
        if action == "delete":
            deleted.add(subject_id)
        else:
            redacted.setdefault(subject_id, set()).add((session_id, seq))
            erased.update(json.loads(digests))
    return Graves(frozenset(deleted), {key: frozenset(lines) for key, lines in redacted.items()}, frozenset(erased))


def named_by_graves(connection: sqlite3.Connection, without: frozenset[str] = frozenset()) -> set[str]:
    """The digests that tombstones name, but for those of some sessions."""
    rows = connection.execute("SELECT session_id, digests FROM tombstones")
    return {digest for session_id, text in rows if session_id not in without for digest in json.loads(text)}


class Causes:
    """Which lines of other sessions a session knew of when it began, and those these knew of."""

    def __init__(self, connection: sqlite3.Connection, schema: str = "main") -> None:
        sql = f"SELECT session_id, heads FROM {schema}.ledger WHERE seq = 0 AND heads IS NOT NULL"
        self._heads = {session_id: json.loads(heads) for session_id, heads in connection.execute(sql)}
        self._known: dict[str, dict[str, int]] = {}

    def knew(self, line: Line, session_id: str) -> bool:
        """Whether a session that began later than a line knew of it, directly or through others."""
        return self._all(session_id).get(line[0], -1) >= line[1]

    def _all(self, session_id: str) -> dict[str, int]:
        """The last line of each session that was known."""
        if session_id not in self._known:
            found: dict[str, int] = {}
            waiting = [session_id]
            while waiting:
                for other, seq, _ in self._heads.get(waiting.pop(), ()):
                    if other not in found:
                        waiting.append(other)
                    found[other] = max(found.get(other, -1), seq)
            self._known[session_id] = found
        return self._known[session_id]


def redacted_content(connection: sqlite3.Connection, graves: Graves, schema: str = "main") -> dict[str, set[str]]:
    """Ids of shared content that was redacted and that nobody recorded anew since, by table."""
    if not graves.redacted:
        return {}
    sql = (
        f"SELECT table_name, scope, session_id, digest FROM {schema}.ledger_parts WHERE scope {LISTED.format('?')} "
        f"AND table_name {LISTED.format('?')}"
    )
    found: dict[str, dict[str, set[str]]] = {}
    gone: dict[str, set[str]] = {}
    for table, scope, session_id, digest in connection.execute(
        sql, (listed(graves.redacted), listed(of_kind("content")))
    ):
        found.setdefault(table, {}).setdefault(scope, set()).add(session_id)
        if digest in graves.erased:
            gone.setdefault(table, set()).add(scope)
    if not gone:
        return {}
    causes = Causes(connection, schema)
    for table, scopes in gone.items():
        scopes -= {
            scope
            for scope in scopes
            if any(all(causes.knew(line, writer) for line in graves.redacted[scope]) for writer in found[table][scope])
        }
    return gone


def erased_fields(connection: sqlite3.Connection, graves: Graves, schema: str = "main") -> list[tuple[str, str]]:
    """The personal values that were erased, as their salts name them: the subject and the field."""
    if not graves.erased:
        return []
    found: list[tuple[str, str]] = []
    for table, columns in PERSONAL.items():
        if not has_table(connection, schema, table):
            continue
        for column in columns:
            sql = (
                f"SELECT {COVERED[table].scope}, '{table}/' || session_id || '/' || ordinal || '/{column}' "
                f"FROM {schema}.{table} WHERE {column}_sha256 {LISTED.format('?')}"
            )
            found += connection.execute(sql, (listed(graves.erased),)).fetchall()
    sql = (
        f"SELECT s.subject_id, e.key FROM {schema}.states AS s, json_each(s.state) AS e "
        f"WHERE s.subject_id {LISTED.format('?')} AND s.state LIKE '%$personal%' AND e.type = 'object' "
        f"AND json_extract(e.value, '$.$personal') {LISTED.format('?')}"
    )
    return found + connection.execute(sql, (listed(graves.redacted), listed(graves.erased))).fetchall()


Range = tuple[str, str, int, int]  # table, scope, first, last


def outdated_rows(connection: sqlite3.Connection, graves: Graves, schema: str = "main") -> list[Range]:
    """Rows that were changed on purpose, where this file has them as they were before."""
    if not graves.erased:
        return []
    sql = (
        f"SELECT table_name, scope, first, last, digest FROM {schema}.ledger_parts WHERE scope {LISTED.format('?')} "
        "AND table_name <> 'points'"
    )
    parts: dict[tuple[str, str], list[tuple[int, int, bool]]] = {}
    for table, scope, first, last, digest in connection.execute(sql, (listed(graves.redacted),)):
        if COVERED[table].kind == "row":
            parts.setdefault((table, scope), []).append((first, last, digest in graves.erased))
    found: list[Range] = []
    for (table, scope), ranges in parts.items():
        now = [(first, last) for first, last, is_erased in ranges if not is_erased]
        found += [
            (table, scope, first, last)
            for first, last, is_erased in ranges
            if is_erased and not any(begin <= first and last <= end for begin, end in now)
        ]
    return found


def has_table(connection: sqlite3.Connection, schema: str, table: str) -> bool:
    """Whether a file has a table; an older version has not all."""
    sql = f"SELECT 1 FROM {schema}.sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(sql, (table,)).fetchone() is not None


def bury(connection: sqlite3.Connection, graves: Graves) -> None:
    """Remove from a store what tombstones name, inside a transaction. Shared content stays where a row names it."""
    bury_rows(connection, graves)
    for table, scope, first, last in outdated_rows(connection, graves):
        sql = f"DELETE FROM main.{table} WHERE {COVERED[table].scope} = ? AND ordinal BETWEEN ? AND ?"
        connection.execute(sql, (scope, first, last))
    for table, scopes in redacted_content(connection, graves).items():
        connection.execute(
            f"DELETE FROM main.{table} WHERE {COVERED[table].scope} {LISTED.format('?')}", (listed(scopes),)
        )
    _bury_content(connection, graves)


def bury_rows(connection: sqlite3.Connection, graves: Graves, schema: str = "main") -> None:
    """Remove the rows of runs that were deleted, and values that were erased."""
    _bury_runs(connection, graves, schema)
    _bury_values(connection, graves, schema)


def _bury_runs(connection: sqlite3.Connection, graves: Graves, schema: str) -> None:
    if not graves.deleted:
        return
    ids = (listed(graves.deleted),)
    series = f"(SELECT series FROM {schema}.metric_summaries WHERE run_id {LISTED.format('?')})"
    for table in of_kind("series"):
        if table != "metric_summaries":
            connection.execute(f"DELETE FROM {schema}.{table} WHERE series IN {series}", ids)
    connection.execute(f"DELETE FROM {schema}.metric_summaries WHERE run_id {LISTED.format('?')}", ids)
    for table, spec in COVERED.items():
        if spec.kind == "row":
            connection.execute(f"DELETE FROM {schema}.{table} WHERE {spec.scope} {LISTED.format('?')}", ids)
    for table, column in (("salts", "subject_id"), ("runs", "id")):
        connection.execute(f"DELETE FROM {schema}.{table} WHERE {column} {LISTED.format('?')}", ids)


def _bury_values(connection: sqlite3.Connection, graves: Graves, schema: str) -> None:
    for subject_id, name in erased_fields(connection, graves, schema):
        connection.execute(f"DELETE FROM {schema}.salts WHERE subject_id = ? AND field = ?", (subject_id, name))
        if "/" not in name:
            sql = f"UPDATE {schema}.sessions SET {name} = NULL WHERE id = ? AND {name} IS NOT NULL"
            connection.execute(sql, (subject_id,))
    for table, columns in PERSONAL.items() if graves.erased else ():
        for column in columns:
            which = f"{column} IS NOT NULL AND {column}_sha256 {LISTED.format('?')}"
            connection.execute(f"UPDATE {schema}.{table} SET {column} = NULL WHERE {which}", (listed(graves.erased),))


def _bury_content(connection: sqlite3.Connection, graves: Graves) -> None:
    for table in of_kind("content") if graves.deleted else ():
        scope = COVERED[table].scope
        sql = f"SELECT DISTINCT {scope} FROM main.{table} WHERE {scope} {LISTED.format('?')}"
        found = {key for (key,) in connection.execute(sql, (listed(graves.deleted),))}
        gone = found - needed_content(connection, table, found)
        connection.execute(f"DELETE FROM main.{table} WHERE {scope} {LISTED.format('?')}", (listed(gone),))


def needed_content(connection: sqlite3.Connection, table: str, keys: set[str]) -> set[str]:
    """Of some shared content, what a row names, or a session wrote that still records: it writes it only once."""
    if not keys:
        return set()
    found: set[str] = set()
    for each in COVERED[table].named_by:
        sql = f"SELECT DISTINCT {each.column} FROM main.{each.table} WHERE {each.column} {LISTED.format('?')}"
        found |= {key for (key,) in connection.execute(sql, (listed(keys),))}
    sql = (
        "SELECT p.scope FROM main.sessions AS s CROSS JOIN main.ledger_parts AS p ON p.session_id = s.id "
        f"WHERE s.status IN {in_sql(OPEN)} AND p.scope {LISTED.format('?')} AND p.table_name = ?"
    )
    return found | {key for (key,) in connection.execute(sql, (listed(keys), table))}
