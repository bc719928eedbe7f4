"""Hash files in a thread beside the program, small ones first, and stop in time.

The thread imports nothing, takes no lock that a fork would copy, and ends when nothing waits. It opens files without
waiting, so that what has become a pipe since holds nobody up, and compares size, modification time and place with what
they were when the program opened the file: of content that changed meanwhile there is no hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable

SMALL = 8 << 20  # bytes; about 10 ms
LARGEST = 4 << 30  # bytes; about 4 s
MOST_BYTES = 16 << 30  # of one process
_CHUNK = 1 << 20  # each read costs a turn of the interpreter's lock, beside a busy program 5 ms
_LATE = "the session ended first"

Stamp = tuple[int, int, int]  # size, modification time in ns, place


def stamp_of(found: os.stat_result) -> Stamp:
    """What a file is known again by."""
    return found.st_size, found.st_mtime_ns, found.st_ino


class Job:
    """A file to hash.

    Parameters
    ----------
    path : str
    stamp : tuple of int
        What it must be like for the hash to be that of what was opened.
    done : callable
        Takes the SHA-256 or None, and why there is none; called once.
    """

    __slots__ = ("_done", "_is_open", "path", "stamp")

    def __init__(self, path: str, stamp: Stamp, done: Callable[[str | None, str | None], None]) -> None:
        self.path, self.stamp = path, stamp
        self._done = done
        self._is_open = [None]

    def finish(self, sha256: str | None, why: str | None = None) -> None:
        """Give what came out; of two threads that come to it the first one counts."""
        try:
            self._is_open.pop()
        except IndexError:
            return
        self._done(sha256, why)


class HashQueue:
    """Files that wait to be hashed."""

    def __init__(self) -> None:
        self._small: deque[Job] = deque()
        self._large: deque[Job] = deque()
        self._current: Job | None = None
        self._until: float | None = None
        self._n_bytes = 0
        self._thread: threading.Thread | None = None

    @property
    def thread_id(self) -> int | None:
        """Of the thread that hashes, while there is one."""
        thread = self._thread
        return None if thread is None else thread.ident

    def add(self, job: Job) -> None:
        """Put a file into the queue; no lock is taken and no thread started, since this may come amid anything."""
        if job.stamp[0] > LARGEST or self._n_bytes + job.stamp[0] > MOST_BYTES:
            limit = f"{LARGEST >> 30} GB of a file and {MOST_BYTES >> 30} in all"
            job.finish(None, f"{job.stamp[0] >> 20} MB is more than is hashed, {limit}")
            return
        self._n_bytes += job.stamp[0]
        (self._small if job.stamp[0] <= SMALL else self._large).append(job)

    def start(self) -> None:
        """Hash what waits, in a thread that ends when nothing does; where none can be started, :meth:`end` does it."""
        if self._thread is not None or self._until is not None or not (self._small or self._large):
            return
        thread = threading.Thread(target=self._work, name="histhooks-files", daemon=True)
        try:
            self._thread = thread
            thread.start()
        except RuntimeError:
            self._thread = None

    def end(self, patience_s: float) -> None:
        """Come to an end: what is not hashed in the time that is left has no hash."""
        self._until = time.monotonic() + patience_s
        thread = self._thread
        if thread is not None:
            with contextlib.suppress(RuntimeError):  # another thread has made it and not started it yet
                thread.join(patience_s + 0.1)
        if thread is None or not thread.is_alive():
            self._work()
        for job in [self._current, *self._small, *self._large]:  # of a thread that hangs in a read
            if job is not None:
                job.finish(None, _LATE)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._current = job
            job.finish(*self._hash(job))
            self._current = None
        self._thread = None

    def _next(self) -> Job | None:
        for jobs in (self._small, self._large):
            try:
                return jobs.popleft()
            except IndexError:
                continue
        return None

    def _hash(self, job: Job) -> tuple[str | None, str | None]:
        if self._until is not None and time.monotonic() > self._until:
            return None, _LATE
        try:
            descriptor = os.open(job.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        except OSError as error:
            return None, f"it cannot be opened again ({error.strerror})"
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or stamp_of(found) != job.stamp:
                return None, "it was written again before its content was hashed"
            digest = self._read(descriptor, job)
            if digest is None:
                return None, _LATE
            same = stamp_of(os.fstat(descriptor)) == job.stamp
            return (digest, None) if same else (None, "it was written while its content was hashed")
        except OSError as error:
            return None, f"it cannot be read ({error.strerror})"
        finally:
            os.close(descriptor)

    def _read(self, descriptor: int, job: Job) -> str | None:
        digest = hashlib.sha256()
        while data := os.read(descriptor, _CHUNK):
            digest.update(data)
            if self._until is not None and time.monotonic() > self._until:
                return None
            while job.stamp[0] > SMALL and self._small:  # what is small never waits for what is large
                small = self._small.popleft()
                small.finish(*self._hash(small))
        return digest.hexdigest()
