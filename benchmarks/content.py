"""Data by content: microseconds of the training thread, milliseconds of the thread that looks, and clean draws."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from harness import median, table

KEY = b"the bench's key."


def content(repeats: int) -> None:
    """What it takes to keep data and to look at it; how often clean draws accuse."""
    import numpy
    import pandas

    from histhooks._collect.content import hold, look

    rng = numpy.random.default_rng(0)
    n = 200_000
    large, y = rng.normal(size=(1_000_000, 20)), rng.integers(0, 2, 1_000_000)
    mixed = pandas.DataFrame({
        "x": rng.normal(size=n), "k": rng.integers(0, 100, n), "kind": pandas.Categorical(rng.choice(["a", "b"], n)),
        "id": [f"id{i}" for i in range(n)], "at": pandas.date_range("2020", periods=n, freq="min"),
        "some": pandas.array(rng.integers(0, 5, n), dtype="Int64"), "word": rng.choice(["red", "blue"], n),
    })  # fmt: skip
    data: dict[str, tuple[Any, Any]] = {
        "1,000 x 20 float64": (large[:1000].copy(), y[:1000].copy()),
        "1,000 x 20 frame": (pandas.DataFrame(large[:1000].copy()), pandas.Series(y[:1000].copy())),
        "1,000 x 20 lists": (large[:1000].tolist(), y[:1000].tolist()),
        "1,000,000 x 20 float64": (large, y),
        "1,000,000 x 20 float32": (large.astype("f4"), y),
        "1,000,000 x 20 frame": (pandas.DataFrame(large), pandas.Series(y)),
        "50,000 x 784 uint8": (rng.integers(0, 256, (50_000, 784), dtype="u1"), rng.integers(0, 10, 50_000)),
        "200,000 x 7 mixed frame": (mixed, pandas.Series(y[:n])),
    }
    lines = {}
    for name, (X, target) in data.items():
        held = hold(X, target)
        kept = median([_cpu(lambda X=X, target=target: hold(X, target)) for _ in range(20 * repeats)])
        hashed = median([_cpu(lambda held=held: look(held, key=KEY, with_columns=False)) for _ in range(repeats)])
        whole = median([_cpu(lambda held=held: look(held, key=KEY)) for _ in range(repeats)])
        lines[name] = [f"{kept * 1e6:.0f} µs", f"{hashed * 1e3:.1f} ms", f"{whole * 1e3:.1f} ms"]
    table("CPU of one thread", ["kept", "digests and rows", "and columns"], lines)
    chance(repeats)


def _cpu(call: Callable[[], Any]) -> float:
    begin = time.thread_time()
    call()
    return time.thread_time() - begin


def chance(repeats: int) -> None:
    """Clean splits, and splits with leaked rows, by the rule of the check: identifying, or z of 4."""
    import numpy
    from sklearn import datasets

    kinds: dict[str, Callable[[Any, int], Any]] = {
        "20 normal columns": lambda rng, n: rng.normal(size=(n, 20)),
        "one normal column": lambda rng, n: rng.normal(size=(n, 1)),
        "8 ternary columns": lambda rng, n: rng.integers(0, 3, (n, 8)),
        "20 skewed binary columns": lambda rng, n: (rng.random((n, 20)) < 0.07).astype("i8"),
        "ages": lambda rng, n: rng.integers(0, 100, (n, 1)),
        "prices": lambda rng, n: numpy.round(rng.lognormal(3, 1, (n, 1)), 2),
        "counts": lambda rng, n: rng.poisson(3, (n, 3)),
        "half zero": lambda rng, n: numpy.where(rng.random((n, 2)) < 0.5, 0, rng.normal(size=(n, 2))),
    }
    for name in ("iris", "wine", "breast_cancer", "digits", "diabetes"):
        values = getattr(datasets, f"load_{name}")().data
        kinds[name] = lambda rng, n, values=values: rng.permutation(values)
    lines = {}
    for name, make in kinds.items():
        found = [_draw(make, numpy.random.default_rng(seed)) for seed in range(16 * repeats)]
        lines[name] = [str(len(found)), *(str(sum(column)) for column in zip(*found, strict=True))]
    table("draws that are accused", ["draws", "clean", "1 row leaked", "5 rows leaked"], lines)


def _draw(make: Callable[[Any, int], Any], rng: Any) -> list[bool]:
    n = int(rng.choice([200, 750, 3000]))
    X = make(rng, n + n // 4)
    n = int(0.8 * len(X))
    train, out = X[:n], []
    for leaked in (0, 1, 5):
        test = X[n:].copy()
        test[:leaked] = train[rng.choice(n, leaked, replace=False)]
        out.append(_is_accused(test, train))
    return out


def _is_accused(test: Any, train: Any) -> bool:
    from histhooks._collect.content import overlap, row_hashes

    rows, known = row_hashes(test, KEY), row_hashes(train, KEY)
    assert rows is not None
    assert known is not None
    found, n, m = overlap(rows, known), known.n_rows, rows.n_rows
    twins = min(max(found["n_twins"] / n, 3 / n), 1 - 1 / n)
    z = (found["n_equal"] / m - twins) / math.sqrt(twins * (1 - twins) * (1 / m + 1 / n))
    return bool(found["is_identifying"] and found["n_equal"]) or z >= 4
