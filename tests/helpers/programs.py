"""Programs that record, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from helpers.warm import run_warm
from histhooks.testing import run_program
from histhooks.verify import verify

# Before a program: a host name that no other bytes have by chance, as `vm` is soon among random ones. The text of the
# program does not have it either.
HOST = "machine-of-the-test"
ON_THAT_HOST = 'import socket\nsocket.gethostname = lambda: "-".join(("machine", "of", "the", "test"))\n'

# Before a program: `until(sql)` waits until the store that it records into answers with a row, however slow the machine
# is.
UNTIL = """
def until(sql):
    import contextlib, histhooks, os, sqlite3, time
    end = time.monotonic() + 120
    while True:
        histhooks.flush()
        with contextlib.closing(sqlite3.connect(os.environ["HISTHOOKS_STORE"])) as connection:
            if connection.execute(sql).fetchone():
                return
        assert time.monotonic() < end
        time.sleep(0.02)
"""


def record(store: Path, program: str, setup: str = "", *, is_warm: bool = False, **variables: str) -> str:
    """Run a program: it succeeds, its history is whole, and this is what it printed; warm as in `helpers.warm`."""
    code, out, err = (run_warm if is_warm else run_program)(setup + program, store, **variables)
    assert code == 0, err
    report = verify(store)
    assert report.ok, report.problems
    return out


def script(store: Path, program: str, **variables: str) -> None:
    """Run a program without a word about frameworks, as quickly as it goes; it succeeds."""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", **variables}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=120)


def start(store: Path, program: str, **variables: str) -> subprocess.Popen[str]:
    """Start a program that listens to :func:`tell` and is heard by :func:`hear`."""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", **variables}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def tell(process: subprocess.Popen[str], word: str = "go") -> None:
    """Write a line to a program."""
    assert process.stdin is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    """Wait for a program's next line."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_for(is_so: Callable[[], object]) -> None:
    """Ask until it is so, however slow the machine is; two minutes are too long for any."""
    until = time.monotonic() + 120
    while True:
        with contextlib.suppress(sqlite3.OperationalError):  # a store that is made at this moment
            if is_so():
                return
        assert time.monotonic() < until
        time.sleep(0.02)


def is_killed_at_work(command: list[str], has_begun: Callable[[], object], then_s: float) -> bool:
    """Start a program and kill it a moment after its work has begun; tell whether it was still there."""
    process = subprocess.Popen(
        command, env={**os.environ, "HISTHOOKS_QUIET": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: has_begun() or process.poll() is not None)
    time.sleep(then_s)
    process.kill()
    return process.wait() == -signal.SIGKILL


def size_of(path: Path) -> int:
    """Bytes of a file that may not be there yet."""
    return path.stat().st_size if path.exists() else 0
