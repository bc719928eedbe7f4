"""How far a run is: the table of runs and those who follow it say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import histhooks
from helpers import programs
from histhooks.history._progress import lately, rate_of

RUNS = """
import sys, histhooks
with histhooks.start_run("train", params={"max_steps": 40}) as run:
    for step in range(20):
        run.log({"loss": 1.0}, step=step, epoch=step // 10)
    histhooks.flush()
    print("ready", flush=True)
    sys.stdin.readline()
"""
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("steps", "rate"),
    [
        ([], None),
        ([(0, 5)], None),
        ([(0, 5), (0, 6)], None),
        ([(0, 0), (2 * SECOND, 4)], 2.0),
        ([(2 * SECOND, 4), (0, 0)], 2.0),
        ([(0, 9), (2 * SECOND, 9)], None),
        ([(0, 0), (100 * SECOND, 100), (102 * SECOND, 104)], 2.0),  # what is long ago does not count
    ],
)
def test_a_rate_is_that_of_the_last_half_minute(steps: list[tuple[int, int]], rate: float | None) -> None:
    assert rate_of(lately(steps)) == rate


@pytest.mark.one_engine("it follows a program that trains")
def test_the_table_and_a_follower_say_the_same_of_a_run(store_path: Path) -> None:
    process = programs.start(store_path, RUNS)
    try:
        assert programs.hear(process) == "ready"
        with histhooks.History(store_path) as history:
            (row,) = history.table().rows
            found = next(history.run("train").follow()).progress
        assert row.values["progress"] == {
            "epoch": 1, "epochs_done": found.epochs_done, "epochs_planned": None, "steps_done": 20, "rate": found.rate,
        }  # fmt: skip
        assert (found.epoch, found.steps_done, found.steps_planned, found.share) == (2, 20, 40, 0.5)
        assert found.rate is not None
        assert found.left_s == pytest.approx(20 / found.rate)
    finally:
        process.communicate("end\n", timeout=60)
