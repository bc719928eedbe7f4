"""The beginning of a program: imports, `autolog()`, the first run, and `histhooks run`."""

from __future__ import annotations

from harness import median, place, python, table, take_turns

PROGRAMS = {
    "bare interpreter": "pass",
    "import sqlite3, json": "import sqlite3, json",
    "import histhooks": "import histhooks",
    "... and autolog()": "import histhooks; histhooks.autolog()",
}
FIRST = """
import time
import histhooks
histhooks.autolog()
begin = time.perf_counter()
run = histhooks.start_run("bench")
opened = time.perf_counter() - begin
run.log({"loss": 1.0})
histhooks.flush()
print(opened * 1e3, (time.perf_counter() - begin) * 1e3)
"""
LAST = """
import sys, time
import sklearn.linear_model
import histhooks
with histhooks.start_run("bench") as run:
    run.log({"loss": 1.0})
    histhooks.flush()
    time.sleep(float(sys.argv[1]))
from histhooks._record.engine import engine
begin = time.perf_counter()
engine.finish()
print((time.perf_counter() - begin) * 1e3)
"""
FIT = """
from sklearn.linear_model import LogisticRegression
LogisticRegression().fit([[0.0], [1.0]] * 20, [0, 1] * 20)
"""


def start(repeats: int) -> None:
    """Whole processes: an import and `autolog()` beside a bare interpreter; and the first run of a process."""
    with place() as folder:
        taken = take_turns(
            {name: lambda code=code: [python(folder, code=code).wall_s * 1e3] for name, code in PROGRAMS.items()},
            repeats * 3,
            warm_up=2,
        )
        medians = {name: median(columns[0]) for name, columns in taken.items()}
        bare = medians["bare interpreter"]
        rows = {name: (value, value / bare, value - bare) for name, value in medians.items()}
        table("a process, to its end", ("ms", "x bare", "ms more"), rows)
        columns = take_turns({"first": lambda: python(folder, code=FIRST).numbers}, repeats)["first"]
        (folder / "last.py").write_text(LAST)
        lives = {"at once": "0", "after a second": "1"}
        ends = take_turns(
            {name: lambda s=s: python(folder, "last.py", s).numbers for name, s in lives.items()}, repeats
        )
    rows = {"start_run()": (median(columns[0]),), "until its first point is on disk": (median(columns[1]),)}
    table("the first run of a process", ("ms",), rows)
    table("the end of a process", ("ms",), {name: (median(taken[0]),) for name, taken in ends.items()})


def run(repeats: int) -> None:
    """`histhooks run` beside plain Python, on a program that does nothing and on one that fits once."""
    rows = {}
    for name, code in {"does nothing": "pass", "fits once": FIT}.items():
        with place() as folder:
            (folder / "script.py").write_text(code)
            taken = take_turns(
                {
                    "plain": lambda: [python(folder, "script.py").wall_s * 1e3],
                    "run": lambda: [python(folder, "-m", "histhooks", "run", "script.py").wall_s * 1e3],
                },
                repeats,
            )
        plain, recorded = median(taken["plain"][0]), median(taken["run"][0])
        rows[f"a program that {name}"] = (plain, recorded, recorded / plain)
    table("histhooks run", ("plain ms", "run ms", "ratio"), rows)
