"""The weights of a model as a digest and a few numbers, read where they lie.

==============  =====================================================================================================
of a tensor     XXH3-128 of its values: little-endian, in the order of rows, whatever its layout in memory
of a model      XXH3-128 of one line for each tensor, sorted by name: ``<length of the name>:<name> <dtype> <shape>
                <digest of the tensor>``, with a shape such as `16x64`, or nothing for a single number; more than
                four tensors of one list (``estimators_[0].tree_``, ...) are one of type `parts`, of such lines
``n_values``    values of all tensors; one that has two names counts once, as it does in ``l2`` and ``nonfinite``
``nonfinite``   NaN and infinities among numbers with a fraction; None where there are none, or some cannot be read
``l2``          root of the sum of squares of the finite ones among numbers with a fraction
==============  =====================================================================================================

So one changed bit, another dtype, another shape and another name each lead to another digest, and two frameworks that
hold the same tensors under the same names have the same one. A digest covers all values or is not there: a sample is no
identity. What stands in the way is said (:class:`Unreadable`): values on a device, more than 512 MiB of them.

Values are read on the thread that trains, because they may change as soon as it goes on, and a copy costs as much as a
look: of 25 million float32 (100 MB), on a machine that reads 11 GB/s, the digest takes 9 ms, the norm 10 ms, and a copy
8 ms. Both readings of a run together read the weights four times; one step of Adam reads or writes seven times as much.
Four tensors of a small model take 0.06 ms, ten times that where other processes hold the caches. XXH3 lets go of the
interpreter's lock above a few KB.

Squares of float32 are summed in blocks of 8,192 in float32, and in float64 from there on: of 25 million values the norm
is right to 9 digits, in a third of the time that float64 takes throughout. NumPy does it, if the program has loaded it.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from operator import mul
from typing import Any, NamedTuple

import xxhash

ALGORITHM = "xxh3_128"
MOST_BYTES = 512 << 20
MOST_TENSORS = 20_000
MOST_NAMED = 2_000
MOST_LISTED = 4  # of one list
_BLOCK = 8192  # values; below what BLAS hands to several threads
_FLOATS = {"float16": "<f2", "float32": "<f4", "float64": "<f8", "complex64": "<f4", "complex128": "<f8"}
_CODES = {"<f2": "e", "<f4": "f", "<f8": "d"}
_FEW_BYTES = 512
_UNKNOWN = ("float", "bfloat", "complex", "q")  # what else has a fraction


class Unreadable(Exception):
    """Weights that cannot be read, or not without a price; the message says why."""


class Values(NamedTuple):
    """One tensor.

    Attributes
    ----------
    name : str
    dtype : str
        As NumPy calls it.
    shape : tuple of int
    n_bytes : int
    key : int
        The same for two names of one tensor.
    data : buffer or callable
        The bytes of the values in the order of rows; or what gives them, where that is a copy.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    n_bytes: int
    key: int
    data: Any


class Part(NamedTuple):
    """What a digest takes of one tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str

    def line(self) -> bytes:
        """Its line."""
        line = f"{len(self.name)}:{self.name} {self.dtype} {'x'.join(map(str, self.shape))} {self.digest}\n"
        return line.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Weights:
    """What is known of the weights of a model at one point.

    Attributes
    ----------
    parts : list of Part
        Sorted by name; no tensor is kept.
    n_tensors, n_values : int
    nonfinite : int or None
    squares : float
        Their sum.
    digest : str or None
        None where some tensors were gone.
    """

    parts: list[Part]
    n_tensors: int
    n_values: int
    nonfinite: int | None
    squares: float
    digest: str | None

    def of_a_part(self) -> Weights:
        """The same where these are not all: what has no digest is never taken for the whole."""
        return replace(self, digest=None)

    @property
    def l2(self) -> float | None:
        """The norm of all."""
        if self.nonfinite is None or not math.isfinite(self.squares):
            return None
        return math.sqrt(self.squares)


def read(values: Iterable[Values]) -> Weights | None:
    """Read weights, now.

    Parameters
    ----------
    values : iterable of Values
        Under names of which no two are equal.

    Returns
    -------
    Weights or None
        None where there are none.

    Raises
    ------
    Unreadable
        Where they are too large.
    """
    found = sorted(values, key=_name_of)
    unique = {one.key: one for one in found}
    n_bytes = sum(one.n_bytes for one in unique.values())
    if n_bytes > MOST_BYTES:
        raise Unreadable(f"{n_bytes >> 20} MiB of weights; no more than {MOST_BYTES >> 20} MiB are read")
    if len(found) > MOST_TENSORS:
        raise Unreadable(f"{len(found)} tensors; no more than {MOST_TENSORS} are read")
    sums, digests = _Sums(), {}
    for one in unique.values():
        data = one.data() if callable(one.data) else one.data
        digests[one.key] = xxhash.xxh3_128_hexdigest(data)
        sums.add(one.dtype, data, one.n_bytes)
    sums.close()
    parts = [Part(one.name, one.dtype, one.shape, digests[one.key]) for one in found]
    n_values = sum(math.prod(one.shape) for one in unique.values())
    return _of_parts(_folded(parts), len(parts), n_values, sums.nonfinite, sums.squares)


def _folded(parts: list[Part]) -> list[Part]:
    """Parts of one list, such as the trees of a forest, as one, whose digest is that of their lines."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.name.partition("[")[0], []).append(part)
    if len(groups) == len(parts):
        return parts
    folded: list[Part] = []
    for name, inside in groups.items():
        is_few = len(inside) <= MOST_LISTED
        folded += inside if is_few else [Part(name, "parts", (len(inside),), _digest(inside))]
    return sorted(folded)


def _of_parts(
    parts: list[Part], n_tensors: int, n_values: int, nonfinite: int | None, squares: float
) -> Weights | None:
    if not parts:
        return None
    return Weights(parts, n_tensors, n_values, nonfinite, squares, _digest(parts))


def _digest(parts: Iterable[Part]) -> str:
    return xxhash.xxh3_128_hexdigest(b"".join([part.line() for part in parts]))


def together(models: Iterable[tuple[str, Weights]]) -> Weights | None:
    """The weights of several models as one.

    Parameters
    ----------
    models : iterable of (str, Weights)
        Each with what its names begin with.
    """
    several = list(models)
    if len(several) == 1 and not several[0][0]:
        return several[0][1]
    parts = sorted(part._replace(name=prefix + part.name) for prefix, one in several for part in one.parts)
    bad = [one.nonfinite for _, one in several]
    nonfinite = None if None in bad else sum(filter(None, bad))
    n_tensors, n_values = (sum(n) for n in zip(*((one.n_tensors, one.n_values) for _, one in several)))
    found = _of_parts(parts, n_tensors, n_values, nonfinite, sum(one.squares for _, one in several))
    is_whole = found is None or all(one.digest is not None for _, one in several)
    return found if is_whole or found is None else found.of_a_part()


def _name_of(one: Values) -> str:
    return one.name


class _Sums:
    """The squares and the values that are not finite, so far; nothing is known any more after a kind nobody reads."""

    def __init__(self) -> None:
        self._np: Any = sys.modules.get("numpy")
        self.squares = 0.0
        self._nonfinite: int | None = 0 if self._np is not None else None
        self._has_any = False
        self._small: list[Any] = []  # summed together: most tensors are so small that a call costs more than the sum
        self._n_small = 0

    @property
    def nonfinite(self) -> int | None:
        """How many are not finite; None where nobody knows, or there are no numbers with a fraction."""
        return self._nonfinite if self._has_any else None

    def add(self, dtype: str, data: Any, n_bytes: int) -> None:
        """Take the values of one tensor."""
        np = self._np
        if self._nonfinite is None or np is None or not n_bytes:
            return
        kind = _FLOATS.get(dtype)
        if kind is not None and n_bytes <= _FEW_BYTES:
            self._take_few(struct.unpack(f"<{n_bytes // int(kind[-1])}{_CODES[kind]}", data))
        elif kind is not None:
            self._take(
                data.reshape(-1) if type(data) is np.ndarray and data.dtype == kind else np.frombuffer(data, kind)
            )
        elif dtype == "bfloat16":
            halves = np.frombuffer(data, "<u2")
            for start in range(0, halves.size, _BLOCK):
                wide = halves[start : start + _BLOCK].astype("<u4") << 16
                self._take(wide.view("<f4"))
        elif dtype.startswith(_UNKNOWN):
            self._nonfinite = None

    def _take(self, values: Any) -> None:
        self._has_any = True
        if values.size > _BLOCK:
            self._sum([values])
            return
        self._small.append(values)
        self._n_small += values.size
        if self._n_small > _BLOCK:
            self.close()

    def _take_few(self, values: tuple[float, ...]) -> None:
        """Sum without NumPy, whose calls cost more where there are few values."""
        self._has_any = True
        squares = sum(map(mul, values, values))
        if not math.isfinite(squares):
            finite = [value for value in values if math.isfinite(value)]
            self._nonfinite = (self._nonfinite or 0) + len(values) - len(finite)
            squares = sum(map(mul, finite, finite))
        self.squares += squares

    def close(self) -> None:
        """Sum what waits."""
        small, self._small, self._n_small = self._small, [], 0
        if small:
            self._sum(small)

    def _sum(self, arrays: list[Any]) -> None:
        np = self._np
        with np.errstate(all="ignore"):
            values = np.concatenate(arrays, dtype="f8") if arrays[0].size <= _BLOCK else arrays[0]
            is_narrow = values.dtype.itemsize == 4
            squares = sum(float(np.dot(part, part)) for part in _parts(values, is_narrow=is_narrow))
            if not math.isfinite(squares):
                is_finite = np.isfinite(values)
                self._nonfinite = (self._nonfinite or 0) + int(values.size - np.count_nonzero(is_finite))
                # Where all are finite, float32 holds the values, and not their squares.
                squares = sum(float(np.dot(part, part)) for part in _parts(values[is_finite], is_narrow=False))
        self.squares += squares


def _parts(values: Any, *, is_narrow: bool) -> Iterator[Any]:
    for start in range(0, values.size, _BLOCK):
        part = values[start : start + _BLOCK]
        yield part if is_narrow else part.astype("f8", copy=False)


def of_array(name: str, array: Any, key: int | None = None) -> Values | None:
    """A NumPy array of numbers as it lies in memory; None where it has none, such as one of objects or of texts."""
    kind = array.dtype
    if kind.kind not in "fiubc":
        if not kind.name.startswith(("bfloat", "float8")):  # of JAX, whose kind is that of bytes
            return None
        array = array.view(f"u{kind.itemsize}")
    elif not kind.isnative and kind.itemsize > 1:
        array = array.astype(kind.newbyteorder("="))
    is_plain = array.flags.c_contiguous
    data = array.reshape(-1) if is_plain else partial(_by_rows, array)
    return Values(name, kind.name, array.shape, array.nbytes, id(array) if key is None else key, data)


def _by_rows(array: Any) -> Any:
    return array.copy(order="C").reshape(-1)


Source = Callable[[], Iterable[Values]]
