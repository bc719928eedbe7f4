"""What `import histhooks; histhooks.autolog()` costs a program at its start, beside a bare interpreter.

`python benchmarks/bench_import.py [--repeats 15]`

Each figure is the wall time of a whole process, the programs taking turns; `+ ms` is the difference of the medians to
the bare interpreter.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAMS = {
    "bare interpreter": "pass",
    "import sqlite3, json": "import sqlite3, json",
    "import histhooks": "import histhooks",
    "... and autolog()": "import histhooks; histhooks.autolog()",
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="cost of import and autolog(), as ratios")
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats

    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    names = list(PROGRAMS)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HISTHOOKS_QUIET": "1", "HISTHOOKS_STORE": os.path.join(folder, "histhooks.db")}
        for repeat in range(repeats + 1):
            for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
                begin = time.perf_counter()
                subprocess.run([sys.executable, "-c", PROGRAMS[name]], cwd=folder, env=environment, check=True)
                if repeat:  # the first one fills the disk's cache and writes byte code
                    taken[name].append((time.perf_counter() - begin) * 1000)

    medians = {name: statistics.median(values) for name, values in taken.items()}
    bare = medians["bare interpreter"]
    print(f"{repeats} turns, wall time of a process\n")
    print(f"{'':22}{'ms':>8}{'fastest':>9}{'slowest':>9}{'x bare':>8}{'+ ms':>8}")
    for name, median in medians.items():
        least, most = min(taken[name]), max(taken[name])
        print(f"{name:22}{median:8.1f}{least:9.1f}{most:9.1f}{median / bare:8.2f}{median - bare:8.1f}")


if __name__ == "__main__":
    main()
