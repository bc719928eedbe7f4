"""Runs by what they have in common: the numbers of each group are those of its runs, found by its condition."""

from __future__ import annotations

import csv
import io
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from histhooks import History, QueryError
from histhooks.testing import run_program

PROGRAM = """
import histhooks, math
for number in range(24):
    params = {"lr": 10.0 ** -(number % 3), "batch": 32, "flag": number % 2 == 0, "quoted": 'a "b" c', "many": [1, 2]}
    if number % 5 == 0:
        del params["batch"]
    if number == 7:
        params["lr"] = "0.1"
    try:
        with histhooks.start_run("net", params=params, tags={"team": ("red", "blue")[number % 2]}) as run:
            if number % 8 != 3:
                run.log({"val_loss": 1.0 + number / 10}, step=0)
                run.log({"val_acc": number / 30}, step=0)
            else:
                run.log({"val_loss": math.inf}, step=0)
            if number % 6 == 1:
                raise ValueError("no")
    except ValueError:
        pass
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("groups") / "h.db"
    code, _, error = run_program(PROGRAM, path)
    assert code == 0, error
    return path


@pytest.fixture(scope="module")
def history(store: Path) -> Iterator[History]:
    with History(store) as found:
        yield found


NAMES = [
    ["params.lr"], ["tags.team"], ["params.lr", "tags.team"], ["params.flag"], ["params.batch"], ["status"],
    ["params.quoted", "name"], ["val_loss"],
]  # fmt: skip


@pytest.mark.parametrize("names", NAMES, ids=str)
@pytest.mark.parametrize("order", [None, "val_acc", "count"])
def test_the_numbers_of_a_group_are_those_of_its_runs(history: History, names: list[str], order: str | None) -> None:
    table = history.table(group_by=names, order_by=order, limit=100)
    assert table.rows == ()
    assert table.total == table.listed == history.count() == 24
    assert len({json.dumps(group.values) for group in table.groups}) == len(table.groups)
    for group in table.groups:
        assert group.metric == ("val_acc" if order == "val_acc" else "val_loss")
        assert group.where is not None
        runs = history.runs(where=group.where)
        assert len(runs) == group.count
        assert group.started_at == max(run.started_at for run in runs)
        assert group.failed == sum(run.status == "failed" for run in runs)
        assert sum(group.statuses.values()) == group.count
        best = [s.best for run in runs for s in run.summaries if s["name"] == group.metric and s.best is not None]
        assert group.measured == len(best)
        assert group.best == (None if not best else min(best) if group.direction < 0 else max(best))
        assert group.mean == (pytest.approx(statistics.fmean(best)) if best else None)
        assert group.std == (pytest.approx(statistics.stdev(best)) if len(best) > 1 else None)
        if group.best is not None:
            assert group.best_run in {run.id for run in runs}


def test_a_text_that_is_a_number_counts_as_one(history: History) -> None:
    groups = history.table(group_by="params.lr").groups
    assert {group.values["params.lr"] for group in groups} == {1.0, 0.1, 0.01}
    assert sum(group.count for group in groups) == 24


def test_groups_are_in_the_order_that_was_asked_for(history: History) -> None:
    def found(**options: Any) -> list[Any]:
        return [group.values["params.lr"] for group in history.table(group_by="params.lr", **options).groups]

    assert found() == [1.0, 0.1, 0.01]  # the best first: of a loss the least
    assert found(reverse=True) == [0.01, 0.1, 1.0]
    assert found(order_by="params.lr") == [1.0, 0.1, 0.01]
    assert found(order_by="params.lr asc") == [0.01, 0.1, 1.0]
    assert found(order_by="val_acc") == found(order_by="-val_acc")
    by_batch = history.table(group_by="params.batch", order_by="count").groups
    assert [group.count for group in by_batch] == sorted((group.count for group in by_batch), reverse=True)
    with pytest.raises(QueryError, match="sorted by count"):
        history.table(group_by="params.lr", order_by="name")
    with pytest.raises(QueryError, match="several values of file"):
        history.table(group_by="file")
    with pytest.raises(QueryError, match="no column or metric is called 'nothing'"):
        history.table(group_by="nothing")


def test_pages_of_groups_follow_each_other(history: History) -> None:
    whole = history.table(group_by="val_loss", limit=100).groups
    seen: list[Any] = []
    key = None
    for _ in range(20):
        page = history.table(group_by="val_loss", limit=5, after=key)
        seen += page.groups
        key = page.next_key
        if key is None:
            break
    assert tuple(seen) == whole
    with pytest.raises(QueryError, match="no key"):
        history.table(group_by="val_loss", after='["sorted", [1, 2]]')


def test_a_group_that_no_expression_can_name_has_none(history: History) -> None:
    (group,) = history.table(group_by="params.many").groups
    assert (group.values, group.where) == ({"params.many": [1, 2]}, None)


def test_filters_and_counts_are_those_of_the_table(history: History) -> None:
    where = "tags.team = red and params.lr < 1"
    assert history.table(group_by="params.lr", where=where).total == history.count(where=where)
    by_hand: dict[float, int] = defaultdict(int)
    for run in history.runs(where=where):
        by_hand[float(run.params["lr"])] += 1
    groups = history.table(group_by="params.lr", where=where).groups
    assert {group.values["params.lr"]: group.count for group in groups} == by_hand
    assert history.table(group_by="params.lr", where="name = nobody").groups == ()


def test_the_verb_shows_groups(store: Path, history: History) -> None:
    def asked(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "histhooks", "runs", str(store), "-A", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def said(*words: str) -> str:
        done = asked("--group-by", "params.lr", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    table = history.table(group_by="params.lr").groups
    assert json.loads(said("--json")) == [{name: getattr(group, name) for name in group.__slots__} for group in table]
    rows = list(csv.DictReader(io.StringIO(said("--csv"))))
    assert [float(row["params.lr"]) for row in rows] == [1.0, 0.1, 0.01]
    lines = said().splitlines()
    assert lines[0].split()[:3] == ["params.lr", "RUNS", "FAILED"]
    assert "BEST ↓ val_loss" in lines[0]
    assert lines[-1].startswith("3 groups of 24 runs in ")
    assert "the first 1 group of 24 runs" in said("-n", "1")
    assert asked("--group-by", "name", "--timeline").returncode == 2


def test_groups_of_numbers_at_the_ends_of_what_a_float_holds(tmp_path: Path) -> None:
    program = """
import histhooks
for big, loss in ((1e308, 1.7e308), (1e308, 1.5e308), (10**400, 1e-300), (10**400, -1e308)):
    with histhooks.start_run("net", params={"big": big}) as run:
        run.log({"val_loss": loss})
"""
    code, _, error = run_program(program, tmp_path / "h.db")
    assert code == 0, error
    with History(tmp_path / "h.db") as history:
        groups = {group.values["params.big"]: group for group in history.table(group_by=["params.big"]).groups}
    assert (groups[1e308].where, groups[10**400].where) == ("params.big = 1e+308", None)
    assert groups[1e308].mean == pytest.approx(1.6e308)
    assert groups[1e308].std == pytest.approx(statistics.stdev([1.7, 1.5]) * 1e308)
    assert groups[10**400].mean == pytest.approx(-0.5e308)


def test_a_name_with_a_quote_in_it_is_written_in_the_other_one(tmp_path: Path) -> None:
    program = """
import histhooks
for value in (1, 2):
    with histhooks.start_run("net", params={'a"b': value, "c'd": value}) as run:
        run.log({"val_loss": 0.5})
"""
    code, _, error = run_program(program, tmp_path / "h.db")
    assert code == 0, error
    with History(tmp_path / "h.db") as history:
        for name in ('params.a"b', "params.c'd"):
            groups = history.table(group_by=[name]).groups
            assert [len(history.runs(where=group.where)) for group in groups] == [1, 1]


def test_a_text_that_says_true_is_in_the_group_whose_condition_finds_it(tmp_path: Path) -> None:
    program = (
        "import histhooks\n"
        "for number, on in enumerate([True, 'true', 'True', False, 'false', 'no', 1]):\n"
        "    with histhooks.start_run(f'r{number}', params={'on': on}): pass\n"
    )
    code, _, err = run_program(program, tmp_path / "h.db")
    assert code == 0, err
    with History(tmp_path / "h.db") as history:
        groups = history.table(group_by="params.on").groups
        counts = {repr(one.values["params.on"]): one.count for one in groups}
        assert counts == {"True": 3, "False": 2, "'no'": 1, "1": 1}
        for one in groups:
            assert one.where is not None
            assert len(history.runs(where=one.where)) == one.count
