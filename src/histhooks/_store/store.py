"""Write to a store with the standard library, one transaction for each batch.

Foreign keys are declared for readers and checked by ``verify``; the write connection leaves them unenforced, since a
child run in another process may be written before its parent is, and a check per point would double its price.
Pragmas: https://www.sqlite.org/pragma.html (journal_mode, synchronous, application_id, user_version).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from histhooks._base.clock import iso, now_us
from histhooks._base.ids import new_id
from histhooks._host.mounts import is_network
from histhooks._host.store_location import real_path
from histhooks._store.batch import Batch, Series
from histhooks._store.connection import Link, Unwritable
from histhooks._store.folds import Summary
from histhooks._store.opening import prepare
from histhooks._store.pace import Pace
from histhooks._store.tables import CONTENT

# One look at each session, by the primary key, and none at the lines between its first and its last: CROSS JOIN keeps
# the order of the tables (https://www.sqlite.org/optoverview.html), else all lines of all sessions are read.
HEADS = """
    WITH ends (id, seq) AS (
      SELECT id, (SELECT max(seq) FROM ledger WHERE session_id = sessions.id) FROM sessions
      EXCEPT
      SELECT json_extract(h.value, '$[0]'), json_extract(h.value, '$[1]')
      FROM sessions AS s CROSS JOIN ledger AS l ON l.session_id = s.id AND l.seq = 0 CROSS JOIN json_each(l.heads) AS h
    )
    SELECT l.session_id, l.seq, l.digest
    FROM ends CROSS JOIN ledger AS l ON l.session_id = ends.id AND l.seq = ends.seq
    ORDER BY l.session_id"""
_SUMMARY = tuple(f.name for f in fields(Summary))
_AT_ONCE = (2000, 200, 20)  # rows a statement, the first where it is late; a rest below the last goes with its own
_MOST_VALUES = 32_766  # in one statement: SQLITE_MAX_VARIABLE_NUMBER, where nobody built SQLite with more
_CACHED = 512  # prepared statements: preparing one takes as long as running it


class Store:
    """A store that is open for writing.

    Parameters
    ----------
    path : Path
        The file. It is made where there is none.
    is_spool : bool
        Whether it is the spool of one session, which keeps a rollback journal.
    timeout_s : float, seconds
        How long one attempt waits for a lock.

    Raises
    ------
    Unwritable
        If the file must be left alone.
    sqlite3.OperationalError
        If it stays locked.
    """

    def __init__(self, path: Path, *, is_spool: bool = False, timeout_s: float = 1.0) -> None:
        self.path = path = real_path(path)
        self.is_spool = is_spool
        self.has_log = not is_spool and not is_network(path)
        self.pace = Pace()
        self._timeout_s = timeout_s
        # The rows of series that a run may still add to; those of an ended run go with it.
        self._local: WeakKeyDictionary[Series, int] = WeakKeyDictionary()
        self._columns: dict[str, str] = {}
        self._link = Link(path, self._prepare, timeout_s=timeout_s, n_statements=_CACHED)
        self._link.open()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection; opened again where it was closed for a fork.

        Raises
        ------
        Unwritable
            If the file is no longer there, or must be left alone by now.
        """
        return self._link.connection

    def is_there(self) -> bool:
        """Whether the files are those that were opened."""
        return self._link.is_there()

    def is_open(self) -> bool:
        """Whether the connection is open, and not closed for a fork."""
        return self._link.is_open()

    def holds(self, low: int, high: int) -> bool:
        """Whether a descriptor from ``low`` to below ``high`` is one of its own."""
        return self._link.holds(low, high)

    def is_whole(self) -> bool:
        """Whether the connection can be used: the program has not closed its descriptors."""
        return self._link.is_whole()

    def let_go(self) -> bool:
        """Close the connection for a fork, until it is asked for; False if it cannot be closed."""
        return self._link.let_go()

    def go_on(self) -> None:
        """Open the connection again where it was closed for a fork."""
        self._link.open_again()

    def keep_away(self) -> None:
        """Never use the connection again, nor close it: it was copied by a fork, or its descriptors were closed."""
        self._link.keep_away()

    def save_into(self, path: Path) -> None:
        """Copy all that the connection still sees into a new file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection.execute("VACUUM INTO ?", (str(path),))

    def log_bytes(self) -> int:
        """How long the write-ahead log is."""
        if not self.has_log:
            return 0
        try:
            return os.stat(f"{self.path}-wal").st_size
        except OSError:
            return 0

    def empty_log(self) -> bool:
        """Merge the log into the file; False if a reader that sees an older state prevents it."""
        self.wait_for_locks(0.1)
        try:
            (is_busy, *_) = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self.wait_for_locks()
        return not is_busy

    def wait_for_locks(self, timeout_s: float | None = None) -> None:
        """Set how long SQLite itself waits for a lock; as long as at first where it is not said."""
        self._link.wait_for_locks(self._timeout_s if timeout_s is None else timeout_s)

    def _prepare(self) -> None:
        prepare(self.path, self.connection, has_log=self.has_log)

    def heads(self) -> list[list[Any]]:
        """The last ledger lines that no other session's first line names yet: [session id, seq, digest] each."""
        return [list(row) for row in self.connection.execute(HEADS)]

    def apply(self, batch: Batch, session_id: str) -> None:
        """Write a batch in one transaction; a batch that is there already is left as it is."""
        with self.transaction(is_durable=batch.is_durable):
            if not self._has(batch):
                self.write(batch)
            self.connection.execute("UPDATE sessions SET heartbeat_at = ? WHERE id = ?", (iso(now_us()), session_id))

    @contextmanager
    def transaction(self, *, is_durable: bool) -> Iterator[None]:
        """All of what is done inside, or nothing."""
        execute = self.connection.execute
        execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
        execute("BEGIN IMMEDIATE")
        try:
            yield
            execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                execute("ROLLBACK")
            self._local.clear()
            raise

    def _has(self, batch: Batch) -> bool:
        if batch.line is None:
            return True
        sql = "SELECT 1 FROM ledger WHERE session_id = ? AND seq = ?"
        return self.connection.execute(sql, batch.line[:2]).fetchone() is not None

    def write(self, batch: Batch) -> None:
        """Write a batch, inside a transaction that somebody began."""
        self.fold(batch.states)
        for table, rows in batch.rows.items():
            self._insert(table, rows)
        self._insert_values("INSERT INTO params (run_id, ordinal, key, value, source, time)", 6, batch.params)
        keys = {series: self._series(series, summary) for series, summary, _, _ in batch.points}
        points = (
            (keys[series], n, None if step == n else step, epoch, time, value, special)
            for series, _, new, _ in batch.points
            for n, step, epoch, time, value, special in new
        )
        self._insert_rows("INSERT INTO points (series, n, step, epoch, time, value, special)", points)
        rollups = ((keys[series], *rollup) for series, _, _, full in batch.points for rollup in full)
        names = "series, level, bucket, first_step, last_step, count, min, max, mean"
        self._insert_rows(f"INSERT OR REPLACE INTO rollups ({names})", rollups)
        self._insert_rows("INSERT INTO salts (subject_id, field, salt)", batch.salts)
        line = batch.line
        if line is not None:
            names = "session_id, seq, n_rows, digest, previous, time, heads"
            self._insert_rows(f"INSERT INTO ledger ({names})", [line])
            names = "session_id, seq, scope, table_name, first, last, n_rows, digest, ranges"
            self._insert_rows(f"INSERT INTO ledger_parts ({names})", [(*line[:2], *part) for part in batch.parts])

    def _insert_rows(self, into: str, rows: Iterable[tuple[Any, ...]], otherwise: str = "") -> None:
        """Insert rows, many with each statement.

        sqlite3 lets go of the interpreter's lock for each statement, and beside a training that is busy in Python
        getting it back takes up to 5 ms (sys.getswitchinterval): with a row a statement, the writer falls behind.
        """
        waiting = iter(rows)
        while chunk := list(islice(waiting, _AT_ONCE[0])):
            self._insert_values(into, len(chunk[0]), list(chain.from_iterable(chunk)), otherwise)

    def _insert_values(self, into: str, width: int, values: list[Any], otherwise: str = "") -> None:
        """Insert rows, of which the values come one after the other."""
        sizes = _AT_ONCE if self.pace.is_late else _AT_ONCE[1:]
        start, n_rows = 0, len(values) // width
        while start < n_rows:
            left = min(n_rows - start, _MOST_VALUES // width)
            size = next((size for size in sizes if size <= left), left)
            self.connection.execute(
                _statement(into, width, size, otherwise), values[start * width : (start + size) * width]
            )
            start += size

    def fold(self, states: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
        """Bring rows of `sessions` and `runs` up to their latest states.

        Parameters
        ----------
        states : mapping of str to (str, dict)
            By id: `session` or `run`, and the columns that changed.
        """
        new: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
        for subject_id, (subject, facts) in states.items():
            columns = [column for column in facts if column != "id"]
            values = [facts[column] for column in columns]
            if "started_at" in facts:
                new.setdefault((f"{subject}s", *columns), []).append((subject_id, *values))
            elif columns:
                updates = ", ".join(f"{c} = ?" for c in columns)
                self.connection.execute(f"UPDATE {subject}s SET {updates} WHERE id = ?", (*values, subject_id))
        for (table, *columns), rows in new.items():
            updates = ", ".join(f"{c} = excluded.{c}" for c in columns)
            into = f"INSERT INTO {table} ({', '.join(['id', *columns])})"
            self._insert_rows(into, rows, f"ON CONFLICT (id) DO UPDATE SET {updates}")

    def _insert(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        verb = "INSERT OR IGNORE" if table in CONTENT else "INSERT"
        for names, alike in groupby(rows, tuple):
            self._insert_rows(f"{verb} INTO {table} ({', '.join(names)})", [tuple(row.values()) for row in alike])

    def _series(self, series: Series, folded: Summary) -> int:
        summary = [getattr(folded, name) for name in _SUMMARY]
        key = self._local.get(series)
        if key is not None:
            updates = ", ".join(f"{name} = ?" for name in _SUMMARY)
            self.connection.execute(f"UPDATE metric_summaries SET {updates} WHERE series = ?", (*summary, key))
            return key
        what = series.what
        names = ("run_id", "name", "metric", "split", "direction", "start_time", *_SUMMARY)
        updates = ", ".join(f"{name} = excluded.{name}" for name in _SUMMARY)
        row = self.connection.execute(
            f"INSERT INTO metric_summaries ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT (run_id, name) DO UPDATE SET {updates} RETURNING series",
            (series.run_id, series.name, what.metric, what.split, what.direction, series.start_time, *summary),
        ).fetchall()
        self._local[series] = key = int(row[0][0])
        return key

    def close(self) -> None:
        """Close the connection; the last one in a WAL store moves its log into the file."""
        self._link.close()

    def leave(self) -> None:
        """Let go of a store that goes on without this session, or is none any more."""
        self._link.leave()


@lru_cache(maxsize=_CACHED)
def _statement(into: str, width: int, size: int, otherwise: str) -> str:
    row = f"({', '.join('?' * width)})"
    return f"{into} VALUES {', '.join([row] * size)} {otherwise}"


def open_spool(path: Path) -> Store:
    """Open a spool, which is a store that says of itself that it is one.

    Raises
    ------
    Unwritable, sqlite3.OperationalError
        If it cannot be written; nothing is left of a new one.
    """
    is_new = not os.path.exists(path)
    try:
        store = Store(path, is_spool=True)
        sql = "INSERT OR IGNORE INTO exports (id, kind, holds, time) VALUES (?, 'spool', '[]', ?)"
        store.connection.execute(sql, (new_id(), now_us()))
    except (Unwritable, sqlite3.OperationalError):
        if is_new:  # a disk without room takes a file of no bytes
            path.unlink(missing_ok=True)
        raise
    return store
