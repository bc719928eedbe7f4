"""Fingerprints of data: what is hashed and counted, what is left where it is."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histhooks._collect.fingerprint import describe

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")


def a_frame(n: int = 6) -> Any:
    words = ["alpha", "be", None, "gamma", "", "älpha"]
    return pd.DataFrame({
        "text": [words[i % 6] for i in range(n)],
        "kind": pd.Categorical([("red", "blue")[i % 2] for i in range(n)]),
        "day": pd.date_range("2024-01-01", periods=n, tz="UTC"),
        "count": pd.array([None if i % 3 == 0 else i for i in range(n)], dtype="Int64"),
        "mixed": pd.Series([(i, "x", 1.5, None)[i % 4] for i in range(n)], dtype=object),
        "number": np.arange(n) / 4,
        "flag": [i % 2 == 0 for i in range(n)],
    })  # fmt: skip


def counts(X: Any, y: Any = None) -> Any:
    return json.loads(describe(X, y)["profile"])


CHANGES = {
    "text": "beta",
    "kind": "blue",
    "day": pd.Timestamp("2020-02-02", tz="UTC"),
    "count": 77,
    "mixed": "0",
    "number": 0.125,
    "flag": False,
}


@pytest.mark.parametrize("column", CHANGES)
def test_frames_that_differ_in_one_cell_have_different_hashes(column: str) -> None:
    frame, other = a_frame(), a_frame()
    assert describe(frame)["coverage"] == "all"
    assert describe(frame)["content_hash"] == describe(other)["content_hash"]
    other.loc[0, column] = CHANGES[column]
    assert (other.dtypes == frame.dtypes).all()
    assert describe(frame)["content_hash"] != describe(other)["content_hash"]


def test_a_category_that_is_renamed_is_another_content() -> None:
    red = pd.DataFrame({"kind": pd.Categorical(["red", "blue"])})
    green = pd.DataFrame({"kind": red["kind"].cat.rename_categories({"red": "green"})})
    assert describe(red)["content_hash"] != describe(green)["content_hash"]


def test_names_and_dtypes_of_columns_are_part_of_what_a_frame_is() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    others = [
        frame.rename(columns={"a": "c"}), frame[["b", "a"]].set_axis(["a", "b"], axis=1), frame.astype("int32"),
        frame.astype("Int64"), frame.set_axis([0, 1], axis=1), frame.set_axis(["0", "1"], axis=1),
        frame.astype("object"),
        frame.astype(pd.CategoricalDtype([1, 2, 3, 4])), frame.astype(pd.CategoricalDtype([1, 2, 3, 4], ordered=True)),
        frame.astype(pd.CategoricalDtype([1, 2, 3, 4, 5])),
    ]  # fmt: skip
    rows = [describe(data) for data in (frame, *others)]
    assert len({row["content_hash"] for row in rows}) == len({row["id"] for row in rows}) == len(rows)
    assert describe(frame.copy()) == rows[0]
    assert describe(frame.set_axis([5, 6]))["content_hash"] == rows[0]["content_hash"]  # the index is no data
    y = pd.Series([1, 2], name="y")
    assert describe(frame, y)["content_hash"] != describe(frame, y.rename("z"))["content_hash"]


TEXTS = st.lists(st.one_of(st.text(max_size=3), st.none()), min_size=1, max_size=6)


@given(TEXTS, TEXTS)
def test_object_columns_have_one_hash_exactly_where_they_hold_the_same(one: list[Any], other: list[Any]) -> None:
    found = [describe(np.array(values, dtype=object)) for values in (one, other)]
    assert [row["coverage"] for row in found] == ["all", "all"]
    assert (found[0]["content_hash"] == found[1]["content_hash"]) == (one == other)


def test_arrays_have_one_hash_however_they_lie_in_memory() -> None:
    by_rows = np.arange(12.0).reshape(4, 3)
    same = (np.asfortranarray(by_rows), by_rows[::-1][::-1], np.arange(24.0).reshape(4, 6)[:, ::2] / 2)
    assert {describe(X)["content_hash"] for X in same} == {describe(by_rows)["content_hash"]}
    # These have the bytes of `by_rows`, and other values.
    for order in ("F", "C"):
        other = np.arange(12.0).reshape((4, 3) if order == "F" else (3, 4), order=order)
        assert describe(other)["content_hash"] != describe(by_rows)["content_hash"]
    large = np.arange(300_000.0)
    one, other = large.reshape((1000, 300)), large.reshape((1000, 300), order="F")
    assert describe(one)["coverage"] == describe(other)["coverage"] == "sample"
    assert describe(one)["content_hash"] != describe(other)["content_hash"]


@pytest.mark.parametrize("make", [a_frame, lambda: np.arange(12.0).reshape(6, 2), lambda: [[n, -n] for n in range(6)]])
def test_data_that_is_described_again_is_looked_at_again(make: Any) -> None:
    X, y = make(), np.array([0, 1, 0, 1, 0, 1])
    first = describe(X, y)
    assert describe(make(), y.copy()) == first
    y[0] = 1
    second = describe(X, y)
    assert second["id"] != first["id"]
    assert json.loads(second["profile"])["y"]["values"]["classes"] == {"0": 2, "1": 4}
    second["kind"] = "changed"
    assert describe(X, y)["kind"] == first["kind"], "what was given away is a copy"
    if hasattr(X, "columns"):
        X = X.rename(columns={"number": "figure"})
        assert "figure" in describe(X, y)["schema"]
        assert "figure" in json.loads(describe(X, y)["profile"])["X"]["columns"]
    elif hasattr(X, "dtype"):
        assert json.loads(describe(X.astype("float32"), y)["schema"])["X"]["dtype"] == "float32"


def test_lists_are_hashed_nested_once_and_no_deeper() -> None:
    rows = [[1, 2.5], [3, 4.5]]
    assert describe(rows)["content_hash"] != describe([[1, 2.5], [3, 4.0]])["content_hash"]
    assert describe([[1], [2, 3]])["content_hash"] != describe([[1, 2], [3]])["content_hash"]
    assert describe(["a", 1])["content_hash"] != describe(["a", "1"])["content_hash"]
    assert describe([[[1]], [[2]]])["coverage"] == "none"
    assert describe([object()])["content_hash"] is None
    assert (describe(rows)["n_rows"], describe(rows)["n_columns"]) == (2, 2)


def test_a_long_text_column_is_hashed_by_its_ends_and_its_middle() -> None:
    words = np.array(["a", "b"] * 100_000, dtype=object)
    found = describe(words)
    assert found["coverage"] == "sample"
    for place, is_seen in ((0, True), (100_000, True), (199_999, True), (50_000, False)):
        other = words.copy()
        other[place] = "c"
        assert (describe(other)["content_hash"] != found["content_hash"]) == is_seen, place
    long = describe(["x" * 3_000_000, "y"])
    assert long["coverage"] == "sample"
    assert long["content_hash"] != describe(["x" * 3_000_001, "y"])["content_hash"], "the length counts"


def test_samples_of_more_than_two_dimensions_count_all_their_values() -> None:
    assert describe(np.zeros((7, 8, 8, 1)))["n_columns"] == 64
    assert describe(np.zeros((7, 3)))["n_columns"] == 3
    assert describe(np.zeros(7))["n_columns"] == 1


def test_a_profile_counts_and_measures_each_column_and_keeps_no_word() -> None:
    text = describe(a_frame(), pd.Series(["cat", "dog", "cat", "cat", "dog", "cat"]))["profile"]
    for word in ("alpha", "gamma", "red", "blue", "cat", "dog"):
        assert word not in text
    found = json.loads(text)
    columns = found["X"]["columns"]
    assert columns["text"] == {
        "count": 5, "missing": 1, "distinct": 5, "min_length": 0, "max_length": 5, "mean_length": 3.4
    }  # fmt: skip
    assert columns["kind"]["distinct"] == 2
    assert (columns["day"]["count"], columns["day"]["min"][:10]) == (6, "2024-01-01")
    assert columns["count"] == {"count": 4, "missing": 2, "min": 1, "max": 5, "mean": 3.0, "std": 1.58114}
    assert columns["mixed"] == {"count": 5, "missing": 1}
    assert columns["number"] == {"count": 6, "missing": 0, "min": 0.0, "max": 1.25, "mean": 0.625, "std": 0.426956}
    assert columns["flag"] == {"count": 6, "missing": 0, "true": 3, "false": 3}
    assert found["X"]["coverage"] == "all"
    assert found["y"]["values"]["classes_by_rank"] == [4, 2]


def test_a_target_of_few_whole_numbers_has_its_classes_counted() -> None:
    X = np.zeros((6, 2))
    assert counts(X, np.array([0, 1, 1, 2, 1, 0]))["y"]["values"]["classes"] == {"0": 2, "1": 3, "2": 1}
    assert counts(X, np.array([0.0, 1, 1, 1, 1, 0]))["y"]["values"]["classes"] == {"0": 2, "1": 4}
    assert counts(X, [True, False, True, True, True, True])["y"]["values"]["classes"] == {"0": 1, "1": 5}
    assert "classes" not in counts(X, np.linspace(0, 1, 6))["y"]["values"]
    assert "classes" not in counts(np.zeros((9000, 1)), np.arange(9000))["y"]["values"]
    assert "classes" not in counts(X, np.array([np.nan, 1, np.inf, 1, 1, 1]))["y"]["values"]


def test_moments_are_those_of_numpy_with_what_is_missing_or_infinite_set_apart() -> None:
    values = np.random.default_rng(0).standard_normal((500, 3)).astype("float32")
    values[::7, 1] = np.nan
    values[3, 2] = np.inf
    columns = counts(values)["X"]["columns"]
    assert columns["0"]["mean"] == pytest.approx(float(values[:, 0].mean()), rel=1e-4)
    assert columns["1"]["std"] == pytest.approx(float(np.nanstd(values[:, 1])), rel=1e-4)
    assert (columns["1"]["count"], columns["1"]["missing"]) == (428, 72)
    assert (columns["2"]["count"], columns["2"]["infinite"]) == (500, 1)
    assert columns["2"]["max"] == pytest.approx(float(np.sort(values[:, 2])[-2]), rel=1e-5)


def test_a_large_array_is_profiled_by_a_sample_that_sees_all_of_its_length() -> None:
    y = np.repeat(np.arange(4), 100_000)
    found = counts(np.zeros((400_000, 2)), y)
    assert (found["X"]["coverage"], found["y"]["coverage"]) == ("sample", "sample")
    assert found["X"]["columns"]["0"]["count"] < 100_000
    shares = [n / found["y"]["values"]["count"] for n in found["y"]["values"]["classes"].values()]
    assert shares == pytest.approx([0.25] * 4, abs=0.02)


def test_rows_that_are_larger_than_the_sample_are_seen_to_their_end() -> None:
    images = np.zeros((3, 300, 300, 3), dtype="uint8")
    images[2, 200:] = 255
    found = counts(images)["X"]
    assert (found["coverage"], found["values"]["max"]) == ("sample", 255)
    assert found["values"]["mean"] == pytest.approx(255 / 9, rel=0.1)
    assert counts(images[:, ::2])["X"] == {"coverage": "none"}


def test_what_a_masked_array_hides_counts_as_hidden() -> None:
    values = np.array([1.0, 2.0, 3.0])
    shown, hidden = np.ma.masked_array(values, [0, 0, 0]), np.ma.masked_array(values, [0, 1, 0])
    assert describe(shown)["content_hash"] != describe(hidden)["content_hash"]
    assert describe(hidden)["profile"] is None


def test_a_wide_frame_and_names_that_occur_twice() -> None:
    wide = pd.DataFrame(np.zeros((3, 150)))
    assert (len(counts(wide)["X"]["columns"]), counts(wide)["X"]["columns_in_all"]) == (100, 150)
    twice = pd.DataFrame([[1, "a"], [2, "b"]], columns=["n", "n"])
    assert list(counts(twice)["X"]["columns"]) == ["n", "n (1)"]
    assert describe(twice)["coverage"] == "all"


def test_describing_changes_nothing_of_the_data_nor_of_numpy() -> None:
    frame, array, labels = a_frame(50), np.arange(12.0).reshape(3, 4), ["a", "b", "a"]
    array.flags.writeable = False
    before = pickle.dumps((frame, labels)), np.random.get_state()[1].tolist(), np.geterr()
    describe(frame, frame["text"])
    describe(array, labels)
    assert (pickle.dumps((frame, labels)), np.random.get_state()[1].tolist(), np.geterr()) == before
    assert not array.flags.writeable


@pytest.mark.parametrize("thing", [None, 3, "word", {}, {"a": [1]}, [], [[]], object(), np.array(3), iter([1])])
def test_what_cannot_be_read_is_described_without_an_error(thing: Any) -> None:
    assert describe(thing)["kind"] == type(thing).__name__


def test_each_role_of_a_run_has_a_row_that_says_what_came_of_reading_its_data(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    program = """
        import histhooks, numpy as np
        with histhooks.start_run("mine", params={"long": list(range(5000)), "text": "x" * 30_000, "short": 1}) as run:
            run.log_dataset("train", np.zeros((10, 2)))
            run.log_dataset("train", np.zeros((11, 2)))
            run.log_dataset("valid", np.zeros((200_000, 2)))
            run.log_dataset("test", object())
    """
    variables = {"HISTHOOKS_STORE": str(store), "HISTHOOKS_STRICT": "1"}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    subprocess.run(command, env={**os.environ, **variables}, cwd=tmp_path, check=True, timeout=60)
    connection = sqlite3.connect(store)
    sql = "SELECT collector, status, note FROM captures WHERE run_id IS NOT NULL AND collector <> 'data_content' "
    found = connection.execute(sql + "ORDER BY ordinal").fetchall()
    connection.close()
    assert found == [
        ("params", "truncated", "kept of long (1000 of 5000 items), text (20000 of 30000 characters)"),
        ("data", "ok", "train"),
        ("data", "truncated", "valid: its content was hashed by a sample"),
        ("data", "skipped", "test: its content was not hashed, since values of this object cannot be read in place"),
    ]


def test_arrays_that_were_looked_at_before_are_known_again_and_changed_ones_are_not() -> None:
    X, y = np.arange(12.0).reshape(4, 3), np.arange(4)
    before = describe(X, y)
    assert describe(X.copy(), y.copy()) == before
    assert describe(X) != before
    assert describe(X, y.astype("int32"))["content_hash"] != before["content_hash"]
    assert describe(X.reshape(3, 4), y)["n_rows"] == 3
    X[3, 2] = -1.0
    changed = describe(X, y)
    assert changed["content_hash"] != before["content_hash"]
    X[3, 2] = 11.0
    assert describe(X, y) == before
