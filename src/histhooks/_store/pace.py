"""How the writer shares the interpreter with training: it works in short slices, as long as it keeps up.

A thread that holds the interpreter's lock makes a busy training thread wait up to 5 ms for it
(sys.getswitchinterval). So the writer lets go by itself every half millisecond. Getting the lock back takes those
5 ms, though; where more is recorded than that leaves time for, it stops resting until it has caught up.
"""

from __future__ import annotations

import time

SLICE_S = 0.0005
_REST_S = 0.00005  # a sleep of 0 lets nobody else in: the lock is taken again before who waits has woken up


class Pace:
    """Counts the time since the last rest.

    Attributes
    ----------
    is_late : bool
        Whether there is no time to rest.
    """

    def __init__(self) -> None:
        self.is_late = False
        self._until = 0.0

    def rest(self) -> None:
        """Let other threads go on where a slice has passed; called wherever work can be interrupted."""
        if self.is_late:
            return
        if time.perf_counter() > self._until:
            time.sleep(_REST_S)
            self._until = time.perf_counter() + SLICE_S
