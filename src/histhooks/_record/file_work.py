"""A thread for long work on files: one for the process, which ends when nothing waits.

It is no daemon: the interpreter waits for it before anything ends, so that what the program asked for is done. It takes
no lock, since a fork would copy it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from histhooks._host.guard import guarded

Job = Callable[[], None]


class FileWork:
    """Jobs that are done one after another, beside the program."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Have a job done; at once, where no thread can be started."""
        if self._pid != os.getpid():  # a forked child has the jobs of its parent, and not the thread
            self._jobs, self._thread, self._pid = deque(), None, os.getpid()
        self._jobs.append(job)
        self._start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is left to do; False if that took longer."""
        deadline = time.monotonic() + timeout_s
        while (thread := self._thread) is not None and self._pid == os.getpid():
            if thread.ident is None:  # it is being started
                time.sleep(0.001)
            else:
                thread.join(max(0.0, min(0.1, deadline - time.monotonic())))
            if self._thread is thread and time.monotonic() >= deadline:
                return False
        return True

    def _start(self) -> None:
        if self._thread is not None:
            return
        self._thread = thread = threading.Thread(target=self._work, name="histhooks-hash", daemon=False)
        try:
            thread.start()
        except RuntimeError:  # none is left, or the interpreter ends
            self._work()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                self._thread = None
                if not self._jobs or self._thread is not None:
                    return
                self._thread = threading.current_thread()  # one came meanwhile, and saw this thread
                continue
            try:
                guarded(job)()
            except BaseException:  # HISTHOOKS_STRICT=1: what waits is done all the same
                self._thread = None
                if self._jobs:
                    self._start()
                raise


work = FileWork()
