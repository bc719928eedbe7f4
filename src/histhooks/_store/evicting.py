"""Rows that were removed from one store for room: which they are, and how verification and joining know of them.

An eviction is no deletion: it holds for one store, other copies keep what they have, and none of them learns of it. The
ledger stays, and so does what was said of the runs' sessions.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from histhooks._base.vocabulary import OPEN, in_sql
from histhooks._store.graves import LISTED, Graves, bury_rows, has_table, listed, needed_content
from histhooks._store.tables import COVERED, SERIES, of_kind

EVERYTHING = "runs"  # the table that stands for all rows of a run
POINTS = "points"
WITHOUT_POINTS = "SELECT scope FROM main.evictions WHERE table_name = 'points'"
Evicted = set[tuple[str, str]]  # scope and table
_PROMOTED = (
    "SELECT v.run_id FROM main.model_versions AS v JOIN main.model_events AS e ON e.version_id = v.id "
    "WHERE e.action = 'promote' AND v.run_id IS NOT NULL"
)


@dataclass(slots=True)
class Removed:
    """What was removed, or would be.

    Attributes
    ----------
    runs : list of str
        Their ids.
    rows, points : int
    contents : list of (table, id)
        Shared content that nothing else needs.
    """

    runs: list[str] = field(default_factory=list)
    rows: int = 0
    points: int = 0
    contents: list[tuple[str, str]] = field(default_factory=list)


def evicted_in(connection: sqlite3.Connection, schema: str = "main") -> Evicted:
    """What was removed from a store for room."""
    if not has_table(connection, schema, "evictions"):  # an older version
        return set()
    return set(connection.execute(f"SELECT scope, table_name FROM {schema}.evictions"))


def not_taken(connection: sqlite3.Connection) -> tuple[Graves, frozenset[str]]:
    """What a store does not take in again: runs and contents as if they were deleted, and runs without their points."""
    found = evicted_in(connection)
    deleted = frozenset(scope for scope, table in found if table != POINTS)
    return Graves(deleted), frozenset(scope for scope, table in found if table == POINTS)


def take_evictions(connection: sqlite3.Connection, schema: str) -> None:
    """Take in what another file says it lacks; :func:`settle` forgets what this one has."""
    if has_table(connection, schema, "evictions"):
        connection.execute(f"INSERT OR IGNORE INTO main.evictions SELECT * FROM {schema}.evictions")


def settle(connection: sqlite3.Connection) -> None:
    """Forget evictions of what is here after all: another of the files that were joined had it."""
    if not evicted_in(connection):
        return
    gone = "DELETE FROM main.evictions WHERE table_name = ? AND scope IN "
    connection.execute(f"{gone}(SELECT id FROM main.runs)", (EVERYTHING,))
    points = "SELECT run_id FROM main.metric_summaries WHERE series IN (SELECT series FROM main.points)"
    connection.execute(f"{gone}({points})", (POINTS,))
    for table in of_kind("content"):
        connection.execute(f"{gone}(SELECT {COVERED[table].scope} FROM main.{table})", (table,))


def old_runs(connection: sqlite3.Connection, before: str, *, points_only: bool) -> list[str]:
    """Runs that ended, in sessions that did, before a time (ISO-8601 UTC); never one whose model was promoted."""
    seen = "coalesce(s.ended_at, s.heartbeat_at, s.started_at)"
    wanted = "AND EXISTS (SELECT 1 FROM main.metric_summaries AS m WHERE m.run_id = r.id)" if points_only else ""
    sql = (
        "SELECT r.id FROM main.runs AS r JOIN main.sessions AS s ON s.id = r.session_id "
        f"WHERE coalesce(r.ended_at, s.heartbeat_at, r.started_at) < ? AND {seen} < ? "
        f"AND (s.status NOT IN {in_sql(OPEN)} OR s.heartbeat_at < ?) AND r.id NOT IN ({_PROMOTED}) "
        "AND NOT EXISTS (SELECT 1 FROM main.evictions AS e WHERE e.scope = r.id AND e.table_name = 'points' "
        f"AND {'true' if points_only else 'false'}) {wanted} ORDER BY r.id"
    )
    return [run_id for (run_id,) in connection.execute(sql, (before, before, before))]


def count(connection: sqlite3.Connection, runs: list[str], *, points_only: bool) -> Removed:
    """What removing some runs, or only their points, would remove."""
    found = Removed(runs)
    ids = (listed(runs),)
    sql = f"SELECT coalesce(sum(count), 0) FROM main.metric_summaries WHERE run_id {LISTED.format('?')}"
    evicted = {scope for scope, table in evicted_in(connection) if table == POINTS}
    found.points = _number(connection, sql, (listed(set(runs) - evicted),))
    if not points_only:
        for table, spec in COVERED.items():
            if spec.kind == "row":
                sql = f"SELECT count(*) FROM main.{table} WHERE {spec.scope} {LISTED.format('?')}"
                found.rows += _number(connection, sql, ids)
        found.rows += len(runs)
    return found


def _number(connection: sqlite3.Connection, sql: str, values: tuple[str, ...]) -> int:
    row = connection.execute(sql, values).fetchone()
    return int(row[0]) if row else 0


def remove(connection: sqlite3.Connection, runs: list[str], *, points_only: bool) -> Removed:
    """Remove the rows of some runs, or only their points, and shared content that nothing else names.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction; or what asks a database in the same words.
    runs : list of str
    points_only : bool
    """
    found = count(connection, runs, points_only=points_only)
    if points_only:
        which = f"(SELECT series FROM main.metric_summaries WHERE run_id {LISTED.format('?')})"
        for table in SERIES:
            if table != "metric_summaries":
                connection.execute(f"DELETE FROM main.{table} WHERE series IN {which}", (listed(runs),))
        return found
    named = {table: _named(connection, table, runs) for table in of_kind("content")}
    bury_rows(connection, Graves(frozenset(runs)))
    for table, keys in named.items():
        scope = COVERED[table].scope
        sql = f"SELECT DISTINCT {scope} FROM main.{table} WHERE {scope} {LISTED.format('?')}"
        here = {key for (key,) in connection.execute(sql, (listed(keys),))}
        gone = sorted(here - needed_content(connection, table, here))
        if gone:
            connection.execute(f"DELETE FROM main.{table} WHERE {scope} {LISTED.format('?')}", (listed(gone),))
            found.contents += [(table, key) for key in gone]
    return found


def _named(connection: sqlite3.Connection, table: str, runs: list[str]) -> set[str]:
    """The shared content that rows of some runs name; what sessions name stays, since they do."""
    found: set[str] = set()
    for each in COVERED[table].named_by:
        if each.owner in ("run_id", "subject_id"):
            sql = f"SELECT DISTINCT {each.column} FROM main.{each.table} WHERE {each.owner} {LISTED.format('?')}"
            found |= {key for (key,) in connection.execute(sql, (listed(runs),)) if key is not None}
    return found


def entries(found: Removed, *, points_only: bool) -> list[tuple[str, str]]:
    """What to write into `evictions`: scope and table."""
    table = POINTS if points_only else EVERYTHING
    return [(run_id, table) for run_id in found.runs] + [(key, name) for name, key in found.contents]
