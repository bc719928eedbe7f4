"""A fit whose rank 0 is a process that Lightning starts from this one (``ddp_spawn``, ``ddp_fork``, ``ddp_notebook``).

The run is the caller's: what the process of rank 0 says comes through a pipe and is recorded here, while the caller
waits. So a score that comes later finds the run, and an exception in any process ends it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from multiprocessing import util
from typing import Any

from histhooks.integrations._pytorch import Waiting
from histhooks.integrations.kit import Run, guarded

_LAUNCHERS = ("_MultiProcessingLauncher", "_XLALauncher")
_PAUSE_S = 0.1
_PATIENCE_S = 5.0


class Relay:
    """The way from the process of rank 0 to the caller's run.

    Parameters
    ----------
    run : Run
        Of the caller.
    start_method : str
        How the launcher starts its processes.
    """

    def __init__(self, run: Run, start_method: str) -> None:
        self.run_id, self.session_id, self.pid = run.id, run.session_id, os.getpid()
        self.main_metric = run.main_metric
        self._reading, self._writing = multiprocessing.get_context(start_method).Pipe(duplex=False)
        self._run: Run | None = run
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=guarded(self._receive), name="histhooks-relay", daemon=True)
        self._thread.start()

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in ("run_id", "session_id", "pid", "main_metric", "_writing")}

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is another process than the caller's."""
        return os.getpid() != self.pid

    def _receive(self) -> None:
        run = self._run
        while run is not None and (self._reading.poll(_PAUSE_S) or not self._is_over.is_set()):
            if not self._reading.poll():
                continue
            for entry in self._reading.recv():
                run.put((run, *entry[1:]) if entry[0] == "points" else entry)

    def close(self) -> None:
        """In the caller: take what has come, and stop listening."""
        self._is_over.set()
        self._thread.join(_PATIENCE_S)
        self._reading.close()
        self._writing.close()

    def open_here(self) -> Run:
        """In the process of rank 0: a run whose entries go to the caller."""
        run = Run(None, {"name": "relayed", "kind": "fit", "main_metric": self.main_metric})
        sender = _Sender(self._writing)
        run.relay(sender.buffer.append, self.run_id, self.session_id)
        sender.start()
        return run


class _Sender(threading.Thread):
    """Sends entries, so that training waits for nothing; what lies on a device goes once it has been computed."""

    def __init__(self, connection: Any) -> None:
        super().__init__(name="histhooks-relay", daemon=True)
        self.buffer: deque[tuple[Any, ...]] = deque()
        self._connection = connection
        self._waiting = Waiting()
        self._is_over = threading.Event()
        # A process of multiprocessing ends without atexit.
        util.Finalize(None, self._finish, exitpriority=10)

    def run(self) -> None:
        """Send now and then."""
        while not self._is_over.wait(_PAUSE_S):
            self._send()
        self._send()

    @guarded
    def _send(self) -> None:
        entries = [self.buffer.popleft() for _ in range(len(self.buffer))]
        entries = [*self._waiting.ready(), *self._waiting.sift(entries, self.buffer.append)]
        plain = [entry if isinstance(entry[0], str) else ("points", *entry[1:]) for entry in entries]
        try:
            if plain:
                self._connection.send(plain)
        except (BrokenPipeError, OSError):
            self._is_over.set()  # the caller is gone

    def _finish(self) -> None:
        self._is_over.set()
        self.join(_PATIENCE_S)


def relay_for(run: Run, trainer: Any) -> Relay | None:
    """A relay where the Trainer starts its processes from this one; else None."""
    launcher = getattr(trainer.strategy, "launcher", None)
    if type(launcher).__name__ not in _LAUNCHERS:
        return None
    return Relay(run, getattr(launcher, "_start_method", "spawn"))
