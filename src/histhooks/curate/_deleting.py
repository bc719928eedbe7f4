"""Delete runs: their rows are removed, the ledger's lines stay, and a tombstone records what, by whom and why."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from histhooks._base.clock import from_iso, now_us
from histhooks._base.ids import short_id
from histhooks._base.secrets import mask_text
from histhooks._base.vocabulary import OPEN, in_sql
from histhooks._collect.survey import content_row
from histhooks._store.data_rows import Chosen, Rows, rows_for_kept
from histhooks._store.entries import content_entry
from histhooks._store.graves import LISTED
from histhooks._store.tables import COVERED, SERIES, of_kind
from histhooks.curate._kept import no_longer_needed, remove_kept, there_are
from histhooks.curate._promoted import kept_for, promoted_runs
from histhooks.curate._session import CommandSession
from histhooks.curate._space import free_space, size_of
from histhooks.errors import QueryError, StoreError

_LOST_FOR_GOOD_US = 24 * 3600 * 1_000_000
_DOOMED = "(SELECT id FROM temp.doomed)"
_LISTED = LISTED.format("?")


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was deleted, or would be.

    Attributes
    ----------
    runs : list of dict
        Of each run: id, name, kind, status, started_at, and whether it went with its parent (`is_child`).
    rows : int
        Rows that are gone, points included.
    contents : list of str
        Ids of shared content that nothing else needed.
    freed_bytes : int
        By how much the file shrank.
    notice : str or None
        Why it did not shrink, where it did not.
    kept_files, kept_bytes : int
        Copies in `<store>.files/` that no other run has, and their size.
    """

    runs: list[dict[str, Any]]
    rows: int
    contents: list[str]
    freed_bytes: int
    notice: str | None = None
    kept_files: int = 0
    kept_bytes: int = 0


def delete(
    *runs: str,
    reason: str,
    store: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    patience_s: float = 30.0,
) -> Deletion:
    """Delete runs with the runs inside them, and what nothing else needs.

    Parameters
    ----------
    *runs : str
        An id, a part of one, a name, `last` or `last~2`, each; `job:ID` and `group:NAME` mean all runs of them.
    reason : str
        Kept in the tombstone.
    store : str or path, optional
    dry_run : bool
        Only report what would be deleted.
    patience_s : float, seconds
        How long another writer is waited for.

    Returns
    -------
    Deletion

    Raises
    ------
    QueryError
        If a selector means no run or could mean several (also by a name), or there is no reason.
    StoreError
        If a run's session still records, a version of a model that was promoted in the last 10 years is of a run (the
        span is `[tool.histhooks.models] retention`), or the store cannot be written.

    Examples
    --------
    >>> found = curate.delete("last~1", reason="wrong data", dry_run=True)
    >>> [run["name"] for run in found.runs], found.rows > 0
    (['train'], True)
    """
    if not runs:
        raise QueryError("no run was named; give at least one")
    reason = checked_reason(reason)
    with CommandSession(store, f"histhooks delete {' '.join(runs)}", patience_s=patience_s) as session:
        found = session.find(runs, is_exact=True)
        return delete_rows(session, [row["id"] for row in found], reason, dry_run=dry_run)


def checked_reason(reason: str) -> str:
    """The reason as it is kept."""
    if not reason.strip():
        raise QueryError('why? give a reason, such as --reason "wrong data"; it stays in the history')
    return mask_text(reason.strip())


def delete_rows(session: CommandSession, run_ids: Iterable[str], reason: str, *, dry_run: bool) -> Deletion:
    """Delete runs by their ids, in one transaction."""
    before = size_of(session.path)
    connection = session.connection
    with session.deed() as entries:
        doomed = _doom(session, run_ids)
        for run in doomed:
            _refuse_open(session, run)
        _refuse_promoted(session, [run["id"] for run in doomed])
        copies, needed = no_longer_needed(connection, _DOOMED)
        candidates = {table: _named(connection, table, f"IN {_DOOMED}") for table in _shared()}
        if dry_run:
            kept_files = there_are(session, copies)
            told = [_told(run) for run in doomed]
            n_kept, size = kept_files.files, kept_files.size_bytes
            return Deletion(told, _count_rows(connection), [], 0, kept_files=n_kept, kept_bytes=size)
        entries += _tombstones(session, [run["id"] for run in doomed], reason)
        entries += _kept_states(connection)
        kept = rows_for_kept(connection, Chosen(f"NOT IN {_DOOMED}", f"IN {_DOOMED}", is_of_ended=True, values={}))
        entries += session.rows_of_runs(kept)
        rows = _remove(connection)
        contents = []
        for table, found in candidates.items():
            gone = found - _named(connection, table) - _named_by_rows(table, kept)
            gone -= _named_by_open(connection, table, gone)
            contents += sorted(gone)
            entries += _tombstones(session, sorted(gone), reason, table)
            sql = f"DELETE FROM {table} WHERE {COVERED[table].scope} {_LISTED}"
            rows += connection.execute(sql, (_json(gone),)).rowcount
    removed = remove_kept(session, copies, needed)
    notice = "; ".join(filter(None, [free_space(session.store), removed.notice])) or None
    freed = max(before - size_of(session.path), 0)
    told = [_told(run) for run in doomed]
    return Deletion(told, rows, contents, freed, notice, removed.files, removed.size_bytes)


def _doom(session: CommandSession, run_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Name the runs that go, with those inside them."""
    connection = session.connection
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS doomed (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID")
    connection.execute("DELETE FROM temp.doomed")
    connection.executemany("INSERT OR IGNORE INTO temp.doomed (id) VALUES (?)", [(run_id,) for run_id in run_ids])
    connection.execute(
        "INSERT OR IGNORE INTO temp.doomed (id) WITH RECURSIVE inside (id) AS (SELECT id FROM temp.doomed UNION "
        "SELECT r.id FROM runs AS r JOIN inside ON r.parent_id = inside.id) SELECT id FROM inside"
    )
    return session.rows(
        "SELECT r.*, s.status AS session_status, s.kind AS session_kind, s.heartbeat_at AS heartbeat_at, s.pid AS pid, "
        f"r.parent_id IN {_DOOMED} AS is_child FROM runs AS r JOIN sessions AS s ON s.id = r.session_id "
        f"WHERE r.id IN {_DOOMED} ORDER BY r.started_at, r.id"
    )


def _refuse_open(session: CommandSession, run: dict[str, Any]) -> None:
    """Leave what may still be written to: a session that lives adds scores, files and children to its earlier runs."""
    name = f"run {short_id(run['id'])} {run['name']!r}"
    if run["session_status"] == "running":
        what = "still runs" if run["status"] == "running" else "has ended, but its process still records"
        raise StoreError(
            f"{name} {what} ({run['session_kind']}, process {run['pid']}); end that process first (in a notebook: "
            "restart the kernel), then delete it"
        )
    if run["session_status"] == "lost":
        seen = run["heartbeat_at"] or run["started_at"]
        if now_us() - from_iso(seen) < _LOST_FOR_GOOD_US:
            raise StoreError(f"{name} was last seen {seen} and may come back; delete it a day after that")


def _refuse_promoted(session: CommandSession, run_ids: list[str]) -> None:
    """Leave what was live: whoever asks what it was, and why, must find it."""
    held = promoted_runs(session.connection, run_ids)
    if held:
        raise StoreError(
            f"run {short_id(str(held[0].run_id))} stays: {held[0].why()}, and what was promoted is kept for "
            f"{kept_for()} (retention in [tool.histhooks.models])"
        )


def _tombstones(
    session: CommandSession, scopes: list[str], reason: str, table: str | None = None
) -> Iterator[tuple[Any, ...]]:
    """The tombstone of some runs, or of some content of a table."""
    # One look at all parts: each takes longer to find alone than all of them together.
    sql = f"SELECT scope, digest FROM ledger_parts WHERE scope {_LISTED} AND coalesce(table_name = ?, true)"
    digests: dict[str, set[str]] = {scope: set() for scope in scopes}
    if scopes:
        for scope, digest in session.connection.execute(sql, (_json(scopes), table)):
            digests[scope].add(digest)
    for scope, found in digests.items():
        yield session.tombstone("delete", scope, sorted(found), reason)


def _json(keys: Iterable[str]) -> str:
    import json

    return json.dumps(list(keys))


def _column(connection: sqlite3.Connection, sql: str) -> set[str]:
    return {value for (value,) in connection.execute(sql) if value is not None}


def _shared() -> list[str]:
    """The tables of what runs share; what sessions share stays, since sessions stay."""
    return [table for table in of_kind("content") if all(each.owner != "id" for each in COVERED[table].named_by)]


def _named(connection: sqlite3.Connection, table: str, owners: str = "") -> set[str]:
    """Ids of shared content that rows of some runs, or of any, name."""
    spec = COVERED[table]
    named = " UNION ".join(
        f"SELECT {each.column} FROM {each.table}" + (f" WHERE {each.owner} {owners}" if owners else "")
        for each in spec.named_by
    )
    return _column(connection, f"SELECT {spec.scope} FROM {table} WHERE {spec.scope} IN ({named})")


def _named_by_rows(table: str, rows: Rows) -> set[str]:
    """Ids of shared content that rows name which are yet to be written."""
    columns = {each.table: each.column for each in COVERED[table].named_by}
    return {row[columns[name]] for name, row in rows if name in columns}


def _kept_states(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Random states that other rows name by their digest only: they move to `contents`."""
    import zlib

    stays = f"state IS NULL AND coalesce(run_id, '') NOT IN {_DOOMED}"
    needed = set(connection.execute(f"SELECT session_id, digest FROM rng_states WHERE {stays}"))
    held = connection.execute(
        f"SELECT session_id, digest, state FROM rng_states WHERE run_id IN {_DOOMED} AND state IS NOT NULL"
    ).fetchall()
    kept = {digest: state for session_id, digest, state in held if (session_id, digest) in needed}
    return [
        content_entry("contents", content_row(digest, "rng_state", zlib.decompress(state)))
        for digest, state in kept.items()
    ]


def _count_rows(connection: sqlite3.Connection) -> int:
    total = 0
    for table, column in _scoped():
        (n,) = connection.execute(f"SELECT count(*) FROM {table} WHERE {column} IN {_DOOMED}").fetchone()
        total += n
    sql = f"SELECT coalesce(sum(count), 0) FROM metric_summaries WHERE run_id IN {_DOOMED}"
    return total + int(connection.execute(sql).fetchone()[0])


def _scoped() -> list[tuple[str, str]]:
    """The tables whose rows belong to a run, and what says to which."""
    covered = [(table, spec.scope) for table, spec in COVERED.items() if spec.kind == "row"]
    return [*(pair for pair in covered if pair[0] != "tombstones"), ("salts", "subject_id"), ("runs", "id")]


def _remove(connection: sqlite3.Connection) -> int:
    total = 0
    series = f"(SELECT series FROM metric_summaries WHERE run_id IN {_DOOMED})"
    for table in SERIES:
        if table != "metric_summaries":
            total += connection.execute(f"DELETE FROM {table} WHERE series IN {series}").rowcount
    total += connection.execute(f"DELETE FROM metric_summaries WHERE run_id IN {_DOOMED}").rowcount
    for table, column in _scoped():
        total += connection.execute(f"DELETE FROM {table} WHERE {column} IN {_DOOMED}").rowcount
    return total


def _named_by_open(connection: sqlite3.Connection, table: str, keys: set[str]) -> set[str]:
    """Shared content that a session wrote which still records: it does not write it a second time."""
    sql = (
        "SELECT p.scope FROM sessions AS s CROSS JOIN ledger_parts AS p ON p.session_id = s.id "
        f"WHERE s.status IN {in_sql(OPEN)} AND p.scope {_LISTED} AND p.table_name = ?"
    )
    return {scope for (scope,) in connection.execute(sql, (_json(keys), table))} if keys else set()


def _told(run: dict[str, Any]) -> dict[str, Any]:
    told = {name: run[name] for name in ("id", "name", "kind", "status", "started_at")}
    return {**told, "is_child": bool(run["is_child"])}
