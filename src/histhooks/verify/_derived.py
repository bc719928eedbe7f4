"""Recompute derived data from the rows that the ledger covers: folds, commitments, summaries, rollups, references."""

from __future__ import annotations

import json
from dataclasses import fields
from itertools import islice
from typing import Any

from histhooks._store.folds import Roller, Summary
from histhooks._store.ledger import commitment
from histhooks._store.tables import COVERED, LIVE_COLUMNS, PERSONAL, PERSONAL_COLUMNS
from histhooks._store.texts import false_texts
from histhooks.verify._ledger import LedgerCheck

_AT_ONCE = 65_536  # points in memory at a time; whole buckets of each level but the last


class DerivedCheck:
    """Recomputes what no line covers.

    Parameters
    ----------
    ledger : LedgerCheck
        What checked the lines of the same file.
    """

    def __init__(self, ledger: LedgerCheck) -> None:
        self.ledger = ledger
        self.report = ledger.report
        self.all = ledger.all
        self.may_lack = ledger.may_lack

    def run(self) -> None:
        """Check everything."""
        for check in (self._folds, self._personal, self._contents, self._derived, self._references):
            try:
                check()
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
                self.report.problem(f"derived values cannot be recomputed, since a stored value is malformed ({error})")

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
                self.report.problem(f"{table} {row['id']}: no state records it")
            return
        for column, value in row.items():
            if column == "id" or (table == "sessions" and column in PERSONAL_COLUMNS):
                continue
            is_live = column in LIVE_COLUMNS and column not in folded
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
        here = {name for (name,) in self.all("SELECT name FROM main.sqlite_master WHERE type = 'table'")}
        for table, columns in PERSONAL.items() if here else ():
            scope = COVERED[table].scope
            for column in columns if table in here else ():
                sql = f"SELECT {scope}, session_id, ordinal, {column}, {column}_sha256 FROM {table}"
                for subject_id, session_id, ordinal, value, promise in self.all(sql):
                    salt = salts.get((subject_id, f"{table}/{session_id}/{ordinal}/{column}"))
                    what = "run" if scope == "run_id" else "session" if scope == "session_id" else "version"
                    self._commitment(salt, value, promise, f"{table} {ordinal} of {what} {subject_id}: {column}")

    def _commitment(self, salt: str | None, value: str | None, promise: str, place: str) -> None:
        if salt is None:
            self.report.redacted += 1
            self.report.redacted_by_hand += promise not in self.ledger.gone and not self.ledger.is_partial
            if value is not None:
                self.report.problem(f"{place} has a value but no salt")
        elif promise in self.ledger.redacted:
            self.report.problem(f"{place} was redacted, and is here again")
        elif commitment(salt, value) != promise:
            self.report.problem(f"{place} is not the value that was written")

    def _contents(self) -> None:
        for sha256 in false_texts(self.ledger.connection):
            self.report.problem(f"contents {sha256}: its text has another SHA-256")

    def _derived(self) -> None:
        names = [f.name for f in fields(Summary)]
        sql = f"SELECT series, run_id, name, {', '.join(names)} FROM metric_summaries ORDER BY series"
        for series, run_id, name, *kept in self.all(sql):
            self._one_series(series, run_id, name, dict(zip(names, kept, strict=True)))
            self.ledger.step()

    def _one_series(self, series: int, run_id: str, name: str, kept: dict[str, Any]) -> None:
        if self.ledger.is_evicted(run_id, "points"):
            return
        summary, roller, full = Summary(), Roller(), []
        points = self.ledger.series(series)
        while some := list(islice(points, _AT_ONCE)):
            summary.add(some)
            full += roller.add(some)
        if self.may_lack(run_id) and summary.count != kept["count"]:
            return
        place = f"metric {name!r} of run {run_id}"
        if {column: getattr(summary, column) for column in kept} != kept:
            self.report.problem(f"{place}: its summary is not that of its points")
        columns = "level, bucket, first_step, last_step, count, min, max, mean"
        rollups = self.all(f"SELECT {columns} FROM rollups WHERE series = ?", series)
        if sorted(full) != sorted(rollups):
            self.report.problem(f"{place}: its rollups are not those of its points")

    def _references(self) -> None:
        if self.ledger.is_partial:
            return
        known: dict[tuple[str, int], bool] = {}
        for table, rowid, parent, number in self.all("PRAGMA foreign_key_check"):
            if (table, number) not in known:
                known[table, number] = self._is_buried(table, parent, number)
            if not known[table, number]:
                self.report.problem(f"{table} row {rowid}: what it refers to in {parent} is missing")

    def _is_buried(self, table: str, parent: str, number: int) -> bool:
        """Whether tombstones account for all that rows of a table refer to in another and is missing there."""
        keys = [(row[3], row[4]) for row in self.all(f"PRAGMA foreign_key_list({table})") if row[0] == number]
        if len(keys) != 1:
            return False
        ((column, key),) = keys
        there = f"(SELECT {key} FROM {parent})"
        sql = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL AND {column} NOT IN {there}"
        missing = self.all(sql)
        return all(value in self.ledger.buried for (value,) in missing)
