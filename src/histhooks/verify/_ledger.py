"""Check the ledger against the rows: each line follows the previous one, each part matches its rows."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections.abc import Callable, Iterator
from typing import Any

from histhooks._store.entries import Point
from histhooks._store.evicting import EVERYTHING, POINTS, evicted_in
from histhooks._store.ledger import (
    digest_rows,
    line_digest,
    pack_points,
    series_header,
)
from histhooks._store.parts import VIEW
from histhooks._store.tables import CONTENT, COVERED, Table
from histhooks.verify._report import Report

Progress = Callable[[int, int], None]
_OFTEN = 100
_MOST_FAULTS = 10
# A tombstone counts where a part covers it.
_TOMBSTONES = (
    "SELECT t.action, t.subject_id, t.digests FROM tombstones AS t "
    "JOIN ledger_parts AS p ON p.session_id = t.session_id AND p.scope = t.session_id "
    "AND p.table_name = 'tombstones' AND t.ordinal BETWEEN p.first AND p.last"
)


class LedgerCheck:
    """Recomputes the ledger of one file.

    Parameters
    ----------
    connection : sqlite3.Connection
        In one read transaction.
    elsewhere : dict of (session id, seq) to str, optional
        Digests of lines in the store that a spool belongs to.
    progress : callable, optional
        Called with how many lines and series are done and how many there are.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        elsewhere: dict[tuple[str, int], str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.connection = connection
        self.report = Report()
        self.elsewhere = elsewhere or {}
        held = [
            (kind, json.loads(text), time) for kind, text, time in self.all("SELECT kind, holds, time FROM exports")
        ]
        self.report.not_visible = 0 if self.all("SELECT 1 FROM exports WHERE id = ?", VIEW) else None
        self.is_partial = bool(held)
        self.holds = {scope for _, scopes, _ in held for scope in scopes}
        self.report.parts_of = [{"kind": kind, "holds": len(scopes), "time": time} for kind, scopes, time in held]
        tombstones = [(action, subject_id, _json(text)) for action, subject_id, text in self.all(_TOMBSTONES)]
        self.gone = {digest for _, _, digests in tombstones for digest in digests}
        self.redacted = {digest for action, _, digests in tombstones if action == "redact" for digest in digests}
        self.deleted = {subject_id for action, subject_id, _ in tombstones if action == "delete"}
        self.buried = {subject_id for _, subject_id, _ in tombstones}
        self.evicted = evicted_in(connection)
        self.buried |= {scope for scope, _ in self.evicted}
        self._versions: dict[tuple[str, str], set[str]] = {}
        self.covered: dict[str, int] = dict.fromkeys([*COVERED, "points"], 0)
        self._progress = progress
        self._done = 0
        sql = "SELECT (SELECT count(*) FROM ledger) + (SELECT count(*) FROM metric_summaries)"
        self._total = int(self.all(sql)[0][0])

    def all(self, sql: str, *values: Any) -> list[Any]:
        """Rows of a query."""
        return self.connection.execute(sql, values).fetchall()

    def may_lack(self, scope: str) -> bool:
        """Whether rows of a scope may be elsewhere: in a part of a history, those of scopes that it does not hold."""
        return self.is_partial and scope not in self.holds

    def is_evicted(self, scope: str, table: str) -> bool:
        """Whether rows were removed here for room."""
        return bool({(scope, table), (scope, EVERYTHING)} & self.evicted)

    def step(self) -> None:
        """Report that a line or a series is done."""
        self._done += 1
        if self._progress is not None and (self._done % _OFTEN == 0 or self._done == self._total):
            self._progress(self._done, self._total)

    def run(self) -> None:
        """Check the file, every line, and that no row is beside them."""
        # An index is trusted when rows are looked up: what it says of a row must be what the row says.
        for (fault,) in self.all(f"PRAGMA integrity_check({_MOST_FAULTS})"):
            if fault != "ok":
                self.report.problem(f"the file is damaged: {fault}")
        for (session_id,) in self.all("SELECT DISTINCT session_id FROM ledger ORDER BY session_id"):
            self._chain(session_id)
        self._heads()
        self._uncovered()

    def _chain(self, session_id: str) -> None:
        sql = "SELECT seq, n_rows, digest, previous, time, heads FROM ledger WHERE session_id = ? ORDER BY seq"
        expected, before = None, None
        for seq, n_rows, digest, previous, time, heads in self.all(sql, session_id):
            place = f"ledger line {seq} of session {session_id}"
            if expected is None:
                expected, before = self._first(session_id, seq, previous)
            if seq != expected:
                self.report.problem(f"{place}: line {expected} is missing")
            elif previous != before:
                self.report.problem(f"{place}: it does not follow the line before it")
            parts = self.all(
                "SELECT scope, table_name, first, last, n_rows, digest, ranges FROM ledger_parts "
                "WHERE session_id = ? AND seq = ? ORDER BY scope, table_name", session_id, seq
            )  # fmt: skip
            computed = line_digest(session_id, seq, time, previous, None if heads is None else _json(heads), parts)
            if self.report.not_visible is not None and n_rows > sum(part[4] for part in parts):
                self.report.not_visible += 1
            elif computed != digest or n_rows != sum(part[4] for part in parts):
                self.report.problem(f"{place}: its digest does not match its parts")
            self.report.lines += 1
            self.step()
            expected, before = seq + 1, digest
            for part in parts:
                self._part(session_id, seq, part)

    def _first(self, session_id: str, seq: int, previous: str | None) -> tuple[int, str | None]:
        """What the first line of a session here has to be: a part of a history may begin later."""
        if not self.is_partial:
            return 0, None
        before = self.elsewhere.get((session_id, seq - 1))
        if before is None and seq > 0:
            known = [number for session, number in self.elsewhere if session == session_id]
            return (max(known) + 1, None) if known else (seq, previous)
        return seq, before

    def _part(self, session_id: str, seq: int, part: tuple[Any, ...]) -> None:
        scope, table, first, last, n_rows, digest, ranges = part
        place = f"{table} {first} to {last} of {scope} (ledger line {seq} of session {session_id})"
        if table != "points" and table not in COVERED:
            self.report.problem(f"{place}: a table that this version does not know; update histhooks")
            return
        try:
            if table == "points":
                found, computed = self._points(scope, json.loads(ranges))
            else:
                rows = self._rows(COVERED[table], table, scope, session_id, first, last)
                found, computed = len(rows), digest_rows(rows)
        except (ValueError, TypeError, KeyError, struct.error) as error:
            self.report.problem(f"{place}: what is there has no canonical form ({error})")
            return
        if digest in self.redacted:
            # Some of its rows were changed on purpose: a later line covers all of them as they are now.
            self.report.redacted_parts += 1
        elif computed == digest and found == n_rows:
            self.report.rows += found
            if table not in CONTENT:
                self.covered[table] += found
        elif found == 0 and (digest in self.gone or scope in self.deleted):
            # Another store may have said something of the run, before it was merged with one that deleted it.
            self.report.deleted += 1
        elif table in CONTENT and found and computed in self._versions_of(table, scope):
            # One content under two endings, or compressed by two builds of zlib: one of both is kept.
            self.report.rows += found
        elif self.is_evicted(scope, table) and (not found or table == POINTS):
            self.report.evicted += 1
        elif found == 0 and self.may_lack(scope):
            self.report.not_in_file += 1
        elif found < n_rows:
            self.report.problem(f"{place}: {n_rows - found} of {n_rows} rows are missing")
        else:
            self.report.problem(f"{place}: its rows are not the ones that were written")

    def _versions_of(self, table: str, scope: str) -> set[str]:
        """The digests of what lines cover under one id of shared content."""
        if not self._versions:
            names = ", ".join(f"'{name}'" for name in sorted(CONTENT))
            sql = f"SELECT table_name, scope, digest FROM ledger_parts WHERE table_name IN ({names})"
            for name, key, digest in self.all(sql):
                self._versions.setdefault((name, key), set()).add(digest)
        return self._versions.get((table, scope), set())

    def _rows(
        self, spec: Table, table: str, scope: str, session_id: str, first: int, last: int
    ) -> list[tuple[Any, ...]]:
        columns = ", ".join(spec.columns)
        if table in CONTENT:
            return self.all(f"SELECT {columns} FROM {table} WHERE {spec.scope} = ? ORDER BY {spec.order}", scope)
        sql = f"SELECT {columns} FROM {table} WHERE {spec.scope} = ? AND ordinal BETWEEN ? AND ?"
        if spec.by_session:
            return self.all(f"{sql} AND session_id = ? ORDER BY ordinal", scope, first, last, session_id)
        return self.all(f"{sql} ORDER BY ordinal", scope, first, last)

    def _points(self, run_id: str, ranges: list[list[Any]]) -> tuple[int, str]:
        digest, found = hashlib.sha256(), 0
        for name, first, last in ranges:
            columns = "series, metric, split, direction, start_time"
            sql = f"SELECT {columns} FROM metric_summaries WHERE run_id = ? AND name = ?"
            for series, metric, split, direction, start_time in self.all(sql, run_id, name):
                points = list(self.series(series, first, last))
                found += len(points)
                digest.update(series_header(name, metric, split, direction, start_time, first, last))
                digest.update(pack_points(points))
        return found, digest.hexdigest()

    def series(self, series: int, first: int = 0, last: int = 1 << 62) -> Iterator[Point]:
        """Points of a series from one arrival number to another."""
        sql = (
            "SELECT n, coalesce(step, n), epoch, time, value, special FROM points "
            "WHERE series = ? AND n BETWEEN ? AND ? ORDER BY n"
        )
        yield from self.connection.execute(sql, (series, first, last))

    def _heads(self) -> None:
        known = dict(self.elsewhere)
        known |= {(s, q): d for s, q, d in self.all("SELECT session_id, seq, digest FROM ledger")}
        sessions = {s for s, _ in known}
        for session_id, text in self.all("SELECT session_id, heads FROM ledger WHERE heads IS NOT NULL"):
            seen = _json(text)
            for other, seq, digest in seen if isinstance(seen, list) else []:
                if known.get((other, seq)) == digest or (self.is_partial and (other, seq) not in known):
                    continue
                what = "was cut short or changed" if other in sessions else "is gone"
                self.report.problem(f"session {session_id} saw line {seq} of session {other}, whose ledger {what}")

    def _uncovered(self) -> None:
        if not self.report.ok:
            return
        here = {name for (name,) in self.all("SELECT name FROM main.sqlite_master WHERE type = 'table'")}
        for table, covered in self.covered.items():
            if table not in here:
                continue  # an older store has not all tables
            if table in CONTENT:
                spec = COVERED[table]
                sql = (
                    f"SELECT {spec.scope} FROM {table} WHERE {spec.scope} NOT IN "
                    "(SELECT scope FROM ledger_parts WHERE table_name = ?) LIMIT 1"
                )
                for (scope,) in self.all(sql, table):
                    self.report.problem(f"{table} {scope}: no ledger line covers it")
                continue
            (count,) = self.all(f"SELECT count(*) FROM {table}")[0]
            if count != covered and (bare := count - covered if table == "points" else self._bare_rows(table)):
                self.report.problem(f"{table}: {bare} rows that no ledger line covers")

    def _bare_rows(self, table: str) -> int:
        """How many rows of a table no line covers; two sessions may cover one row, as two deletions of one run do."""
        spec = COVERED[table]
        covered: dict[tuple[str, str | None], list[tuple[int, int]]] = {}
        sql = "SELECT scope, session_id, first, last, digest FROM ledger_parts WHERE table_name = ?"
        for scope, session_id, first, last, digest in self.all(sql, table):
            if digest not in self.redacted:
                covered.setdefault((scope, session_id if spec.by_session else None), []).append((first, last))
        sql = f"SELECT {spec.scope}, {'session_id' if spec.by_session else 'NULL'}, ordinal FROM {table}"
        return sum(
            not any(first <= ordinal <= last for first, last in covered.get((scope, session_id), ()))
            for scope, session_id, ordinal in self.all(sql)
        )


def _json(text: str) -> Any:
    """A JSON text, or what fits no digest where it is none any more."""
    try:
        return json.loads(text)
    except ValueError:
        return "broken"
