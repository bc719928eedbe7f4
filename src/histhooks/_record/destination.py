"""The file that a session writes to: the store, or a spool where the store cannot be written."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from typing import TYPE_CHECKING, TypeVar

from histhooks._host import inherited_files
from histhooks._host.descriptors import is_out_of_descriptors
from histhooks._host.messages import warn_once
from histhooks._record import conclude
from histhooks._record.session import Phase
from histhooks._store.connection import Unwritable, is_busy
from histhooks._store.entries import points_in
from histhooks._store.spool_folders import folders
from histhooks._store.store import Store, open_spool

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from histhooks._record.session import Session
    from histhooks._record.throttle import Throttle
    from histhooks._store.batch import Batch
    from histhooks._store.pace import Pace

T = TypeVar("T")
PATIENCE_AT_END_S = 5.0
REFUSALS = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError, OverflowError)
_PATIENCE_S = 30.0
_BUSY_S = 0.05  # of waiting for a lock inside SQLite, where a first second was not enough
_TRIES = 20  # to read what others have written, each of a second where the store is locked
_ENTRY_BYTES = 400  # of memory, of a point of a few numbers that waits


class Abandoned(Exception):
    """What this thread was to write has been written by another one, which had waited long enough."""


class Destination:
    """Where the batches of one session go.

    Parameters
    ----------
    session : Session
        What is written.
    path : Path
        Of the store.
    stopping : threading.Event
        Set when the session ends, and patience with it.
    subjects : dict
        The last known state of the session and its runs, with which a spool begins.
    pace : Pace
    throttle : Throttle
        Released if there is no room: threads that it slows would wait for nothing.
    wait : callable
        Waits some seconds for a file, without the locks that a fork would wait for.
    """

    def __init__(
        self,
        session: Session,
        path: Path,
        stopping: threading.Event,
        subjects: dict[str, tuple[str, dict[str, Any]]],
        pace: Pace,
        throttle: Throttle,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self.store: Store | None = None
        self._session = session
        self._stopping = stopping
        self._subjects = subjects
        self._pace = pace
        self._throttle = throttle
        self._wait = wait

    def open(self) -> Store:
        """Open the store, or a spool; the first thing that is asked of a destination."""
        self.store = self._open()
        conclude.tell(self._session.id, self.store.path)
        return self.store

    def holds(self, low: int, high: int) -> bool:
        """Whether a descriptor from ``low`` to below ``high`` is one of the store's."""
        return self.store is not None and self.store.holds(low, high)

    def is_at(self, number: int, found: os.stat_result) -> bool:
        """Whether an open descriptor is of a file that SQLite has open for a moment: a journal, a folder, a store."""
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            return inherited_files.place_of(found) in inherited_files.descriptors(self.path).values()
        path = path.removesuffix(" (deleted)")
        own = str(self.path if self.store is None else self.store.path)
        names = (os.path.dirname(own), own, *(f"{own}{end}" for end in ("-wal", "-shm", "-journal")))
        return path in names or os.path.basename(path).startswith("etilqs_")

    def let_go(self) -> None:
        """Before a fork: close the connection; the next use opens it again. The writer's lock is held."""
        if self.store is not None:
            self.store.let_go()

    def keep_away(self) -> None:
        """In a forked child: the connection is the parent's, where it could not be closed."""
        if self.store is not None:
            self.store.keep_away()

    def go_on(self) -> None:
        """After a fork: hold the file again, so that nothing is lost if it is deleted."""
        if self.store is not None and not self.store.is_open() and self.store.is_whole():
            self.store.go_on()

    def heads(self, lock: threading.Lock) -> list[list[Any]]:
        """The last ledger lines of other sessions (`Store.heads`); none where they cannot be read."""
        for _ in range(_TRIES):
            try:
                with lock:
                    return [] if self.store is None else self.store.heads()
            except (Unwritable, sqlite3.Error):
                if not self.is_whole():  # the program has closed its descriptors
                    self.open()
                self._wait(_BUSY_S)
        return []

    def is_whole(self) -> bool:
        """Whether the program has left us our descriptors."""
        return self.store is None or self.store.is_whole()

    def shown(self) -> str:
        """The file that is written to, as seen from the working folder."""
        path = self.path if self.store is None else self.store.path
        relative = os.path.relpath(path)
        return str(path) if relative.startswith("..") else relative

    def commit(self, batch: Batch) -> None:
        """Write a batch, here or in a spool; returns once it is on disk.

        Raises
        ------
        sqlite3.Error, OverflowError
            One of `REFUSALS`, where a row breaks a rule of the schema.
        """
        deadline, is_hurried, is_short = time.monotonic() + _PATIENCE_S, False, False
        while True:
            if self._stopping.is_set() and not is_hurried:
                # The process does not wait longer for us, however long the batch waited before.
                deadline, is_hurried = min(deadline, time.monotonic() + PATIENCE_AT_END_S), True
            try:
                assert self.store is not None
                if self._session.phase is Phase.ABANDONED:
                    raise Abandoned
                if not self.store.is_whole():
                    self._elsewhere("the program has closed its descriptors", batch)
                elif not self.store.is_there():
                    self._elsewhere("it was deleted, moved or replaced", batch)
                elif self.store.log_bytes() > _most_log() and not self.store.empty_log():
                    self._elsewhere(
                        f"its log has {self.store.log_bytes()} bytes, since somebody reads on and on", batch
                    )
                self.store.pace = self._pace
                self.store.apply(batch, self._session.id)
                if is_short:
                    self.store.wait_for_locks()
                if self.store.is_whole():
                    return  # else the locks were lost as well, and others may have written over it
            except REFUSALS:
                raise  # the entries are at fault, and no other file would take them
            except MemoryError:
                if self._stopping.is_set():
                    raise
                self._wait(0.2)  # a program that runs out of memory may catch it, and go on with less
            except (sqlite3.Error, Unwritable) as error:
                assert self.store is not None
                if is_out_of_descriptors() and not (self._stopping.is_set() and time.monotonic() > deadline):
                    self._hold()
                    continue
                if isinstance(error, sqlite3.Error) and is_busy(error) and time.monotonic() < deadline:
                    is_short = True
                    self.store.wait_for_locks(_BUSY_S)
                    self._wait(0.02)
                    continue
                self._elsewhere(_why(error), batch)

    def _elsewhere(self, reason: str, batch: Batch) -> None:
        """Go on in a spool; where there is no room for one either, hold what comes until there is."""
        until = time.monotonic() + PATIENCE_AT_END_S
        self._throttle.release()
        while True:
            try:
                self._to_spool(reason, batch)
                return
            except Unwritable as error:
                if self._stopping.is_set() and time.monotonic() > until:
                    raise
                _no_room(error)
            self.shed()
            self._wait(0.2)
            if self.store is not None and self.store.is_there():
                return  # try once more where it was

    def _hold(self) -> None:
        """Wait a moment for descriptors, and keep what comes meanwhile."""
        text = "no descriptor is left (`ulimit -n`); what is recorded is held in memory until there is one"
        warn_once("no descriptors", text)
        self._throttle.release()
        self.shed()
        self._wait(0.1)

    def wait_for_descriptors(self) -> None:
        """Wait until files can be opened: without a descriptor, facts would be recorded as missing."""
        until = time.monotonic() + PATIENCE_AT_END_S
        while is_out_of_descriptors() and not (self._stopping.is_set() and time.monotonic() > until):
            self._hold()

    def with_files(self, function: Callable[[], T]) -> T:
        """What a function reads from files, once there are descriptors; else these facts would be missing."""
        tries = 0
        while True:
            self.wait_for_descriptors()
            try:
                found = function()
            except OSError as error:
                tries += 1 if self._stopping.is_set() or error.errno not in (errno.EMFILE, errno.ENFILE) else 0
                if tries > _TRIES:
                    raise
                continue  # none was left, or the program has just closed all of them
            if self._stopping.is_set() or not is_out_of_descriptors():
                return found

    def shed(self) -> None:
        """Drop the oldest points, and nothing else, where memory would run over."""
        buffer = self._session.buffer
        if len(buffer) <= _most_entries():
            return
        kept = []
        for _ in range(len(buffer) - _most_entries() // 2):
            entry = buffer.popleft()
            points = points_in(entry)
            self._session.dropped_points += len(points)
            if not points:
                kept.append(entry)
        buffer.extendleft(reversed(kept))

    def _open(self) -> Store:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            reason = ""
            self.wait_for_descriptors()
            try:
                store = Store(self.path)
                if store.has_log:
                    return store
                store.close()  # readers find it, and the spools beside it
            except Unwritable as error:
                if is_out_of_descriptors(error.__cause__) and not self._stopping.is_set():
                    continue
                reason = str(error)
            except sqlite3.OperationalError as error:
                if time.monotonic() < deadline and not self._stopping.is_set():
                    self._wait(0.05)
                    continue
                reason = f"{self.path} cannot be written ({_why(error)})"
            try:
                return self._spool(reason)
            except Unwritable as error:
                if self._stopping.is_set():
                    raise
                _no_room(error)
            self.shed()
            self._wait(0.2)

    def _spool(self, reason: str, lost: Store | None = None) -> Store:
        """Open the spool of this session; where the file of the store is gone, begin with what it held."""
        if self._session.phase is Phase.ABANDONED:
            raise Abandoned
        if reason:
            warn_once(f"spool/{self.path}", f"{reason}; this session records in a spool")
        failure: Exception | None = None
        for folder in folders(self.path):
            if not self.path.parent.is_dir() and folder.parent == self.path.parent:
                continue  # a deleted folder is not made again
            path = self._own(folder)
            try:
                if lost is not None and lost.is_open() and not lost.is_there() and not os.path.exists(path):
                    lost.save_into(path)
                return open_spool(path)
            except (Unwritable, sqlite3.OperationalError) as error:
                failure = error
        raise Unwritable(f"no spool can be written either ({failure})")

    def _own(self, folder: Path) -> Path:
        """The spool of this session in a folder; the next one where the descriptors of one were closed."""
        number, path = 0, folder / f"{self._session.id}.db"
        while inherited_files.holds(path):
            number += 1
            path = folder / f"{self._session.id}.{number}.db"
        return path

    def refuge(self) -> Store:
        """A second spool, for what a writer that hangs leaves behind; beside the store last, where it may hang too.

        Raises
        ------
        Unwritable
            Where there is none.
        """
        for folder in reversed(folders(self.path)):
            try:
                store = open_spool(folder / f"{self._session.id}.rest.db")
            except (Unwritable, sqlite3.OperationalError):
                continue
            own = self.path if self.store is None else self.store.path
            conclude.tell(self._session.id, own, store.path)
            self._tell(store)
            return store
        raise Unwritable("no spool can be written")

    def _to_spool(self, reason: str, batch: Batch) -> None:
        assert self.store is not None
        if self.store.is_spool and self.store.is_there() and self.store.is_whole():
            raise Unwritable(f"the spool {self.store.path} cannot be written ({reason})")
        before, self.store = self.store, self._spool(f"{self.path} cannot be written ({reason})", self.store)
        before.leave()
        conclude.tell(self._session.id, self.store.path)
        self._tell(self.store)

    def _tell(self, store: Store) -> None:
        store.fold(dict(self._subjects))


def _no_room(error: Unwritable) -> None:
    warn_once("no room", f"{error}; what is recorded is held in memory until there is room")


def _why(error: Exception) -> str:
    return "another program keeps it locked" if isinstance(error, sqlite3.Error) and is_busy(error) else str(error)


def _most_entries() -> int:
    return int(_megabytes("HISTHOOKS_BUFFER_MB") * 1e6 / _ENTRY_BYTES)


def _most_log() -> float:
    return _megabytes("HISTHOOKS_LOG_MB") * 1e6


def _megabytes(variable: str) -> float:
    try:
        return float(os.environ.get(variable) or 256)
    except ValueError:
        return 256.0
