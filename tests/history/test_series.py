"""Series as arrays: every point as it was logged, and thinning that keeps what a picture must show."""

from __future__ import annotations

import math
import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histhooks
from histhooks import History, QueryError
from histhooks.history.curves.thinning import Point, find_series, part_size, read_points, thin, thinned
from histhooks.testing import run_program

NAN, INF = math.nan, math.inf


def record(store: Path, values: list[float], *, name: str = "loss", every: int = 1) -> None:
    histhooks.autolog("sklearn", store=store)
    with histhooks.start_run("a run") as run:
        for n, value in enumerate(values):
            run.log({name: value}, step=n * every, epoch=None if n % 2 else n // 10)
    histhooks.flush()


def test_a_series_has_every_point_with_what_is_not_finite(store_path: Path) -> None:
    values = [1.0, NAN, 0.5, INF, -INF, 0.25]
    record(store_path, values, every=3)
    with History(store_path) as history:
        run = history.run("last")
        series = run.series("loss")
        assert np.array_equal(series.value, values, equal_nan=True)
        assert series.step.tolist() == [0, 3, 6, 9, 12, 15]
        assert series.epoch.tolist() == [0, -1, 0, -1, 0, -1]
        assert series.n.tolist() == list(range(6))
        assert series.time.tolist() == [point["time"] for point in run.metrics("loss")]
        assert (series.run_id, series.metric, series.split, series.direction) == (run.id, "loss", "train", -1)
        assert (len(series), series.count, series.nonfinite, series.is_thinned) == (6, 6, 3, False)
        assert repr(series).endswith("'loss' 6 points>")
        frame = series.to_pandas()
        assert frame["epoch"].isna().tolist() == [False, True] * 3
        assert frame["time"].dt.tz is not None
        assert frame["value"].tolist()[3:] == [INF, -INF, 0.25]


def test_columns_that_say_nothing_are_filled_in(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run("plain") as run:
        for value in (3.0, 2.0, 1.0):
            run.log({"loss": value})
        run.log({"other": 1.0}, step=7)
    histhooks.flush()
    with History(store_path) as history:
        series = history.run("last").series("loss")
        assert (series.step.tolist(), series.epoch.tolist()) == ([0, 1, 2], [-1, -1, -1])
        assert {column.dtype.str for column in (series.n, series.step, series.epoch, series.time)} == {"<i8"}
        assert series.value.dtype == np.float64


def test_a_name_that_is_not_there_is_told_with_those_that_are_the_closest_first(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run("names") as run:
        run.log({"accuracy": 1.0, "loss": 1.0, "val_loss": 1.0})
    histhooks.flush()
    with History(store_path) as history:
        with pytest.raises(QueryError, match=r"no metric 'val_los'; it has val_loss, loss, accuracy"):
            history.run("last").series("val_los")
        with pytest.raises(QueryError, match="thinned to 1 points"):
            history.run("last").series("loss", points=1)


any_value = st.floats(width=32) | st.sampled_from([NAN, INF, -INF, 0.0])


@settings(deadline=None)
@given(st.lists(any_value, max_size=400), st.integers(2, 60))
def test_thinning_keeps_extremes_ends_and_what_is_not_finite(values: list[float], at_most: int) -> None:
    points = [Point(n, n * 2, None, n, value) for n, value in enumerate(values)]
    part = part_size(len(points), at_most)
    kept = thinned(iter(points), part)
    assert all(point is points[point.n] for point in kept)
    assert [point.n for point in kept] == sorted({point.n for point in kept})
    if len(points) <= at_most:
        assert kept == points
        return
    finite_kept = [point for point in kept if math.isfinite(point.value)]
    assert len(finite_kept) <= at_most + 2
    assert {points[0].n, points[-1].n} <= {point.n for point in kept}
    for start in range(0, len(points), part):
        inside, left = points[start : start + part], [p for p in kept if start <= p.n < start + part]
        finite, odd = ([p for p in inside if math.isfinite(p.value) is wanted] for wanted in (True, False))
        if finite:
            stay = [p.value for p in left if math.isfinite(p.value)]
            assert (min(stay), max(stay)) == (min(p.value for p in finite), max(p.value for p in finite))
        if odd:
            stay = [p.n for p in left if not math.isfinite(p.value)]
            assert (stay[0], stay[-1]) == (odd[0].n, odd[-1].n)


def make_store(path: Path, values: list[float]) -> None:
    """A store with one long series, written by the store's own writer."""
    code, _, err = run_program(
        f"""
import histhooks, random
draw = random.Random(5)
with histhooks.start_run("long") as run:
    for n in range({len(values)}):
        value = draw.gauss(0, 1)
        run.log({{"loss": float("nan") if 5000 <= n < 5010 or n == 0 else float("inf") if n == 30_000 else value}})
""",
        path,
    )
    assert code == 0, err


def expected_values(length: int) -> list[float]:
    draw = random.Random(5)
    drawn = [draw.gauss(0, 1) for _ in range(length)]
    return [NAN if 5000 <= n < 5010 or n == 0 else INF if n == 30_000 else v for n, v in enumerate(drawn)]


@pytest.fixture(scope="module")
def long_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "histhooks.db"
    make_store(path, expected_values(40_123))
    return path


@settings(max_examples=25, deadline=None)
@given(at_most=st.integers(2, 3000))
def test_rollups_give_the_same_points_as_reading_all(long_store: Path, at_most: int) -> None:
    with History(long_store) as history:
        found = find_series(history, history.run("long").id, "loss")
        everything = list(read_points(history, found))
        expected = thinned(everything, part_size(len(everything), at_most))
        # nan is no equal of itself
        assert [repr(point) for point in thin(history, found, at_most)] == [repr(point) for point in expected]
        assert [point.value for point in everything[1:5000]] == expected_values(40_123)[1:5000]


def test_a_thinned_series_says_how_many_points_it_stands_for(long_store: Path) -> None:
    with History(long_store) as history:
        run = history.run("long")
        whole, few = run.series("loss"), run.series("loss", points=200)
        assert few.is_thinned
        assert (few.count, few.nonfinite) == (whole.count, whole.nonfinite) == (40_123, 12)
        assert np.array_equal(few.value, whole.value[few.n], equal_nan=True)
        assert np.array_equal(few.time, whole.time[few.n])
        assert "of 40123 points" in repr(few)
        assert run.series("loss", points=40_123).is_thinned is False


def test_rollups_that_are_not_there_only_cost_time(long_store: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy.db"
    shutil.copy(long_store, copy)
    with History(copy) as history:
        before = history.run("long").series("loss", points=100)
    connection = sqlite3.connect(copy)
    connection.execute("DELETE FROM rollups WHERE bucket BETWEEN 100 AND 300 OR level = 3")
    connection.commit()
    connection.close()
    with History(copy) as history:
        after = history.run("long").series("loss", points=100)
    assert before.n.tolist() == after.n.tolist()


@pytest.mark.one_engine("spools lie beside a file")
def test_series_come_through_spools(store_path: Path) -> None:
    for number in range(2):
        code, _, err = run_program(
            f"""
import histhooks
with histhooks.start_run("run {number}") as run:
    for step in range(5000):
        run.log({{"loss": {number} + step}}, step=step)
    run.log({{"loss": float("nan")}}, step=5000)
""",
            store_path,
            HISTHOOKS_NETWORK="1" if number else "",
        )
        assert code == 0, err
    with History(store_path) as history:
        assert len(history.spools) == 1
        for number in range(2):
            run = history.run(f"run {number}")
            whole, few = run.series("loss"), run.series("loss", points=20)
            assert whole.value[:-1].tolist() == [number + step for step in range(5000)]
            assert np.isnan(whole.value[-1])
            assert np.array_equal(few.value, whole.value[few.n], equal_nan=True)
            assert (len(few) < 30, few.count, few.n[0], few.n[-1]) == (True, 5001, 0, 5000)
