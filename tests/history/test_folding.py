"""Runs from one call site as one row: each run is in exactly one row, and a limit only leaves rows out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import histhooks
from histhooks._base.clock import iso
from histhooks.history.query.folding import FOLD_FROM, LOOP_FROM, Row, fold
from histhooks.history.query.run_query import build

SCHEMA = (files("histhooks._store") / "schema.sql").read_text(encoding="utf-8")
START = 1_790_000_000_000_000


class Made(NamedTuple):
    """One run: where it was called, in which process and group, and how many seconds after the one before."""

    site: int
    session: int
    group: int | None
    gap_s: int
    name: str = "n"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "histhooks.db")
    connection.executescript(SCHEMA)
    yield connection
    connection.close()


def fill(db: sqlite3.Connection, runs: list[Made]) -> None:
    db.execute("DELETE FROM runs")
    db.execute("DELETE FROM sessions")
    db.executemany(
        "INSERT INTO sessions (id, kind, started_at, status, recorder_version) VALUES (?, 'script', ?, 'ended', '0')",
        [(f"s{number}", iso(START)) for number in range(20)],
    )
    now = START
    for number, run in enumerate(runs):
        now += run.gap_s * 1_000_000
        group = None if run.group is None else f"g{run.group}"
        db.execute(
            "INSERT INTO runs (id, session_id, group_name, name, kind, call_site, status, started_at, ended_at) "
            "VALUES (?, ?, ?, ?, 'fit', ?, 'finished', ?, ?)",
            (f"{number:04}", f"s{run.session}", group, run.name, f"train.py:{run.site}", iso(now), iso(now)),
        )
    db.commit()


def folded(path: Path, limit: int) -> list[list[str]]:
    with histhooks.History(path) as history:
        rows: list[Row] = fold(history, build(history), limit)
        return [[member.id for member in row.members] for row in rows]


def paged(path: Path, limit: int) -> list[list[str]]:
    """The rows, page by page."""
    out: list[list[str]] = []
    with histhooks.History(path) as history:
        table = history.table(limit=limit)
        while True:
            out += [list(row.ids) for row in table.rows]
            if table.next_key is None:
                return out
            table = history.table(limit=limit, after=table.next_key)


MADE = st.builds(
    Made,
    site=st.sampled_from([1, 1, 1, 2, 3]),
    session=st.integers(0, 12),
    group=st.sampled_from([None, None, None, 1]),
    gap_s=st.sampled_from([1, 1, 1, 1, 600]),
    name=st.sampled_from(["n", "n", "n", "m"]),
)


@pytest.mark.one_engine("rows that no ledger covers cannot be pushed")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(MADE, max_size=40), limit=st.integers(1, 12))
def test_each_run_is_in_one_row_and_a_limit_only_leaves_rows_out(
    db: sqlite3.Connection, tmp_path: Path, runs: list[Made], limit: int
) -> None:
    fill(db, runs)
    rows = folded(tmp_path / "histhooks.db", 10_000)
    assert sorted(i for row in rows for i in row) == [f"{number:04}" for number in range(len(runs))]
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), reverse=True)
    for row in rows:
        assert len({runs[int(i)].site for i in row}) == 1
        assert len(row) == 1 or len(row) >= FOLD_FROM
        assert len({runs[int(i)].name for i in row}) == 1 or len(row) >= LOOP_FROM
    assert folded(tmp_path / "histhooks.db", limit) == rows[:limit]
    assert paged(tmp_path / "histhooks.db", limit) == rows


@pytest.mark.one_engine("rows that no ledger covers cannot be pushed")
def test_a_loop_of_programs_is_one_row_and_an_interruption_ends_it(db: sqlite3.Connection, tmp_path: Path) -> None:
    loop = [Made(1, number % 20, None, 5) for number in range(LOOP_FROM)]
    fill(db, loop)
    assert [len(row) for row in folded(tmp_path / "histhooks.db", 20)] == [LOOP_FROM]
    fill(db, [*loop[:5], Made(2, 0, None, 5), *loop[5:]])
    assert [len(row) for row in folded(tmp_path / "histhooks.db", 20)] == [1] * (LOOP_FROM + 1)
    fill(db, [*loop[:5], Made(1, 19, None, 600), *loop[5:]])
    assert max(len(row) for row in folded(tmp_path / "histhooks.db", 20)) == 1


@pytest.mark.one_engine("rows that no ledger covers cannot be pushed")
def test_four_runs_of_four_names_are_four_rows_and_ten_names_are_one(db: sqlite3.Connection, tmp_path: Path) -> None:
    fill(db, [Made(1, 0, None, 1, name) for name in ("tiny", "small", "big", "huge")])
    assert [len(row) for row in folded(tmp_path / "histhooks.db", 20)] == [1, 1, 1, 1]
    fill(db, [Made(1, 0, None, 1, "huge") for _ in range(FOLD_FROM)] + [Made(1, 0, None, 1, "tiny")])
    assert [len(row) for row in folded(tmp_path / "histhooks.db", 20)] == [1, FOLD_FROM]
    fill(db, [Made(1, 0, None, 1, f"C={number}") for number in range(LOOP_FROM)])
    assert [len(row) for row in folded(tmp_path / "histhooks.db", 20)] == [LOOP_FROM]
