"""Data by content: digests, row hashes and facts that follow from values alone."""

from __future__ import annotations

import json
import weakref
from typing import Any

import pytest

from histhooks._collect.content import hold, look, ordered_row_hashes, overlap, row_hashes, sketch

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

KEY = b"sixteen bytes of"


def digests(X: Any, y: Any = None, key: bytes | None = KEY) -> dict[str, str]:
    seen = look(hold(X, y), key=key, with_columns=False)
    assert seen.why == ""
    assert {row["coverage"] for row in seen.digests} == {"all"}
    return {f"{row['part']} {row['algorithm']}": row["digest"] for row in seen.digests}


def features(X: Any) -> str:
    return digests(X)["features xxh3_128"]


def facts(X: Any, y: Any = None) -> list[dict[str, Any]]:
    seen = look(hold(X, y), key=KEY)
    assert seen.why == ""
    return [column["facts"] for column in seen.columns]


def numbers(n: int = 100, width: int = 4) -> Any:
    return np.random.default_rng(7).normal(size=(n, width))


def test_all_parts_have_a_digest() -> None:
    seen = look(hold(numbers(), np.arange(100)), key=KEY)
    parts = [(row["part"], row["algorithm"], row["coverage"], row["n_rows"]) for row in seen.digests]
    assert parts == [
        ("all", "xxh3_128", "all", 100),
        ("features", "xxh3_128", "all", 100),
        ("target", "xxh3_128", "all", 100),
        ("rows", "bag64", "all", 100),
        ("order", "xxh3_128", "all", 100),
        ("all", "sha256", "all", 100),
    ]
    assert seen.share == 1.0


def test_features_and_target_are_apart() -> None:
    X, y = numbers(), np.arange(100)
    one, other = digests(X, y), digests(X, y[::-1])
    assert one["features xxh3_128"] == other["features xxh3_128"]
    assert one["target xxh3_128"] != other["target xxh3_128"]
    assert one["all xxh3_128"] != other["all xxh3_128"]
    assert one["all sha256"] != other["all sha256"]


def test_rows_in_another_order_are_the_same_rows() -> None:
    X, y = numbers(), np.arange(100) % 3
    order = np.random.default_rng(1).permutation(100)
    one, other = digests(X, y), digests(X[order], y[order])
    assert one["rows bag64"] == other["rows bag64"]
    assert one["order xxh3_128"] != other["order xxh3_128"]
    assert one["features xxh3_128"] != other["features xxh3_128"]
    assert digests(X[order], y)["rows bag64"] != one["rows bag64"]  # the same features beside other targets


def test_rows_are_those_of_float32() -> None:
    X = numbers()
    one, other = digests(X), digests(X.astype("float32"))
    assert one["rows bag64"] == other["rows bag64"]
    assert one["features xxh3_128"] != other["features xxh3_128"]


def test_one_bit_changes_every_digest() -> None:
    X = numbers(30_000, 20).astype("float32")
    raw = X.view("u1").reshape(-1)
    before = digests(X)
    rng = np.random.default_rng(3)
    for place in rng.integers(0, raw.size, 10):
        raw[place] ^= 1 << rng.integers(0, 8)
        after = digests(X)
        assert not set(before.values()) & set(after.values())
        before = after


def test_what_is_held_is_the_data_of_then() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    X, y = numbers(), [0, 1] * 50
    held, before = hold(X, y), digests(X, y)
    held_frame, before_frame = hold(frame), digests(frame)
    X[0], y[0] = 0.0, 7
    frame.loc[0, "a"] = 5.0
    frame["c"] = 1
    assert look(held, key=KEY, with_columns=False).digests[0]["digest"] == before["all xxh3_128"]
    assert look(held_frame, key=KEY, with_columns=False).digests[0]["digest"] == before_frame["all xxh3_128"]


def test_what_is_not_done_is_a_sample() -> None:
    X = numbers(50_000, 2)
    answers = iter([True, False])
    seen = look(hold(X), key=KEY, may_go_on=lambda: next(answers, False))
    assert {(row["coverage"], row["n_rows"]) for row in seen.digests} == {("sample", 32_768)}
    assert seen.share == 32_768 / 50_000
    assert seen.rows is None


def test_shared_rows_are_counted_exactly() -> None:
    X = numbers(1000)
    train = row_hashes(X[:800], KEY)
    assert train is not None
    for shared in (0, 1, 5, 100):
        test = row_hashes(np.concatenate([X[800:], X[:shared]]), KEY)
        assert test is not None
        assert overlap(test, train) == {
            "n_rows": 200 + shared,
            "n_equal": shared,
            "n_twins": 0,
            "is_identifying": 1,
            "method": "exact",
        }


def test_another_key_gives_other_hashes() -> None:
    X = numbers()
    one, other = ordered_row_hashes(X, KEY), ordered_row_hashes(X, b"another key")
    assert len(np.intersect1d(one, other)) == 0
    assert (ordered_row_hashes(X, KEY) == one).all()


def test_a_sketch_has_the_smallest_hashes() -> None:
    rows = row_hashes(numbers(5000, 2), KEY)
    assert rows is not None
    row, raw = sketch(rows)
    kept = np.frombuffer(raw, "<u8")
    assert (kept == rows.hashes[:4096]).all()
    assert row == {"n_rows": 5000, "n_distinct": 5000, "theta": str(rows.hashes[4096])}
    assert sketch(rows, 9000)[0]["theta"] == str(1 << 64)


def test_facts_of_numbers() -> None:
    (one,) = facts(np.array([[0.0], [1.0], [1.0], [np.nan], [np.inf], [5.0]]))
    assert one == {
        "count": 5, "missing": 1, "infinite": 1, "distinct": 3, "zero": 1, "monotone": 1,
        "edges": [0.3, 0.6, 0.9, 1.0, 1.0, 1.0, 1.4, 2.6, 3.8], "counts": [1, 0, 0, 2, 0, 0, 0, 0, 0, 1],
    }  # fmt: skip


def test_text_is_counted_by_keyed_hashes() -> None:
    frame = pd.DataFrame({"city": ["Oslo", "Rome", "Oslo", None]})
    (one,) = facts(frame)
    assert (one["count"], one["missing"], one["distinct"]) == (3, 1, 2)
    assert [count for _, count in one["categories"]] == [2, 1]
    assert "Oslo" not in json.dumps(one)
    other = look(hold(frame), key=b"another").columns[0]["facts"]
    assert not {name for name, _ in one["categories"]} & {name for name, _ in other["categories"]}


def test_the_target_among_the_features() -> None:
    y = np.arange(300) % 3
    rng = np.random.default_rng(0)
    X = np.stack([y, 2.5 * y + 1, np.array([7, 3, 5])[y], rng.normal(size=300)], axis=1)
    found = facts(X, y)
    assert [one["equals_target"] for one in found] == ["exact", "affine", "classes", None]
    assert [one["alone"] for one in found[:3]] == [1.0, 1.0, 1.0]
    assert found[3]["alone"] < 0.3


def test_what_cannot_be_read_says_why() -> None:
    held = hold(object())
    assert (held.coverage, held.why) == ("none", "values of class object are not read")
    seen = look(held, key=KEY)
    assert (seen.digests, seen.columns, seen.rows, seen.why) == ([], [], None, "values of class object are not read")
    assert row_hashes(object(), KEY) is None


def test_other_data_is_counted_at_the_edges_of_the_training_data() -> None:
    train = look(hold(np.arange(100.0)[:, None]), key=KEY).columns
    (one,) = look(hold(np.array([[-5.0], [5.0], [95.0], [1000.0]])), key=KEY, at=train).columns
    assert one["facts"]["edges"] == train[0]["facts"]["edges"]
    assert one["facts"]["counts"] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]


def test_the_first_hundred_columns_have_facts() -> None:
    seen = look(hold(np.ones((10, 784))), key=KEY)
    assert (len(seen.columns), seen.columns_why) == (100, "the first 100 of 784 columns")
    images = look(hold(np.ones((10, 28, 28))), key=KEY)
    assert (images.columns, images.columns_why) == ([], "a row is an array: its values are no columns")


def test_a_target_is_predicted_by_codes_of_texts_too() -> None:
    y = np.array(["no", "yes"] * 200)
    frame = pd.DataFrame({"copy": pd.Categorical(np.where(y == "yes", "a", "b")), "noise": ["x", "x", "y", "y"] * 100})
    copied, noise = facts(frame, y)
    assert (copied["equals_target"], copied["alone"]) == ("classes", 1.0)
    assert (noise["equals_target"], noise["alone"]) == (None, 0.0)


def test_a_target_in_columns() -> None:
    y = np.arange(300) % 3
    one_hot = np.eye(3)[y]
    (one,) = facts(y[:, None].astype("f4"), one_hot)
    assert (one["alone"], one["equals_target"]) == (1.0, "classes")
    (several,) = facts(y[:, None], np.random.default_rng(0).normal(size=(300, 2)))
    assert "alone" not in several


def test_columns_that_float32_does_not_tell_from_the_target_are_not_it() -> None:
    """Times and coordinates are large and lie close together; the target among such is found, if it is it."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=500)
    place = 5812345 + rng.uniform(0, 1, 500)
    X = np.stack([1.7e9 + rng.uniform(0, 900, 500), place, place + 0.05 * rng.normal(size=500)], axis=1)
    assert [one["equals_target"] for one in facts(X, y)] == [None, None, None]
    assert [one["equals_target"] for one in facts(X, place)] == [None, "exact", None]


def test_a_target_of_numbers() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=2000)
    copied, near, noise = facts(
        np.stack([3 * y - 7, y + 0.01 * rng.normal(size=2000), rng.normal(size=2000)], axis=1), y
    )
    assert copied["equals_target"] == "affine"
    assert near["equals_target"] is None
    assert near["alone"] > 0.98
    assert noise["alone"] < 0.1


def test_no_rows_are_data_too() -> None:
    masked = np.ma.masked_array(np.ones((0, 2)), mask=np.ones((0, 2), bool))
    for empty in (np.empty((0, 3)), [], pd.DataFrame({"a": []}), masked, np.empty((0, 2), "longdouble")):
        seen = look(hold(empty), key=KEY)
        assert seen.why == ""
        assert {row["n_rows"] for row in seen.digests} == {0}
        assert seen.share == 1.0
    seen = look(hold(np.empty((5, 0))), key=KEY)
    assert seen.why == ""
    assert {row["n_rows"] for row in seen.digests} == {5}


def test_time_for_some_columns_only() -> None:
    answers = iter([True, True, True, False])
    seen = look(hold(numbers()), key=KEY, may_go_on=lambda: next(answers, False))
    assert len(seen.digests) == 5
    assert len(seen.columns) == 2
    assert seen.columns_why == "the first 2 of 4 columns, in the time there was"


def test_data_is_not_kept_alive() -> None:
    class Array(np.ndarray):  # type: ignore[misc]
        pass

    large = np.zeros((200_000, 2)).view(Array)
    held, gone = hold(large), weakref.ref(large)
    assert not held.is_copy
    look(held, key=KEY)
    del large
    assert gone() is not None
    del held
    assert gone() is None
    small = np.zeros(10).view(Array)
    held, gone = hold(small), weakref.ref(small)
    assert held.is_copy
    del small
    assert gone() is None


@pytest.mark.parametrize("y", [object(), [object()] * 100, [[1], [2, 3]] * 50, iter([1])])
def test_a_target_that_cannot_be_read_costs_what_it_is_part_of(y: Any) -> None:
    X = numbers()
    seen = look(hold(X, y), key=KEY)
    assert [row["part"] for row in seen.digests] == ["features"]
    assert seen.digests[0]["digest"] == features(X)
    assert seen.why.startswith("the target: ")
    assert len(seen.columns) == 4
    assert seen.rows is not None
