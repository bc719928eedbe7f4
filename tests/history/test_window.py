"""Windows of curves: in any window each part keeps its extremes bit for bit, and smoothing is the same in all."""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histhooks
from histhooks import History, QueryError
from histhooks.history import RunRecord

LENGTH = 9_000
STREAM = random.Random(7)
NOISE = [STREAM.gauss(0, 1) for _ in range(LENGTH)]
VALUES = {
    "smooth": [1 / (1 + n / 500) for n in range(LENGTH)],
    "noise": NOISE,
    "odd": [(math.nan, math.inf, -math.inf)[n % 3] if n % 701 == 5 else value for n, value in enumerate(NOISE)],
    "repeated": NOISE,  # two points a step
    "again": NOISE,  # whose steps begin anew halfway
}
STEPS = {"repeated": lambda n: n // 2, "again": lambda n: n % (LENGTH // 2)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunRecord]:
    store = tmp_path_factory.mktemp("window") / "h.db"
    histhooks.autolog("sklearn", store=store)
    with histhooks.start_run("long") as recorded:
        for n in range(LENGTH):
            for name, values in VALUES.items():
                step = STEPS.get(name, int)(n)
                recorded.log({name: values[n]}, step=step, epoch=n // 100 if n >= 100 else None)
    histhooks.flush()
    histhooks.disable()
    with History(store) as history:
        yield history.run("long")


def in_window(run: RunRecord, name: str, low: float, high: float) -> list[tuple[int, float]]:
    """Order and value of the points of a window, as SQL has them."""
    with sqlite3.connect(run.history.path) as connection:
        sql = (
            "SELECT p.n, p.value, p.special FROM points AS p JOIN metric_summaries AS s ON s.series = p.series "
            "WHERE s.run_id = ? AND s.name = ? AND coalesce(p.step, p.n) BETWEEN ? AND ? ORDER BY p.n"
        )
        rows = connection.execute(sql, (run.id, name, low, high)).fetchall()
    return [(n, float(special) if value is None else value) for n, value, special in rows]


def parts_of(points: list[tuple[int, float]], size: int) -> dict[int, list[tuple[int, float]]]:
    is_in_a_row = not points or points[-1][0] - points[0][0] + 1 == len(points)
    parts: dict[int, list[tuple[int, float]]] = {}
    for place, (n, value) in enumerate(points):
        parts.setdefault((n if is_in_a_row else place) // size, []).append((n, value))
    return parts


@settings(max_examples=120, deadline=None)
@given(
    name=st.sampled_from(sorted(VALUES)),
    bounds=st.tuples(st.integers(-50, LENGTH + 50), st.integers(-50, LENGTH + 50)),
    at_most=st.integers(2, 3000),
)
def test_each_part_of_a_window_keeps_its_extremes_and_its_ends(
    run: RunRecord, name: str, bounds: tuple[int, int], at_most: int
) -> None:
    low, high = sorted(bounds)
    curve = run.curve(name, at_most, start=low, stop=high)
    expected = in_window(run, name, low, high)
    assert curve.count == len(expected)
    assert (curve.total, curve.metric) == (LENGTH, run.summaries[name]["metric"])
    kept = {point.n: point.value for point in curve.points}
    assert [point.n for point in curve.points] == sorted(kept)
    for n, value in kept.items():
        assert repr(value) == repr(VALUES[name][n])
    if not expected:
        assert curve.points == []
        return
    if len(expected) <= at_most:
        assert sorted(kept) == [n for n, _ in expected]
    assert expected[0][0] in kept
    assert expected[-1][0] in kept
    for part in parts_of(expected, curve.part).values():
        finite = [value for _, value in part if math.isfinite(value)]
        mine = [kept[n] for n, _ in part if n in kept]
        if finite:
            assert min(value for value in mine if math.isfinite(value)) == min(finite)
            assert max(value for value in mine if math.isfinite(value)) == max(finite)
        odd = [n for n, value in part if not math.isfinite(value)]
        assert all(n in kept for n in (odd[:1] + odd[-1:]))


def test_a_window_of_a_long_series_has_about_as_many_points_as_asked(run: RunRecord) -> None:
    assert len(run.curve("noise", 200, start=500, stop=8500).points) <= 210
    assert len(run.curve("again", 200, start=500, stop=3500).points) <= 210


def test_a_window_lies_on_any_axis(run: RunRecord) -> None:
    by_epoch = run.curve("noise", x="epoch", start=3, stop=4)
    assert [point.n for point in by_epoch.points] == list(range(300, 500))
    assert by_epoch.places == [float(n // 100) for n in range(300, 500)]
    assert run.curve("noise", x="epoch").count == LENGTH - 100  # those without an epoch have no place
    assert [point.n for point in run.curve("noise", x="n", start=7, stop=9).points] == [7, 8, 9]
    first = run.curve("noise", 2, x="time")
    place = first.places[1]
    assert run.curve("noise", x="time", start=place).points[-1] == first.points[-1]
    start = run.curve("noise", 2, x="relative").places
    assert 0 <= start[0] <= start[1] < 3600


def smoothed(values: list[float], weight: float) -> list[float]:
    """What smoothing is, in ten lines."""
    out, average, correction = [], 0.0, 0.0
    for value in values:
        if not math.isfinite(value):
            out.append(math.nan)
            continue
        average = average * weight + (1 - weight) * value
        correction = correction * weight + (1 - weight)
        out.append(average / correction)
    return out


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["smooth", "noise", "odd"]),
    low=st.integers(0, LENGTH - 1),
    length=st.integers(0, LENGTH),
    at_most=st.integers(2, 2000),
    weight=st.sampled_from([0.1, 0.6, 0.99]),
)
def test_a_smoothed_value_is_the_same_in_each_window(
    run: RunRecord, name: str, low: int, length: int, at_most: int, weight: float
) -> None:
    reference = smoothed(VALUES[name], weight)
    curve = run.curve(name, at_most, start=low, stop=low + length, smooth=weight)
    assert curve.smoothed is not None
    for point, value in zip(curve.points, curve.smoothed, strict=True):
        assert repr(value) == repr(reference[point.n])


def test_on_a_logarithmic_axis_the_logarithm_is_smoothed(run: RunRecord) -> None:
    curve = run.curve("smooth", 50, smooth=0.9, is_log=True)
    reference = smoothed([math.log(value) for value in VALUES["smooth"]], 0.9)
    assert curve.smoothed == pytest.approx([math.exp(reference[point.n]) for point in curve.points], rel=1e-12)


def test_smoothing_goes_on_as_points_come(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run("live") as live:
        live.log({"loss": 4.0})
        histhooks.flush()
        with History(store_path) as history:
            run = history.run("live")
            assert run.curve("loss", smooth=0.5).smoothed == [4.0]
            live.log({"loss": 1.0})
            histhooks.flush()
            assert run.curve("loss", smooth=0.5).smoothed == smoothed([4.0, 1.0], 0.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"x": "day"}, "the x-axis cannot be 'day'"),
        ({"at_most": 1}, "cannot be thinned to 1 points"),
        ({"smooth": 1.0}, "smoothing is from 0"),
        ({"start": math.nan}, "not at nan"),
        ({"name": "los"}, "no metric 'los'"),
    ],
)
def test_a_window_that_cannot_be_is_refused(run: RunRecord, options: dict[str, object], said: str) -> None:
    asked: dict[str, object] = {"name": "noise", **options}
    with pytest.raises(QueryError, match=said):
        run.curve(**asked)  # type: ignore[arg-type]


def test_a_curve_is_plain_values(run: RunRecord) -> None:
    found = run.curve("odd", start=5, stop=6).as_json()
    assert found["value"] == ["inf", NOISE[6]] or found["value"][0] in ("nan", "inf", "-inf")
    assert found["n"] == [5, 6]
    assert found["x"] == [5.0, 6.0]
    assert (found["count"], found["total"], found["part"], found["smoothed"]) == (2, LENGTH, 1, None)
