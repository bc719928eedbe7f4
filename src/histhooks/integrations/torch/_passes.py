"""Passes over DataLoaders: which one feeds training decides what an epoch is.

``DataLoader.__iter__`` begins a pass. ``_BaseDataLoaderIter.__next__``, which is private, tells a pass that was used up
from one that was left: an exception or a ``break`` only drops the iterator. Nothing here asks for a batch.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

_MOST = 64


class Pass:
    """One pass over one loader; both are held weakly.

    Attributes
    ----------
    number : int
        In the order of this thread's passes, from 1.
    is_used_up : bool
        Whether the iterator said that there is no more.
    """

    __slots__ = ("_iterator", "_loader", "is_used_up", "number")

    def __init__(self, number: int, loader: Any, iterator: Any) -> None:
        self.number = number
        self.is_used_up = False
        self._loader = weakref.ref(loader)
        self._iterator = weakref.ref(iterator)

    def loader(self) -> Any:
        """The loader, or None where it is gone."""
        return self._loader()

    def is_of(self, iterator: Any) -> bool:
        """Whether this is the pass of an iterator."""
        return self._iterator() is iterator

    def is_open(self) -> bool:
        """Whether more batches may come."""
        return not self.is_used_up and self._iterator() is not None


class Passes:
    """The passes of one thread, the latest last."""

    def __init__(self) -> None:
        self.count = 0
        self._passes: list[Pass] = []

    def begin(self, loader: Any, iterator: Any) -> None:
        """A pass begins."""
        self.count += 1
        self._passes = [p for p in self._passes if p.loader() is not None][-_MOST:]
        self._passes.append(Pass(self.count, loader, iterator))

    def of(self, iterator: Any) -> Pass | None:
        """The pass of an iterator; that of persistent workers serves one after the other."""
        return next((p for p in reversed(self._passes) if p.is_of(iterator)), None)

    def since(self, number: int) -> list[Pass]:
        """The passes that began after one."""
        return [p for p in self._passes if p.number > number]

    def latest(self, is_meant: Callable[[Pass], bool]) -> Pass | None:
        """The latest pass for which something holds."""
        return next((p for p in reversed(self._passes) if is_meant(p)), None)
