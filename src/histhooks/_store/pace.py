"""Share the interpreter between the writer and training: the writer works in short slices while it keeps up.

A thread that holds the interpreter's lock makes a busy training thread wait up to 5 ms for it
(sys.getswitchinterval). So the writer releases the lock every half millisecond. Getting it back takes those 5 ms,
though. If more is recorded than it can write in the remaining time, it stops resting until it has caught up.
"""

from __future__ import annotations

import time

SLICE_S = 0.0005
_REST_S = 0.00005  # a sleep of 0 lets no other thread in: the lock is taken again before a waiting thread wakes up


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
