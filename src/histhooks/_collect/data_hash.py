"""Hash data: the values themselves, in place, at a bounded cost.

A NumPy buffer up to 1 MiB is hashed whole, in row order whatever its memory layout; a larger one by its first, middle
and last 64 KiB. Text, dates, nullable and object columns, and lists are hashed whole up to 131,072 values in all
columns together (1 MiB of references); larger ones by the first, middle and last 8,192 values. For a column with more
than 1 MiB of text, only the beginning of each value is hashed.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from histhooks._collect.data_values import Values, is_missing, parts_of

_WHOLE_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
_WHOLE_VALUES = _WHOLE_BYTES // 8
_SAMPLE_VALUES = _SAMPLE_BYTES // 8
_FAILURES = (
    AttributeError,
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    BufferError,
    NotImplementedError,
    RuntimeError,
)


def hash_values(X: Any, digest: Any) -> str:
    """Hash the values of data into a digest.

    Parameters
    ----------
    X : array-like
    digest : hashlib hash

    Returns
    -------
    {'all', 'sample', 'none'}
        How much of it was hashed.
    """
    try:
        parts = parts_of(X)
        if parts is None:
            return "none"
        digest.update(repr([_head(part) for part in parts]).encode())
        width = sum(part.width for part in parts if isinstance(part, Values))
        covers = {_hash_values(p, width, digest) if isinstance(p, Values) else _hash_buffer(p, digest) for p in parts}
    except _FAILURES:
        return "none"
    return next((word for word in ("none", "sample") if word in covers), "all")


def _head(part: Any) -> tuple[Any, ...]:
    return ("values", part.n_rows) if isinstance(part, Values) else (str(part.dtype), tuple(part.shape))


# --- buffers ----------------------------------------------------------------------------------------------------------


def _hash_buffer(buffer: Any, digest: Any) -> str:
    if not buffer.flags.c_contiguous:
        if buffer.nbytes <= _WHOLE_BYTES or not buffer.flags.f_contiguous:
            return _hash_strided(buffer, digest)
        buffer = buffer.T
        digest.update(b"by columns")  # the same bytes by rows are other data
    if not buffer.nbytes:
        return "all"
    if buffer.dtype.kind in "mMUSV":
        buffer = buffer.reshape(-1).view("u1")  # kinds that the buffer protocol does not know
    view = memoryview(buffer).cast("B")
    if len(view) <= _WHOLE_BYTES:
        digest.update(view)
        return "all"
    for start in (0, len(view) // 2, len(view) - _SAMPLE_BYTES):
        digest.update(view[start : start + _SAMPLE_BYTES])
    return "sample"


def _hash_strided(buffer: Any, digest: Any) -> str:
    """Hash a view with gaps, or one that lies by columns, as if it lay by rows; copies 1 MiB at most."""
    if buffer.nbytes <= _WHOLE_BYTES:
        digest.update(buffer.tobytes())
        return "all"
    rows = max(1, _SAMPLE_BYTES * len(buffer) // buffer.nbytes)
    for start in (0, len(buffer) // 2, len(buffer) - rows):
        digest.update(buffer[start : start + rows].tobytes())
    return "sample"


# --- other values -----------------------------------------------------------------------------------------------------


def _hash_values(part: Values, width: int, digest: Any) -> str:
    """Hash one part, whose share of the bounds is that of one among ``width`` columns."""
    n, covers = part.n_rows, "all"
    blocks = [(0, n)]
    if n * width > _WHOLE_VALUES:
        rows = min(n, max(1, _SAMPLE_VALUES // width))
        blocks = [(start, start + rows) for start in (0, (n - rows) // 2, n - rows)]
        covers = "sample"
    for start, stop in blocks:
        told, is_whole = _encode(part.take(start, stop))
        if told is None:
            return "none"
        digest.update(told)
        covers = covers if is_whole else "sample"
    return covers


def _encode(values: list[Any], depth: int = 0) -> tuple[bytes | None, bool]:
    """Values as bytes that no other values have, and whether those are all of them."""
    kinds = set(map(type, values))
    if kinds and kinds <= {list, tuple} and depth == 0:
        widths = [len(row) for row in values]
        if sum(widths) > 2 * _WHOLE_VALUES:
            return None, False
        told, is_whole = _encode(list(chain.from_iterable(values)), depth + 1)
        return (None if told is None else repr(widths).encode() + told), is_whole
    if kinds <= {int, float, bool}:
        return b"n" + repr(values).encode(), True
    mark = b"t"
    if not all(is_missing(value) for value in values if value.__class__ is not str):
        mark = b"m"
        tokens = [token_of(value) for value in values]
        if None in tokens:
            return None, False
        values = tokens
    lengths = [len(value) if value.__class__ is str else -1 for value in values]
    is_whole, texts = True, [value for value in values if value.__class__ is str]
    if sum(map(len, texts)) > _WHOLE_BYTES:
        is_whole, most = False, _WHOLE_BYTES // len(texts)
        texts = [text[:most] for text in texts]
    return mark + repr(lengths).encode() + "".join(texts).encode("utf-8", "surrogatepass"), is_whole


def token_of(value: Any) -> str | None:
    """A value as text with its kind; None if its text does not identify it."""
    if is_missing(value):
        return "?"
    if isinstance(value, str):
        return f"t{str.__str__(value)}"
    if type(value) in (bool, int, float, complex, bytes):
        return f"{type(value).__name__} {value!r}"
    module = type(value).__module__.partition(".")[0]
    if module == "numpy":
        return token_of(value.item()) if getattr(value, "shape", None) == () else None
    is_plain = module in ("datetime", "decimal", "fractions", "uuid", "pandas") and not hasattr(value, "__len__")
    return f"{type(value).__name__} {value}" if is_plain else None
