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
    with histhooks.start_run("train", params={"lr": number / 10, "same": 1}) as run:
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


def test_rows_have_the_values_of_the_columns_that_were_asked_for(history: histhooks.History) -> None:
    names = ["params.lr", "val_loss", "val_loss.first", "val_loss.at_0", "val_loss.at_5", "status", "pid", "params.C"]
    table = history.table(columns=names, order_by="params.lr asc", limit=3, inner=None)
    assert [list(row.values["columns"]) for row in table.rows] == [names] * 3
    first, odd, even = (row.values["columns"] for row in table.rows)
    pid = history.run(table.rows[0].run_id).session["pid"]
    assert list(first.values()) == [0.0, None, None, None, None, "finished", pid, None]
    assert list(odd.values()) == [0.1, 0.5, 0.5, 0.5, None, "finished", pid, None]
    assert list(even.values()) == [0.2, "inf", "inf", "inf", None, "finished", pid, None]
    for row in history.table(columns=names, inner=None).rows:  # a column is what a filter with its name finds
        for name, value in row.values["columns"].items():
            condition = f"{name} is null" if value is None else f"{name} = {value}"
            assert row.run_id in {run.id for run in history.runs(where=condition, is_nested=None)}, condition


def test_rows_without_columns_have_none_and_a_wrong_name_is_refused(history: histhooks.History) -> None:
    assert "columns" not in history.table().rows[0].values
    assert history.table(columns="params.lr").rows[1].values["columns"] == {"params.lr": 0.6}
    json.dumps(history.table(columns=["params.lr", "val_loss.at_0"]).as_json())
    with pytest.raises(QueryError, match=r"no column or metric is called 'val_los'; did you mean val_loss\?"):
        history.table(columns=["val_los"], limit=0)
    with pytest.raises(QueryError, match="a table with group_by has groups"):
        history.table(columns=["val_loss"], group_by="params.lr")
