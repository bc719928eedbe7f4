"""Stores to curate, and what must be true of them afterwards."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.stores import VERIFIER
from histhooks.testing import query, run_program
from histhooks.verify import verify

SEARCH = """
import histhooks
with histhooks.start_run("search", params={"grid": [1, 2]}, tags={"team": "red"}) as search:
    search.log_dataset("train", np.arange(6.0).reshape(3, 2))
    for number in range(3):
        with histhooks.start_run(f"child {number}", params={"C": number}) as child:
            child.log_dataset("train", np.arange(6.0).reshape(3, 2))
            child.log_dataset("valid", np.ones((2, 2)))
            child.log_architecture("torch", "Net", ["layer"], 3, 3)
            for step in range(500):
                child.log({"loss": 1.0 / (step + 1), "val_loss": 2.0}, step=step)
            child.note("inside"); child.log_artifact("model.bin"); child.log_results({"best": number})
            child.event("milestone", "halfway"); child.log_optimizer(0, "Adam", {"lr": 0.1}, [{"lr": 0.1}])
with histhooks.start_run("other") as other:
    other.log_dataset("train", np.arange(6.0).reshape(3, 2))
    other.log({"loss": 0.5})
"""


PERSON = {"LOGNAME": "zaphodbb", "USER": "zaphodbb", "HISTHOOKS_ACTOR": "zaphodbb@heartofgold.example"}


def record(store: Path, program: str, **variables: str) -> None:
    (store.parent / "model.bin").write_bytes(b"weights")
    code, _, err = run_program("import numpy as np\n" + textwrap.dedent(program), store, **variables)
    assert code == 0, err


def fits(store: Path) -> None:
    """Both verifiers say yes, no reference leads nowhere, and the file is sound."""
    report = verify(store)
    assert report.problems == []
    done = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), str(store)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert query(store, "PRAGMA foreign_key_check") == []
    assert query(store, "PRAGMA integrity_check") == [("ok",)]


def places_of(store: Path, word: str) -> set[str]:
    """Every table.column that has a word in it."""
    connection = sqlite3.connect(store)
    found = set()
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for column in [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]:
            if connection.execute(f"SELECT 1 FROM {table} WHERE instr({column}, ?) LIMIT 1", (word,)).fetchone():
                found.add(f"{table}.{column}")
    connection.close()
    return found


@contextmanager
def recording(store: Path, more: str = "pass", **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a run that has ended and a run that has not."""
    program = f"""
import sys, histhooks
with histhooks.start_run("early") as run:
    run.log({{"loss": 1.0}})
with histhooks.start_run("live") as run:
    run.log({{"loss": 1.0}})
    {more}
    histhooks.flush()
    print("ready", flush=True)
    sys.stdin.readline()
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", **variables}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.communicate("go\n", timeout=300)
