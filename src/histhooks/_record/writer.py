"""The one thread that writes: it moves entries from the buffer into flight, and lets go of them after COMMIT."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from histhooks._host.messages import warn_once
from histhooks._record.chores import Chores
from histhooks._record.destination import PATIENCE_AT_END_S, REFUSALS, Abandoned, Destination
from histhooks._record.device_readings import Waiting
from histhooks._record.gathering import Gathering
from histhooks._record.rescue import Flight, Rescue
from histhooks._record.session import Phase
from histhooks._record.session_states import SessionStates
from histhooks._record.throttle import Throttle, YieldingLocks
from histhooks._store.assembler import Assembler
from histhooks._store.batch import Batch
from histhooks._store.connection import Unwritable
from histhooks._store.entries import is_content, is_event, is_state, named, one_by_one, points_in
from histhooks._store.known_stores import remember
from histhooks._store.pace import Pace
from histhooks._store.tables import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from histhooks._record.session import Session
    from histhooks._store.store import Store

_WAIT_S = 0.25
_SLICE = 2000
_REFERRED_TO = {*REFERENCES.values(), "packages", "contents"}  # the latter two by the former
_GRACE_S = 0.2  # where a signal ends the process


class Writer(threading.Thread):
    """Writes one session.

    Parameters
    ----------
    session : Session
        What it writes.
    path : Path
        Of the store.
    """

    def __init__(self, session: Session, path: Path) -> None:
        super().__init__(name="histhooks-writer", daemon=True)
        self._session = session
        # Held while we use SQLite, and while we may import: a fork copies neither half done.
        self.lock = threading.Lock()
        self.importing = threading.Lock()
        self.wake = threading.Event()
        self.done = threading.Event()
        self.is_idle = self._has_begun = False
        self._flight = Flight()
        self._pace = Pace()
        self._throttle = Throttle(session)
        self._locks = YieldingLocks()
        self._waiting = Waiting()
        self._assembler = Assembler(session.id, self._refused, self._pace.rest)
        self._states = SessionStates(session, self._assembler)
        self._stopping, self.began = self._states.stopping, self._states.began
        self._destination = Destination(
            session, path, self._stopping, self._assembler.subjects, self._pace, self._throttle, self._locks.wait
        )
        self.destination, self.path = self._destination, self._destination.path
        self._rescue = Rescue(self._states, self._destination, self._assembler, self._flight, self.done)
        self._gathering = Gathering(session, self.importing, self._attempt)
        chores = self._chores = Chores(
            self._states, self._destination, self._gathering, self.lock, self.importing, self._write, self._write_found
        )
        self._looks_s = 0.0  # of the thread that looks at data
        self._between = (chores.heartbeat, chores.look_around, chores.look_after_children, chores.others)
        self._at_end = (chores.look_around, chores.look_after_children)

    def start(self) -> None:
        """Start this thread, and the one that gathers, which waits for it.

        Both begin on the program's thread: since Python 3.12 none can once the interpreter is on its way out, and a
        program of a few lines is there before the session has begun.

        Raises
        ------
        RuntimeError
            Where no thread can be started.
        """
        try:
            self._gathering.thread.start()
            super().start()
        except RuntimeError:
            self._gathering.let("no")
            raise

    def finish(self, status: str, signal: str | None, exit_code: int | None) -> None:
        """Ask for the end of the session; :attr:`done` is set when it is written."""
        self._states.end(status, signal, exit_code)
        self.wake.set()

    def run(self) -> None:
        """Write until the session ends."""
        try:
            try:
                self._begin()
            except (Abandoned, *REFUSALS):
                raise
            except Exception as error:  # of a module that another thread was importing, for instance
                if self._has_begun:
                    raise
                self._session.failed("writer.begin", error)
                self._begin()
            while not self._stopping.is_set():
                self.wake.wait(_WAIT_S)
                self.wake.clear()
                self._flush()
                with self._locks.take(self.lock):
                    self._attempt(self._destination.go_on)
                for chore in self._between:
                    self._attempt(chore)
            self._flush()  # before anything that takes time, which a signal does not leave
            self._gathering.end(is_signal=self._states.is_by_signal)
            self._attempt(self._end_looks)
            self._flush()
            self._last_readings()
            for chore in self._at_end:
                self._attempt(chore)
            self._end()
        except Abandoned:
            pass
        except Exception as error:
            self._session.hook_errors += 1
            self._give_up()
            warn_once("writer", f"the writer stopped: {type(error).__name__}: {error}; run `histhooks doctor`")
        finally:
            self._gathering.let("no")
            self._chores.close()
            self.done.set()

    # --- the session ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        is_new = not os.path.exists(self.path)
        with self._locks.take(self.importing):
            store = self._destination.store or self._destination.open()
            first = self._destination.with_files(self._states.first)
        self._states.print_first(store, self.path, is_new=is_new)
        self._session.actor = first[4].get("actor")
        self._gathering.told(first)
        self._assembler.begin(self._destination.heads(self.lock))
        self._has_begun = True
        self._write([first])
        remember(self.path)
        self._flush()
        if self.ident is None:  # the thread that ends the session writes it (`engine._start`)
            self._gathering.gather_here()
        self._gathering.let("yes")
        self._attempt(self._chores.look_after_others)
        self._flush()

    def _end_looks(self) -> None:
        """Give what still waits to be looked at a short time."""
        if data_looks := sys.modules.get("histhooks._record.data_looks"):
            data_looks.looks.end(self._session, is_signal=self._states.is_by_signal)
            self._looks_s = data_looks.looks.cost_s

    def _end(self) -> None:
        cost_s = self._states.cost_s() + self._gathering.cost_s + self._looks_s + time.thread_time()
        self._write([self._states.last(cost_s)])
        self._session.advance("written")
        if (store := self._destination.store) is not None:
            self._states.print_last(self._destination.shown(), cost_s, self._gathering.not_captured())
            with self.lock:
                store.close()

    def rescue(self, patience_s: float) -> bool:
        """If this thread hangs or gave up, save what it has not written (:meth:`Rescue.run`); called by another one."""
        return self._rescue.run(patience_s)

    def _give_up(self) -> None:
        """Nothing is written any more, and nothing kept for it but how runs end, for a last attempt."""
        self._session.advance("stop")
        if self._flight.batch is None:
            self._session.buffer.extendleft(reversed(self._flight.entries))
        self._flight.entries = []
        for run in list(self._session.live.values()):
            run.lead("keep_ends", self._keep_end)
        buffer = self._session.buffer
        waiting = [buffer.popleft() for _ in range(len(buffer))]
        buffer.extendleft(reversed([entry for entry in waiting if self._tells_of_ends(entry)]))

    def _keep_end(self, entry: tuple[Any, ...]) -> None:
        if self._tells_of_ends(entry):
            self._session.buffer.append(entry)

    def _tells_of_ends(self, entry: tuple[Any, ...]) -> bool:
        """Whether an entry is a state, or content that states refer to; points that are lost are counted."""
        self._session.dropped_points += len(points_in(entry))
        return is_state(entry) or is_content(entry, _REFERRED_TO)

    def _attempt(self, function: Callable[[], None]) -> None:
        """Call what is done beside writing, and must never stop it."""
        try:
            function()
        except Abandoned:
            raise
        except Exception as error:
            if isinstance(error, Unwritable) or not self._destination.is_whole():
                return  # the next commit goes elsewhere
            self._session.failed(f"writer.{function.__name__}", error)

    # --- batches --------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._session.end_gone()
        buffer = self._session.buffer
        again: list[tuple[Any, ...]] = []
        self.is_idle = not buffer
        # What was there when this began, and what is more than a transaction of its own holds. The rest waits for the
        # next time, at most a quarter of a second: else fits of a millisecond would each bring their own transaction.
        left = len(buffer)
        while buffer and (left > 0 or len(buffer) >= _SLICE or self._stopping.is_set()):
            entries: list[tuple[Any, ...]] = []
            self._flight.entries = entries  # from here on: a rescue must miss none
            self._pace.is_late = len(buffer) > _SLICE or self._stopping.is_set()
            self._throttle.hold(len(buffer))
            while buffer and len(entries) < _SLICE:
                entries.append(buffer.popleft())
            left -= len(entries)
            self._states.n_logs += sum(entry[0].__class__ is not str for entry in entries)
            entries = self._waiting.sift(entries, again.append)
            if entries:
                self._write(entries)
        if self._waiting:
            entries = self._waiting.ready()
            if entries:
                self._write(entries)
        buffer.extend(again)
        self.is_idle = True

    def _last_readings(self) -> None:
        """Give a device a moment to compute what was recorded last."""
        deadline = time.monotonic() + (_GRACE_S if self._states.is_by_signal else PATIENCE_AT_END_S)
        while self._waiting and time.monotonic() < deadline:
            time.sleep(0.01)
            self._flush()
        lost = self._waiting.give_up()
        if lost:
            self._session.event("points_lost", f"{lost} numbers never came from their device", severity="warning")
        self._flush()

    def _write(self, entries: list[tuple[Any, ...]]) -> None:
        self._flight.entries = entries
        try:
            with self._locks.take(self.lock):
                if self._session.phase is Phase.ABANDONED:
                    raise Abandoned
                batch = self._flight.batch = self._build(entries)
                self._destination.commit(batch)
                self._assembler.done(batch)
                self._flight.entries, self._flight.batch = [], None
        except (*REFUSALS, ValueError, TypeError, AttributeError) as error:
            self._flight.batch = None
            self._write_what_can_be(entries, error)
            return
        for function in batch.after:
            function()

    def _build(self, entries: list[tuple[Any, ...]]) -> Batch:
        while True:
            try:
                return self._assembler.build(entries)
            except MemoryError:
                if self._stopping.is_set():
                    raise
            self._destination.shed()
            self._locks.wait(_WAIT_S)

    def _write_what_can_be(self, entries: list[tuple[Any, ...]], error: Exception) -> None:
        """Write entries of which some cannot be written; those are left out and reported."""
        if len(entries) > 1:
            middle = len(entries) // 2
            self._write(entries[:middle])
            self._write(entries[middle:])
        elif len(singles := one_by_one(entries[0])) > 1:
            self._write(singles)
        elif not is_event(entries[0], "hook_error"):
            self._session.failed("writer", TypeError(f"{named(entries[0])} could not be written: {error}"))

    def _write_found(self, find: Callable[[Store], list[tuple[Any, ...]]], written: Callable[[], None]) -> None:
        """Write what is found of other sessions, in the transaction that looks for it: others may say it too."""
        store = self._destination.store
        if store is None or store.is_spool:
            return
        with self._locks.take(self.lock), contextlib.suppress(sqlite3.Error, Unwritable):  # the next one does it
            if find(store):
                try:
                    with store.transaction(is_durable=True):
                        batch = self._flight.batch = self._assembler.build(find(store))
                        store.write(batch)
                    self._assembler.done(batch)
                finally:
                    self._flight.batch = None
            written()

    def _refused(self, run: Any, text: str) -> None:
        self._session.event("refused", text, severity="warning", run_id=run.id)
