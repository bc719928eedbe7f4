"""Groups and times of rows: only of columns that the program named, by hashes, with no group in the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from click.testing import CliRunner

import histhooks
from histhooks._host.row_key import row_key
from histhooks._record.data_looks import looks
from histhooks._views import data_words
from histhooks.cli import cli
from histhooks.history import RunRecord
from histhooks.history.data.chance import judge

pandas = pytest.importorskip("pandas")
N = 300


def frame() -> Any:
    random = numpy.random.default_rng(0)
    return pandas.DataFrame(
        {
            "a": random.normal(size=N),
            "patient": [f"Somebody{number // 4:04d}" for number in range(N)],
            "when": pandas.date_range("2024-01-01", periods=N, freq="h"),
            "user": numpy.arange(N) // 4 + 70_000_001,
        }
    )


def to_polars(data: Any) -> Any:
    polars = pytest.importorskip("polars")
    return polars.DataFrame({name: data[name].to_list() for name in data})


def to_arrow(data: Any) -> Any:
    return pytest.importorskip("pyarrow").Table.from_pandas(data)


def recorded(store: Path, name: str = "last") -> RunRecord:
    assert looks.settle(30)
    histhooks.flush()
    return histhooks.History(store).run(name)


def parts(run: RunRecord) -> dict[str, tuple[int, int, int | None]]:
    return {one.part: (one.n_rows, one.n_equal, one.n_twins) for one in run.overlaps}


def everything(store: Path) -> bytes:
    return b"".join(path.read_bytes() for path in store.parent.glob("histhooks.db*") if path.is_file())


@pytest.mark.parametrize("made", [lambda data: data, to_polars, to_arrow])
def test_rows_of_a_group_of_the_training_data_are_counted(store_path: Path, made: Callable[[Any], Any]) -> None:
    histhooks.autolog("sklearn", store=store_path, groups=["patient", "user"], time="when")
    data = frame()
    with histhooks.start_run() as run:
        run.log_dataset("train", made(data[:202]))
        run.log_dataset("test", made(data[200:]))
    found = recorded(store_path)
    expected = {"group:patient": (100, 4, 202), "group:user": (100, 4, 202), "time:when": (100, 1, None)}
    assert parts(found) == {**expected, "features": (100, 2, 0)}
    assert {one.method for one in found.overlaps} == {"exact"}
    key = row_key(found.project).id
    sketches = {(one.part, one.n_rows, one.n_distinct, one.key_id) for one in found.datasets[0].sketches}
    assert sketches == {(part, 202, 51, key) for part in ("group:patient", "group:user")} | {
        ("features", 202, 202, key)
    }
    assert [one.part for one in found.datasets[1].sketches] == ["features"]
    facts = {one.name: one.facts for one in found.datasets[0].columns}
    assert (facts["when"]["first"], facts["when"]["last"]) == ("2024-01-01T00:00:00", "2024-01-09T09:00:00")
    assert [name for name in facts if "edges" in facts[name]] == ["a", "when"]
    told = everything(store_path)
    assert b"Somebody" not in told
    assert b"70000001" not in told
    assert b"70000051" not in told
    words = {one.part: (data_words.overlap(one), judge(one).level) for one in found.overlaps}
    assert words["group:patient"][1] == "fail"
    assert words["time:when"] == ("1 of 100 rows (1 %) is before the last when of train", "info")
    done = CliRunner().invoke(cli, ["data", str(store_path), "last"], standalone_mode=False)
    assert done.return_value == 1
    assert "4 of 100 rows (4 %) are of a group of patient that is in train too" in done.output
    assert "is before the last when of train" in done.output


def test_columns_that_nobody_named_are_never_guessed(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    data = frame().rename(columns={"patient": "group", "user": "patient_id", "when": "time"})
    with histhooks.start_run() as run:
        run.log_dataset("train", data[:202])
        run.log_dataset("test", data[200:])
    found = recorded(store_path)
    assert [one.part for one in found.overlaps] == ["features"]
    assert {one.part for data in found.datasets for one in data.sketches} == {"features"}
    assert not [one.name for one in found.datasets[0].columns if {"first", "last"} & set(one.facts)]


def test_a_score_that_comes_later_is_compared_too(store_path: Path) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    histhooks.autolog("sklearn", store=store_path, groups="user")
    data = frame()[["a", "user"]]
    target = data["a"].to_numpy().copy()
    model = linear_model.LinearRegression().fit(data[:202], target[:202])
    model.score(data[202:], target[202:])
    assert parts(recorded(store_path)) == {"group:user": (98, 2, 202), "features": (98, 0, 0)}


def test_groups_beside_the_data_are_hashed_and_no_param(store_path: Path) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    selection = pytest.importorskip("sklearn.model_selection")
    histhooks.autolog("sklearn", store=store_path)
    X = numpy.random.default_rng(0).normal(size=(60, 3))
    groups = [f"Somebody{number // 6}" for number in range(60)]
    folds = selection.GroupKFold(3)
    scores = selection.cross_val_score(linear_model.Ridge(), X, X[:, 0], groups=groups, cv=folds)
    first = recorded(store_path)
    search = selection.GridSearchCV(linear_model.Ridge(), {"alpha": [1.0]}, cv=folds).fit(X, X[:, 0], groups=groups)
    found = recorded(store_path)
    histhooks.disable()
    again = selection.cross_val_score(linear_model.Ridge(), X, X[:, 0], groups=groups, cv=folds)
    assert scores.tolist() == again.tolist()
    assert search.best_score_ == pytest.approx(again.mean())
    for run in (first, found):
        assert {(one.part, one.n_distinct) for one in run.datasets[0].sketches} == {
            ("features", 60),
            ("group:groups", 10),
        }
        assert not [name for name in run.params if "groups" in name]
    assert b"Somebody" not in everything(store_path)


def test_log_dataset_takes_groups(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    X, groups = numpy.random.default_rng(0).normal(size=(40, 2)), numpy.arange(40) // 4
    with histhooks.start_run() as run:
        run.log_dataset("train", X[:22], groups=groups[:22])
        run.log_dataset("test", X[22:], groups=pandas.Series(groups[22:].astype(float)))
        run.log_dataset("valid", X[22:], groups=groups[:3])  # not of these rows
        run.log_dataset("more", X[22:30], groups=(one for one in "abcdefgh"))  # nobody may iterate it
    found = recorded(store_path)
    assert parts(found)["group:groups"] == (18, 2, 22)
    notes = " ".join(str(one["note"]) for one in found.captures if one["collector"] == "data_content")
    assert "valid: not all of it was looked at: group:groups: 3 rows of 1 values, beside 18 rows" in notes
    assert "more: not all of it was looked at: groups: values of class generator are not read" in notes


@pytest.mark.parametrize(
    ("train", "test", "n_equal"),
    [
        ([1, 2, 3], [3.0, 4.0, float("nan")], 1),
        ([20_000_001, None], [20_000_001.0, 20_000_002.0, None], 1),  # not as float32, and none is a group of its own
        (["a", None], [None, "a", "b"], 1),
        (pandas.Categorical(["a", "b", "c"]), ["c", "d", "a"], 2),
        ([True, False], [1, 0, 5], 2),
        ([0.5, 1.0], [0.5, 1, 2], 2),
    ],
)
def test_a_group_is_the_same_in_any_dtype(store_path: Path, train: Any, test: Any, n_equal: int) -> None:
    histhooks.autolog("sklearn", store=store_path, groups="g")
    with histhooks.start_run() as run:
        for role, values in (("train", train), ("test", test)):
            run.log_dataset(role, pandas.DataFrame({"x": numpy.arange(len(values)) + 0.25, "g": values}))
    assert parts(recorded(store_path))["group:g"][:2] == (3, n_equal)


@pytest.mark.parametrize(
    ("train", "test", "n_equal"),
    [
        (["2024-01-02", "2024-03-01"], ["2024-02-28 23:59:59", "2024-03-01", "2023-01-01T00:00:00.5"], 2),
        ([2019, 2021], [2020, 2021, 2022], 1),
        (pandas.to_datetime(["2024-01-02", None]), ["2024-01-01", "2024-01-02", "2024-01-03"], 1),
        (["2 January"], ["2024-01-01"], None),
        ([2019], ["2018-01-01"], None),
    ],
)
def test_rows_before_the_last_time_are_counted(store_path: Path, train: Any, test: Any, n_equal: int | None) -> None:
    histhooks.autolog("sklearn", store=store_path, time="t")
    with histhooks.start_run() as run:
        for role, values in (("train", train), ("test", test)):
            run.log_dataset(role, pandas.DataFrame({"x": numpy.arange(len(values)) + 0.25, "t": values}))
    found = parts(recorded(store_path)).get("time:t")
    assert found == (None if n_equal is None else (len(test), n_equal, None))


def test_groups_of_two_projects_have_other_hashes(store_path: Path) -> None:
    X = numpy.random.default_rng(0).normal(size=(40, 2))
    digests = []
    for project in ("one", "two"):
        histhooks.autolog("sklearn", store=store_path, project=project)
        with histhooks.start_run() as run:
            run.log_dataset("train", X, groups=numpy.arange(40) // 4)
        (sketch,) = (one for one in recorded(store_path).datasets[0].sketches if one.part == "group:groups")
        digests.append(sketch.content_sha256)
        X = X + 1
    assert digests[0] != digests[1]
