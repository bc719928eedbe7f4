"""Folds of points are the same however the points were cut into batches."""

import math
import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from histhooks._store.entries import Point
from histhooks._store.folds import Roller, Summary

values = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)


def points_of(found: list[float | None]) -> list[Point]:
    return [(n, n * 10, n // 7, n, value, "nan" if value is None else None) for n, value in enumerate(found)]


@given(st.lists(values, max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_a_summary_does_not_depend_on_the_batches(found: list[float | None], cuts: list[int]) -> None:
    points = points_of(found)
    whole, pieces = Summary(), Summary()
    whole.add(points)
    for start, stop in pairwise(sorted({0, len(points), *(c for c in cuts if c < len(points))})):
        pieces.add(points[start:stop])
    assert whole == pieces
    finite = [v for v in found if v is not None]
    assert whole.count == len(found)
    assert whole.nonfinite == len(found) - len(finite)
    assert whole.min == (min(finite) if finite else None)
    assert whole.max == (max(finite) if finite else None)
    if finite:
        assert whole.min_step == found.index(min(finite)) * 10
        assert whole.max_step == found.index(max(finite)) * 10


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(0, 1200), st.lists(st.integers(0, 1200), max_size=6))
def test_rollups_do_not_depend_on_the_batches(seed: int, length: int, cuts: list[int]) -> None:
    draw = random.Random(seed)
    found = [None if draw.random() < 0.1 else draw.gauss(0, 10) for _ in range(length)]
    points = points_of(found)
    whole, pieces = Roller().add(points), []
    roller = Roller()
    for start, stop in pairwise(sorted({0, len(points), *(c for c in cuts if c < len(points))})):
        pieces += roller.add(points[start:stop])
    assert whole == pieces
    assert len([r for r in whole if r[0] == 1]) == len(found) // 64
    assert len([r for r in whole if r[0] == 2]) == len(found) // 1024
    for _, bucket, first_step, last_step, count, low, high, mean in (r for r in whole if r[0] == 1):
        inside = [v for v in found[bucket * 64 : bucket * 64 + 64] if v is not None]
        assert (first_step, last_step, count) == (bucket * 640, bucket * 640 + 630, len(inside))
        if inside:
            assert mean is not None
            assert (low, high) == (min(inside), max(inside))
            assert math.isclose(mean, math.fsum(inside) / len(inside), rel_tol=1e-12, abs_tol=1e-12)
