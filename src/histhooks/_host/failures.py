"""Count the cost and the failures of hooks; the recorder registers to record them.

The guard is below all other code, so it does not know the recorder. Until a recorder has registered, a failure is
silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class Failures:
    """Where the guard reports to.

    Attributes
    ----------
    overhead_s : float, seconds
        Time spent in hooks on threads of the program.
    report : callable
        Called with the place and the exception of each failure of a hook.
    open_runs : callable
        Gives the runs that are open.
    """

    __slots__ = ("open_runs", "overhead_s", "report")

    def __init__(self) -> None:
        self.overhead_s = 0.0
        self.report: Callable[[str, BaseException], None] = lambda where, error: None
        self.open_runs: Callable[[], Iterable[Any]] = list


failures = Failures()
