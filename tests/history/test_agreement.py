"""How far two runs agree, point by point."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import histhooks
from histhooks.cli import cli
from histhooks.history.compare.agreement import Agreement

Runs = Callable[..., Agreement]


@pytest.fixture
def agree(store_path: Path) -> Runs:
    """Record two runs from their losses, and say how far they agree."""
    histhooks.autolog(store=store_path)

    def record(
        a: Sequence[float], b: Sequence[float], *, other: dict[str, Any] | None = None, **more: Any
    ) -> Agreement:
        for values, results in ((a, {}), (b, other or {})):
            with histhooks.start_run("a") as run:
                for step, value in enumerate(values):
                    run.log({"loss": value}, step=step)
                run.log_results({"n_iter": 3, "refit_time": len(values) + id(values) % 7, **results})
        with histhooks.History(store_path) as history:
            return history.agreement("last~1", "last", **more)

    return record


def test_equal_points_are_the_same_bits_also_if_they_are_not_finite(agree: Runs) -> None:
    values = [0.1, math.nan, math.inf, -math.inf, 1e-300]
    found = agree(values, list(values))
    assert (found.level, found.n_points, found.n_equal, found.first) == ("bits", 5, 5, None)
    assert found.reaches("metric")


@pytest.mark.parametrize(
    ("b", "level", "n", "is_finite"),
    [
        ([0.5, 0.25, math.nextafter(0.125, 1)], "curve", 2, True),
        ([0.5, 0.26, 0.125], "metric", 1, True),  # the best value, which ranks a loss, is the same
        ([0.5, 0.25, 0.2], "differs", 2, True),
        ([0.5, math.nan, 0.2], "differs", 1, False),
        ([0.5, 0.25], "differs", 2, True),
    ],
)
def test_the_level_and_the_first_point_that_differs(
    agree: Runs, b: list[float], level: str, n: int, is_finite: bool
) -> None:
    found = agree([0.5, 0.25, 0.125], b)
    assert found.level == level
    assert found.first is not None
    assert (found.first.series, found.first.n, found.first.step) == ("loss", n, n)
    assert found.first.value == [0.5, 0.25, 0.125][n]
    assert math.isfinite(found.max_rel) is is_finite


def test_the_tolerance_of_a_curve_is_relative(agree: Runs) -> None:
    assert agree([1000.0], [1000.5], tolerance=1e-3).level == "curve"
    assert agree([1000.0], [1001.5], tolerance=1e-3).level == "differs"


def test_a_result_that_differs_is_named_and_times_are_not_compared(agree: Runs) -> None:
    found = agree([0.5], [0.5], other={"n_iter": 4})
    assert (found.results, found.n_results, found.level) == (("n_iter",), 1, "metric")


def test_a_run_that_failed_is_not_like_one_that_did_not(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    with histhooks.start_run("a") as run:
        run.log({"loss": 0.5})
    with contextlib.suppress(ValueError), histhooks.start_run("a") as run:
        run.log({"loss": 0.5})
        raise ValueError("no")
    with histhooks.History(store_path) as history:
        assert history.agreement("last~1", "last").level == "failed"
        assert history.agreement("last", "last").level == "bits"


def test_of_a_run_that_was_cut_short_the_points_that_it_has_are_compared(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    with contextlib.suppress(KeyboardInterrupt), histhooks.start_run("a") as run:
        run.log({"loss": 0.5}, step=0)
        raise KeyboardInterrupt
    with histhooks.start_run("a") as run:
        for step in range(3):
            run.log({"loss": 0.5 - step / 10}, step=step)
    with histhooks.History(store_path) as history:
        found = history.agreement("last~1", "last")
    assert (found.level, found.n_points) == ("bits", 1)
    assert "cut short" in found.notes[0]


def test_with_nothing_to_compare_it_cannot_tell(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    for _ in range(2):
        with histhooks.start_run("a"):
            pass
    histhooks.flush()
    done = CliRunner().invoke(cli, ["diff", str(store_path), "last~1", "last", "--points"])
    assert done.exit_code == 2, done.output
    assert "cannot tell" in done.output


def test_diff_shows_the_first_difference_of_each_metric(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    for late in (0.0, 0.1):
        with histhooks.start_run("a") as run:
            for step in range(4):
                run.log({"loss": 0.5 + late * (step > 1), "lr": 0.1}, step=step)
    histhooks.flush()
    words = ["diff", str(store_path), "last~1", "last", "--points"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert "step 2  0.5 → 0.6" in done.output
    assert "\ndiffers  not the same\n" in done.output
    assert CliRunner().invoke(cli, [*words, "--tolerance", "0.5"]).exit_code == 0


@pytest.mark.one_engine("it trains for long")
def test_weights_count_where_both_runs_have_them(store_path: Path) -> None:
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    X, y = load_iris(return_X_y=True)
    histhooks.autolog(store=store_path)
    for size in (150, 150, 140):
        LogisticRegression(max_iter=500).fit(X[:size], y[:size])
    with histhooks.History(store_path) as history:
        assert history.agreement("last~2", "last~1").level == "bits"
        found = history.agreement("last~1", "last")
    assert (found.weights_equal, found.level) == (False, "differs")
