"""What a store has and a target lacks: whole ledger lines in order, with the rows that they cover, verified."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from histhooks._store.entries import Point
from histhooks._store.graves import Graves, graves_in, named_by_graves
from histhooks._store.ledger import commitment, digest_rows, line_digest, pack_points, series_header
from histhooks._store.tables import CONTENT, COVERED, FOLDS, PERSONAL, PERSONAL_COLUMNS, TABLES
from histhooks._store.texts import false_texts
from histhooks.team._batch import Altered, Batch, Curve, Head, Line, Row

_MOST_ROWS = 100_000
_FEW = 500


class Outgoing:
    """A store that is pushed, as of one moment.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a read transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = self._connection = connection
        self.columns = {name: self._columns_of(name) for name in TABLES if TABLES[name].kind != "local"}
        # An older version has not all tables.
        self.columns = {name: columns for name, columns in self.columns.items() if columns}
        self.graves: Graves = graves_in(self._connection)
        self._gone = named_by_graves(connection)
        self._withheld: frozenset[str] = frozenset()  # digests of what tombstones name that are not sent
        self._is_part = bool(self.all("SELECT 1 FROM exports WHERE kind = 'export' LIMIT 1"))
        self._versions: dict[tuple[str, str], set[str]] | None = None
        self._vetted: dict[str, int] = {}  # the last line of each session whose rows were seen to fit
        self._gone_in: set[tuple[str, int]] = set()  # of these, lines of which a tombstone says what is missing

    def _columns_of(self, table: str) -> list[str]:
        return [row[1] for row in self.all(f"PRAGMA table_info({table})")]

    def all(self, sql: str, *values: Any) -> list[Any]:
        """Rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def heads(self) -> dict[str, Head]:
        """The last line of each session."""
        return {s: (seq, digest) for s, seq, digest in self.all(
            "SELECT session_id, max(seq), digest FROM ledger GROUP BY session_id"
        )}  # fmt: skip

    def digest(self, session_id: str, seq: int) -> str | None:
        """The digest of one line."""
        found = self.all("SELECT digest FROM ledger WHERE session_id = ? AND seq = ?", session_id, seq)
        return found[0][0] if found else None

    def sessions_of(self, run_ids: Iterable[str]) -> set[str]:
        """The sessions that wrote of some runs."""
        wanted = json.dumps(sorted(run_ids))
        sql = "SELECT DISTINCT session_id FROM ledger_parts WHERE scope IN (SELECT value FROM json_each(?))"
        return {session_id for (session_id,) in self.all(sql, wanted)}

    def lines(self, known: dict[str, int]) -> list[Line]:
        """Lines after those that are known, in an order in which any beginning is a history that verifies.

        Parameters
        ----------
        known : dict of str to int
            The last line that the target has of each session that is wanted, -1 for none.
        """
        found: dict[str, list[Line]] = {}
        sql = (
            "SELECT session_id, seq, n_rows, digest, previous, time, heads FROM ledger WHERE session_id = ? AND seq > ?"
        )
        for session_id, seq in known.items():
            found[session_id] = [Line(*row) for row in self.all(f"{sql} ORDER BY seq", session_id, seq)]
        by_time = sorted(chain.from_iterable(found.values()), key=lambda line: (line.time, line.session_id, line.seq))
        done = dict.fromkeys(found, 0)
        ordered: list[Line] = []
        for line in by_time:
            self._emit(line, found, done, known, ordered)
        return ordered

    @staticmethod
    def _emit(
        line: Line, found: dict[str, list[Line]], done: dict[str, int], known: dict[str, int], ordered: list[Line]
    ) -> None:
        """Add a line, after those of its session before it and those of other sessions that it saw."""
        waiting = [(line.session_id, line.seq)]
        under_way: set[tuple[str, int]] = set()
        while waiting:
            session_id, seq = waiting[-1]
            mine = found.get(session_id, [])
            place = done.get(session_id, 0)
            if place >= len(mine) or mine[place].seq > seq:
                waiting.pop()
                continue
            after = mine[place]
            needed = [
                (other, number)
                for other, number, _ in (json.loads(after.heads) if after.heads else ())
                if other in found
                and done[other] < len(found[other])
                and found[other][done[other]].seq <= number
                and (other, number) not in under_way
            ]
            if needed:
                under_way.update(needed)
                waiting += needed
                continue
            ordered.append(after)
            done[session_id] = place + 1

    def withhold(self, sessions: Iterable[str]) -> None:
        """Send nothing that only the tombstones of some sessions explain."""
        without = frozenset(sessions)
        before, self._gone = self._gone, named_by_graves(self._connection, without)
        self._withheld = frozenset(self._withheld | before) - self._gone
        self.graves = graves_in(self._connection, without=without)

    def graves_among(self, lines: list[Line]) -> list[int]:
        """Where in some lines tombstones stand."""
        graves = set(self.all("SELECT session_id, seq FROM ledger_parts WHERE table_name = 'tombstones'"))
        return [place for place, line in enumerate(lines) if line[:2] in graves]

    def last_grave(self, lines: list[Line]) -> int:
        """Where in some lines the last tombstone stands; -1 if there is none."""
        return max(self.graves_among(lines), default=-1)

    def batch(self, lines: list[Line], start: int, refused: set[str], last_grave: int) -> tuple[Batch, int]:
        """The next lines for one transaction, and where the rest begins.

        Raises
        ------
        Altered
            If rows of a session do not fit: then none of its lines may go.
        """
        batch = Batch()
        place, rows = start, 0
        remaining: dict[str, int] = {}
        for line in lines[start:]:
            remaining[line.session_id] = remaining.get(line.session_id, 0) + 1
        while place < len(lines):
            line = lines[place]
            place += 1
            remaining[line.session_id] -= 1
            if line.session_id in refused:
                continue
            self._add(line, batch)
            rows += line.n_rows
            if rows >= _MOST_ROWS and not (batch.needs_graves and place <= last_grave):
                self._check_rest(lines[place:], {key for key in batch.base if remaining[key]})
                break
        self._complete(batch)
        return batch, place

    def _check_rest(self, lines: list[Line], sessions: set[str]) -> None:
        """Nothing of a session may go if any of its rows do not fit."""
        for line in lines:
            if line.session_id in sessions and line.seq > self._vetted.get(line.session_id, -1):
                for part in self._parts(line):
                    if self._verify(line, part, None):
                        self._gone_in.add(line[:2])
        for line in lines:
            if line.session_id in sessions:
                self._vetted[line.session_id] = max(line.seq, self._vetted.get(line.session_id, -1))

    def check(self, session_id: str, after: int, upto: int) -> None:
        """Whether the rows of some lines are those that they cover.

        Raises
        ------
        Altered
        """
        sql = "SELECT session_id, seq, n_rows, digest, previous, time, heads FROM ledger WHERE session_id = ?"
        for row in self.all(f"{sql} AND seq > ? AND seq <= ? ORDER BY seq", session_id, after, upto):
            line = Line(*row)
            for part in self._parts(line):
                try:
                    self._verify(line, part, None)
                except Altered as altered:
                    if not altered.is_absent:
                        raise

    def _parts(self, line: Line) -> list[Row]:
        sql = (
            "SELECT scope, table_name, first, last, n_rows, digest, ranges FROM ledger_parts "
            "WHERE session_id = ? AND seq = ? ORDER BY scope, table_name"
        )
        parts = self.all(sql, line.session_id, line.seq)
        try:
            heads = json.loads(line.heads) if line.heads is not None else None
            computed = line_digest(line.session_id, line.seq, line.time, line.previous, heads, parts)
        except (ValueError, TypeError):
            computed = ""
        if computed != line.digest:
            raise Altered(line.session_id, f"ledger line {line.seq}", seq=line.seq)
        return parts

    def _add(self, line: Line, batch: Batch) -> None:
        batch.base.setdefault(line.session_id, line.seq - 1)
        is_vetted = line.seq <= self._vetted.get(line.session_id, -1)
        batch.needs_graves |= line[:2] in self._gone_in
        for part in self._parts(line):
            if is_vetted:
                self._take(line, part, batch)
            else:
                batch.needs_graves |= self._verify(line, part, batch)
            batch.parts.append((line.session_id, line.seq, *part))
        batch.lines.append(line)

    def _take(self, line: Line, part: Row, batch: Batch) -> None:
        """Take the rows of a part that were seen to fit before."""
        scope, table, first, last, _, _, ranges = part
        if table == "points":
            for name, begin, end in json.loads(ranges):
                for series, *facts in self._series_of(scope, name):
                    self._add_points(batch, (scope, name), tuple(facts), series, list(self._series(series, begin, end)))
        else:
            self._rows(line, table, scope, first, last, batch, is_vetted=True)

    def _verify(self, line: Line, part: Row, batch: Batch | None) -> bool:
        """Take the rows of a part; whether a tombstone has to say why they are not what was written."""
        scope, table, first, last, n_rows, digest, ranges = part
        place = f"{table} {first} to {last} of {scope}"
        if table != "points" and table not in self.columns:
            raise Altered(line.session_id, f"{place} are of a table that this version does not know", is_absent=True)
        try:
            if table == "points":
                found, computed = self._points(scope, json.loads(ranges), batch)
            else:
                found, computed = self._rows(line, table, scope, first, last, batch)
                if table == "states" and scope == line.session_id:
                    self._check_person(line)
        except (ValueError, TypeError, KeyError, struct.error) as error:
            raise Altered(line.session_id, place) from error
        if computed == digest and found == n_rows:
            if table == "contents" and false_texts(self._connection, scope):
                raise Altered(line.session_id, f"the text of contents {scope}")
            return False
        if digest in self._withheld:
            raise Altered(line.session_id, f"{place} were removed here, and no tombstone is sent", is_absent=True)
        if digest in self._gone or (scope in self.graves.deleted and not found):
            return True
        if table in CONTENT and computed in self._versions_of(table, scope):
            return False
        if found == 0 and self._is_part:
            raise Altered(line.session_id, f"{place} are not in this part of a history", is_absent=True)
        raise Altered(line.session_id, place)

    def _versions_of(self, table: str, scope: str) -> set[str]:
        if self._versions is None:
            self._versions = {}
            for name, key, digest in self.all("SELECT table_name, scope, digest FROM ledger_parts"):
                if name in CONTENT:
                    self._versions.setdefault((name, key), set()).add(digest)
        return self._versions.get((table, scope), set())

    def _rows(
        self, line: Line, table: str, scope: str, first: int, last: int, batch: Batch | None, *, is_vetted: bool = False
    ) -> tuple[int, str]:
        spec, columns, names = COVERED[table], self.columns[table], ", ".join(self.columns[table])
        if table in CONTENT:
            rows = self.all(f"SELECT {names} FROM {table} WHERE {spec.scope} = ? ORDER BY {spec.order}", scope)
        else:
            sql = f"SELECT {names} FROM {table} WHERE {spec.scope} = ? AND ordinal BETWEEN ? AND ?"
            values: tuple[Any, ...] = (scope, first, last)
            if spec.by_session:
                sql, values = f"{sql} AND session_id = ?", (*values, line.session_id)
            rows = self.all(f"{sql} ORDER BY ordinal", *values)
        if table in PERSONAL and not is_vetted:
            self._check_values(line, table, scope, rows)
        if batch is not None:
            kept = batch.rows.setdefault(table, {})
            if table in CONTENT:
                kept.update(((scope, number), row) for number, row in enumerate(rows))
            else:
                writer = line.session_id if spec.by_session else None
                ordinal = columns.index("ordinal")
                kept.update(((scope, writer, row[ordinal]), row) for row in rows)
        if is_vetted:
            return len(rows), ""
        places = [columns.index(name) for name in spec.columns]
        return len(rows), digest_rows([row[place] for place in places] for row in rows)

    def _check_values(self, line: Line, table: str, scope: str, rows: list[Row]) -> None:
        """Personal values have to be those that were committed to."""
        columns = self.columns[table]
        for row in rows:
            facts = dict(zip(columns, row, strict=True))
            for name in PERSONAL[table]:
                field_name = f"{table}/{facts['session_id']}/{facts['ordinal']}/{name}"
                what = f"{name} of {table} {facts['ordinal']} of {scope}"
                self._check_value(line, scope, field_name, facts[name], facts[f"{name}_sha256"], what)

    def _check_person(self, line: Line) -> None:
        """So have those of the session itself."""
        names = ", ".join(PERSONAL_COLUMNS)
        values = self.all(f"SELECT {names} FROM sessions WHERE id = ?", line.session_id)
        promised: dict[str, Any] = {}
        for (state,) in self.all("SELECT state FROM states WHERE subject_id = ? ORDER BY time", line.session_id):
            promised.update(json.loads(state))
        for name, value in zip(PERSONAL_COLUMNS, values[0] if values else (), strict=False):
            held = promised.get(name)
            if isinstance(held, dict) and "$personal" in held:
                self._check_value(line, line.session_id, name, value, held["$personal"], name)

    def _check_value(self, line: Line, scope: str, name: str, value: Any, digest: str, what: str) -> None:
        salt = self.all("SELECT salt FROM salts WHERE subject_id = ? AND field = ?", scope, name)
        is_other = commitment(salt[0][0], value) != digest if salt else value is not None
        if is_other and not (salt and value is None and self._is_part):
            raise Altered(line.session_id, what)

    def _points(self, run_id: str, ranges: list[list[Any]], batch: Batch | None) -> tuple[int, str]:
        digest, found = hashlib.sha256(), 0
        for name, first, last in ranges:
            for series, *facts in self._series_of(run_id, name):
                points = list(self._series(series, first, last))
                found += len(points)
                metric, split, direction, start_time = facts
                digest.update(series_header(name, metric, split, direction, start_time, first, last))
                digest.update(pack_points(points))
                if batch is not None:
                    self._add_points(batch, (run_id, name), tuple(facts), series, points)
        return found, digest.hexdigest()

    def _series_of(self, run_id: str, name: str) -> list[Row]:
        sql = "SELECT series, metric, split, direction, start_time FROM metric_summaries WHERE run_id = ? AND name = ?"
        return self.all(sql, run_id, name)

    def _add_points(self, batch: Batch, key: tuple[str, str], facts: Row, series: int, points: list[Point]) -> None:
        if not points:
            return
        curve = batch.curves.get(key)
        if curve is None:
            first = points[0][0]
            curve = batch.curves[key] = Curve(facts, first, series)
            curve.before = list(self._series(series, first // 1024 * 1024, first - 1))
        curve.points += points

    def _series(self, series: int, first: int, last: int) -> Iterator[Point]:
        sql = (
            "SELECT n, coalesce(step, n), epoch, time, value, special FROM points "
            "WHERE series = ? AND n BETWEEN ? AND ? ORDER BY n"
        )
        return iter(self._connection.execute(sql, (series, first, last)))

    def _complete(self, batch: Batch) -> None:
        """Add what no line covers: rows of sessions and runs, and salts."""
        scopes = {part[2] for part in batch.parts if part[3] not in CONTENT}
        for table in FOLDS:
            kept = batch.rows.setdefault(table, {})
            for row in self._of(f"SELECT {', '.join(self.columns[table])} FROM {table} WHERE id", scopes):
                kept[(row[0],)] = row
        personal = {part[2] for part in batch.parts if part[3] in PERSONAL}
        salts = batch.rows.setdefault("salts", {})
        for row in self._of("SELECT subject_id, field, salt FROM salts WHERE subject_id", personal | set(batch.base)):
            if "/" not in row[1] or row[1].split("/")[1] in batch.base:
                salts[row[:2]] = row

    def _of(self, sql: str, keys: Iterable[str]) -> Iterator[Row]:
        wanted = sorted(keys)
        for start in range(0, len(wanted), _FEW):
            some = json.dumps(wanted[start : start + _FEW])
            yield from self._connection.execute(f"{sql} IN (SELECT value FROM json_each(?))", (some,))

    def all_lines(self, upto: dict[str, int]) -> tuple[list[Row], list[Row]]:
        """Lines and parts of all sessions, as far as some go."""
        lines, parts = [], []
        for session_id, seq in upto.items():
            sql = "SELECT session_id, seq, n_rows, digest, previous, time, heads FROM ledger"
            lines += self.all(f"{sql} WHERE session_id = ? AND seq <= ?", session_id, seq)
            sql = "SELECT session_id, seq, scope, table_name, first, last, n_rows, digest, ranges FROM ledger_parts"
            parts += self.all(f"{sql} WHERE session_id = ? AND seq <= ?", session_id, seq)
        return lines, parts

    def heartbeats(self) -> list[tuple[str, str]]:
        """The last sign of life of each session that has not ended."""
        return self.all("SELECT id, heartbeat_at FROM sessions WHERE ended_at IS NULL AND heartbeat_at IS NOT NULL")

    def states(self, subject_id: str, session_id: str, seq: int) -> list[Row]:
        """What a session said of itself or of a run, up to one of its lines, in order."""
        sql = (
            "SELECT state FROM states WHERE subject_id = ? AND session_id = ? AND ordinal <= (SELECT max(last) FROM "
            "ledger_parts WHERE session_id = ? AND seq <= ? AND scope = ? AND table_name = 'states') "
            "ORDER BY time, ordinal"
        )
        return self.all(sql, subject_id, session_id, session_id, seq, subject_id)

    def store_id(self) -> str:
        """By which a store is known: its first session."""
        found = self.all("SELECT min(session_id) FROM ledger")
        return str(found[0][0] or "-")
