"""Verify stores in processes of low priority, one at a time, so that pages are answered meanwhile.

``python -m histhooks.ui._verification`` is such a process: its input names the store, since the address of a target may
hold a password and other users can read a command line. It writes lines of JSON, how far it is and at last the report
of `histhooks verify --json`, and ends if whoever started it has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from histhooks.verify import Report

_FIRST_S = 1.5  # that a page waits: most stores are verified within it
_EVERY_S = 0.3


@dataclass(slots=True)
class Verification:
    """The verification of a store.

    Attributes
    ----------
    number : int
        How many there were of this store, with this one.
    began, ended : float
        Seconds since 1970; `ended` is 0 while it runs.
    done, total : int
        How far it is: lines and series.
    report : dict or None
        What `histhooks verify --json` says.
    problem : str
        Why there is no report.
    """

    number: int
    began: float
    ended: float = 0.0
    done: int = 0
    total: int = 0
    report: dict[str, Any] | None = None
    problem: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    output: IO[bytes] | None = field(default=None, repr=False)

    def look(self) -> None:
        """Read how far it is."""
        if self.process is None or self.output is None:
            return
        code = self.process.poll()
        self.output.seek(0)
        lines = self.output.read().decode("utf-8", "replace").splitlines()
        for line in lines if code is not None else lines[-2:]:
            with suppress(ValueError):
                self._take(json.loads(line))
        if code is not None:
            self.ended = time.time()
            if self.report is None and not self.problem:
                self.problem = f"the process that verified ended with {code}; run histhooks verify"
            self.output.close()
            self.process = self.output = None

    def _take(self, told: dict[str, Any]) -> None:
        self.done, self.total = told.get("done", self.done), told.get("total", self.total)
        self.report, self.problem = told.get("report", self.report), told.get("problem", self.problem)


class Verifications:
    """The latest verification of each store of a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, Verification] = {}

    def of(self, store: str, number: int = 0) -> Verification | None:
        """The latest one of a store, or the one with a number, which begins if there were fewer.

        None if there was none, or another store is being verified just now.
        """
        with self._lock:
            for each in self._latest.values():
                each.look()
            latest = self._latest.get(store)
            is_busy = any(each.process is not None for each in self._latest.values())
            if number > (latest.number if latest is not None else 0) and not is_busy:
                latest = self._latest[store] = _begun(store, (latest.number if latest is not None else 0) + 1)
        if number and latest is not None and (process := latest.process) is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, latest.began + _FIRST_S - time.time()))
            with self._lock:
                latest.look()
        return latest

    def close(self) -> None:
        """End what is being verified."""
        with self._lock:
            for each in self._latest.values():
                if each.process is not None:
                    each.process.kill()
                    each.process.wait()
                    each.look()


def _begun(store: str, number: int) -> Verification:
    output = tempfile.TemporaryFile()  # noqa: SIM115, closed when the process has ended
    # -P: nothing is imported from the folder that the server was started in.
    command = [sys.executable, "-P", "-m", "histhooks.ui._verification"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stdin is not None
    with suppress(OSError), process.stdin as stream:  # else it says with which code it ended
        stream.write(os.fsencode(store))
    return Verification(number, time.time(), process=process, output=output)


def main(store: str) -> None:
    """Verify a store, and tell how far it is."""
    import psutil

    from histhooks.errors import HisthooksError

    with suppress(psutil.Error, OSError):
        psutil.Process().nice(19 if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
    parent, spoken = os.getppid(), 0.0

    def progress(done: int, total: int) -> None:
        nonlocal spoken
        if time.monotonic() - spoken > _EVERY_S:
            spoken = time.monotonic()
            if os.getppid() != parent:
                raise SystemExit(1)
            _say({"done": done, "total": total})

    try:
        _say({"report": _verified(store, progress).as_json()})
    except HisthooksError as error:
        _say({"problem": str(error)})


def _verified(store: str, progress: Callable[[int, int], None]) -> Report:
    from histhooks.team.postgres.address import Database, is_database, target_of
    from histhooks.verify import verify

    if not is_database(store):
        return verify(store, progress=progress)
    from histhooks.team.postgres.witnessing import verify_database

    database = target_of(store)
    assert isinstance(database, Database)
    return verify_database(database, progress=progress)


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(os.fsdecode(sys.stdin.buffer.read()))
