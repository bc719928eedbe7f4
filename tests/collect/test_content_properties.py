"""What holds for any values: of digests, of row hashes, of what may be seen of the data."""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histhooks._collect.content import hold, look, ordered_row_hashes, overlap, row_hashes, sketch

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

KEY = b"sixteen bytes of"
DTYPES = st.sampled_from(["f8", "f4", "f2", "i8", "i4", "u1", "b1", "M8[us]"])
ARRAYS = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)))
FLOATS = hnp.arrays("f8", st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(width=32))


def digests(X: Any, y: Any = None) -> dict[str, str]:
    seen = look(hold(X, y), key=KEY, with_columns=False)
    assert seen.why == ""
    return {f"{row['part']} {row['algorithm']}": row["digest"] for row in seen.digests}


@given(ARRAYS)
def test_layout_is_no_content(X: Any) -> None:
    expected = digests(X)
    assert digests(np.asfortranarray(X)) == expected
    assert digests(np.repeat(X, 2, axis=0)[::2]) == expected
    assert digests(X[::-1].copy()[::-1]) == expected


@given(ARRAYS, st.data())
def test_one_other_bit_is_other_content(X: Any, data: Any) -> None:
    raw = bytearray(X.tobytes())
    place = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[place // 8] ^= 1 << place % 8
    other = np.frombuffer(bytes(raw), X.dtype).reshape(X.shape)
    one, two = digests(X), digests(other)
    for part in ("all xxh3_128", "features xxh3_128", "all sha256"):
        assert one[part] != two[part]


@given(FLOATS, st.randoms(use_true_random=False))
def test_rows_in_any_order_are_one_bag(X: Any, rng: random.Random) -> None:
    order = list(range(len(X)))
    rng.shuffle(order)
    one, other = digests(X, order), digests(X[order], np.array(order)[order])
    assert one["rows bag64"] == other["rows bag64"]
    is_same_order = order == sorted(order)
    assert (one["order xxh3_128"] == other["order xxh3_128"]) is is_same_order


@given(FLOATS)
def test_hashes_are_equal_where_rows_of_float32_are(X: Any) -> None:
    hashes = ordered_row_hashes(X, KEY)
    small = X.astype("f4") + np.float32(0)
    small[np.isnan(small)] = np.nan
    names = [row.tobytes() for row in small]
    assert len(set(hashes.tolist())) == len(set(names))
    assert len(set(zip(names, hashes.tolist(), strict=True))) == len(set(names))
    assert (ordered_row_hashes(small, KEY) == hashes).all()


@given(FLOATS, FLOATS)
def test_overlap_is_what_counting_says(X: Any, Y: Any) -> None:
    one, other = (row_hashes(part[:, :1].round(1), KEY) for part in (X, Y))
    assert one is not None
    assert other is not None
    there = Counter(other.hashes.tolist())
    found = overlap(one, other)
    assert found["n_equal"] == sum(each in there for each in one.hashes.tolist())
    assert found["n_twins"] == sum(count for count in there.values() if count > 1)
    assert one.n_distinct == len(set(one.hashes.tolist()))
    row, raw = sketch(one, 3)
    kept = np.frombuffer(raw, "<u8").tolist()
    assert kept == sorted(set(one.hashes.tolist()))[:3]
    assert all((each < int(row["theta"])) == (each in kept) for each in one.hashes.tolist())


def test_columns_that_change_places_are_other_rows() -> None:
    X = np.arange(200.0).reshape(100, 2)
    assert not set(ordered_row_hashes(X, KEY).tolist()) & set(ordered_row_hashes(X[:, ::-1], KEY).tolist())


def test_hashes_of_rows_of_few_values_do_not_collide() -> None:
    X = np.indices((3,) * 11).reshape(11, -1).T
    rows = row_hashes(X, KEY)
    assert rows is not None
    assert rows.n_distinct == 3**11


def test_large_whole_numbers_keep_all_their_bits() -> None:
    X = np.arange(1 << 53, (1 << 53) + 1000)
    rows = row_hashes(X, KEY)
    assert rows is not None
    assert rows.n_distinct == 1000
    assert (ordered_row_hashes(X.astype("u8"), KEY) == ordered_row_hashes(X, KEY)).all()


THINGS = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()) | st.just(np.float32(1)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
    max_leaves=12,
)


@settings(deadline=None)
@given(THINGS, THINGS)
def test_nothing_that_is_passed_raises(X: Any, y: Any) -> None:
    held = hold(X, y)
    seen = look(held, key=KEY)
    assert held.coverage in ("all", "none")
    assert bool(seen.digests) or bool(seen.why)
    json.dumps([seen.digests, seen.columns])
    row_hashes(X, None)


def test_nothing_of_the_values_comes_out() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({
        "x": rng.normal(size=500),
        "city": rng.choice(["Oslo-7731", "Rome-9944"], 500),
        "mail": [f"person{i}@example.org" for i in range(500)],
    })  # fmt: skip
    y = pd.Series(rng.choice(["ill-5512", "well-6623"], 500))
    seen = look(hold(frame, y), key=KEY)
    assert len(seen.columns) == 3
    assert seen.rows is not None
    row, raw = sketch(seen.rows)
    text = json.dumps([seen.digests, seen.columns, row, seen.why, seen.columns_why]) + raw.hex()
    words = {*frame["city"], *frame["mail"], *y, *map(str, frame["x"])}
    assert not [word for word in words if word in text]
    assert not re.search("Oslo|Rome|person|ill-|well-", text)


def test_data_and_random_streams_stay_as_they_are() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.normal(size=50), "c": pd.Categorical(list("abcde") * 10)})
    X, before = rng.normal(size=(50, 3)), copy.deepcopy(frame)
    X_before = X.copy()
    states = random.getstate(), np.random.get_state()[1].tolist()
    for data in (frame, X, X.tolist()):
        look(hold(data, list(range(50))), key=None)
        row_hashes(data, None)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    pd.testing.assert_frame_equal(frame, before)
    assert (X_before == X).all()
    assert X.flags.writeable


def test_without_a_key_hashes_are_of_this_process() -> None:
    X = np.arange(10.0)
    assert (ordered_row_hashes(X, None) == ordered_row_hashes(X, None)).all()
    assert not set(ordered_row_hashes(X, None).tolist()) & set(ordered_row_hashes(X, KEY).tolist())
