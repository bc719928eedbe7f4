"""Rows of training data, each by a hash: to know data again that was put together from parts of it, or is one of them.

A print (:mod:`histhooks._same_data`) knows data as a whole. A loop of ``partial_fit`` trains on parts of what it is
scored on; a program may score on the first thousand rows that it trained on. Both are no new data.
"""

from __future__ import annotations

import sys
from itertools import accumulate
from typing import Any

from histhooks._same_data import array_of

_MOST = 1 << 18  # rows of one run, of eight bytes each
_MOST_KEPT = 1 << 14  # rows of one array whose hashes are kept for the next run, 128 KiB
_MOST_SEEN = 16
_SHARE = 0.5  # of rows that are known: fewer may be equal by chance, as rows of few whole numbers are


class Rows:
    """The rows that a run was trained on."""

    __slots__ = ("_counts", "_hashes", "_n", "is_whole")

    def __init__(self) -> None:
        self._hashes: list[Any] = []
        self._counts: list[int] = []
        self._n = 0
        self.is_whole = True

    def add(self, X: Any, n_rows: int | None, values: bytes | None = None) -> None:
        """Keep the rows of data that trained; of data that has none that can be read, how many they are.

        Parameters
        ----------
        X : array-like
        n_rows : int or None
        values : bytes, optional
            The hash of all its numbers (:attr:`histhooks._same_data.Print.values`), as they are now.
        """
        if len(self._counts) < _MOST:
            self._counts.append(n_rows or 0)
        if not self.is_whole:
            return
        hashes = _known_hashes(X, values)
        if hashes is None:
            self.is_whole, self._hashes = False, []
            return
        self._hashes.append(hashes)
        self._n += len(hashes)
        if self._n > _MOST:
            self._hashes = [_unique(self._hashes)]
            self._n = len(self._hashes[0])
            if self._n > _MOST // 2:  # else each part that comes would sort all again
                self.is_whole, self._hashes = False, []

    def split_of(self, X: Any, n_rows: int | None) -> tuple[str | None, str]:
        """The split of data that is none of the parts as it is: `train`, `test`, or None, and why."""
        hashes = _hashes_of(X) if self.is_whole and self._hashes else None
        if hashes is None:
            if n_rows in list(accumulate(self._counts))[1:]:
                return None, "it has as many rows as the parts that trained together"
            return "test", ""
        numpy = sys.modules["numpy"]
        self._hashes = [_unique(self._hashes)]
        known = numpy.isin(hashes, self._hashes[0])
        n_known = int(known.sum())
        if n_known == len(hashes) and len(numpy.unique(hashes)) == len(self._hashes[0]):
            return "train", ""
        if n_known > _SHARE * len(hashes):
            return None, f"{n_known} of its {len(hashes)} rows are rows of the training data"
        return "test", ""


def _unique(hashes: list[Any]) -> Any:
    numpy = sys.modules["numpy"]
    return numpy.unique(numpy.concatenate(hashes))


# Those of the latest arrays, by the hash of their numbers: a loop of fits hashes the rows of its data once.
_seen: dict[bytes, Any] = {}


def _known_hashes(X: Any, values: bytes | None) -> Any:
    hashes = _seen.get(values) if values is not None else None
    if hashes is None:
        hashes = _hashes_of(X)
        if values is not None and hashes is not None and len(hashes) <= _MOST_KEPT:
            if len(_seen) >= _MOST_SEEN:
                _seen.clear()
            _seen[values] = hashes
    return hashes


def _hashes_of(X: Any) -> Any:
    """A hash of each row of numbers, as float64; None where they are many, or no numbers."""
    array = array_of(X)
    if array is None or not array.ndim or not array.size:
        return None
    numpy = sys.modules["numpy"]
    values = numpy.ascontiguousarray(array, dtype="<f8").reshape(len(array), -1) + 0.0  # -0.0 is 0.0
    bits = values.view("<u8")
    bits ^= bits >> numpy.uint64(32)
    # Odd numbers, another for each column: multiples of one (Knuth's) that wrap round.
    factors = numpy.arange(1, 2 * bits.shape[1], 2, dtype="<u8") * numpy.uint64(0x9E3779B97F4A7C15)
    mixed = (bits * factors).sum(axis=1, dtype="<u8")
    return mixed ^ (mixed >> numpy.uint64(29))
