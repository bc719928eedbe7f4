"""Write what a target has into a file: all of it, or the lines after those that are known."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from histhooks._store.folds import Roller
from histhooks._store.graves import Graves
from histhooks._store.parts import declare
from histhooks._store.refusing import lacks_heads
from histhooks._store.store import Store
from histhooks._store.tables import CONTENT, COVERED, FOLDS, of_kind
from histhooks._store.wholeness import scopes_in
from histhooks.team.postgres import chunks
from histhooks.team.postgres.dialect import decoded_rows, encoded
from histhooks.team.postgres.standing import removed_of, sees_a_part

_AT_ONCE = 5000
_SERIES_COLUMNS = ("steps", "epochs", "times", '"values"', "specials")
Known = dict[str, int]


class Fetching:
    """A target that is read, as of one moment.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction of one snapshot, in the schema of the target.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._number = 0

    def rows(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of a query, a few thousand at a time."""
        self._number += 1
        with self._connection.cursor(name=f"rows_{self._number}", binary=True) as cursor:
            cursor.itersize = _AT_ONCE
            cursor.execute(sql, values or None)
            yield from decoded_rows(cursor)

    def heads(self) -> dict[str, tuple[int, str]]:
        """The last line of each session."""
        sql = "SELECT DISTINCT ON (session_id) session_id, seq, digest FROM ledger ORDER BY session_id, seq DESC"
        return {session_id: (seq, digest) for session_id, seq, digest in self.rows(sql)}

    def digests(self, known: Known) -> dict[str, str]:
        """The digests of some lines, of those that are there."""
        sql = (
            "SELECT l.session_id, l.digest FROM unnest(%s::text[], %s::bigint[]) AS k (session_id, seq) "
            "JOIN ledger AS l ON l.session_id = k.session_id AND l.seq = k.seq"
        )
        return dict(self.rows(sql, list(known), list(known.values())))

    def removed(self, ids: Iterable[str]) -> Graves:
        """What was deleted or redacted of some scopes, if this role does not see the tombstones."""
        if not sees_a_part(self._connection):
            return Graves()
        return removed_of(self._connection, ids, with_evictions=False).graves

    def into_file(self, path: Path, known: Known | None = None) -> int:
        """Make a file of all that is there, or of the lines after those that are known.

        Parameters
        ----------
        path : Path
            The file, which is made.
        known : dict of str to int, optional
            The last line of each session that is known.

        Returns
        -------
        int
            Ledger lines in it.
        """
        with closing(Store(path, is_spool=True)) as store:
            connection = store.connection
            for pragma in ("synchronous = OFF", "journal_mode = MEMORY", "ignore_check_constraints = ON"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN")
            lines = self._whole(connection) if known is None else self._delta(connection, known)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = DELETE")
            return lines

    def _whole(self, connection: sqlite3.Connection) -> int:
        for table in (*of_kind("ledger", "row", "content"), *FOLDS, "metric_summaries"):
            names = _columns(connection, table)
            _insert(connection, table, names, self.rows(f"SELECT {', '.join(names)} FROM {table}"))
        sql = f"SELECT series, chunk, {', '.join(_SERIES_COLUMNS)} FROM point_chunks ORDER BY series, chunk"
        for series, rows in groupby(self.rows(sql), itemgetter(0)):
            roller = Roller()
            for row in rows:
                points = list(chunks.unpacked(*row[1:]))
                _insert_points(connection, series, points)
                _insert_rollups(
                    connection,
                    series,
                    roller.add([(n, n if step is None else step, *rest) for n, step, *rest in points]),
                )
        self._evictions(connection)
        if sees_a_part(self._connection):
            declare(connection, scopes_in(connection), is_view=True)
        elif lacks_heads(connection):
            declare(connection, scopes_in(connection))
        return int(connection.execute("SELECT count(*) FROM ledger").fetchone()[0])

    def _delta(self, connection: sqlite3.Connection, known: Known) -> int:
        after = [list(known), list(known.values())]
        fresh = (
            "JOIN (SELECT l.session_id, l.seq FROM ledger AS l LEFT JOIN unnest(%s::text[], %s::bigint[]) "
            "AS k (session_id, seq) ON k.session_id = l.session_id WHERE k.seq IS NULL OR l.seq > k.seq) AS f "
            "ON f.session_id = t.session_id AND f.seq = t.seq"
        )
        for table in ("ledger", "ledger_parts"):
            names = _columns(connection, table)
            listed = ", ".join(f"t.{name}" for name in names)
            _insert(connection, table, names, self.rows(f"SELECT {listed} FROM {table} AS t {fresh}", *after))
        parts: dict[str, list[tuple[Any, ...]]] = {}
        sql = "SELECT table_name, session_id, scope, first, last, ranges FROM ledger_parts"
        for table, *part in connection.execute(sql):
            parts.setdefault(table, []).append(tuple(part))
        for table, some in parts.items():
            if table != "points" and table in COVERED:
                self._rows_of(connection, table, some)
        self._live(connection, {part[1] for some in parts.values() for part in some} | {
            part[0] for some in parts.values() for part in some
        })  # fmt: skip
        self._curves(connection, parts.get("points", []))
        self._evictions(connection)
        lines = int(connection.execute("SELECT count(*) FROM ledger").fetchone()[0])
        if lines and next(self.rows("SELECT EXISTS (SELECT 1 FROM tombstones WHERE action = 'redact')"))[0]:
            # Whether content was recorded anew after a redaction, only all lines together say.
            for table in ("ledger", "ledger_parts"):
                names = _columns(connection, table)
                _insert(connection, table, names, self.rows(f"SELECT {', '.join(names)} FROM {table}"))
        return lines

    def _evictions(self, connection: sqlite3.Connection) -> None:
        """What was removed there for room; an older target has no such column names, and nothing in it."""
        names = _columns(connection, "evictions")
        _insert(connection, "evictions", names, self.rows(f"SELECT {', '.join(names)} FROM evictions"))

    def _rows_of(self, connection: sqlite3.Connection, table: str, parts: list[tuple[Any, ...]]) -> None:
        """The rows that some parts cover."""
        names, spec = _columns(connection, table), COVERED[table]
        listed = ", ".join(f"t.{name}" for name in names)
        scope = spec.scope
        if scope.startswith("coalesce"):
            scope = "coalesce(t.run_id, t.session_id)"
        elif "." not in scope:
            scope = f"t.{scope}"
        if table in CONTENT:
            sql = f"SELECT {listed} FROM {table} AS t WHERE {scope} = ANY(%s)"
            _insert(connection, table, names, self.rows(sql, sorted({part[1] for part in parts})))
            return
        same = f"{scope} = p.scope AND t.ordinal BETWEEN p.first AND p.last"
        same += " AND t.session_id = p.session_id" if spec.by_session else ""
        sql = (
            f"SELECT {listed} FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[]) "
            f"AS p (session_id, scope, first, last) JOIN {table} AS t ON {same}"
        )
        columns = [list(column) for column in zip(*(part[:4] for part in parts), strict=True)]
        _insert(connection, table, names, self.rows(sql, *columns))

    def _live(self, connection: sqlite3.Connection, scopes: set[str]) -> None:
        """Rows of sessions and runs that changed, or may have, and the salts of these."""
        keys = sorted(scopes)
        for table in FOLDS:
            names = _columns(connection, table)
            sql = f"SELECT {', '.join(names)} FROM {table} WHERE id = ANY(%s) OR ended_at IS NULL"
            _insert(connection, table, names, self.rows(sql, keys))
        sql = "SELECT subject_id, field, salt FROM salts WHERE subject_id = ANY(%s)"
        _insert(connection, "salts", ["subject_id", "field", "salt"], self.rows(sql, keys))

    def _curves(self, connection: sqlite3.Connection, parts: Iterable[tuple[Any, ...]]) -> None:
        first: dict[tuple[str, str], int] = {}
        for _, run_id, _, _, ranges in parts:
            for name, begin, _ in json.loads(ranges):
                first[run_id, name] = min(begin, first.get((run_id, name), begin))
        if not first:
            return
        names = _columns(connection, "metric_summaries")
        keys = [[key[0] for key in first], [encoded(key[1]) for key in first]]
        series = "JOIN metric_summaries AS s ON s.run_id = u.run_id AND s.name = u.name"
        listed = ", ".join(f"s.{name}" for name in names)
        sql = f"SELECT {listed} FROM unnest(%s::text[], %s::text[]) AS u (run_id, name) {series}"
        _insert(connection, "metric_summaries", names, self.rows(sql, *keys))
        listed = ", ".join(f"c.{name}" for name in _SERIES_COLUMNS)
        sql = (
            f"SELECT s.series, c.chunk, {listed} FROM unnest(%s::text[], %s::text[], %s::bigint[]) "
            f"AS u (run_id, name, first) {series} JOIN point_chunks AS c ON c.series = s.series "
            f"AND c.chunk >= u.first / {chunks.SIZE}"
        )
        for key, *row in self.rows(sql, *keys, list(first.values())):
            _insert_points(connection, key, list(chunks.unpacked(*row)))


def _with_step(point: tuple[Any, ...]) -> Any:
    return point if point[1] is not None else (point[0], point[0], *point[2:])


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def _insert(connection: sqlite3.Connection, table: str, names: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)


def _insert_points(connection: sqlite3.Connection, series: int, points: list[tuple[Any, ...]]) -> None:
    sql = (
        "INSERT OR IGNORE INTO points (series, n, step, epoch, time, value, special) "
        f"VALUES ({series}, ?, ?, ?, ?, ?, ?)"
    )
    connection.executemany(sql, points)


def _insert_rollups(connection: sqlite3.Connection, series: int, rollups: Iterable[tuple[Any, ...]]) -> None:
    sql = (
        "INSERT INTO rollups (series, level, bucket, first_step, last_step, count, min, max, mean) "
        f"VALUES ({series}, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    connection.executemany(sql, rollups)
