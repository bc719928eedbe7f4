"""Whether two pieces of data are the same: compared by content, never by name.

A :class:`Print` is made of the hash that a fingerprint takes anyway, before column names enter it, and of one more
that does not depend on the container (a frame and the array of its values have the same), which costs a tenth of it.
Data is known to be the same, known to differ, or neither: a hash of a sample (:mod:`histhooks._collect.data_hash`) can
show that data differs and never that it is the same. Where values were not all hashed, the very same object (by weak
reference), if its sample is unchanged, is the same data.
"""

from __future__ import annotations

import sys
import weakref
from dataclasses import dataclass
from typing import Any

from histhooks._collect.data_values import Values, has, is_frame, parts_of

_MOST_VALUES = 1 << 17  # 1 MiB of float64, up to which a hash covers all values
_EXACT = float(1 << 53)
FAILURES = (
    *(AttributeError, TypeError, ValueError, KeyError, IndexError),
    *(OverflowError, NotImplementedError, RuntimeError),
)


@dataclass(slots=True, frozen=True, eq=False)
class Print:
    """What is kept of data to know it again.

    Attributes
    ----------
    kind : str
        The container's class.
    form : tuple
        What a hash depends on beside the values: class, dtypes, and how the buffers lie in memory.
    shape : tuple of int or None
    coverage : {'all', 'sample', 'none'}
        How much of X was hashed.
    content : bytes or None
        Hash of X in its container.
    values : bytes or None
        Hash of the numbers of X whatever their container; None where they are many, or no numbers.
    target : bytes or None
        The same of y.
    thing : weakref or None
        X itself, where it cannot be known by its content alone.
    """

    kind: str
    form: tuple[Any, ...]
    shape: tuple[int | None, ...]
    coverage: str
    content: bytes | None
    values: bytes | None
    target: bytes | None
    thing: weakref.ref[Any] | None


def print_of(
    X: Any, y: Any, shape: tuple[int | None, ...], coverage: str, content: bytes | None, thing: Any = None
) -> Print:
    """The print of data whose hash is known."""
    original = X if thing is None else thing
    values = values_of(X) if coverage == "all" else None
    return Print(
        type(original).__name__,
        _form_of(X),
        shape,
        coverage,
        content if coverage != "none" else None,
        values,
        None if y is None else values_of(y),
        reference(original) if coverage != "all" else None,
    )


def _form_of(X: Any) -> tuple[Any, ...]:
    """What the hash of a sample depends on: other bytes lie first, in the middle and last by rows than by columns."""
    try:
        return (
            type(X).__name__,
            *(
                None
                if isinstance(part, Values)
                else (str(part.dtype), part.flags.c_contiguous, part.flags.f_contiguous)
                for part in parts_of(X) or ()
            ),
        )
    except FAILURES:
        return (id(X),)


def reference(thing: Any) -> weakref.ref[Any] | None:
    """A weak reference; None of what takes none."""
    try:
        return weakref.ref(thing)
    except TypeError:
        return None


def values_of(X: Any) -> bytes | None:
    """A hash of the numbers in data, by rows as float64; None where they are no numbers, or more than 1 MiB of them."""
    array = array_of(X)
    if array is None:
        return None
    import xxhash

    digest = xxhash.xxh3_128(repr((len(array), array.size)).encode())
    digest.update(sys.modules["numpy"].ascontiguousarray(array, dtype="<f8"))
    return digest.digest()


def array_of(X: Any) -> Any:
    """The numbers of data as an array that float64 can hold; None where they are none, or more than 1 MiB of them."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    try:
        array = _array_of(numpy, X)
        if array is None or array.dtype.kind not in "biuf" or array.size > _MOST_VALUES or not array.shape:
            return None
        return array if is_exact(array) else None
    except FAILURES:
        return None


def is_exact(array: Any) -> bool:
    """Whether float64 holds all numbers of an array; of two that it does not hold, one may stand for both."""
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        return bool(array.min() >= -_EXACT and array.max() <= _EXACT)
    return not (array.dtype.kind == "f" and array.dtype.itemsize > 8)


def _array_of(numpy: Any, X: Any) -> Any:
    """The numbers of X as one array; a copy only where they lie apart, and of 1 MiB at most."""
    if has(X, "nnz") or has(X, "filled") or has(X, "dataset"):
        return None
    parts = parts_of(X)
    if not parts or sum(part.n_rows * part.width if isinstance(part, Values) else part.size for part in parts) > (
        _MOST_VALUES
    ):
        return None
    if isinstance(parts[0], Values) and len(parts) == 1 and type(X) in (list, tuple):
        return numpy.asarray(_numbers_in(X))
    if any(isinstance(part, Values) or part.dtype.kind not in "biuf" for part in parts):
        return None
    if is_frame(X):
        return numpy.stack([numpy.asarray(part, dtype="float64") for part in parts], axis=1)
    return numpy.asarray(parts[0]) if len(parts) == 1 else None


def _numbers_in(X: Any) -> Any:
    """A list, or a list of lists, of numbers and nothing else."""
    rows = X if X and type(X[0]) in (list, tuple) else [X]
    if all(set(map(type, row)) <= {int, float, bool} for row in rows):
        return X
    raise TypeError("not only numbers")


def is_same(one: Print, other: Print) -> bool | None:
    """Whether two prints are of the same data; None where that cannot be known."""
    if one.values is not None and other.values is not None:
        return one.values == other.values
    if one.content is not None and other.content is not None and one.shape == other.shape:
        if one.content == other.content:
            if one.coverage == other.coverage == "all":
                return True
        elif one.form == other.form and one.coverage == other.coverage:
            return False
    if one.thing is not None and other.thing is not None:
        first = one.thing()
        if first is not None and first is other.thing():
            return True
    return False if _sizes_differ(one.shape, other.shape) else None


def _sizes_differ(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    # A column vector may be the same data as a vector: only the number of rows decides.
    return bool(one and other) and None not in (one[0], other[0]) and one[0] != other[0]
