"""Bands and percentiles over all points of a window, and the marks of a run, against what was recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histhooks import History
from histhooks.history import RunRecord
from histhooks.history.curves.band import band_of, clip_of
from histhooks.history.curves.marks import marks_of
from histhooks.history.curves.thinning import find_series
from histhooks.testing import run_program

LENGTH = 7_000
PROGRAM = f"""
import histhooks, math, random, warnings
from pathlib import Path
random.seed(3)
with histhooks.start_run("first") as run:
    for n in range({LENGTH}):
        value = (math.nan, math.inf)[n % 2] if n % 97 == 3 else random.gauss(0, 1)
        run.log({{"noise": value}}, step=2 * n, epoch=n // 100)
        run.log({{"again": value}}, step=n % 3000)
        if n == 4000:
            Path("weights.pt").write_bytes(b"x"); run.log_artifact("weights.pt", role="checkpoint", step=8000)
            run.event("alert", "the loss is high", severity="warning"); run.event("milestone", "halfway")
            run.event("lr_change", "lr 0.05")
    first = run.id
try:
    with histhooks.start_run("second") as run:
        run.link("resumes", first)
        run.log({{"noise": 1.0}}, step=5)
        raise ValueError("no")
except ValueError:
    pass
with histhooks.start_run("bare"):
    pass
"""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    store = tmp_path_factory.mktemp("band") / "h.db"
    code, _, error = run_program(PROGRAM, store)
    assert code == 0, error
    with History(store) as found:
        yield found


def points_of(run: RunRecord, name: str, low: float, high: float) -> list[tuple[int, float]]:
    """Order and value of the points of a window."""
    points = run.curve(name, at_most=10 * LENGTH).points
    return [(point.n, point.value) for point in points if low <= point.step <= high]


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["noise", "again"]),
    bounds=st.tuples(st.integers(0, 2 * LENGTH), st.integers(0, 2 * LENGTH)).map(sorted),
    parts=st.integers(1, 800),
)
def test_a_band_has_mean_and_extremes_of_all_points(history: History, name: str, bounds: list[int], parts: int) -> None:
    run = history.run("first")
    inside = points_of(run, name, *bounds)
    band = band_of(history, find_series(history, run.id, name), parts, "step", *bounds)
    is_in_a_row = bool(inside) and inside[-1][0] - inside[0][0] + 1 == len(inside)
    expected: dict[int, list[float]] = {}
    for number, (n, value) in enumerate(inside):
        if math.isfinite(value):
            expected.setdefault((n if is_in_a_row else number) // band.part, []).append(value)
    groups = [expected[p] for p in sorted(expected)]
    assert band.low == [min(group) for group in groups]
    assert band.high == [max(group) for group in groups]
    assert band.count == [len(group) for group in groups]
    assert band.mean == pytest.approx([math.fsum(group) / len(group) for group in groups])
    assert len(band.places) == len(groups)
    assert all(bounds[0] <= place <= bounds[1] for place in band.places)
    if is_in_a_row:
        assert len(groups) <= 2 * parts + 2


@settings(max_examples=40, deadline=None)
@given(bounds=st.tuples(st.integers(0, 2 * LENGTH), st.integers(0, 2 * LENGTH)).map(sorted))
def test_outliers_are_what_numpy_says(history: History, bounds: list[int]) -> None:
    run = history.run("first")
    values = [value for _, value in points_of(run, "noise", *bounds) if math.isfinite(value)]
    clip = clip_of(history, find_series(history, run.id, "noise"), "step", *bounds)
    if not values:
        assert clip is None
        return
    assert clip is not None
    assert (clip.low, clip.high) == pytest.approx(tuple(numpy.percentile(values, [1, 99])))
    assert clip.below == sum(value < clip.low for value in values)
    assert clip.above == sum(value > clip.high for value in values)


def test_a_band_has_a_place_on_each_axis(history: History) -> None:
    run = history.run("first")
    found = find_series(history, run.id, "noise")
    whole = run.curve("noise", at_most=10 * LENGTH)
    for x in ("step", "epoch", "time", "relative", "n"):
        band = band_of(history, found, 50, x)
        assert sum(band.count) == len([point for point in whole.points if math.isfinite(point.value)])
        curve = run.curve("noise", at_most=10 * LENGTH, x=x)
        assert (band.places[0], band.places[-1]) == (curve.places[0], curve.places[-1])
        assert set(band.places) <= set(curve.places)


def test_marks_say_what_happened_and_where(history: History) -> None:
    marks, notes = marks_of(history.run("first"))
    assert notes == []
    told = {mark.kind: mark for mark in marks}
    assert [told[kind].says for kind in ("checkpoint", "warning", "lr", "end")] == [
        "checkpoint weights.pt", "the loss is high", "lr 0.05", "finished",
    ]  # fmt: skip
    assert (told["checkpoint"].step, told["checkpoint"].epoch) == (8000, 40)
    assert (told["warning"].step, told["lr"].epoch) == (8000, 40)  # of the last point before them
    assert (told["end"].step, told["end"].epoch) == (2 * LENGTH - 2, (LENGTH - 1) // 100)
    assert "milestone" not in {mark.says for mark in marks}
    assert [mark.time for mark in marks] == sorted(mark.time for mark in marks)
    again, _ = marks_of(history.run("second"))
    assert [mark.kind for mark in again] == ["resumed", "end"]
    assert again[0].says == f"resumes {history.run('first').id[-8:]}"
    assert again[1].says == "failed: ValueError"
    (bare,), _ = marks_of(history.run("bare"))
    assert (bare.kind, bare.step) == ("end", None)
