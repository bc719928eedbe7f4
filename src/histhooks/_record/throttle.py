"""Who logs much faster than can be written is held back, and who forks finds the writer where nothing is half done."""

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


class Brake:
    """Slows down who logs much faster than can be written: nothing is lost, and memory stays as it is.

    Parameters
    ----------
    session : Session
        Whose runs are held back.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_on = False

    def hold(self, waiting: int) -> None:
        """Hold back, or let go, by how many entries wait."""
        if waiting > TOO_MANY or (self._is_on and waiting > FEW):
            self._is_on = True
            for run in list(self._session.live.values()):
                run.lead("slow", self._slowly)
        else:
            self.release()

    def release(self) -> None:
        """Let go."""
        if self._is_on:
            self._is_on = False
            for run in list(self._session.live.values()):
                run.lead("release", self._session.buffer.append)

    def _slowly(self, entry: tuple[Any, ...]) -> None:
        self._session.buffer.append(entry)
        time.sleep(_HELD_BACK_S)


class Turn:
    """The locks that a fork waits for (`forks`), let go of while the writer waits for a file."""

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
        """Wait where nothing is half done."""
        lock = self._taken
        if lock is not None:
            lock.release()
        try:
            time.sleep(seconds)
        finally:
            if lock is not None:
                lock.acquire()
