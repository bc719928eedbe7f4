"""Is the history as it was written? Recomputes every line of the ledger from the rows, and what is derived from them.

Opens the file read-only and changes no byte of it. The form is specified in docs/ledger.md.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from histhooks._ledger import (
    CONTENT_TABLES,
    PERSONAL_COLUMNS,
    TABLES,
    TableSpec,
    commitment,
    digest_rows,
    line_digest,
    pack_points,
    series_header,
)
from histhooks._points import Point, Roller, Summary
from histhooks.errors import StoreError

APPLICATION_ID = 0x48495354
_LIVE_COLUMNS = frozenset({"heartbeat_at", "hook_errors", "dropped_points", "overhead_s", "epochs_done", "steps_done"})
CANNOT_PROVE = (
    "that nobody with write access to the file rewrote it whole: keep a head elsewhere and pass it with --head",
    "that what a program told histhooks was true",
    "that clocks were right",
)


@dataclass(slots=True)
class Report:
    """What verification found.

    Attributes
    ----------
    ok : bool
        Whether everything fits.
    problems : list of str
        What does not, first row first.
    lines, rows : int
        Ledger lines and rows that were recomputed.
    redacted : int
        Personal values that were erased, which is allowed.
    not_in_file : int
        Parts whose rows this file does not claim to hold, as in an export.
    deleted : int
        Parts whose rows a tombstone accounts for.
    sessions_without_end : list of str
        Ids of sessions that left no final state.
    dropped_points : int
        Points that recorders had to drop, by their own account.
    cannot_prove : list of str
        What no ledger in one file can show.
    """

    ok: bool = True
    problems: list[str] = field(default_factory=list)
    lines: int = 0
    rows: int = 0
    redacted: int = 0
    not_in_file: int = 0
    deleted: int = 0
    sessions_without_end: list[str] = field(default_factory=list)
    dropped_points: int = 0
    cannot_prove: list[str] = field(default_factory=lambda: list(CANNOT_PROVE))

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)

    def problem(self, text: str) -> None:
        """Add something that does not fit."""
        self.ok = False
        self.problems.append(text)


def verify(path: str | Path, *, head: str | None = None) -> Report:
    """Verify a store.

    Parameters
    ----------
    path : str or Path
        The store.
    head : str, optional
        Digest of a ledger line, or its beginning, that a log or a person kept: it must be in the store.

    Returns
    -------
    Report

    Raises
    ------
    StoreError
        Where the file is missing or no store.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError(f"no store at {path}; name one with --store PATH")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        connection.execute("PRAGMA query_only = ON")
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StoreError(f"{path} is not a store of histhooks")
        connection.execute("BEGIN")
        return _Verifier(connection).run(head)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it from a copy") from error
    finally:
        connection.close()


class _Verifier:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.report = Report()
        held = self.all("SELECT holds FROM exports")
        self.is_partial = bool(held)
        self.holds = {scope for (text,) in held for scope in json.loads(text)}
        self.gone = {d for (text,) in self.all("SELECT digests FROM tombstones") for d in json.loads(text)}
        self.covered: dict[str, int] = dict.fromkeys([*TABLES, "points"], 0)

    def all(self, sql: str, *values: Any) -> list[Any]:
        """Rows of a query."""
        return self.connection.execute(sql, values).fetchall()

    def may_lack(self, scope: str) -> bool:
        """Whether rows of a scope may be elsewhere: in a part of a history, those of scopes that it does not hold."""
        return self.is_partial and scope not in self.holds

    def run(self, head: str | None) -> Report:
        """Verify everything, in an order that names the first row that does not fit first."""
        for (session_id,) in self.all("SELECT DISTINCT session_id FROM ledger ORDER BY session_id"):
            self._chain(session_id)
        self._heads()
        self._uncovered()
        self._folds()
        self._personal()
        self._derived()
        self._references()
        report = self.report
        if head is not None and not self.all("SELECT 1 FROM ledger WHERE substr(digest, 1, ?) = ?", len(head), head):
            report.problem(f"no ledger line has the digest {head}: this is not the history that it witnessed")
        sql = "SELECT id FROM sessions WHERE status IN ('running', 'lost', 'killed') AND signal IS NULL ORDER BY id"
        report.sessions_without_end = [row[0] for row in self.all(sql)]
        report.dropped_points = self.all("SELECT coalesce(sum(dropped_points), 0) FROM sessions")[0][0]
        return report

    # --- lines and parts ------------------------------------------------------------------------------------------

    def _chain(self, session_id: str) -> None:
        sql = "SELECT seq, n_rows, digest, previous, time, heads FROM ledger WHERE session_id = ? ORDER BY seq"
        expected, before = None, None
        for seq, n_rows, digest, previous, time, heads in self.all(sql, session_id):
            place = f"ledger line {seq} of session {session_id}"
            if expected is None:
                expected = seq if self.is_partial else 0
                before = previous if self.is_partial else None
            if seq != expected:
                self.report.problem(f"{place}: line {expected} is missing")
            elif previous != before:
                self.report.problem(f"{place}: it does not follow the line before it")
            parts = self.all(
                "SELECT scope, table_name, first, last, n_rows, digest, ranges FROM ledger_parts "
                "WHERE session_id = ? AND seq = ? ORDER BY scope, table_name", session_id, seq
            )  # fmt: skip
            computed = line_digest(session_id, seq, time, previous, None if heads is None else json.loads(heads), parts)
            if computed != digest or n_rows != sum(part[4] for part in parts):
                self.report.problem(f"{place}: its digest does not fit its parts")
            self.report.lines += 1
            expected, before = seq + 1, digest
            for part in parts:
                self._part(session_id, seq, part)

    def _part(self, session_id: str, seq: int, part: tuple[Any, ...]) -> None:
        scope, table, first, last, n_rows, digest, ranges = part
        place = f"{table} {first} to {last} of {scope} (ledger line {seq} of session {session_id})"
        if table == "points":
            found, computed = self._points(scope, json.loads(ranges))
        elif table in TABLES:
            rows = self._rows(TABLES[table], table, scope, session_id, first, last)
            found, computed = len(rows), digest_rows(rows)
        else:
            self.report.problem(f"{place}: unknown table")
            return
        if computed == digest and found == n_rows:
            self.report.rows += found
            if table not in CONTENT_TABLES:
                self.covered[table] += found
        elif found == 0 and digest in self.gone:
            self.report.deleted += 1
        elif found == 0 and self.may_lack(scope):
            self.report.not_in_file += 1
        elif found < n_rows:
            self.report.problem(f"{place}: {n_rows - found} of {n_rows} rows are missing")
        else:
            self.report.problem(f"{place}: its rows are not the ones that were written")

    def _rows(
        self, spec: TableSpec, table: str, scope: str, session_id: str, first: int, last: int
    ) -> list[tuple[Any, ...]]:
        columns = ", ".join(spec.columns)
        if table in CONTENT_TABLES:
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
                points = list(self._series(series, first, last))
                found += len(points)
                digest.update(series_header(name, metric, split, direction, start_time, first, last))
                digest.update(pack_points(points))
        return found, digest.hexdigest()

    def _series(self, series: int, first: int = 0, last: int = 1 << 62) -> Iterator[Point]:
        sql = (
            "SELECT n, coalesce(step, n), epoch, time, value, special FROM points "
            "WHERE series = ? AND n BETWEEN ? AND ? ORDER BY n"
        )
        yield from self.all(sql, series, first, last)

    def _heads(self) -> None:
        known = {(s, q): d for s, q, d in self.all("SELECT session_id, seq, digest FROM ledger")}
        sessions = {s for s, _ in known}
        for session_id, text in self.all("SELECT session_id, heads FROM ledger WHERE heads IS NOT NULL"):
            for other, seq, digest in json.loads(text):
                if known.get((other, seq)) == digest or (self.is_partial and (other, seq) not in known):
                    continue
                what = "was cut short or changed" if other in sessions else "is gone"
                self.report.problem(f"session {session_id} saw line {seq} of session {other}, whose ledger {what}")

    def _uncovered(self) -> None:
        if not self.report.ok:
            return
        for table, covered in self.covered.items():
            if table in CONTENT_TABLES:
                spec = TABLES[table]
                sql = (
                    f"SELECT {spec.scope} FROM {table} WHERE {spec.scope} NOT IN "
                    "(SELECT scope FROM ledger_parts WHERE table_name = ?) LIMIT 1"
                )
                for (scope,) in self.all(sql, table):
                    self.report.problem(f"{table} {scope}: no ledger line covers it")
                continue
            (count,) = self.all(f"SELECT count(*) FROM {table}")[0]
            if count != covered:
                self.report.problem(f"{table}: {count - covered} rows that no ledger line covers")

    # --- what is derived ------------------------------------------------------------------------------------------

    def _folds(self) -> None:
        for table in ("sessions", "runs"):
            columns = [row[1] for row in self.all(f"PRAGMA table_info({table})")]
            for row in self.all(f"SELECT * FROM {table} ORDER BY id"):
                self._fold(table, dict(zip(columns, row, strict=True)))

    def _fold(self, table: str, row: dict[str, Any]) -> None:
        sql = "SELECT state FROM states WHERE subject_id = ? ORDER BY time, session_id, ordinal"
        folded: dict[str, Any] = {}
        for (state,) in self.all(sql, row["id"]):
            folded.update(json.loads(state))
        if not folded:
            if not self.may_lack(row["id"]):
                self.report.problem(f"{table} {row['id']}: no state tells of it")
            return
        for column, value in row.items():
            if column == "id" or (table == "sessions" and column in PERSONAL_COLUMNS):
                continue
            is_live = column in _LIVE_COLUMNS and column not in folded
            if not is_live and value != folded.get(column) and not self.may_lack(row["id"]):
                self.report.problem(f"{table} {row['id']}: {column} is not what its states say")

    def _personal(self) -> None:
        salts = {(s, f): salt for s, f, salt in self.all("SELECT subject_id, field, salt FROM salts")}
        for subject_id, state in self.all("SELECT subject_id, state FROM states WHERE state LIKE '%$personal%'"):
            row = self.all("SELECT " + ", ".join(PERSONAL_COLUMNS) + " FROM sessions WHERE id = ?", subject_id)
            values = dict(zip(PERSONAL_COLUMNS, row[0], strict=True)) if row else {}
            for column, promise in json.loads(state).items():
                if isinstance(promise, dict) and "$personal" in promise:
                    self._commitment(salts.get((subject_id, column)), values.get(column), promise["$personal"],
                                     f"sessions {subject_id}: {column}")  # fmt: skip
        for table, columns in (("tags", ("value", "author")), ("notes", ("body", "author"))):
            for column in columns:
                sql = f"SELECT run_id, session_id, ordinal, {column}, {column}_sha256 FROM {table}"
                for run_id, session_id, ordinal, value, promise in self.all(sql):
                    salt = salts.get((run_id, f"{table}/{session_id}/{ordinal}/{column}"))
                    self._commitment(salt, value, promise, f"{table} {ordinal} of run {run_id}: {column}")
        sql = "SELECT session_id, ordinal, actor, actor_sha256 FROM tombstones"
        for session_id, ordinal, value, promise in self.all(sql):
            salt = salts.get((session_id, f"tombstones/{session_id}/{ordinal}/actor"))
            self._commitment(salt, value, promise, f"tombstones {ordinal} of session {session_id}: actor")

    def _commitment(self, salt: str | None, value: str | None, promise: str, place: str) -> None:
        if salt is None:
            self.report.redacted += 1
            if value is not None:
                self.report.problem(f"{place} has a value but no salt")
        elif commitment(salt, value) != promise:
            self.report.problem(f"{place} is not the value that was written")

    def _derived(self) -> None:
        names = [f.name for f in fields(Summary)]
        sql = f"SELECT series, run_id, name, {', '.join(names)} FROM metric_summaries ORDER BY series"
        for series, run_id, name, *kept in self.all(sql):
            points = list(self._series(series))
            if self.may_lack(run_id) and len(points) != kept[0]:
                continue
            summary, place = Summary(), f"metric {name!r} of run {run_id}"
            summary.add(points)
            if [getattr(summary, n) for n in names] != kept:
                self.report.problem(f"{place}: its summary is not that of its points")
            columns = "level, bucket, first_step, last_step, count, min, max, mean"
            rollups = self.all(f"SELECT {columns} FROM rollups WHERE series = ?", series)
            if sorted(Roller().add(points)) != sorted(rollups):
                self.report.problem(f"{place}: its rollups are not those of its points")

    def _references(self) -> None:
        if self.is_partial:
            return
        for table, rowid, parent, _ in self.all("PRAGMA foreign_key_check"):
            self.report.problem(f"{table} row {rowid}: what it refers to in {parent} is missing")
