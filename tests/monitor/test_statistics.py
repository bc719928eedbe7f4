"""The chance tests of windows give the chances that simulation gives."""

import random

import pytest

from histhooks._base.tallies import add, power_of_two
from histhooks.monitor._statistics import beyond_range, mean_interval, poisson_tail, pooled, two_shares


@pytest.mark.parametrize(("n", "m", "k"), [(20, 10, 2), (50, 100, 6), (10, 5, 5), (200, 30, 1)])
def test_the_chance_of_rows_beyond_a_range_is_that_of_simulation(n: int, m: int, k: int) -> None:
    draw = random.Random(7)
    hits = 0
    for _ in range(4000):
        trained = [draw.random() for _ in range(n)]
        low, high = min(trained), max(trained)
        hits += sum(not low <= draw.random() <= high for _ in range(m)) >= k
    assert beyond_range(n, m, k) == pytest.approx(hits / 4000, abs=0.03)


def test_six_of_300_rows_beyond_the_range_of_2000_are_chance_for_20_columns() -> None:
    assert beyond_range(2000, 300, 6) > 1e-3 / 20 / 100
    assert beyond_range(2000, 300, 3) > 1e-3 / 20
    assert beyond_range(2000, 300, 30) < 1e-3 / 20


def test_the_ends_of_the_chance_of_rows_beyond_a_range() -> None:
    assert beyond_range(100, 50, 0) == 1.0
    assert beyond_range(100, 50, 51) == 0.0
    assert beyond_range(1, 50, 3) == 1.0


def test_poisson_tail_is_one_minus_what_is_below() -> None:
    assert poisson_tail(1.0, 1) == pytest.approx(0.632, abs=1e-3)
    assert poisson_tail(3.0, 0) == 1.0
    assert poisson_tail(0.0, 1) == 0.0
    assert poisson_tail(2.0, 1000) == 0.0


def test_rare_cells_are_made_one() -> None:
    assert pooled([100, 50, 1, 2], [90, 60, 0, 1]) == ([100, 50, 3], [90, 60, 1])


def test_shares_and_means() -> None:
    assert two_shares(0, 0, 1, 2) == 0.0
    assert two_shares(50, 1000, 200, 1000) == pytest.approx(10.1, abs=0.1)
    mean, half, spread = mean_interval(10.0, 30.0, 5)
    assert (mean, round(spread, 4), round(half, 4)) == (2.0, 1.5811, 1.3859)


def test_counts_add_up_by_place_and_by_key() -> None:
    into = add({}, {"position": 1, "name": "a", "counts": [1, 2], "classes": {"0": 3}})
    add(into, {"position": 1, "name": "a", "counts": [1, 0, 5], "classes": {"0": 1, "1": 2}, "missing": 4})
    assert into == {"position": 1, "name": "a", "counts": [2, 2, 5], "classes": {"0": 4, "1": 2}, "missing": 4}


def test_the_cell_of_a_duration() -> None:
    assert [power_of_two(us) for us in (0, 1, 2, 3, 1000)] == ["1", "1", "2", "2", "512"]
