"""What one `log()` of four numbers costs the training thread, beside `list.append` and a CSV line that is flushed.

`python benchmarks/bench_log.py [--repeats 15] [--calls 500]`

The contenders take turns in each repeat, in another order each time, so that all of them meet the same noise. Before
each turn the writer thread has nothing left to do. A figure is the median over the repeats of the mean of one turn;
ratios are what to keep, since they travel from machine to machine better than times.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import histhooks
from histhooks._engine import engine


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="cost of a log() of four numbers, as ratios")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args()
    os.environ.setdefault("HISTHOOKS_QUIET", "1")

    with tempfile.TemporaryDirectory() as folder:
        histhooks.autolog(store=Path(folder) / "histhooks.db")
        kept: list[tuple[int, float, float, float, float]] = []
        with open(Path(folder) / "log.csv", "w", newline="", encoding="utf-8") as file, histhooks.start_run() as run:
            write = csv.writer(file).writerow

            def to_list(step: int) -> None:
                kept.append((step, 0.5, 0.25, 0.75, 0.125))

            def to_csv(step: int) -> None:
                write((step, 0.5, 0.25, 0.75, 0.125))
                file.flush()

            def to_histhooks(step: int) -> None:
                run.log({"loss": 0.5, "acc": 0.25, "val_loss": 0.75, "val_acc": 0.125}, step=step)

            contenders = {"list.append": to_list, "csv + flush": to_csv, "histhooks log()": to_histhooks}
            turns = measure(contenders, options.repeats, options.calls)

            # A burst without a pause, until the last point is on disk: what recording costs both threads together.
            steps = range(options.repeats * options.calls)
            begin, begin_cpu = time.perf_counter(), time.process_time()
            for step in steps:
                to_histhooks(step)
            called = time.perf_counter() - begin
            histhooks.flush(60.0)
            stored, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
        engine.finish("finished")  # before its folder goes

    medians = {name: statistics.median(values) for name, values in turns.items()}
    print(f"{options.repeats} turns of {options.calls} calls each, four numbers a call\n")
    print(f"{'':18}{'µs a call':>10}{'fastest':>10}{'slowest':>10}{'x list':>9}{'x csv':>9}")
    for name, median in medians.items():
        least, most = min(turns[name]), max(turns[name])
        ratios = f"{median / medians['list.append']:9.2f}{median / medians['csv + flush']:9.2f}"
        print(f"{name:18}{median:10.2f}{least:10.2f}{most:10.2f}{ratios}")
    each = 1e6 / len(steps)
    print(
        f"\none burst of {len(steps)} calls: {called * each:.2f} µs a call on the training thread; "
        f"{stored * each:.2f} µs a call until all is committed; {cpu * each:.2f} µs of CPU a call, writer included"
    )


def measure(contenders: dict[str, Callable[[int], None]], repeats: int, calls: int) -> dict[str, list[float]]:
    """Time the contenders in turns.

    Returns
    -------
    dict of str to list of float
        For each contender, microseconds a call in each turn.
    """
    turns: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for repeat in range(repeats + 1):
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            call = contenders[name]
            histhooks.flush()
            begin = time.perf_counter_ns()
            for step in range(calls):
                call(step)
            if repeat:  # the first one warms up
                turns[name].append((time.perf_counter_ns() - begin) / 1000 / calls)
    return turns


if __name__ == "__main__":
    main()
