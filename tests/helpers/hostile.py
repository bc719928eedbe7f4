"""A program that logs in steps, and what must be true after a hostile machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from histhooks._store.spools import waiting
from histhooks.testing import run_program
from histhooks.verify import verify

STEPS = """
import sys, time
import histhooks
run = histhooks.start_run("steps")
def log(first, count):
    for step in range(first, first + count):
        run.log({"loss": float(step)}, step=step)
    histhooks.flush()
    print("ready", flush=True)
    sys.stdin.readline()
"""


def next_session(store: Path) -> None:
    """What comes after: a session brings home what waits, settles who died, and all of it fits."""
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store)
    assert code == 0, err
    assert waiting(store) == []
    assert verify(store).problems == []


def finish(process: subprocess.Popen[str], timeout_s: float = 60) -> str:
    _, err = process.communicate(timeout=timeout_s)
    return err
