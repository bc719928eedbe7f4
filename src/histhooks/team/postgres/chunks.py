"""Points as a target stores them: 1,024 in one row of arrays."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from math import fsum
from typing import Any

from histhooks._store.entries import Point

SIZE = 1024
COLUMNS = ("chunk", "count", "steps", "epochs", "times", '"values"', "specials", "min", "max", "mean", "finite")
_LETTERS = {None: ".", "nan": "n", "inf": "+", "-inf": "-"}
_WORDS = {letter: word for word, letter in _LETTERS.items()}
_HEAD, _LENGTH = struct.Struct(">iII"), struct.Struct(">i")
_BEGIN, _WIDTH, _BIGINT = 20, 12, 20


def _array(values: Sequence[Any]) -> str:
    return "{" + ",".join(["NULL" if value is None else repr(value) for value in values]) + "}"


def packed(points: Iterable[Point]) -> Iterator[tuple[Any, ...]]:
    """Rows of `point_chunks`, without the series, of points in order; the first begins a chunk."""
    for chunk, some in groupby(points, lambda point: point[0] // SIZE):
        places, steps, epochs, times, values, specials = zip(*some, strict=True)
        is_known = places == steps  # NULL stands for n
        finite = [value for value in values if value is not None]
        yield (
            chunk,
            len(times),
            None if is_known else _array([None if s == n else s for n, s in zip(places, steps, strict=True)]),
            None if epochs.count(None) == len(epochs) else _array(epochs),
            _array(times),
            _array(values),
            "".join([_LETTERS[special] for special in specials]) if len(finite) < len(values) else None,
            min(finite, default=None),
            max(finite, default=None),
            fsum(finite) / len(finite) if finite else None,
            len(finite),
        )


def unpacked(
    chunk: int, steps: Any, epochs: Any, times: Any, values: Any, specials: str | None
) -> Iterator[tuple[Any, ...]]:
    """The points of a chunk, as a file has them: without a step where it is n."""
    return rows(chunk * SIZE, steps, epochs, times, values, specials)


def rows(
    first: int, steps: Any, epochs: Any, times: Any, values: Any, specials: str | None
) -> Iterator[tuple[Any, ...]]:
    """Points in a row, the first one of a given order."""
    count = len(times)
    steps, epochs = steps or [None] * count, epochs or [None] * count
    special = [None] * count if specials is None else words(specials)
    return zip(range(first, first + count), steps, epochs, times, values, special, strict=True)


def words(specials: str) -> list[str | None]:
    """What the letters of some points say: `nan`, `inf`, `-inf`; None of a finite one."""
    return [_WORDS[letter] for letter in specials]


def received(data: bytes) -> array[Any] | list[Any]:
    """An array as `array_send` gives it, of bigint or of double precision: a list where some of it is NULL.

    First the number of dimensions, whether there are NULLs, the type, the length and where it begins; then of each
    value its length and itself, of NULL a length of -1 (src/backend/utils/adt/arrayfuncs.c).
    """
    dimensions, has_null, kind = _HEAD.unpack_from(data)
    letter = "q" if kind == _BIGINT else "d"
    if not dimensions:
        return array(letter)
    if not has_null:
        return array(letter, _values_of((len(data) - _BEGIN) // _WIDTH, letter).unpack_from(data, _BEGIN))
    one, place, found = struct.Struct(f">{letter}"), _BEGIN, list[Any]()
    while place < len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        found.append(None if length < 0 else one.unpack_from(data, place)[0])
        place += max(0, length)
    return found


@lru_cache(maxsize=64)
def _values_of(count: int, letter: str) -> struct.Struct:
    return struct.Struct(f">{f'4x{letter}' * count}")
