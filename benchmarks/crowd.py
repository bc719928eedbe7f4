"""Eight processes that make one new store together and fill it as fast as they can."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time

from harness import median, place, table

PROCESSES, STEPS = 8, 40_000
PROGRAM = f"""
import histhooks
with histhooks.start_run("one of many") as run:
    for step in range({STEPS}):
        run.log({{"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}}, step=step)
"""


def crowd(repeats: int) -> None:
    """Steps of four numbers a second, of all of them together, from the first process's start to the last one's end."""
    rates = []
    for _ in range(repeats):
        with place() as folder:
            store = folder / "histhooks.db"
            environment = {**os.environ, "HISTHOOKS_QUIET": "1", "HISTHOOKS_STORE": str(store)}
            begin = time.perf_counter()
            processes = [
                subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.PIPE, text=True)
                for _ in range(PROCESSES)
            ]
            told = [process.communicate()[1] for process in processes]
            rates.append(PROCESSES * STEPS / (time.perf_counter() - begin))
            connection = sqlite3.connect(store)
            (count,) = connection.execute("SELECT sum(count) FROM metric_summaries WHERE split = 'train'").fetchone()
            connection.close()
            if count != PROCESSES * STEPS * 4 or any(told):
                raise SystemExit(f"{count} points are in the store; {''.join(told)}")
    table(
        "8 processes, one new store",
        ("steps/s", "least", "most"),
        {"all of them": (median(rates), min(rates), max(rates))},
    )
