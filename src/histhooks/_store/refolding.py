"""Make again what follows from other rows: `sessions` and `runs` from states, summaries and rollups from points."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from itertools import groupby
from operator import itemgetter
from typing import Any

from histhooks._store.folds import Roller, Rollup, Summary
from histhooks._store.tables import FOLDS, LIVE_COLUMNS, PERSONAL_COLUMNS, TARGET_COLUMNS

_AT_ONCE = 65_536  # points in memory at a time; whole buckets of each level but the last
_SUMMARY = tuple(each.name for each in fields(Summary))
_ROLLUP = "level, bucket, first_step, last_step, count, min, max, mean"


def folded(states: Iterable[tuple[str]]) -> dict[str, Any]:
    """The columns that states, in order of time, give a row; without personal values, of which they hold none."""
    facts: dict[str, Any] = {}
    for (state,) in states:
        facts.update(json.loads(state))
    return {column: value for column, value in facts.items() if column not in PERSONAL_COLUMNS}


def refold(connection: sqlite3.Connection, subjects: str = "SELECT subject_id FROM main.states") -> None:
    """Make the rows of some sessions and runs what their states say.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction.
    subjects : str
        A query of SQL that gives their ids; all by default.
    """
    sql = (
        f"SELECT subject_id, state FROM main.states WHERE subject_id IN ({subjects}) "
        "ORDER BY subject_id, time, session_id, ordinal"
    )
    states = {
        subject_id: folded((row[1],) for row in rows)
        for subject_id, rows in groupby(connection.execute(sql), itemgetter(0))
    }
    for table in FOLDS:
        cursor = connection.execute(f"SELECT * FROM main.{table} WHERE id IN ({subjects})")
        names = [column[0] for column in cursor.description]
        for row in cursor.fetchall():
            facts = states.get(row[names.index("id")])
            if facts:
                _refold(connection, table, dict(zip(names, row, strict=True)), facts)


def _refold(connection: sqlite3.Connection, table: str, row: dict[str, Any], facts: dict[str, Any]) -> None:
    is_whole = "started_at" in facts  # a spool may begin after the first state
    wrong = {}
    for column, value in row.items():
        is_personal = table == "sessions" and column in PERSONAL_COLUMNS
        if (
            column == "id"
            or is_personal
            or column in TARGET_COLUMNS
            or (column not in facts and (column in LIVE_COLUMNS or not is_whole))
        ):
            continue
        if value != facts.get(column):
            wrong[column] = facts.get(column)
    if wrong:
        updates = ", ".join(f"{column} = ?" for column in wrong)
        connection.execute(f"UPDATE main.{table} SET {updates} WHERE id = ?", (*wrong.values(), row["id"]))


def resummarise(connection: sqlite3.Connection, series: str = "SELECT series FROM main.metric_summaries") -> None:
    """Make the summaries and rollups of some series those of their points.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction.
    series : str
        A query of SQL that gives their keys; all by default.
    """
    columns = ", ".join(_SUMMARY)
    kept = {row[0]: row[1:] for row in connection.execute(
        f"SELECT series, {columns} FROM main.metric_summaries WHERE series IN ({series})"
    )}  # fmt: skip
    rollups = _rollups(connection, series)
    sql = "SELECT n, coalesce(step, n), epoch, time, value, special FROM main.points WHERE series = ? ORDER BY n"
    for key, summary_kept in kept.items():
        summary, roller, full = Summary(), Roller(), list[Rollup]()
        points = connection.execute(sql, (key,))
        while some := points.fetchmany(_AT_ONCE):
            summary.add(some)
            full += roller.add(some)
        values = tuple(getattr(summary, name) for name in _SUMMARY)
        if values != summary_kept:
            updates = ", ".join(f"{name} = ?" for name in _SUMMARY)
            connection.execute(f"UPDATE main.metric_summaries SET {updates} WHERE series = ?", (*values, key))
        if sorted(full, key=itemgetter(0, 1)) != rollups.get(key, []):
            connection.execute("DELETE FROM main.rollups WHERE series = ?", (key,))
            into = f"INSERT INTO main.rollups (series, {_ROLLUP}) VALUES ({key}, ?, ?, ?, ?, ?, ?, ?, ?)"
            connection.executemany(into, full)


def _rollups(connection: sqlite3.Connection, series: str) -> dict[int, list[tuple[Any, ...]]]:
    sql = f"SELECT series, {_ROLLUP} FROM main.rollups WHERE series IN ({series}) ORDER BY series, level, bucket"
    return {key: [row[1:] for row in rows] for key, rows in groupby(connection.execute(sql), itemgetter(0))}
