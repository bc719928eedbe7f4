"""The one thread that writes: it moves entries from the buffer into flight, and lets go of them after COMMIT."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks import _code, _gather, _settle, _supervised
from histhooks._batch import Assembler, Batch
from histhooks._device import Waiting
from histhooks._filesystem import is_network
from histhooks._ids import new_id
from histhooks._location import keep_out_of_git, store_path
from histhooks._messages import say, warn_once
from histhooks._notebook import Cells
from histhooks._pace import Pace
from histhooks._spool import folders, merge_waiting
from histhooks._store import Store, Unwritable, is_busy
from histhooks._system import Sampler
from histhooks._time import iso, now_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from histhooks._engine import Engine

_WAIT_S = 0.25
_HEARTBEAT_S = 15.0
_SLICE = 2000
_SLICE_LATE = 10_000
_TOO_MANY = 20_000  # calls of log() that wait: less than a second of writing
_HELD_BACK_S = 0.0001
_PATIENCE_S = 30.0
_PATIENCE_AT_END_S = 5.0
_ENTRY_BYTES = 400  # of memory, of a point of a few numbers that waits
_GRACE_S = 0.2  # where a signal ends the process
_LOG_S = 1e-6  # one log() of four scalars, as benchmarks/bench_log.py measures it; timing each would double it


class Writer(threading.Thread):
    """Writes one session.

    Parameters
    ----------
    engine : Engine
        What it writes for.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(name="histhooks-writer", daemon=True)
        self.engine = engine
        # Held while we use SQLite, and while we may import: a fork copies neither half done.
        self.lock = threading.Lock()
        self.importing = threading.Lock()
        self.wake = threading.Event()
        self.done = threading.Event()
        self.path = store_path(engine.settings.store)
        self.store: Store | None = None
        self._stopping = threading.Event()
        self._final: dict[str, Any] = {}
        self._pace = Pace()
        self._is_holding_back = False
        self._assembler = Assembler(engine.session_id, self._refused, self._pace.rest)
        self._in_flight: Batch | None = None
        self._beat = 0.0
        self._clock = time.perf_counter()
        self._not_captured: list[str] = []
        self._n_logs = 0
        self._entry = _code.entry_file()
        self._gathering = threading.Thread(target=self._gather, name="histhooks-gather", daemon=True)
        self._cells = Cells()
        self._waiting = Waiting()
        self._sampler = Sampler()

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
                self._attempt(self._heartbeat)
                self._attempt(self._look_around)
            self._gathering.join(_GRACE_S if self._final.get("signal") else _PATIENCE_AT_END_S)
            self._flush()
            self._last_readings()
            self._attempt(self._look_around)
            self._end()
        except Exception as error:
            self.engine.hook_errors += 1
            warn_once("writer", f"the writer stopped: {type(error).__name__}: {error}; run `histhooks doctor`")
        finally:
            self.done.set()

    # --- the session ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        is_new = not self.path.exists()
        with self.importing:
            self.store = self._open()
            _supervised.tell(self.engine.session_id, self.store.path)
            facts, personal, details = _gather.session_facts()
        if self.store.is_spool and is_network(self.path):
            say(f"recording to {self.store.path}, since {self.path} is on a network; `histhooks sync` brings it home")
        elif self.store.is_spool:
            say(f"recording to {self.store.path} until {self.path} can be written")
        else:
            say(f"recording to {self.path}")
            if is_new:
                keep_out_of_git(self.path)
        self.engine.actor = personal.get("actor")
        with self.lock:
            self._assembler.heads = self.store.heads()
        first = {**facts, "status": "running", "started_at": iso(now_us()), "details": details}
        first = {key: value for key, value in first.items() if value is not None}
        self._write([("state", "session", self.engine.session_id, first, personal)])
        self._attempt(self._look_after_others)
        self._flush()
        self._gathering.start()

    def _look_after_others(self) -> None:
        """Bring home what spools hold, and settle sessions that died."""
        assert self.store is not None
        if not self.store.is_spool:
            with self.lock:
                merge_waiting(self.store)
                dead = _settle.dead_sessions(self.store, self.engine.session_id)
            self._write(dead)

    def _gather(self) -> None:
        """Gather what the session runs on.

        In a thread of its own: beside a busy program each file that is read costs a turn of the interpreter's lock,
        5 ms, which adds up to seconds, and what was logged meanwhile must not wait for it.
        """
        try:
            with self.importing:
                entries = _gather.surroundings(self.engine.session_id, self._entry)
        except Exception as error:
            self.engine.failed("gather", error)
            return
        self._not_captured = _gather.not_captured(entries)
        self.engine.buffer.extend(entries)

    def _end(self) -> None:
        engine = self.engine
        final = {key: value for key, value in self._final.items() if value is not None}
        overhead_s = engine.overhead_s + self._n_logs * _LOG_S
        final |= {"hook_errors": engine.hook_errors, "overhead_s": round(overhead_s, 6)}
        if engine.dropped_points:
            final["dropped_points"] = engine.dropped_points
        if self._assembler.previous is not None:
            final["ledger_head"] = self._assembler.previous
        self._write([("state", "session", engine.session_id, final, None)])
        head = (self._assembler.previous or "")[:12]
        failed = f" ({engine.n_failed} failed)" if engine.n_failed else ""
        runs = f"{engine.n_runs} run{'' if engine.n_runs == 1 else 's'}{failed}"
        share = overhead_s / max(time.perf_counter() - self._clock, 1e-9)
        missing = f" · not captured: {', '.join(self._not_captured)}" if self._not_captured else ""
        if self.store is not None:
            path = _nearest(self.store.path)
            say(f"{runs} → {path} · cost {share:.1%}{missing} · head {head} · histhooks show last")
            self.store.close()

    def _attempt(self, function: Callable[[], None]) -> None:
        """What is done beside writing must never stop it."""
        try:
            function()
        except Exception as error:
            self.engine.failed(f"writer.{function.__name__}", error)

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._beat < _HEARTBEAT_S or self.store is None:
            return
        self._beat = now
        with self.lock:
            entries = _settle.revived(self.store, self.engine.session_id)
        self._write(entries)

    def _look_around(self) -> None:
        """Cells that ran and use of the machine; written from here, so that no run can be forgotten in between."""
        if not self.importing.acquire(blocking=False):
            return
        try:
            entries = self._cells.entries(self.engine.session_id)
            sample = self._sampler.sample()
        finally:
            self.importing.release()
        if sample:
            now = time.time_ns()
            entries += [
                (run, sample, None, None, now) for run in list(self.engine.live.values()) if run.parent_id is None
            ]
        if entries:
            self._write(entries)

    # --- batches --------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        buffer = self.engine.buffer
        again: list[tuple[Any, ...]] = []
        while buffer:
            entries: list[tuple[Any, ...]] = []
            self._pace.is_late = is_late = len(buffer) > _SLICE or self._stopping.is_set()
            self._hold_back(len(buffer))
            while buffer and len(entries) < (_SLICE_LATE if is_late else _SLICE):
                entries.append(buffer.popleft())
            self._n_logs += sum(entry[0].__class__ is not str for entry in entries)
            entries = self._waiting.sift(entries, again.append)
            if entries:
                self._write(entries)
        if self._waiting:
            entries = self._waiting.ready()
            if entries:
                self._write(entries)
        buffer.extend(again)

    def _hold_back(self, waiting: int) -> None:
        """Slow down who logs much faster than can be written: nothing is lost, and memory stays as it is."""
        if waiting > _TOO_MANY or (self._is_holding_back and waiting > _SLICE_LATE):
            self._is_holding_back = True
            for run in list(self.engine.live.values()):
                run.put_by(self._slowly)
        elif self._is_holding_back:
            self._is_holding_back = False
            for run in list(self.engine.live.values()):
                run.put_by(self.engine.buffer.append)

    def _slowly(self, entry: tuple[Any, ...]) -> None:
        self.engine.buffer.append(entry)
        time.sleep(_HELD_BACK_S)

    def _last_readings(self) -> None:
        """Give a device a moment to compute what was recorded last."""
        deadline = time.monotonic() + (_GRACE_S if self._final.get("signal") else _PATIENCE_AT_END_S)
        while self._waiting and time.monotonic() < deadline:
            time.sleep(0.01)
            self._flush()
        lost = self._waiting.give_up()
        if lost:
            self.engine.event("points_lost", f"{lost} numbers never came from their device", severity="warning")
        self._flush()

    def _write(self, entries: list[tuple[Any, ...]]) -> None:
        with self.lock:
            batch = self._in_flight = self._assembler.build(entries)
            self._commit(batch)
            self._in_flight = None
        for function in batch.after:
            function()

    def _commit(self, batch: Batch) -> None:
        patience = _PATIENCE_AT_END_S if self._stopping.is_set() else _PATIENCE_S
        deadline = time.monotonic() + patience
        while True:
            try:
                assert self.store is not None
                if not self.store.is_there():
                    self._elsewhere("it was deleted, moved or replaced", batch)
                self.store.pace = self._pace
                self.store.apply(batch, self.engine.session_id)
                return
            except sqlite3.Error as error:
                if is_busy(error) and time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                self._elsewhere(str(error), batch)

    def _elsewhere(self, reason: str, batch: Batch) -> None:
        """Go on in a spool; where there is no room for one either, hold what comes until there is."""
        until = time.monotonic() + _PATIENCE_AT_END_S
        self._hold_back(0)
        while True:
            try:
                self._to_spool(reason, batch)
                return
            except Unwritable as error:
                if self._stopping.is_set() and time.monotonic() > until:
                    raise
                warn_once("no room", f"{error}; what is recorded is held in memory until there is room")
            self._shed()
            time.sleep(0.2)
            if self.store is not None and self.store.is_there():
                return  # try once more where it was

    def _shed(self) -> None:
        """Drop the oldest points, and nothing else, where memory would run over."""
        buffer = self.engine.buffer
        if len(buffer) <= _most_entries():
            return
        kept = []
        for _ in range(len(buffer) - _most_entries() // 2):
            entry = buffer.popleft()
            if entry[0].__class__ is str:
                kept.append(entry)
            else:
                self.engine.dropped_points += len(entry[1])
        buffer.extendleft(reversed(kept))

    def _refused(self, run: Any, text: str) -> None:
        self.engine.event("refused", text, severity="warning", run_id=run.id)

    # --- the spool ------------------------------------------------------------------------------------------------

    def _open(self) -> Store:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                store = Store(self.path)
                if store.has_log:
                    return store
                store.close()  # readers find it, and the spools beside it
                return self._spool("")
            except Unwritable as error:
                return self._spool(str(error))
            except sqlite3.OperationalError as error:
                if time.monotonic() > deadline or self._stopping.is_set():
                    return self._spool(str(error))
                time.sleep(0.05)

    def _spool(self, reason: str, lost: Store | None = None) -> Store:
        """Open the spool of this session; where the file of the store is gone, begin with what it held."""
        if reason:
            warn_once(f"spool/{self.path}", f"{reason}; this session records in a spool")
        failure: Exception | None = None
        for folder in folders(self.path):
            if not self.path.parent.is_dir() and folder.parent == self.path.parent:
                continue  # who deleted a folder does not want it back
            path = folder / f"{self.engine.session_id}.db"
            try:
                if lost is not None and not lost.is_there() and not path.exists():
                    lost.save_into(path)
                store = Store(path, is_spool=True)
                store.connection.execute(
                    "INSERT OR IGNORE INTO exports (id, kind, holds, time) VALUES (?, 'spool', '[]', ?)",
                    (new_id(), now_us()),
                )
                return store
            except (Unwritable, sqlite3.OperationalError) as error:
                failure = error
        raise Unwritable(f"no spool can be written either ({failure})")

    def _to_spool(self, reason: str, batch: Batch) -> None:
        assert self.store is not None
        if self.store.is_spool and self.store.is_there():
            raise Unwritable(f"the spool {self.store.path} cannot be written ({reason})")
        before, self.store = self.store, self._spool(f"{self.path} cannot be written ({reason})", self.store)
        before.close()
        _supervised.tell(self.engine.session_id, self.store.path)
        for subject_id, (subject, facts) in self._assembler.subjects.items():
            self.store.fold(subject, subject_id, facts)


def _most_entries() -> int:
    try:
        megabytes = float(os.environ.get("HISTHOOKS_BUFFER_MB", "256"))
    except ValueError:
        megabytes = 256.0
    return int(megabytes * 1e6 / _ENTRY_BYTES)


def _nearest(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
