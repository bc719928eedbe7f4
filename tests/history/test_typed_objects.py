"""Summaries, lists of runs, comparisons and differences are objects, rows and DataFrames with the same values."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import script as record
from histhooks import History, QueryError
from histhooks.history import Runs, Summaries, Summary
from histhooks.testing import run_program

PROGRAM = """
import histhooks
for name, lr, losses in (("a", 0.1, (0.5, 0.2, 0.3)), ("b", 0.01, (0.4, 0.1, float("nan")))):
    tags = {"team": "red"} if name == "a" else None
    with histhooks.start_run(name, params={"lr": lr, "sizes": [3, 2]}, tags=tags) as run:
        for epoch, loss in enumerate(losses):
            for _ in range(2):
                run.log({"loss": loss * 2})
            run.log({"val_loss": loss, "odd": 7.0}, epoch=epoch)
        run.log_results({"n_iter": 3})
with histhooks.start_run("empty"):
    pass
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("typed") / "histhooks.db"
    record(path, PROGRAM, HISTHOOKS_PROJECT="demo")
    return path


@pytest.fixture
def history(store: Path) -> Iterator[History]:
    with History(store) as opened:
        yield opened


def test_a_summary_is_found_by_name_and_by_place(history: History) -> None:
    summaries = history.run("a").summaries
    assert isinstance(summaries, Summaries)
    assert summaries.names == ["loss", "odd", "val_loss"]
    summary = summaries["val_loss"]
    assert isinstance(summary, Summary)
    assert (summary.best, summary.best_step, summary.best_epoch) == (0.2, 1, 1)
    assert (summary.first, summary.last, summary.count, summary.split) == (0.5, 0.3, 3, "valid")
    assert next(s for s in summaries if s["name"] == "val_loss") == summary
    assert summaries[2] == summary
    assert [one.name for one in summaries[1:]] == ["odd", "val_loss"]
    assert isinstance(summaries[1:], Summaries)
    assert "val_loss" in summaries
    assert summary in summaries
    assert "nothing" not in summaries
    assert summaries.get("nothing") is None
    assert summaries.main == summary
    with pytest.raises(QueryError, match="no metric 'val_los'; it has val_loss, loss, odd"):
        summaries["val_los"]
    with pytest.raises(AttributeError, match="summary of a metric has no 'bst'; it has run_id, name"):
        _ = summary.bst  # type: ignore[attr-defined]


def test_a_summary_without_a_direction_or_a_value_has_no_best(history: History) -> None:
    odd = history.run("a").summaries["odd"]
    assert (odd.best, odd.best_step, odd.best_epoch, odd.value) == (None, None, None, 7.0)
    last = history.run("b").summaries["val_loss"]
    assert (last.last, last.last_special, last.nonfinite, last.best) == (None, "nan", 1, 0.1)
    assert history.run("empty").summaries.main is None
    assert history.run("empty").summaries == []


def test_a_summary_is_a_dict_to_what_takes_one(history: History) -> None:
    summaries = history.run("a").summaries
    assert json.loads(json.dumps(summaries))[2]["min"] == 0.2
    assert {**summaries["val_loss"]}["name"] == "val_loss"
    for twin in (copy.copy(summaries[2]), copy.deepcopy(summaries[2]), pickle.loads(pickle.dumps(summaries))[2]):
        assert twin == summaries[2]
        assert twin.best == 0.2


def test_runs_are_rows_with_params_metrics_results_and_tags(history: History) -> None:
    runs = history.runs(order_by="started_at asc")
    assert isinstance(runs, Runs)
    a, b, empty = runs.rows()
    assert list(a) == list(b) == list(empty)
    assert (a["name"], a["project"], a["status"], a["metric"], a["best"], a["last"]) == (
        "a", "demo", "finished", "val_loss", 0.2, 0.3,
    )  # fmt: skip
    assert (a["params.lr"], a["params.sizes"], a["metrics.val_loss"], a["metrics.odd"]) == (0.1, [3, 2], 0.2, 7.0)
    assert (a["results.n_iter"], a["tags.team"], b["tags.team"], empty["params.lr"]) == (3, "red", None, None)
    assert b["metrics.val_loss"] == 0.1


def test_the_value_of_a_run_is_that_of_compare_and_of_its_summary(history: History) -> None:
    runs = history.runs(where="has val_loss")
    columns = {column.title: column.values for column in history.compare(*runs).columns}
    assert columns["val_loss"] == tuple(row["metrics.val_loss"] for row in runs.rows())
    assert columns["val_loss"] == tuple(run.summaries["val_loss"].value for run in runs)


def test_runs_stay_runs_when_they_are_sliced_and_show_a_line_each(history: History) -> None:
    runs = history.runs()
    assert isinstance(runs[:2], Runs)
    assert runs[0].name == "empty"
    assert [run.name for run in runs] == ["empty", "b", "a"]
    head, *lines = repr(runs).splitlines()
    assert head == "<3 runs>"
    assert [line.split()[1] for line in lines] == ["empty", "b", "a"]
    assert lines[1].endswith("val_loss 0.1")
    assert repr(Runs()) == "<0 runs>"
    assert repr(Runs(list(runs) * 10)).endswith("and 10 more")
    assert repr(history.run("a").summaries).splitlines()[3] == "  val_loss: best 0.2 at step 1, last 0.3, 3 points"


def test_runs_of_two_stores_are_one_table(history: History, store: Path) -> None:
    with History(store) as other:
        rows = Runs([history.run("a"), other.run("b")]).rows()
    assert [row["params.lr"] for row in rows] == [0.1, 0.01]


def test_dataframes_have_the_values_of_the_rows(history: History) -> None:
    pandas = pytest.importorskip("pandas")
    table = history.runs().to_pandas()
    assert str(table["started_at"].dtype).startswith("datetime64")
    assert table["started_at"].dt.tz is not None
    assert table.sort_values("metrics.val_loss")["name"].tolist() == ["b", "a", "empty"]
    assert table["params.lr"].dtype == float
    assert next(iter(table.columns)) == "id"
    assert math.isnan(table["params.lr"][0])
    summaries = history.run("a").summaries.to_pandas()
    assert summaries.loc["val_loss", ["best", "best_step", "best_epoch", "count"]].tolist() == [0.2, 1, 1, 3]
    compared = history.compare("a", "b").to_pandas()
    assert compared["params.lr"].tolist() == [0.1, 0.01]
    found = history.diff("a", "b")
    changes = found.to_pandas()
    assert changes.to_dict("records") == pandas.DataFrame(found.rows()).to_dict("records")
    assert ("params", "lr", "changed", 0.1, 0.01) in [tuple(row)[:5] for row in changes.itertuples(index=False)]
    same = history.diff("a", "a").to_pandas()
    assert (len(same), list(same.columns)[:2]) == (0, ["part", "key"])
    assert "name" in Runs().to_pandas().columns
    assert history.run("empty").summaries.to_pandas().empty


def test_a_dataframe_shows_objects_in_words_and_rows_keep_what_was_recorded(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    program = """
import histhooks
class Scaler:
    pass
params = {"scaler": Scaler(), "steps": [["scale", Scaler()], 1], "sizes": [1]}
with histhooks.start_run("objects", params=params):
    pass
"""
    record(tmp_path / "objects.db", program)
    with History(tmp_path / "objects.db") as history:
        runs = history.runs()
        (row,) = runs.to_pandas()[["params.scaler", "params.steps", "params.sizes"]].values.tolist()
        assert row == ["Scaler()", '[["scale", Scaler()], 1]', [1]]
        assert runs.rows()[0]["params.scaler"] == {"$object": "__main__.Scaler"}


def test_a_part_that_is_not_there_is_named_with_those_that_are(history: History) -> None:
    with pytest.raises(QueryError, match="no part 'param'; they have data, "):
        history.diff("a", "b").part("param")


WITHOUT = """
import sys
sys.modules["pandas"] = None
import histhooks
history = histhooks.History()
run = history.run("a")
assert run.summaries["val_loss"].best == 0.2 and history.runs().rows() and repr(history.runs())
assert "numpy" not in sys.modules, "reading brought NumPy in"
for ask in (history.runs().to_pandas, run.summaries.to_pandas, history.compare("a", "b").to_pandas,
            history.diff("a", "b").to_pandas, run.to_pandas, run.series("val_loss").to_pandas):
    try:
        ask()
    except histhooks.QueryError as error:
        assert str(error) == "a DataFrame needs pandas, which is not installed: pip install 'histhooks[pandas]'", error
    else:
        raise AssertionError(ask)
"""


def test_without_pandas_all_but_dataframes_works_and_the_error_names_the_extra(store: Path) -> None:
    code, _, err = run_program(WITHOUT, store)
    assert code == 0, err


@pytest.mark.parametrize("name", ["get_run", "search_runs", "to_pandas"])
def test_a_history_says_what_to_write_for_the_name_of_another_tool(history: History, name: str) -> None:
    asked: Any = history
    with pytest.raises(AttributeError, match=f"a history has no attribute '{name}'; use `history"):
        getattr(asked, name)


def test_a_run_names_its_columns_to_a_shell(history: History) -> None:
    run = history.run("a")
    assert {"started_at", "framework", "params", "summaries"} <= {*dir(run)}
    with pytest.raises(AttributeError, match=r"a run has no attribute 'param'; use `run.params\[\"lr\"\]`"):
        _ = run.param
