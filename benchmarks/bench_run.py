"""What `histhooks run` adds to a program, and how long the first run takes to open.

`python benchmarks/bench_run.py [--repeats 10]`

Whole processes, taking turns: plain Python and `histhooks run`, on a program that does nothing and on one that imports
scikit-learn and fits once. The last figure is taken inside: from the call of a first fit to its end, with and without.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIT = """
import sys, time
from sklearn.linear_model import LogisticRegression
X, y = [[0.0], [1.0]] * 20, [0, 1] * 20
begin = time.perf_counter()
LogisticRegression().fit(X, y)
print(time.perf_counter() - begin)
"""
PROGRAMS = {"nothing": "print(0.0)", "one fit": FIT}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="cost of histhooks run, as ratios")
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats

    print(f"{repeats} turns, wall time of a process\n")
    print(f"{'':10}{'plain ms':>10}{'run ms':>10}{'ratio':>8}{'+ ms':>8}{'first fit plain ms':>20}{'recorded ms':>13}")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HISTHOOKS_QUIET": "1", "HISTHOOKS_STORE": str(Path(folder) / "histhooks.db")}
        for name, program in PROGRAMS.items():
            script = Path(folder) / "script.py"
            script.write_text(program)
            commands = {"plain": [sys.executable], "run": [sys.executable, "-m", "histhooks", "run"]}
            taken: dict[str, list[tuple[float, float]]] = {which: [] for which in commands}
            for repeat in range(repeats + 1):
                for which in ("run", "plain") if repeat % 2 else ("plain", "run"):
                    begin = time.perf_counter()
                    done = subprocess.run(
                        [*commands[which], str(script)], env=environment, check=True, capture_output=True
                    )
                    if repeat:  # the first one fills the disk's cache and writes byte code
                        taken[which].append((time.perf_counter() - begin, float(done.stdout)))
            whole = {which: statistics.median(row[0] for row in rows) * 1e3 for which, rows in taken.items()}
            inside = {which: statistics.median(row[1] for row in rows) * 1e3 for which, rows in taken.items()}
            print(
                f"{name:10}{whole['plain']:10.0f}{whole['run']:10.0f}{whole['run'] / whole['plain']:8.2f}"
                f"{whole['run'] - whole['plain']:8.0f}{inside['plain']:20.1f}{inside['run']:13.1f}"
            )


if __name__ == "__main__":
    main()
