"""Runs as a table of plain values: filters, counts, and pages that hold each run once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import histhooks
from histhooks.errors import QueryError

PROGRAM = """
import histhooks

def train(number):
    with histhooks.start_run(f"train-{number}", params={"lr": number / 10, "same": 1}) as run:
        if number % 3:
            run.log({"val_loss": 1 / (number + 1) if number % 2 else float("inf")})

for number in range(7):
    train(number)
with histhooks.start_run("outer"):
    for number in range(3):
        with histhooks.start_run(f"inner-{number}", params={"C": number}):
            pass
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=60)
    return path


@pytest.fixture
def history(store: Path) -> Iterator[histhooks.History]:
    with histhooks.History(store) as opened:
        yield opened


def test_runs_from_one_call_site_are_one_row_with_plain_values(history: histhooks.History) -> None:
    table = history.table()
    outer, loop = table.rows
    assert (table.total, table.listed, table.next_key) == (8, 8, None)
    assert (outer.values["name"], outer.values["inside"], len(loop.ids)) == ("outer", 3, 7)
    assert (loop.values["metric"], loop.values["best"], loop.values["direction"]) == ("val_loss", 1 / 6, -1)
    assert loop.values["id"] == loop.ids[1]
    assert set(loop.values["params"]) == {"lr"}
    assert {column.name for column in table.columns} <= set(loop.values)
    assert json.loads(json.dumps(table.as_json()))["total"] == 8


def test_runs_inside_others_stand_under_them_and_do_not_count(history: histhooks.History) -> None:
    table = history.table(inner=2)
    assert [(row.depth, row.values["name"]) for row in table.rows[:3]] == [(0, "outer"), (1, "inner-0"), (1, "inner-1")]
    assert (table.total, table.listed) == (8, 8)


@pytest.mark.parametrize("order_by", [None, "val_loss", "-val_loss", "params.lr", "started_at", "-started_at", "name"])
@pytest.mark.parametrize("limit", [1, 3, 8])
def test_pages_in_any_order_give_each_run_once(history: histhooks.History, order_by: str | None, limit: int) -> None:
    whole = history.table(order_by=order_by, is_folded=False, limit=100)
    found, after = [], None
    while True:
        table = history.table(order_by=order_by, is_folded=False, limit=limit, after=after)
        found += [row.run_id for row in table.rows]
        if (after := table.next_key) is None:
            break
    assert found == [row.run_id for row in whole.rows]
    assert len(found) == 8


def test_a_total_alone_reads_no_rows_and_a_filter_counts(history: histhooks.History) -> None:
    table = history.table(limit=0, where="val_loss < 1")
    assert (table.rows, table.total) == ((), 2)


@pytest.mark.parametrize("after", ["nonsense", "3", '["rest", 1]', '["sorted", ["a"]]'])
def test_a_key_that_is_none_is_refused(history: histhooks.History, after: str) -> None:
    with pytest.raises(QueryError, match="is no key"):
        history.table(after=after)
