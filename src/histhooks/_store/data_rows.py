"""Digests, columns and sketches of data, which the first run of a session that has the data holds for the others.

Where runs are kept without the one that holds these rows, the oldest run that is kept gets rows of its own. Data is the
same where its fingerprint covers all of it, or a digest of all its values is equal.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any, NamedTuple, TypeAlias

from histhooks._base.vocabulary import OPEN, in_sql
from histhooks._store.tables import COVERED, HELD

# Each row with its table, without its ordinal.
Rows: TypeAlias = list[tuple[str, dict[str, Any]]]

_FAR = 1 << 32  # no run has so many rows of its own
_ROOM_BITS = 12  # for the rows that one session gives one run; with these, all numbers are exact in JSON (2^53)
_WHOLE = "part = 'all' AND coverage = 'all' AND digest IS NOT NULL"
_ENDED = f"s.status NOT IN {in_sql(OPEN)}"


class Chosen(NamedTuple):
    """Which runs are kept, as the right side of a condition on a run's id.

    Attributes
    ----------
    stays, goes : str
        The condition for a run that is kept, and for one that is not: ``IN (...)``.
    is_of_ended : bool
        Whether only runs of sessions that have ended may get rows, since others number theirs themselves.
    values : dict
        Parameters of the conditions.
    """

    stays: str
    goes: str
    is_of_ended: bool
    values: dict[str, Any]


def rows_for_kept(connection: sqlite3.Connection, chosen: Chosen) -> Rows:
    """Rows about data that runs which are kept would lack, each with its table, for the oldest of them.

    Parameters
    ----------
    connection : sqlite3.Connection
        Of the store that still has all rows.
    chosen : Chosen

    Returns
    -------
    list of tuple of str and dict
    """
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not there.issuperset(HELD):
        return []  # of an older store
    found = _digests(connection, chosen)
    for table in (name for name in HELD if name != "dataset_digests"):
        found += _of_content(connection, chosen, table)
    return found


def _digests(connection: sqlite3.Connection, chosen: Chosen) -> Rows:
    stays, goes, is_of_ended, values = chosen
    sql = f"""
SELECT d.dataset_id, d.run_id, max(d.time) FROM dataset_digests AS d JOIN datasets AS c ON c.id = d.dataset_id
WHERE c.coverage = 'all' AND d.run_id {goes}
  AND EXISTS (SELECT 1 FROM run_datasets AS x WHERE x.dataset_id = d.dataset_id AND x.run_id {stays})
  AND NOT EXISTS (SELECT 1 FROM dataset_digests AS o WHERE o.dataset_id = d.dataset_id AND o.run_id {stays})
GROUP BY d.dataset_id"""
    heirs = f"""
SELECT x.run_id FROM run_datasets AS x JOIN runs AS r ON r.id = x.run_id JOIN sessions AS s ON s.id = r.session_id
WHERE x.dataset_id = :dataset AND x.run_id {stays} {f"AND {_ENDED}" if is_of_ended else ""}
ORDER BY r.started_at, r.id LIMIT 1"""
    found = []
    for dataset_id, holder, _ in connection.execute(sql, values).fetchall():
        heir = connection.execute(heirs, {**values, "dataset": dataset_id}).fetchone()
        if heir is not None:
            found += _copied(connection, "dataset_digests", (holder, dataset_id), (heir[0], dataset_id))
    return found


def _of_content(connection: sqlite3.Connection, chosen: Chosen, table: str) -> Rows:
    """Rows of a table that a session writes once for one content, be it under several fingerprints."""
    stays, _, is_of_ended, values = chosen
    # Digests of data whose fingerprint covers all of it may be with another run.
    common = f"""
WITH places (run_id, dataset_id, algorithm, digest) AS (
  SELECT run_id, dataset_id, algorithm, digest FROM dataset_digests WHERE {_WHOLE}
  UNION
  SELECT x.run_id, x.dataset_id, d.algorithm, d.digest FROM run_datasets AS x
  JOIN datasets AS c ON c.id = x.dataset_id AND c.coverage = 'all'
  JOIN dataset_digests AS d ON d.dataset_id = x.dataset_id AND d.part = 'all' AND d.coverage = 'all'
  WHERE d.digest IS NOT NULL
)"""
    holders = f"""{common}
SELECT p.algorithm, p.digest, t.run_id, t.dataset_id FROM places AS p
JOIN {table} AS t ON t.run_id = p.run_id AND t.dataset_id = p.dataset_id
GROUP BY p.algorithm, p.digest HAVING max(t.run_id {stays}) = 0"""
    heirs = f"""{common}
SELECT p.run_id, p.dataset_id FROM places AS p
JOIN runs AS r ON r.id = p.run_id JOIN sessions AS s ON s.id = r.session_id
WHERE p.algorithm = :algorithm AND p.digest = :digest AND p.run_id {stays} {f"AND {_ENDED}" if is_of_ended else ""}
ORDER BY r.started_at, r.id LIMIT 1"""
    found, given = [], set()
    for algorithm, digest, *holder in connection.execute(holders, values).fetchall():
        heir = connection.execute(heirs, {**values, "algorithm": algorithm, "digest": digest}).fetchone()
        if heir is not None and tuple(holder) not in given:
            given.add(tuple(holder))
            found += _copied(connection, table, (holder[0], holder[1]), tuple(heir))
    return found


def _copied(connection: sqlite3.Connection, table: str, place: tuple[str, str], heir: tuple[str, str]) -> Rows:
    """Rows of a table for another run."""
    columns = [column for column in COVERED[table].columns if column not in ("run_id", "ordinal", "dataset_id")]
    sql = f"SELECT {', '.join(columns)} FROM {table} WHERE run_id = ? AND dataset_id = ? ORDER BY ordinal"
    named = {"run_id": heir[0], "dataset_id": heir[1]}
    return [(table, {**named, **dict(zip(columns, row, strict=True))}) for row in connection.execute(sql, place)]


def free_ordinals(session_id: str, rows: Rows) -> dict[tuple[str, str], int]:
    """The ordinals from which a session numbers rows of runs that others wrote, by run and table.

    Its own, and far from those of all others: two copies of a store may each give a run rows, and be merged later.
    """
    place = int(hashlib.sha256(session_id.encode("ascii")).hexdigest()[:10], 16)
    return {(row["run_id"], table): _FAR + (place << _ROOM_BITS) for table, row in rows}
