"""A store that is open for reading for as long as that harms nobody: closed before a fork, opened again when asked."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from histhooks._host import recording_here
from histhooks.history._opening import Opened, open_store

_PATIENCE_S = 0.2


class Held:
    """An open store, and the lock of who asks it.

    Parameters
    ----------
    path : Path
    prepare : callable
        Makes a connection that was just opened ready.
    """

    def __init__(self, path: Path, prepare: Callable[[Opened], None]) -> None:
        self._path = path
        self._prepare = prepare
        self._lock = threading.RLock()
        self._asked: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()  # whose rows may not all be read
        self._opened: Opened | None = None
        self._is_over = False
        self.reopen()
        recording_here.opened(self)

    @contextmanager
    def asked(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one question; what this process logged before is waited for."""
        recording_here.catch_up(self._path)
        with self._lock:
            if self._is_over:
                raise sqlite3.ProgrammingError("the history is closed")
            yield (self._opened or self.reopen()).connection

    def watch(self, cursor: sqlite3.Cursor) -> sqlite3.Cursor:
        """A cursor that goes on after the question: as long as it is there the store stays open."""
        self._asked.add(cursor)
        return cursor

    @property
    def is_live(self) -> bool:
        """Whether what others write to the store is seen."""
        return self._opened is None or self._opened.is_live

    def reopen(self) -> Opened:
        """Open the store anew."""
        with self._lock:
            self._let_go()
            self._opened = opened = open_store(self._path)
            self._prepare(opened)
            return opened

    def let_go(self) -> None:
        """Close the store until it is asked again; not while somebody reads it."""
        if self._lock.acquire(timeout=_PATIENCE_S):
            try:
                if not self._asked:
                    self._let_go()
            finally:
                self._lock.release()

    def keep_away(self) -> None:
        """In a forked child: what is inherited is neither used nor closed."""
        opened, self._opened, self._lock = self._opened, None, threading.RLock()
        if opened is not None:
            opened.keep_away(self._path)

    def close(self) -> None:
        """Close the store for good."""
        with self._lock:
            self._let_go()
            self._is_over = True

    def _let_go(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()
