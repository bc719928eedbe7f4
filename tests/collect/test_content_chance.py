"""Rows that two pieces of data share by chance accuse nobody; rows that leaked are counted one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from histhooks._collect.content import RowHashes, overlap, row_hashes

np = pytest.importorskip("numpy")
datasets = pytest.importorskip("sklearn.datasets")

KEY = b"sixteen bytes of"
DRAWS = 8  # of each kind; the bench of the release makes 60


def rows_of(X: Any) -> RowHashes:
    rows = row_hashes(X, KEY)
    assert rows is not None
    return rows


def is_accused(test: RowHashes, train: RowHashes) -> bool:
    """The rule of `leak.rows`: an identifying column, or 4 standard deviations more than the training data's twins."""
    found, n, m = overlap(test, train), train.n_rows, test.n_rows
    twins = min(max(found["n_twins"] / n, 3 / n), 1 - 1 / n)
    z = (found["n_equal"] / m - twins) / math.sqrt(twins * (1 - twins) * (1 / m + 1 / n))
    return bool(found["is_identifying"] and found["n_equal"]) or z >= 4


def zeros_among(values: Any, share: float, rng: Any) -> Any:
    return np.where(rng.random(values.shape) < share, 0, values)


KINDS: dict[str, Any] = {
    "continuous": lambda rng, n: rng.normal(size=(n, 20)),
    "one column": lambda rng, n: rng.normal(size=(n, 1)),
    "uniform float32": lambda rng, n: rng.random((n, 3), dtype="f4"),
    "ternary": lambda rng, n: rng.integers(0, 3, (n, 8)),
    "skewed binary": lambda rng, n: (rng.random((n, 20)) < 0.07).astype("i8"),
    "a sparse grid": lambda rng, n: rng.integers(0, 100 * n, (n, 1)),
    "ages": lambda rng, n: rng.integers(0, 100, (n, 1)),
    "as many values as rows": lambda rng, n: rng.integers(0, n, (n, 1)),
    "prices": lambda rng, n: np.round(rng.lognormal(3, 1, (n, 1)), 2),
    "prices and a flag": lambda rng, n: np.c_[np.round(rng.lognormal(3, 1, (n, 1)), 2), rng.integers(0, 2, n)],
    "standardised ages": lambda rng, n: (rng.integers(0, 100, (n, 2)) - 50) / 28.87,
    "mostly zero": lambda rng, n: zeros_among(rng.normal(size=(n, 2)), 0.5, rng),
    "places in metres": lambda rng, n: np.c_[390123 + rng.random(n), 5812345 + rng.random(n)],
    "a walk in metres and seconds": lambda rng, n: rng.permutation(
        np.c_[1.7e9 + np.arange(n) + rng.random(n) / 2, 390123 + rng.random(n), 5812345 + rng.random(n)]
    ),
    "names": lambda rng, n: np.array([f"name {i}" for i in rng.integers(0, n, n)], dtype=object),
}


def clean(kind: str) -> Iterator[tuple[Any, Any]]:
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        n = int(rng.choice([60, 200, 750, 3000]))
        X = KINDS[kind](rng, n + max(20, n // 4))
        yield X[:n], X[n:]


@pytest.mark.parametrize("kind", KINDS)
def test_clean_draws_accuse_nobody(kind: str) -> None:
    assert [is_accused(rows_of(test), rows_of(train)) for train, test in clean(kind)] == [False] * DRAWS


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits", "diabetes"])
def test_clean_splits_of_real_data_accuse_nobody(name: str) -> None:
    X = getattr(datasets, f"load_{name}")().data
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(X))
        cut = int(0.8 * len(X))
        assert not is_accused(rows_of(X[order[cut:]]), rows_of(X[order[:cut]]))


@pytest.mark.parametrize("shared", [1, 5, 100])
@pytest.mark.parametrize("width", [2, 20])
def test_leaked_rows_are_counted_and_accuse(shared: int, width: int) -> None:
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        train, test = rng.normal(size=(1000, width)), rng.normal(size=(200, width))
        test[:shared] = train[rng.choice(1000, shared, replace=False)]
        found = overlap(rows_of(test.astype("f4")), rows_of(train))
        assert (found["n_equal"], found["n_rows"], found["n_twins"]) == (shared, 200, 0)
        assert is_accused(rows_of(test), rows_of(train))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_rows_that_were_repeated_before_the_split_accuse(dtype: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 5)).astype(dtype)
    X[rng.random(X.shape) < 0.1] = np.nan
    few = np.repeat(X[:60], 30, axis=0)  # the rare class, repeated
    whole = rng.permutation(np.concatenate([X[60:], few]))
    assert is_accused(rows_of(whole[2000:]), rows_of(whole[:2000]))


def test_long_texts_are_no_chance() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(map(str, row)) for row in rng.integers(0, 100, (300, 12)).tolist()]
    assert rows_of(texts).is_identifying
    assert not rows_of([text[:4] for text in texts]).is_identifying


def test_numbers_of_users_are_no_measurement() -> None:
    """Sequential numbers are distinct, but others of the same range are equal by chance."""
    assert not rows_of(np.arange(500)).is_identifying
    assert rows_of(np.random.default_rng(0).integers(0, 1 << 60, 500)).is_identifying
