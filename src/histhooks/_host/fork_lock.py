"""A lock that a forked child gets anew: a thread that held it at the fork is not there to release it.

Who held the old one, as the thread that forked, goes on with the old one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_all: list[ForkLock] = []


class ForkLock:
    """A lock of a module, for as long as the process lives.

    Parameters
    ----------
    make : callable
        Makes one: ``threading.RLock`` where a signal may come while the main thread holds it.
    """

    def __init__(self, make: Callable[[], Any] = threading.Lock) -> None:
        self._make = make
        self.now = make()
        _all.append(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it."""
        with self.now:
            yield

    def renew(self) -> None:
        """Put another one in its place."""
        self.now = self._make()


def _in_child() -> None:
    for lock in _all:
        lock.renew()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_in_child)
