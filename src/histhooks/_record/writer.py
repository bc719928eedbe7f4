"""The one thread that writes: it moves entries from the buffer into flight, and lets go of them after COMMIT."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso, now_us
from histhooks._collect import survey
from histhooks._collect.machine_use import Sampler
from histhooks._host.failures import failures
from histhooks._host.messages import be_still, say, warn_once
from histhooks._host.mounts import is_network
from histhooks._host.store_location import keep_out_of_git
from histhooks._record import children
from histhooks._record.cells import Cells
from histhooks._record.destination import PATIENCE_AT_END_S, REFUSALS, Abandoned, Place
from histhooks._record.device_readings import Waiting
from histhooks._record.gathering import Gathering
from histhooks._record.rescue import Rescue
from histhooks._record.session import Phase
from histhooks._record.throttle import Brake, Turn
from histhooks._store import settle
from histhooks._store.assembler import Assembler, Batch
from histhooks._store.connection import Unwritable
from histhooks._store.entries import is_content, is_event, is_later, is_state, named, one_by_one, points_in, state_entry
from histhooks._store.known_stores import remember
from histhooks._store.pace import Pace
from histhooks._store.spools import merge_waiting
from histhooks._store.tables import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from histhooks._record.session import Session
    from histhooks._store.store import Store

_WAIT_S = 0.25
_HEARTBEAT_S = 15.0
_SLICE = 2000
_SOON_S = 0.5
_REFERRED_TO = {*REFERENCES.values(), "packages", "contents"}  # the latter two by the former
_PART = 10_000  # entries of a transaction in a spool that takes what is left
_GRACE_S = 0.2  # where a signal ends the process
_LONG_S = 300.0  # from when on the closing line has the cost as a share too
_LOG_S = 1e-6  # one log() of four scalars, as `python -m benchmarks log` measures it; timing each would double it


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
        self.is_idle = False
        self._stopping = threading.Event()
        self._final: dict[str, Any] = {}
        self._pace = Pace()
        self._brake = Brake(session)
        self._turn = Turn()
        self._assembler = Assembler(session.id, self._refused, self._pace.rest)
        self._place = Place(
            session, path, self._stopping, self._assembler.subjects, self._pace, self._brake, self._turn.wait
        )
        self.place, self.path = self._place, self._place.path
        self._held: list[tuple[Any, ...]] = []
        self._in_flight: Batch | None = None
        self._rescue = Rescue(session, self._place, self.done)
        self._gathering = Gathering(session, self.importing, self._attempt)
        self._beat = 0.0
        self.began = now_us()
        self._clock = time.perf_counter()
        self._tell: Callable[[str], None] = say
        self._n_logs = 0
        self._cells = Cells()
        self._waiting = Waiting()
        self._sampler = Sampler()

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
        self._final = {"status": status, "ended_at": iso(now_us()), "signal": signal, "exit_code": exit_code}
        self._stopping.set()
        self.wake.set()

    def run(self) -> None:
        """Write until the session ends."""
        try:
            self._begin()
            while not self._stopping.is_set():
                self.wake.wait(_WAIT_S)
                self.wake.clear()
                self._flush()
                with self._turn.take(self.lock):
                    self._attempt(self._place.go_on)
                self._attempt(self._heartbeat)
                self._attempt(self._look_around)
                self._attempt(self._look_after_children)
            self._flush()  # before anything that takes time, which a signal does not leave
            self._gathering.end(is_signal=bool(self._final.get("signal")))
            self._flush()
            self._last_readings()
            self._attempt(self._look_around)
            self._attempt(self._look_after_children)
            self._end()
        except Abandoned:
            pass
        except Exception as error:
            self._session.hook_errors += 1
            self._give_up()
            warn_once("writer", f"the writer stopped: {type(error).__name__}: {error}; run `histhooks doctor`")
        finally:
            self._gathering.let("no")
            self._cells.close()
            self.done.set()

    # --- the session ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        is_new = not os.path.exists(self.path)
        with self._turn.take(self.importing):
            store = self._place.open()
            first = self._place.with_files(self._first_state)
        self._tell = say if self._session.speaks else be_still
        if store.is_spool and is_network(self.path):
            self._tell(f"recording to {store.path}, since {self.path} is on a network; `histhooks sync` brings it home")
        elif store.is_spool:
            self._tell(f"recording to {store.path} until {self.path} can be written")
        else:
            self._tell(f"recording to {self.path}")
            if is_new:
                keep_out_of_git(self.path)
        self._session.actor = first[4].get("actor")
        self._gathering.told(first)
        self._assembler.heads = self._place.heads(self.lock)
        self._write([first])
        remember(self.path)
        self._flush()
        if self.ident is None:  # the thread that ends the session writes it (`engine._start`)
            self._gathering.gather_here()
        self._gathering.let("yes")
        self._attempt(self._look_after_others)
        self._flush()

    def _first_state(self) -> tuple[Any, ...]:
        facts, personal, details = survey.session_facts(
            self._session.rank, self._session.world, is_test=self._session.is_test
        )
        facts = {**facts, "status": "running", "started_at": iso(self.began), "details": details}
        facts = {key: value for key, value in facts.items() if value is not None}
        return state_entry("session", self._session.id, facts, personal)

    def _look_after_others(self) -> None:
        """Bring home what spools hold, and settle sessions that died."""
        store = self._place.store
        if store is not None and not store.is_spool:
            with self.lock:
                began = time.monotonic()
                merge_waiting(store, lambda: time.monotonic() - began > self._time_to_spare())
            self._write_of_others(partial(settle.dead_sessions, own_session_id=self._session.id))

    def _look_after_children(self) -> None:
        """Write how children ended that this process has waited for."""
        if children.has_seen():
            self._write_of_others(children.entries, children.written)

    def _write_of_others(
        self, find: Callable[[Store], list[tuple[Any, ...]]], written: Callable[[], None] = lambda: None
    ) -> None:
        """Write what is to be said of other sessions, in the transaction that looks for it: others may say it too."""
        store = self._place.store
        if store is None or store.is_spool:
            return
        with self._turn.take(self.lock), contextlib.suppress(sqlite3.Error, Unwritable):  # the next one does it
            if find(store):
                is_written = False
                try:
                    with store.transaction(is_durable=True):
                        self._in_flight = self._assembler.build(find(store))
                        store.write(self._in_flight)
                    is_written = True
                finally:
                    (self._assembler.done if is_written else self._assembler.undo)()
                    self._in_flight = None
            written()

    def _time_to_spare(self) -> float:
        """Seconds for bringing spools home: one of a million points takes one, and what is logged waits for it."""
        if self._final.get("signal"):
            return 0.0
        return PATIENCE_AT_END_S if self._stopping.is_set() else _SOON_S if self._session.buffer else 3600.0

    def _end(self) -> None:
        session = self._session
        cost_s = failures.overhead_s + self._n_logs * _LOG_S + self._gathering.cost_s + time.thread_time()
        self._write([self._last_state(cost_s)])
        session.advance("written")
        unfinished = ", ".join(f"{count} {status}" for status, count in sorted(session.n_unfinished.items()))
        runs = f"{session.n_runs} run{'' if session.n_runs == 1 else 's'}" + (f" ({unfinished})" if unfinished else "")
        took_s = time.perf_counter() - self._clock  # a share says something only beside the fixed price of the start
        cost = f"{cost_s:.2f} s" + (f" ({cost_s / took_s * 100:.1f} %)" if took_s >= _LONG_S else "")
        missing = f" · not captured: {', '.join(names)}" if (names := self._gathering.not_captured()) else ""
        if (store := self._place.store) is not None:
            where, head = self._place.shown(), self._assembler.head()
            self._tell(f"{runs} → {where} · cost {cost}{missing} · head {head} · histhooks show last")
            with self.lock:
                store.close()

    def _last_state(self, cost_s: float) -> tuple[Any, ...]:
        final = {key: value for key, value in self._final.items() if value is not None}
        final |= {"hook_errors": self._session.hook_errors, "overhead_s": round(cost_s, 6)}
        if self._session.dropped_points:
            final["dropped_points"] = self._session.dropped_points
        if self._assembler.previous is not None:
            final["ledger_head"] = self._assembler.previous
        return state_entry("session", self._session.id, final)

    def rescue(self, patience_s: float) -> bool:
        """At the end, from another thread: where this one hangs or gave up, put what it has not written into a spool.

        Parameters
        ----------
        patience_s : float, seconds
            How long that may take.

        Returns
        -------
        bool
            Whether it came to an end in that time.
        """
        if self._session.phase is Phase.FAILED and self._assembler.previous is None:
            return True  # there is no session to end
        return self._rescue.run(self._leave_in, patience_s)

    def _leave_in(self, spool: Store) -> None:
        """Write what is not written yet; in parts, so that one that comes too late costs no other."""
        batch, entries, buffer = self._in_flight, list(self._held), self._session.buffer
        if batch is not None:
            spool.apply(batch, self._session.id)
            entries = []
        is_told = any(is_state(entry, "session") and "started_at" in entry[3] for entry in (*entries, *buffer))
        if self._session.id not in self._assembler.subjects and not is_told:
            entries.insert(0, self._first_state())
        while True:
            while buffer and len(entries) < _PART:
                entries.append(buffer.popleft())
            if not entries:
                break
            self._leave([entry for entry in entries if not is_later(entry)], spool)
            entries = []
        self._leave([self._last_state(failures.overhead_s + self._n_logs * _LOG_S)], spool)

    def _leave(self, entries: list[tuple[Any, ...]], spool: Store) -> None:
        """Write entries; those at which the writer may have stopped are left out."""
        try:
            batch = self._assembler.build(entries)
            spool.apply(batch, self._session.id)
        except (sqlite3.OperationalError, Unwritable):
            raise
        except Exception:
            self._assembler.undo()
            if len(entries) > 1:
                middle = len(entries) // 2
                self._leave(entries[:middle], spool)
                self._leave(entries[middle:], spool)
            else:
                self._session.dropped_points += len(points_in(entries[0]))
            return
        self._assembler.done()

    def _give_up(self) -> None:
        """Nothing is written any more, and nothing kept for it but how runs end, for a last attempt."""
        self._session.advance("stop")
        if self._in_flight is None:
            self._assembler.undo()
            self._session.buffer.extendleft(reversed(self._held))
        self._held = []
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
        """What is done beside writing must never stop it."""
        try:
            function()
        except Abandoned:
            raise
        except Exception as error:
            if isinstance(error, Unwritable) or not self._place.is_whole():
                return  # the next commit goes elsewhere
            self._session.failed(f"writer.{function.__name__}", error)

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._beat < _HEARTBEAT_S or self._place.store is None:
            return
        self._beat = now
        with self.lock:
            entries = settle.revived(self._place.store, self._session.id)
        self._write(entries)

    def _look_around(self) -> None:
        """Cells that ran and use of the machine; written from here, so that no run can be forgotten in between."""
        if not self.importing.acquire(blocking=False):
            return
        has_more = self._gathering.has_more and not self._stopping.is_set()
        try:
            entries = self._cells.entries(self._session.id)
            sample = self._sampler.sample()
        finally:
            self.importing.release()
        if has_more:
            self._gathering.more()
        if sample:
            now = time.time_ns()
            entries += [
                (run, sample, None, None, now) for run in list(self._session.live.values()) if run.parent_id is None
            ]
        if entries:
            self._write(entries)

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
            self._held = entries  # from here on: who is rescued must miss none
            self._pace.is_late = len(buffer) > _SLICE or self._stopping.is_set()
            self._brake.hold(len(buffer))
            while buffer and len(entries) < _SLICE:
                entries.append(buffer.popleft())
            left -= len(entries)
            self._n_logs += sum(entry[0].__class__ is not str for entry in entries)
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
        deadline = time.monotonic() + (_GRACE_S if self._final.get("signal") else PATIENCE_AT_END_S)
        while self._waiting and time.monotonic() < deadline:
            time.sleep(0.01)
            self._flush()
        lost = self._waiting.give_up()
        if lost:
            self._session.event("points_lost", f"{lost} numbers never came from their device", severity="warning")
        self._flush()

    def _write(self, entries: list[tuple[Any, ...]]) -> None:
        self._held = entries
        try:
            with self._turn.take(self.lock):
                if self._session.phase is Phase.ABANDONED:
                    raise Abandoned
                batch = self._in_flight = self._build(entries)
                self._place.commit(batch)
                self._assembler.done()
                self._held, self._in_flight = [], None
        except (*REFUSALS, ValueError, TypeError, AttributeError) as error:
            self._in_flight = None
            self._assembler.undo()
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
            self._assembler.undo()
            self._place.shed()
            self._turn.wait(_WAIT_S)

    def _write_what_can_be(self, entries: list[tuple[Any, ...]], error: Exception) -> None:
        """Write entries of which some cannot be written; those are left out, and told."""
        if len(entries) > 1:
            middle = len(entries) // 2
            self._write(entries[:middle])
            self._write(entries[middle:])
        elif len(singles := one_by_one(entries[0])) > 1:
            self._write(singles)
        elif not is_event(entries[0], "hook_error"):
            self._session.failed("writer", TypeError(f"{named(entries[0])} could not be written: {error}"))

    def _refused(self, run: Any, text: str) -> None:
        self._session.event("refused", text, severity="warning", run_id=run.id)
