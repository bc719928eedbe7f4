"""The first batches of a loader, hashed as they pass: for data that cannot be read whole without asking for it.

A batch is read while the program waits for it, and nothing of it is kept. Its values are hashed in an order that does
not depend on how it was made: the smallest first, which labels mostly are, then by their place in it.
"""

from __future__ import annotations

import sys
import time
from collections import UserDict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import xxhash

from histhooks._collect.weights import Unreadable

BATCHES = 8
BYTES = 1 << 20  # of all of them
_OF_BATCH = BYTES // BATCHES
_PIECES = 16  # of a large value, spread over it
_MOST_VALUES = 128  # of a batch
_MOST_LISTED = 64  # of a list
_DEEPEST = 5
_MOST_NAMED = 4
_PLAIN = (bool, int, float, complex, type(None))
_KINDS = "biufcmMSU"  # of arrays whose bytes are their values

Buffer = Any  # of the buffer protocol
Read = Callable[[Any, int], "tuple[str, tuple[int, ...], int, Buffer] | None"]
_Value = tuple[int, str, str, Buffer]  # bytes in all, place, form, what is at hand of it


class Passing:
    """The digest of the first batches of one pass.

    Parameters
    ----------
    read : callable
        Takes a value and how many bytes of it may be copied; gives dtype, shape, bytes in all and its memory, None for
        what is no tensor; raises :class:`Unreadable`.
    batch_size : int or None
        Samples in a batch, as the loader says; None if it does not make batches of samples.

    Attributes
    ----------
    is_over : bool
        Whether it takes no more.
    n_batches, size_bytes : int
    n_rows : int or None
        Samples; None if a batch does not say how many it has.
    left_out : list of str
        Kinds of values that were not hashed.
    """

    def __init__(self, read: Read, batch_size: int | None) -> None:
        self._read, self._batch_size = read, batch_size
        self._digest = xxhash.xxh3_128()
        self._seconds = 0.0
        self._uses: list[Callable[[Passing], None]] = []
        self._was_short = False
        self._counts: set[int] = set()  # what tensors of the batch, and lists in it, have of samples
        self._lists: set[int] = set()
        self.is_over = False
        self.n_batches = self.size_bytes = 0
        self.n_rows: int | None = 0
        self.left_out: list[str] = []

    def add(self, batch: Any) -> bool:
        """Hash a batch; give whether another one is wanted."""
        since = time.perf_counter()
        self.n_batches += 1
        values: list[_Value] = []
        self._counts, self._lists = set(), set()
        self._walk(batch, "", 0, values)
        values.sort(key=_size_and_place)
        forms = "\n".join([f"{place} {form}" for _, place, form, _ in values])
        self._digest.update(f"batch {len(values)}\n{forms}\n".encode("utf-8", "surrogatepass"))
        room = _OF_BATCH
        for _, _, _, buffer in values:
            if buffer:
                room -= self._hash(buffer, room)
        self.size_bytes += _OF_BATCH - room
        self._count()
        self._seconds += time.perf_counter() - since
        if self.n_batches >= BATCHES:
            self.end()
        return not self.is_over

    def _hash(self, buffer: Buffer, room: int) -> int:
        """Hash a value's bytes; of more than there is room for, pieces that are spread over them."""
        size = len(buffer)
        if size <= room:
            self._digest.update(buffer)
            return size
        view, width = memoryview(buffer), room // _PIECES
        for number in range(_PIECES if width else 0):
            start, stop = size * number // _PIECES, size * (number + 1) // _PIECES
            at = start + (stop - start - width) // 2
            self._digest.update(view[at : at + width])
        return width * _PIECES

    def _count(self) -> None:
        """Count the samples, if all tensors of the batch, or else all its lists, have as many of them."""
        counts = self._counts or self._lists
        n = counts.pop() if len(counts) == 1 else None
        is_known = n is not None and self._batch_size is not None and n <= self._batch_size and not self._was_short
        self.n_rows = self.n_rows + n if is_known and self.n_rows is not None and n is not None else None
        self._was_short = n != self._batch_size  # as only the last batch is

    def end(self) -> None:
        """The pass has ended, or enough of it was hashed."""
        self.is_over = True
        uses, self._uses = self._uses, []
        for use in uses:
            use(self)

    def then(self, use: Callable[[Passing], None]) -> None:
        """Have a function take it when it is over."""
        if self.is_over:
            use(self)
        else:
            self._uses.append(use)

    def row(self) -> dict[str, Any]:
        """Columns of `dataset_digests`; a sample always, also if the pass had no more batches."""
        return {
            "part": "order",
            "algorithm": "xxh3_128",
            "digest": self._digest.hexdigest(),
            "coverage": "sample",
            "n_rows": self.n_rows,
            "size_bytes": self.size_bytes,
            "key_id": None,
            "duration_s": round(self._seconds, 6),
        }

    # --- a batch ------------------------------------------------------------------------------------------------------

    def _walk(self, value: Any, place: str, depth: int, out: list[_Value]) -> None:
        """Find the values of a batch; asks no code of the program."""
        if len(out) >= _MOST_VALUES:
            return
        try:
            found = self._read(value, _OF_BATCH) or _array(value)
        except Unreadable as why:
            self._leave_out(str(why))
            return
        if found is not None:
            dtype, shape, size, buffer = found
            if depth < 2 and shape:
                self._counts.add(shape[0])
            out.append((size, place, f"{dtype} {shape}", buffer))
            return
        members = _members(value) if depth < _DEEPEST else None
        if members is None:
            self._plain(value, place, out)
            return
        n, items = members
        if depth == 1 and not issubclass(type(value), dict):
            self._lists.add(n)
        out.append((0, place, f"{type(value).__name__} {n}", b""))
        for name, member in items:
            self._walk(member, f"{place}/{name}", depth + 1, out)

    def _plain(self, value: Any, place: str, out: list[_Value]) -> None:
        """A number, a text or bytes."""
        kind = type(value)
        if kind in _PLAIN:
            text = hex(value) if kind is int else repr(value)
            out.append((len(text), place, kind.__name__, text.encode()))
        elif kind is str:
            data = value[:_OF_BATCH].encode("utf-8", "surrogatepass")
            out.append((len(value), place, f"str {len(value)}", data))
        elif kind is bytes:
            out.append((len(value), place, f"bytes {len(value)}", value))
        else:
            self._leave_out(f"a value of class {kind.__name__}")

    def _leave_out(self, why: str) -> None:
        if why not in self.left_out and len(self.left_out) < _MOST_NAMED:
            self.left_out.append(why)


def _members(value: Any) -> tuple[int, Iterable[tuple[Any, Any]]] | None:
    """What is in a container, with names; None of what is none."""
    kind = type(value)
    if kind in _PLAIN or kind is str:
        return None
    if issubclass(kind, UserDict):  # as the batches of tokenizers are
        value = vars(value).get("data")
        kind = type(value)
    if issubclass(kind, dict):
        pairs = list(islice(dict.items(value), _MOST_LISTED))
        return dict.__len__(value), [(key if type(key) in (str, int) else type(key).__name__, v) for key, v in pairs]
    if issubclass(kind, list):
        return list.__len__(value), enumerate(islice(list.__iter__(value), _MOST_LISTED))
    if issubclass(kind, tuple):
        return tuple.__len__(value), enumerate(islice(tuple.__iter__(value), _MOST_LISTED))
    return None


def _array(value: Any) -> tuple[str, tuple[int, ...], int, Buffer] | None:
    """The same of an array or a number of NumPy's, which is not imported."""
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray:
        if numpy is None or type(value).__module__ != "numpy" or not isinstance(value, numpy.generic):
            return None
        value = numpy.asarray(value)
    if value.dtype.kind not in _KINDS:
        raise Unreadable(f"an array of dtype {value.dtype.name}")
    by_rows = value
    if not value.flags.c_contiguous:
        by_rows = numpy.ascontiguousarray(value[: rows_within(value.nbytes, value.shape, _OF_BATCH)])
    buffer = memoryview(by_rows.reshape(-1).view("u1")) if by_rows.size else b""
    return value.dtype.str, value.shape, value.nbytes, buffer


def rows_within(size: int, shape: tuple[int, ...], most: int) -> int:
    """How many rows of a value that does not lie by rows are copied.

    Raises
    ------
    Unreadable
        Where one row is more than what may be copied of all.
    """
    row = size // shape[0] if shape and shape[0] else 0
    if row > most:
        raise Unreadable("a large value that does not lie in memory by rows")
    return shape[0] if not row else most // row


def _size_and_place(value: _Value) -> tuple[int, str]:
    return value[0], value[1]
