"""``compare`` and its twin, on trainings that were recorded for real."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import histhooks
from helpers import verbs


def ask(*words: str, columns: int = 100) -> tuple[int, str, str]:
    return verbs.ask("compare", *words, COLUMNS=str(columns))


def ids(store: Path, name: str) -> list[str]:
    with histhooks.History(store) as history:
        return [run.id for run in reversed(history.runs(is_nested=False)) if run.name == name]


def test_only_what_differs_is_a_column_and_the_best_is_marked(trained: Path) -> None:
    runs = ids(trained, "network·Sequential")
    with histhooks.History(trained) as history:
        found = history.compare(*runs)
        columns = {column.title: column for column in found.columns}
        assert "params.batch_size" in found.same
        assert columns["params.optimizer.learning_rate"].values == pytest.approx((0.01, 0.003))
        for name, choose in (("val_loss", min), ("val_accuracy", max)):
            best = [
                choose(p["value"] for p in history.run(run).metrics(name)) for run in ids(trained, "network·Sequential")
            ]
            assert columns[name].values == tuple(best)
            assert columns[name].best == (best.index(choose(best)),)
        assert columns["lr"].best == ()
        assert columns["parameters"].values == (1210, 1810)


def test_candidates_of_a_search_stand_side_by_side(trained: Path) -> None:
    search = ids(trained, "classic·GridSearchCV")[1]
    code, out, _ = ask(str(trained), search, "--children")
    assert code == 0
    with histhooks.History(trained) as history:
        children = history.run(search).children
        scores = [child.results["mean_test_score"] for child in children]
        (folds,) = [column for column in history.compare(*children).columns if column.title == "test_score"]
    assert folds.values == pytest.approx(scores)
    assert folds.best == (scores.index(max(scores)),)
    line = next(line for line in out.splitlines() if line.startswith("mean_test_score"))
    assert line.count("*") == scores.count(max(scores))
    assert any(line.split()[:1] == ["C"] for line in out.splitlines())


def test_json_and_csv_hold_all_of_it(trained: Path) -> None:
    runs = ids(trained, "loop·Sequential")
    found = json.loads(ask(str(trained), *runs, "--json")[1])
    assert [run["id"] for run in found["runs"]] == runs
    (loss,) = [column for column in found["columns"] if column["name"] == "val_loss"]
    assert loss["best"] == [runs[loss["values"].index(min(loss["values"]))]]
    rows = list(csv.DictReader(io.StringIO(ask(str(trained), *runs, "--csv")[1])))
    assert [float(row["val_loss"]) for row in rows] == loss["values"]
    assert [row["params.optimizer.lr"] for row in rows] == ["0.05", "0.1"]


def test_runs_are_found_by_a_condition(trained: Path) -> None:
    found = json.loads(ask(str(trained), "--where", "framework = keras", "--json")[1])
    assert {run["id"] for run in found["runs"]} == set(ids(trained, "network·Sequential"))
    found = json.loads(ask(str(trained), "--tag", "team", "--json")[1])
    expected = [*ids(trained, "classic·Pipeline"), *ids(trained, "classic·GridSearchCV")]
    assert {run["id"] for run in found["runs"]} == set(expected)
    code, out, err = ask(str(trained), "--tag", "team", "--limit", "2", "--json")
    assert len(json.loads(out)["runs"]) == 2
    assert "only the first 2 runs" in err
    code, _, err = ask(str(trained), "--where", "framework = keras and val_loss < 0")
    assert (code, "two runs or more, not 0" in err) == (2, True)
    assert ask(str(trained), "last", "--where", "framework = keras")[0] == 2
    assert ask(str(trained), "last")[0] == 2
    assert ask(str(trained), "--children")[0] == 2


def test_it_fits_the_terminal_and_names_what_it_leaves_out(trained: Path) -> None:
    names = ("classic·Pipeline", "network·Sequential", "loop·Sequential")
    runs = [run for name in names for run in ids(trained, name)]
    for columns in (80, 100, 140):
        code, out, _ = ask(str(trained), *runs, "last", columns=columns)
        assert code == 0
        assert max(map(len, out.splitlines())) <= columns
    out = ask(str(trained), *runs, "last", columns=80)[1]
    assert "no room for " in out
    assert "val_loss" in out.splitlines()[0]


def test_equal_values_have_no_best_and_an_unknown_direction_none(tmp_path: Path) -> None:
    histhooks.autolog(store=tmp_path / "a.db")
    for name, value in (("x", 1.0), ("y", 2.0), ("z", float("nan"))):
        with histhooks.start_run(name) as run:
            run.log({"whatever": value, "loss": 0.5, "accuracy": value})
    histhooks.flush()
    with histhooks.History(tmp_path / "a.db") as history:
        found = history.compare("x", "y", "z")
        columns = {column.name: column for column in found.columns}
        assert columns["whatever"].best == ()
        assert columns["accuracy"].best == (1,)
        assert columns["accuracy"].values == (1.0, 2.0, None)
        assert "loss" in found.same
        with pytest.raises(histhooks.QueryError, match="two runs or more"):
            history.compare("x")


def test_hostile_names_are_printed_as_they_are(trained: Path) -> None:
    out = ask(str(trained), "plain", "last", columns=140)[1]
    assert "<script>alert(1)</scr" in out
