"""Threads that log faster than the writer keeps up are slowed; a fork finds the writer where nothing is half done."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from histhooks._record.session import Session

TOO_MANY = 20_000  # calls of log() that wait: less than a second of writing
FEW = 10_000
_HELD_BACK_S = 0.0001


class Throttle:
    """Slows threads that log much faster than the writer keeps up: nothing is lost, and memory stays as it is.

    Parameters
    ----------
    session : Session
        Whose runs are slowed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_on = False

    def hold(self, waiting: int) -> None:
        """Slow the runs, or release them, by how many entries wait."""
        if waiting > TOO_MANY or (self._is_on and waiting > FEW):
            self._is_on = True
            for run in list(self._session.live.values()):
                run.lead("slow", self._slowly)
        else:
            self.release()

    def release(self) -> None:
        """Let threads log as fast as they do."""
        if self._is_on:
            self._is_on = False
            for run in list(self._session.live.values()):
                run.lead("release", self._session.buffer.append)

    def _slowly(self, entry: tuple[Any, ...]) -> None:
        self._session.buffer.append(entry)
        time.sleep(_HELD_BACK_S)


class YieldingLocks:
    """The locks that a fork waits for (`forks`), released while the writer waits for a file."""

    def __init__(self) -> None:
        self._taken: threading.Lock | None = None

    @contextmanager
    def take(self, lock: threading.Lock) -> Iterator[None]:
        """Hold a lock."""
        with lock:
            self._taken = lock
            try:
                yield
            finally:
                self._taken = None

    def wait(self, seconds: float) -> None:
        """Wait while nothing is half done, and no lock is held."""
        lock = self._taken
        if lock is not None:
            lock.release()
        try:
            time.sleep(seconds)
        finally:
            if lock is not None:
                lock.acquire()
