"""What becomes of the files that a program reads and writes: rows with hashes, within bounds.

A file that is read is kept with its size and its modification time, and hashed beside the program from the first run on
(:mod:`histhooks._collect.hash_queue`). One above 64 MiB has a row without the hash at once, and one with it later, so
that a process that is killed leaves what it read. What a run writes is hashed when the run ends.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.secrets import mask_text
from histhooks._collect.hash_queue import HashQueue, Job
from histhooks._host.guard import guarded
from histhooks._record import engine as _engine
from histhooks._record import session as _session
from histhooks._record.artifacts import artifact_entries, is_recorded
from histhooks._store.entries import capture_entry, row_entry

if TYPE_CHECKING:
    from histhooks._collect.hash_queue import Stamp
    from histhooks._record.run import Run

_MOST, MOST_OF_ONE, _MOST_WRITES, _MOST_NOTES = 300, 100, 100, 20
_LARGE = 64 << 20  # bytes above which a row without the hash comes first
_PATIENCE_S = 0.5

Put = Callable[[Any], None]


def stamp_at(path: str) -> Stamp | None:
    """What a file is known again by; None if it is none, such as a pipe or a folder, or is not there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ino) if stat.S_ISREG(found.st_mode) else None


class FileRecords:
    """The files of one session.

    Attributes
    ----------
    queue : HashQueue or None
        What hashes them, from the first run on.
    n_reads : int
        Files that are kept.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as in a forked child or after a session."""
        self.queue: HashQueue | None = None
        self.n_reads = 0
        self._known: dict[tuple[str, str | None], Stamp | None] = {}
        self._by_function: Counter[str] = Counter()
        self._cut: set[str] = set()
        self._n_unhashed = self._n_notes = 0
        self._waiting: list[tuple[dict[str, Any], Stamp | None, Put | None]] = []
        self._written: dict[tuple[str, str], tuple[Put, int]] = {}

    # --- reads ----------------------------------------------------------------------------------------------------

    def read(self, place: str, stamp: Stamp | None, function: str, location: str | None, run: Run | None) -> None:
        """Keep that a file was read: once in a run, or in the session, as long as it does not change."""
        key = (place, None if run is None else run.id)
        if key in self._known and self._known[key] == stamp:
            return
        if self.n_reads >= _MOST or self._by_function[function] >= MOST_OF_ONE:
            few = f"{_MOST} files that were read"
            few = few if self.n_reads >= _MOST else f"{MOST_OF_ONE} files read by {function}"
            self._cut.add(f"{few} were kept, and no more")
            return
        self._known[key] = stamp
        self.n_reads += 1
        self._by_function[function] += 1
        row = {"run_id": key[1], "path": place, "function": function, "location": location, "time": now_us()}
        put = None if run is None else run.put  # the hash may come after the end of the run
        if self.queue is None:
            self._waiting.append((row, stamp, put))
        else:
            self._record(self.queue, row, stamp, put)

    def _record(self, queue: HashQueue, row: dict[str, Any], stamp: Stamp | None, put: Put | None) -> None:
        is_first = stamp is None or stamp[0] > _LARGE

        def hashed(sha256: str | None, why: str | None) -> None:
            if sha256 is None:
                self._unhashed(row["path"], why)
            if sha256 is not None or not is_first:
                _put_read(row, stamp, put, sha256)

        if is_first:
            _put_read(row, stamp, put, None)
        if stamp is not None:
            queue.add(Job(row["path"], stamp, hashed))

    def _unhashed(self, path: str, why: str | None) -> None:
        self._n_unhashed += 1
        if self._n_notes < _MOST_NOTES:
            self._n_notes += 1
            self._note("skipped", mask_text(f"{path} has no hash: {why}")[:500])

    # --- writes ---------------------------------------------------------------------------------------------------

    def wrote(self, place: str, run: Run) -> None:
        """Keep that a run writes a file, which becomes an artifact of it when the run ends."""
        key = (place, str(run.id))
        if key in self._written or len(self._written) < _MOST_WRITES:
            self._written.setdefault(key, (run.put, now_us()))
        else:
            self._cut.add(f"{_MOST_WRITES} files that runs wrote were kept, and no more")

    def hash_written(self, run_id: str | None) -> None:
        """Hash what a run wrote; with None, what all of them did."""
        queue = self.queue
        for key in [key for key in list(self._written) if run_id in (None, key[1])]:  # others may write meanwhile
            kept = self._written.pop(key, None)
            if kept is None:
                continue
            put, began = kept
            stamp = stamp_at(key[0])
            if queue is not None and stamp is not None and not is_recorded(key[0], began):
                self._artifact(queue, key, stamp, put, began)

    def _artifact(self, queue: HashQueue, key: tuple[str, str], stamp: Stamp, put: Put, began: int) -> None:
        def hashed(sha256: str | None, why: str | None) -> None:
            if sha256 is None:
                self._unhashed(key[0], why)
                return
            for entry in artifact_entries(key[1], (sha256, stamp[0]), key[0], "file", "out", None, began):
                put(entry)

        queue.add(Job(key[0], stamp, hashed))

    # --- life -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Hash from now on, also what was read before."""
        if self.queue is not None:
            return
        self.queue = queue = HashQueue()
        while self._waiting:
            self._record(queue, *self._waiting.pop(0))

    def end(self) -> None:
        """Give what is being hashed a moment, and say what is missing."""
        if self.queue is None:
            return
        self.hash_written(None)
        self.queue.end(_PATIENCE_S)
        if self._n_unhashed:
            self._cut.add(f"{self._n_unhashed} of {self.n_reads} files have no hash")
        self._note("truncated" if self._cut else "ok", "; ".join(sorted(self._cut)) or None)
        self.reset()

    def _note(self, status: str, note: str | None) -> None:
        session = _engine.engine.session
        session.buffer.append(capture_entry(session.id, None, "file_reads", status, note))


def _put_read(row: dict[str, Any], stamp: Stamp | None, put: Put | None, sha256: str | None) -> None:
    session = _engine.engine.session
    size, changed = (None, None) if stamp is None else (stamp[0], stamp[1] // 1000)
    facts = {"session_id": session.id, **row, "sha256": sha256, "size_bytes": size, "mtime": changed}
    (put or session.buffer.append)(row_entry("file_reads", row["run_id"] or session.id, facts))


records = FileRecords()


@guarded
def at_run_end(run: Any) -> None:
    """Hash the files that a run wrote, which are whole by now."""
    records.hash_written(str(run.id))


def between() -> None:
    """Have hashed what came since: no thread is started amid a call of the program."""
    if records.queue is not None:
        records.queue.start()


@guarded
def at_session_end() -> None:
    """Come to an end in time."""
    records.end()


_engine.engine.at_run_end.append(at_run_end)
_session.between.append(between)
_engine.engine.at_session_end.append(at_session_end)
