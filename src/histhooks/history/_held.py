"""Connections to a store for reading: one for each thread, closed before a fork, opened again at the next query."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from histhooks._host import inherited_files, recording_here
from histhooks._store.spools import waiting
from histhooks.errors import StoreError
from histhooks.history._opening import Opened, open_store

_PATIENCE_S = 0.2
_STEPS = 20_000  # of SQLite's machine, between two looks at the clock: about a millisecond
_orphans: list[tuple[Opened, Path]] = []  # of threads that a fork did not bring along


class Limit:
    """Until when the questions of a thread must be answered: SQLite asks it, and ends a question that takes longer.

    Attributes
    ----------
    is_over : bool
        Whether a question was ended.
    """

    __slots__ = ("_until", "is_over")

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self.is_over = False

    def __call__(self) -> bool:
        self.is_over = self.is_over or time.monotonic() >= self._until
        return self.is_over


class _Line:
    """The connection of one thread. It ends with the thread, whose local data has the only lasting reference."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()  # held while the thread asks: others only close
        self.cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()  # whose rows may not all be read
        self.opened: Opened | None = None
        self.limit: Limit | None = None
        self.age = 0
        self._pid = os.getpid()

    def take(self, opened: Opened, age: int) -> None:
        """Use what was opened."""
        self.opened, self.age, self._pid = opened, age, os.getpid()
        self.obey(self.limit)

    def obey(self, limit: Limit | None) -> None:
        """End questions at a limit, or at none."""
        self.limit = limit
        if self.opened is not None:
            self.opened.connection.set_progress_handler(limit, _STEPS if limit is not None else 0)

    def let_go(self) -> None:
        """Close it until the thread asks again."""
        opened, self.opened = self.opened, None
        if opened is not None:
            opened.close()

    def __del__(self, getpid: Callable[[], int] = os.getpid) -> None:
        opened, self.opened = self.opened, None
        if opened is None:
            return
        if getpid() != self._pid:
            # CPython drops the threads of the parent before any code for forks runs, and while nothing may be imported.
            _orphans.append((opened, self.path))
        elif not self.cursors:  # else another thread reads on, and its cursor keeps the connection
            opened.close()


class Held:
    """An open store.

    Each thread that asks has a connection of its own, so that none waits for another. What :meth:`reopen` asks for
    holds for all of them: each reads anew with its next question, unless it is in the midst of rows.

    Parameters
    ----------
    path : Path
    prepare : callable
        Makes a connection that was just opened ready.
    """

    def __init__(self, path: Path, prepare: Callable[[Opened], None]) -> None:
        self._path = path
        self._prepare = prepare
        self._lock = threading.Lock()  # of the set of lines
        self._lines: weakref.WeakSet[_Line] = weakref.WeakSet()
        self._local = threading.local()
        self._place: inherited_files.Place | None = None
        self._age = 0
        self._is_over = False
        self.reopen()
        recording_here.opened(self)

    @contextmanager
    def asked(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one question; what this process logged before is waited for."""
        recording_here.catch_up(self._path)
        line = self._line()
        with line.lock:
            yield self._ready(line).connection

    @contextmanager
    def limited(self, seconds: float) -> Iterator[Limit]:
        """Give the questions of this thread a time by which they are answered, or ended with an error."""
        line, limit = self._line(), Limit(seconds)
        with line.lock:
            line.obey(limit)
        try:
            yield limit
        finally:
            with line.lock:
                line.obey(None)

    @property
    def opened(self) -> Opened:
        """What the thread that asks has open."""
        line = self._line()
        with line.lock:
            return self._ready(line)

    def watch(self, cursor: sqlite3.Cursor) -> sqlite3.Cursor:
        """A cursor that goes on after the question: as long as it is there its connection stays open."""
        self._line().cursors.add(cursor)
        return cursor

    @property
    def is_current(self) -> bool:
        """Whether each thread sees what others write to the store by now."""
        is_other = self._place is not None and _place(self._path) not in (None, self._place)
        found = [opened for line in self._all() if (opened := line.opened) is not None]
        is_whole = all(each.is_live and not each.is_older and not each.spools for each in found)
        return not is_other and not waiting(self._path) and is_whole

    def reopen(self) -> None:
        """Open the store anew, for this thread at once."""
        self._age += 1
        line = self._line()
        with line.lock:
            self._open(line)

    def let_go(self) -> None:
        """Close the store until it is asked again; not for a thread that reads it."""
        until = time.monotonic() + _PATIENCE_S
        for line in self._all():
            if line.lock.acquire(timeout=max(0.0, until - time.monotonic())):
                try:
                    if not line.cursors:
                        line.let_go()
                finally:
                    line.lock.release()

    def keep_away(self) -> None:
        """In a forked child: what is inherited is neither used nor closed."""
        self._lock = threading.Lock()
        for line in self._all():
            opened, line.opened, line.lock = line.opened, None, threading.RLock()
            if opened is not None:
                opened.keep_away(self._path)
        while _orphans:
            opened, path = _orphans.pop()
            opened.keep_away(path)

    def close(self) -> None:
        """Close the store for good, for all threads; a question that one of them asks is waited for."""
        self._is_over = True
        for line in self._all():
            with line.lock:
                line.let_go()

    def _all(self) -> list[_Line]:
        with self._lock:
            return list(self._lines)

    def _line(self) -> _Line:
        line: _Line | None = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = _Line(self._path)
            with self._lock:
                self._lines.add(line)
        return line

    def _ready(self, line: _Line) -> Opened:
        if self._is_over:
            raise sqlite3.ProgrammingError("the history is closed")
        if line.opened is None or (line.age != self._age and not line.cursors):
            return self._open(line)
        return line.opened

    def _open(self, line: _Line) -> Opened:
        line.let_go()
        age, place = self._age, _place(self._path)
        if place is None and self._place is not None and not waiting(self._path):
            raise StoreError(f"no store at {self._path} any more; it was moved or deleted")
        # One connection that may bring the log home is enough, but nobody knows which one is closed last.
        is_ours = any(other.opened is not None and other.opened.may_write for other in self._all())
        opened = open_store(self._path, may_write=is_ours)
        try:
            self._prepare(opened)
        except BaseException:
            opened.close()
            raise
        if self._place is not None and place != self._place:
            self._age = age = age + 1  # another file: the other threads shall read it too
        self._place = place
        line.take(opened, age)
        return opened


def _place(path: Path) -> inherited_files.Place | None:
    """Which file it is; None if there is none."""
    try:
        return inherited_files.place_of(os.stat(path))
    except OSError:
        return None
