"""How long reading takes on large stores: queries in one process, and whole verbs as a person waits for them.

`python benchmarks/bench_reading.py [--repeats 5] [--folder DIR] [--year]`

The stores come from make_store.py: 10,000 outer runs and one run of 1,000,000 points, and with `--year` 73,000 runs,
200 a day. In `--folder` they are kept for the next time. Figures are medians; those of verbs are whole processes,
beside a bare interpreter's start, which is the ratio to watch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from make_store import make

import histhooks

QUERIES: dict[str, dict[str, Any]] = {
    "the last 20 outer runs": {"is_nested": False},
    "of one project": {"is_nested": False, "project": "churn"},
    "by a metric": {"order_by": "val_loss"},
    "by a param": {"order_by": "params.lr"},
    "where metric and param": {"where": "val_loss < 0.3 and params.lr > 1e-2"},
    "where, by a metric": {"where": "framework = keras and started > 90d ago", "order_by": "val_loss.last"},
    "by tag": {"tag": "team=red"},
    "by status": {"status": "failed"},
}
VERBS = (
    ("runs",),
    ("runs", "--sort", "val_loss"),
    ("runs", "--where", "val_loss < 0.3 and params.lr > 1e-2"),
    ("show", "last"),
    ("search", "shapes do not fit"),
    ("search", "nowhere"),
    ("whence", "made.pt"),
    ("verify",),
)


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description="times of reading")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where stores lie, or are made and stay")
    parser.add_argument("--year", action="store_true", help="also a store of 73,000 runs")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        stores = [(folder / "ten.db", 10_000, 1_000_000), *([(folder / "year.db", 73_000, 0)] if asked.year else [])]
        os.environ["HISTHOOKS_PROJECT"] = "churn"
        start(asked.repeats)
        for path, runs, points in stores:
            if not path.exists():
                make(path, runs, points=points)
            size = path.stat().st_size
            print(f"\n{runs} runs{f' and one of {points} points' if points else ''}: {size / 1e6:.0f} MB")
            queries(path, asked.repeats)
            if points:
                series(path, asked.repeats)
            verbs(path, asked.repeats)


def median_ms(function: Callable[[], Any], repeats: int) -> float:
    """The median of some turns, after one that warms caches."""
    function()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1e3


def start(repeats: int) -> None:
    """The start of the command line beside a bare interpreter's."""
    bare = [sys.executable, "-c", "pass"]
    program = str(Path(sys.executable).with_name("histhooks"))
    taken: dict[str, list[float]] = {"bare": [], "version": [], "help": []}
    commands = {"bare": bare, "version": [program, "--version"], "help": [program, "runs", "--help"]}
    for _ in range(repeats + 1):
        for name, command in commands.items():  # taking turns
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            taken[name].append((time.perf_counter() - begin) * 1e3)
    medians = {name: statistics.median(times[1:]) for name, times in taken.items()}
    print(f"start: a bare interpreter {medians['bare']:.0f} ms")
    for name in ("version", "help"):
        print(f"  histhooks {name:10} {medians[name]:8.0f} ms  ratio {medians[name] / medians['bare']:.1f}")


def queries(path: Path, repeats: int) -> None:
    """`History.runs`, 20 runs each, in a process that has the store open."""
    with histhooks.History(path) as history:
        for name, which in QUERIES.items():
            taken = median_ms(lambda which=which: history.runs(**which, limit=20), repeats)  # type: ignore[misc]
            print(f"  query: {name:28} {taken:8.1f} ms")


def series(path: Path, repeats: int) -> None:
    """The run with the long curve: all points as NumPy arrays, and thinned."""
    with histhooks.History(path) as history:
        (row,) = history.sql("SELECT run_id FROM metric_summaries WHERE name = 'step_loss'")
        run = history.run(row["run_id"])
        for name, points in (("all as NumPy arrays", None), ("thinned to 2,000", 2000)):
            taken = median_ms(lambda points=points: run.series("step_loss", points=points), repeats)  # type: ignore[misc]
            print(f"  a million points: {name:17} {taken:8.1f} ms")


def verbs(path: Path, repeats: int) -> None:
    """Whole processes."""
    file = path.with_name("made.pt")
    file.write_bytes(b"0" * (1 << 20))  # of the size that the artifacts have, so that it is hashed
    program = str(Path(sys.executable).with_name("histhooks"))
    for words in VERBS:
        arguments = [str(file) if word == "made.pt" else word for word in words]
        command = (
            [program, *arguments, "--store", str(path)] if words != ("verify",) else [program, "verify", str(path)]
        )

        def ask(command: list[str] = command) -> None:
            subprocess.run(command, check=False, capture_output=True)

        taken = median_ms(ask, 1 if words == ("verify",) else repeats)
        print(f"  histhooks {' '.join(words):44} {taken:8.0f} ms")


if __name__ == "__main__":
    main()
