"""What recording costs a fit: tiny `LogisticRegression` fits, with and without `histhooks.autolog()`.

`python benchmarks/bench_sklearn.py [--fits 1000] [--repeats 5]`

Each turn is a fresh process, with and without taking turns, that fits the same data many times and tells how long the
loop took; a tiny fit is the worst case, since what a run costs does not grow with the fit. The second column of times
is the whole process until it is gone, with imports, the store and the last commit.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = """
{autolog}
import time
import numpy
from sklearn.linear_model import LogisticRegression
X = numpy.random.default_rng(0).normal(size=(200, 5))
y = (X[:, 0] > 0).astype(int)
LogisticRegression().fit(X, y)
begin, cpu = time.perf_counter(), time.process_time()
for _ in range({fits}):
    LogisticRegression().fit(X, y)
print(time.perf_counter() - begin, time.process_time() - cpu)
"""
AUTOLOG = {"without": "", "with": "import histhooks; histhooks.autolog()"}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="cost of recording tiny fits, as ratios")
    parser.add_argument("--fits", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in AUTOLOG}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        environment = {**os.environ, "HISTHOOKS_QUIET": "1", "HISTHOOKS_STORE": str(store)}
        for repeat in range(options.repeats):
            for name in ("with", "without") if repeat % 2 else ("without", "with"):
                program = PROGRAM.format(autolog=AUTOLOG[name], fits=options.fits)
                begin = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", program], cwd=folder, env=environment, check=True, capture_output=True
                )
                whole = time.perf_counter() - begin
                loop, cpu = map(float, done.stdout.split())
                taken[name].append((loop, cpu, whole))
        connection = sqlite3.connect(store)
        (runs,) = connection.execute("SELECT count(*) FROM runs WHERE status = 'finished'").fetchone()
        connection.close()
        size = store.stat().st_size
    expected = options.repeats * (options.fits + 1)
    if runs != expected:
        raise SystemExit(f"{expected} fits left {runs} finished runs")

    print(f"{options.repeats} turns of {options.fits} fits each\n")
    print(f"{'':10}{'ms a fit':>10}{'CPU ms a fit':>14}{'whole process s':>17}")
    medians = {}
    for name, turns in taken.items():
        loop, cpu, whole = (statistics.median(column) for column in zip(*turns, strict=True))
        medians[name] = (loop, cpu, whole)
        print(f"{name:10}{loop / options.fits * 1e3:10.3f}{cpu / options.fits * 1e3:14.3f}{whole:17.2f}")
    ratios = [a / b for a, b in zip(medians["with"], medians["without"], strict=True)]
    print(f"{'ratio':10}{ratios[0]:10.2f}{ratios[1]:14.2f}{ratios[2]:17.2f}")
    extra = (medians["with"][0] - medians["without"][0]) / options.fits
    print(f"\n{extra * 1e3:.3f} ms more a fit; {size / runs:.0f} bytes of store a run")


if __name__ == "__main__":
    main()
