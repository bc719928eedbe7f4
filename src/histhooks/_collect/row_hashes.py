"""Rows of training data, each by a hash: to know data again that was put together from parts of it, or is one of them.

A print (:mod:`histhooks._collect.same_data`) knows data as a whole. A loop of ``partial_fit`` trains on parts of what
it is scored on; a program may score on the first thousand rows that it trained on. Both are no new data.

Rows of up to two million numbers (16 MiB) are hashed, of as many numbers that a sparse matrix holds (a row there and in
an array has one hash), and of 131,072 texts, dates and other values. Of very many rows those are kept whose hash is
small, which are the same rows wherever they stand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import accumulate, chain
from typing import Any

from histhooks._collect.data_hash import token_of
from histhooks._collect.data_values import Values, has, is_frame, is_missing, of_array, parts_of
from histhooks._collect.same_data import FAILURES, array_of, is_exact

_MOST = 1 << 18  # rows of one run, of eight bytes each
_MOST_BITS = 32
_MOST_NUMBERS = 1 << 21
_MOST_VALUES = 1 << 17
_BLOCK = 1 << 15  # numbers that are hashed at once
_GOLDEN = 0x9E3779B97F4A7C15  # Knuth's multiplier
_MOST_KEPT = 1 << 14  # rows of one array whose hashes are kept for the next run, 128 KiB
_MOST_SEEN = 16
_SHARE = 0.5  # of rows that are known: fewer may be equal by chance, as rows of few whole numbers are


class Rows:
    """The rows that a run was trained on."""

    __slots__ = ("_bits", "_counts", "_hashes", "_n", "is_whole")

    def __init__(self) -> None:
        self._hashes: list[Any] = []
        self._counts: list[int] = []
        self._n = 0
        self._bits = 0  # zeros with which the hashes begin that are kept
        self.is_whole = True

    def add(self, X: Any, n_rows: int | None, values: bytes | None = None) -> None:
        """Keep the rows of data that trained; of data that has none that can be read, how many they are.

        Parameters
        ----------
        X : array-like
        n_rows : int or None
        values : bytes, optional
            The hash of all its numbers (:attr:`histhooks._collect.same_data.Print.values`), as they are now.
        """
        if len(self._counts) < _MOST:
            self._counts.append(n_rows or 0)
        if not self.is_whole:
            return
        hashes = _known_hashes(X, values)
        if hashes is None:
            self.is_whole, self._hashes = False, []
            return
        hashes = self._kept(hashes)
        while len(hashes) > _MOST // 2 and self._bits < _MOST_BITS:
            self._bits += 1
            self._hashes = list(map(self._kept, self._hashes))
            hashes = self._kept(hashes)
            self._n = sum(map(len, self._hashes))
        self._hashes.append(hashes)
        self._n += len(hashes)
        if self._n > _MOST:
            self._hashes = [_unique(self._hashes)]
            while (
                len(self._hashes[0]) > _MOST // 2 and self._bits < _MOST_BITS
            ):  # else each part that comes would sort all again
                self._bits += 1
                self._hashes = [self._kept(self._hashes[0])]
            self._n = len(self._hashes[0])

    def _kept(self, hashes: Any) -> Any:
        """Those of some hashes that are compared."""
        return hashes[hashes < sys.modules["numpy"].uint64(1 << (64 - self._bits))] if self._bits else hashes

    def split_of(self, X: Any, n_rows: int | None) -> tuple[str | None, str]:
        """The split of data that is none of the parts as it is: `train`, `test`, or None, and why."""
        hashes = _hashes_of(X) if self.is_whole and self._hashes else None
        if hashes is None:
            if n_rows in list(accumulate(self._counts))[1:]:
                return None, "it has as many rows as the parts that trained together"
            return "test", ""
        numpy = sys.modules["numpy"]
        self._hashes = [_unique(self._hashes)]
        hashes = self._kept(hashes)
        if not len(hashes):
            return None, "it has too few rows to compare them with those of the training data"
        known = numpy.isin(hashes, self._hashes[0])
        n_known = int(known.sum())
        if n_known == len(hashes) and len(numpy.unique(hashes)) == len(self._hashes[0]) and not self._bits:
            return "train", ""
        if n_known > _SHARE * len(hashes):
            which = "rows that were compared" if self._bits else "rows"
            return None, f"{n_known} of its {len(hashes)} {which} are rows of the training data"
        return "test", ""

    def has(self, X: Any) -> bool | None:
        """Whether most rows of some data are rows that trained; None if that cannot be known."""
        hashes = _hashes_of(X) if self.is_whole and self._hashes else None
        if hashes is None or not len(hashes := self._kept(hashes)):
            return None
        self._hashes = [_unique(self._hashes)]
        n_known = int(sys.modules["numpy"].isin(hashes, self._hashes[0]).sum())
        return n_known > _SHARE * len(hashes)


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
    """A hash of each row; None where they are too many, or cannot be read."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    try:
        sums = _of_sparse(numpy, X) if has(X, "nnz") else _of_parts(numpy, X)
    except FAILURES:
        return None
    return None if sums is None else sums ^ (sums >> numpy.uint64(29))


def _of_parts(numpy: Any, X: Any) -> Any:
    """For each row the sum of its numbers as whole ones, each times another odd one; sums wrap round."""
    array = array_of(X)
    if array is not None:
        parts: list[Any] = [array]
    elif has(X, "filled") or has(X, "dataset"):
        return None
    else:
        parts = parts_of(X) or []
        if len(parts) > 1 and not (is_frame(X) or has(X, "tensors")):  # those of a TensorDataset lie side by side
            return None
        parts = list(map(_spelled, parts or _of_arrow(X)))
    if not parts or not _are_few(parts):
        return None
    n = parts[0].n_rows if isinstance(parts[0], Values) else len(parts[0])
    sums, offset = numpy.zeros(n, dtype="<u8"), 0
    for part in parts:
        width = 0
        for start, stop, bits in _blocks(numpy, part, n):
            width = bits.shape[1]
            sums[start:stop] += bits @ _factors(numpy, numpy.arange(offset, offset + width))
        if not width:
            return None
        offset += width
    return sums


def _of_arrow(X: Any) -> list[Any]:
    """The columns of a table of polars or pyarrow, where they are few enough to be copied."""
    package = type(X).__module__.partition(".")[0]
    if package == "polars" and has(X, "get_columns"):
        columns = X.get_columns()
    elif package == "polars" and has(X, "name"):  # a Series
        columns = [X]
    elif package == "pyarrow" and has(X, "itercolumns"):
        columns = list(X.itercolumns())
    else:
        return []
    return [of_array(one.to_numpy()) for one in columns] if len(X) * len(columns) <= _MOST_VALUES else []


def _spelled(part: Any) -> Any:
    """An array of texts of fixed width as values, since the width says nothing; of complex numbers as their parts."""
    if isinstance(part, Values) or part.dtype.kind not in "USc":
        return part
    if part.dtype.kind == "c":
        return part.astype("c16").reshape(len(part), -1).view("f8") if part.size <= _MOST_VALUES else part
    return Values(len(part), part.size // max(1, len(part)), lambda start, stop: part[start:stop].ravel().tolist())


def _are_few(parts: list[Any]) -> bool:
    n_values = sum(part.n_rows * part.width for part in parts if isinstance(part, Values))
    n_numbers = sum(part.size for part in parts if not isinstance(part, Values))
    return n_values <= _MOST_VALUES and n_numbers <= _MOST_NUMBERS


def _factors(numpy: Any, columns: Any) -> Any:
    return (2 * columns.astype("<u8") + numpy.uint64(1)) * numpy.uint64(_GOLDEN)


def _blocks(numpy: Any, part: Any, n: int) -> Iterator[tuple[int, int, Any]]:
    """Some rows of a part after the other, as whole numbers; nothing where they cannot be read."""
    if isinstance(part, Values):
        bits = _bits_of_values(numpy, part)
        if bits is not None and n:
            yield 0, n, bits
        return
    if not n or not part.size or part.dtype.kind not in "biufmM" or not is_exact(part):
        return
    rows = max(1, _BLOCK * n // part.size)
    for start in range(0, n, rows):
        block = part[start : start + rows]
        block = block.view("i8") if block.dtype.kind in "mM" else block
        yield start, min(n, start + rows), _bits(numpy, block).reshape(len(block), -1)


def _bits(numpy: Any, numbers: Any) -> Any:
    """Numbers by their bits as float64."""
    values = numpy.array(numbers, dtype="<f8", order="C") + 0.0  # -0.0 is 0.0
    bits = values.view("<u8")
    bits ^= bits >> numpy.uint64(32)
    return bits


def _bits_of_values(numpy: Any, part: Values) -> Any:
    """Texts and other values by Python's own hash, numbers among them as in an array."""
    values = part.take(0, part.n_rows)
    if values and type(values[0]) in (list, tuple):
        values = list(chain.from_iterable(values))
    if len(values) != part.n_rows * part.width:
        return None
    if all(type(value) is str for value in values):
        hashes = list(map(hash, values))
    else:
        tokens = [value if type(value) is str else token_of(value) for value in values]
        if any(token is None for token in tokens):
            return None
        hashes = [
            hash(token) if not _is_number(value) else int(_bits(numpy, [value])[0])
            for token, value in zip(tokens, values, strict=True)
        ]
    wrapped = numpy.array([one & 0xFFFFFFFFFFFFFFFF for one in hashes], dtype="<u8")
    return wrapped.reshape(part.n_rows, part.width)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float, bool) and not is_missing(value) and abs(value) < 1 << 53


def _of_sparse(numpy: Any, X: Any) -> Any:
    """The same of a sparse matrix by rows or by columns, whose zeros add nothing."""
    kind = X.format
    if kind not in ("csr", "csc") or X.data.size > _MOST_NUMBERS or X.data.dtype.kind not in "biuf":
        return None
    if not is_exact(X.data):
        return None
    bits, ends, columns = _bits(numpy, X.data), X.indptr, X.indices
    if kind == "csc":
        columns = numpy.repeat(numpy.arange(X.shape[1]), numpy.diff(X.indptr))
        order = numpy.argsort(X.indices, kind="stable")
        bits, columns = bits[order], columns[order]
        ends = numpy.concatenate([[0], numpy.cumsum(numpy.bincount(X.indices, minlength=X.shape[0]))])
    sums = numpy.zeros(len(bits) + 1, dtype="<u8")
    numpy.cumsum(bits * _factors(numpy, columns), out=sums[1:])
    return sums[ends[1:]] - sums[ends[:-1]]
