"""Passes over DataLoaders: which one feeds training decides what an epoch is.

``DataLoader.__iter__`` begins a pass. ``_BaseDataLoaderIter.__next__``, which is private, shows a pass that was used up
from one that was left: an exception or a ``break`` only drops the iterator. Nothing here asks for a batch.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from histhooks.integrations._pytorch import Passing, hash_batch, loaded_size, loader_settings, log_loaded, passing_of
from histhooks.integrations.kit import Run

_MOST = 64
_RECENT = 8  # passes that are known although loader and iterator are gone


class Pass:
    """One pass over one loader; the loader, its data and the iterator are held weakly.

    A loader that is made where it is used (``for x in DataLoader(data, 8):``) is gone once its iterator is there, so
    its settings are read when the pass begins.

    Attributes
    ----------
    number : int
        In the order of this thread's passes, from 1.
    is_used_up : bool
        Whether the iterator said that there is no more.
    n_batches : int
        How many were fetched while it fed no training that is known.
    has_gradients, has_backward : bool
        Whether any of them was fetched where gradients are recorded, or after a backward or a step since it began.
    hashing : Passing or None
        What takes the next batch; None after the first ones.
    """

    __slots__ = (
        "_cls", "_data", "_data_id", "_iterator", "_loader", "_passing", "_settings", "after", "had_backward",
        "has_backward", "has_gradients", "hashing", "is_used_up", "judged", "n_batches", "number", "steps", "told",
    )  # fmt: skip

    def __init__(self, number: int, loader: Any, iterator: Any) -> None:
        self.number = number
        self.is_used_up = self.has_gradients = self.has_backward = self.had_backward = False
        self.n_batches = 0
        self.after: Any = None
        self.steps: Any = None
        self.judged: dict[str, bool] = {}
        self.hashing: Passing | None = None
        self._passing: Passing | None = None
        self.told: str | None = None  # the run that knows its data
        self._loader = weakref.ref(loader)
        self._iterator = weakref.ref(iterator)
        self._cls, self._settings = type(loader), loader_settings(loader)
        data = getattr(loader, "dataset", None)
        self._data_id = id(data)
        try:
            self._data: Callable[[], Any] = weakref.ref(data)
        except TypeError:  # a list, for one
            sized = loaded_size(data)
            self._data = lambda: sized

    def began(self, had_backward: bool, loop: Any, judged: dict[str, bool]) -> None:
        """Its first batch is fetched.

        Parameters
        ----------
        had_backward : bool
            Whether a backward came since the last step.
        loop : Loop or None
            The loop that stepped last.
        judged : dict
            By the run of each loop, whether its models are in the mode of evaluation.
        """
        self.had_backward, self.judged = had_backward, judged
        self.after = None if loop is None else str(loop.run.id)
        self.steps = None if loop is None else (loop.run.id, loop.steps)

    def hash_batches(self) -> None:
        """Have its first batches hashed where its data is not read whole."""
        self._passing = self.hashing = passing_of(self._settings, self._dataset())

    def passed(self, batch: Any) -> None:
        """Hash a batch that is on its way to the program."""
        if self.hashing is not None and not hash_batch(self.hashing, batch):
            self.hashing = None

    def used_up(self) -> None:
        """There are no more batches."""
        self.is_used_up = True
        if self.hashing is not None:
            self.hashing.end()
            self.hashing = None

    def judges(self, run_id: str, fed_by: int) -> bool:
        """Whether its data judges a loop: passed without gradients and steps, through the models of that loop.

        Nobody sees which model a batch went through. Where several loops are open, the one whose models are in the
        mode of evaluation is meant; where none is or all are, the one that stepped before.
        """
        is_judged = self.judged.get(run_id, False)
        # With gradients recorded, and none used so far: what is summed up there may still lead to the next step, unless
        # another pass began that feeds it.
        if self.has_backward or (self.has_gradients and not is_judged and fed_by < self.number):
            return False
        others = [is_other for key, is_other in self.judged.copy().items() if key != run_id]
        return not others or (is_judged and not any(others)) or self.after == run_id

    def is_like(self, other: Pass) -> bool:
        """Whether both go over one loader, or over loaders of the same kind for the same data where one is gone."""
        mine, theirs = self._loader(), other._loader()
        if mine is not None and theirs is not None:
            return mine is theirs
        return (self._cls, self._data_id, self._settings) == (other._cls, other._data_id, other._settings)

    def tell(self, run: Run, role: str) -> bool:
        """Record the loader's settings, and its data; give whether that was still there."""
        data = self._dataset()
        if self._settings is not None:
            log_loaded(run, role, self._cls, self._settings, data)
        if self._passing is not None and data is not None:
            run.log_passing(role, self._passing)
            if not self.is_open():
                self._passing.end()
        self.told = str(run.id)
        return data is not None

    def _dataset(self) -> Any:
        """The data; that of a loader which is gone is kept by its iterator, where nobody else keeps it."""
        holder = self._loader()
        if holder is not None:
            return holder.dataset
        data = self._data()
        return getattr(self._iterator(), "_dataset", None) if data is None else data

    def is_of(self, iterator: Any) -> bool:
        """Whether this is the pass of an iterator."""
        return self._iterator() is iterator

    def is_open(self) -> bool:
        """Whether more batches may come."""
        return not self.is_used_up and self._iterator() is not None

    def is_left(self) -> bool:
        """Whether loader and iterator are gone."""
        return self._loader() is None and self._iterator() is None


class Passes:
    """The passes of one thread, the latest last.

    Attributes
    ----------
    count : int
        How many began.
    of_others : int
        How many had begun when the latest loop ended; they judge no later one.
    """

    def __init__(self) -> None:
        self.count = self.of_others = 0
        self._passes: list[Pass] = []

    def begin(self, loader: Any, iterator: Any) -> None:
        """A pass begins."""
        self.count += 1
        self._passes = [p for p in self._passes if not p.is_left() or p.number > self.count - _RECENT][-_MOST:]
        self._passes.append(Pass(self.count, loader, iterator))

    def of(self, iterator: Any) -> Pass | None:
        """The pass of an iterator; that of persistent workers serves one after the other."""
        return next((p for p in reversed(self._passes) if p.is_of(iterator)), None)

    def is_told(self, found: Pass, run_id: str) -> bool:
        """Whether a run knows the data of a pass by an earlier one."""
        if any(p.told == run_id and p.is_like(found) for p in self._passes):
            found.told = run_id  # the earlier one may be forgotten
        return found.told == run_id

    def since(self, number: int) -> list[Pass]:
        """The passes that began after one."""
        return [p for p in self._passes if p.number > number]

    def latest(self, is_meant: Callable[[Pass], bool]) -> Pass | None:
        """The latest pass for which something holds."""
        return next((p for p in reversed(self._passes) if is_meant(p)), None)
