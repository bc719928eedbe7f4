"""Whether the columns of data tell its rows apart, so that a row that is found elsewhere too is no chance.

That half of a column's values are distinct is not enough: of 200 ages or prices most are distinct too, and two clean
halves of them share many rows. Nor is it needed: rows may have been repeated on purpose. So the chance that two rows
have one value in a column is estimated from how near its values lie: on a grid of decimals from its number of points
and from neighbours on it, on any other grid from the neighbours at its smallest distance, else from the neighbours
within 64 steps of float32. Values of very many rows, as 0 and nan, tell no row. Rows are hashed as float32, so that
times and coordinates that lie close together, far from zero, are fewer values than they seem.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from histhooks._collect.content_blocks import (
    Numbers,
    Sparse,
    Table,
    Texts,
    are_in,
    chunks,
    distinct_of,
    np,
    row_bytes,
    rows_at_once,
)
from histhooks._collect.content_sparse import first_columns

_MOST_ROWS = 1 << 17  # that are looked at, at even distances
_FIRST_ROWS = 4096  # that show that a column has few values
_MOST_SEARCHED = 1000  # columns
_MOST_SPARSE = 100  # columns of a sparse matrix
_CHANCE = 0.02  # pairs of equal rows that chance may make in as many rows as the data has, twice
_DEPENDENCE = 1000.0  # by how much two columns may agree more often than independent ones
_MOST_JOINED = 4  # columns
_STEPS = 64  # of float32
_KEPT = 0.9  # of the distinct values, at least, that float32 tells apart too
_DECIMALS = 5
_FREQUENT = 20  # rows: a value that more of them have is no measurement,
_MANY = 10  # unless there are many such values, as where rows were repeated
_REPEATED = 0.2  # of the rows that are distinct, at least, where rows were repeated on purpose
_LONG = 24  # characters of a text that is no name


def is_identifying(table: Table, n_distinct: int, may_go_on: Callable[[], bool] = lambda: True) -> bool:
    """Whether some columns together tell the rows apart, far beyond chance.

    Parameters
    ----------
    table : Table
    n_distinct : int
        How many of its rows are distinct.
    may_go_on : callable
        Asked between columns.
    """
    n, searched = table.n_rows, 0
    if n < 2 or n_distinct < _REPEATED * n:
        return False
    found = _Found(n, n_distinct)
    for block in table.blocks:
        dense = first_columns(block, min(block.width, _MOST_SPARSE)) if isinstance(block, Sparse) else block
        if isinstance(dense, Texts):
            if _tells_by_text(dense, n):
                return True
            continue
        if _few_values(dense, n):
            continue
        width = min(dense.width, _MOST_SEARCHED - searched)
        first = dense.some(_evenly(n, _FIRST_ROWS), slice(0, width))
        for number in range(width):
            if not may_go_on():
                return False
            if not _are_distinct(len(distinct_of(first[:, number])), len(first), n_distinct):
                continue
            if found.add(_column(dense, number, _evenly(n, _MOST_ROWS))):
                return True
        searched += dense.width
        if searched >= _MOST_SEARCHED:
            return False
    return False


def _few_values(block: Numbers, n: int) -> bool:
    return block.dtype in ("b1", "bf2") or (block.dtype in ("u1", "i1") and n > 512)


def _evenly(n: int, most: int) -> slice:
    """All rows, or some at even distances."""
    return slice(0, n, -(-n // most))


def _column(block: Numbers, number: int, rows: slice) -> Any:
    """A column as floats with nan, or as whole numbers."""
    numpy = np()
    here = slice(number, number + 1)
    values = numpy.concatenate([block.some(part, here)[:, 0] for part in chunks(rows, rows_at_once(row_bytes(block)))])
    if values.dtype.kind in "mM":
        return values.astype(f"{values.dtype.kind}8[ns]").view("i8")
    return values


def _tells_by_text(block: Texts, n: int) -> bool:
    """Whether texts are long, and most of them distinct; two people have one name, and no two letters one text."""
    codes, texts = block.read(_evenly(n, _FIRST_ROWS))
    return 2 * len(texts) >= max(2, len(codes)) and sum(map(len, texts)) >= (_LONG + 1) * len(texts)


class _Found:
    """The columns that tell rows apart, as far as they were searched."""

    def __init__(self, n_rows: int, n_distinct: int) -> None:
        self._n, self._n_distinct = n_rows, n_distinct
        self._chances: list[float] = []
        self._ranks: list[Any] = []
        self._untold: Any = None  # rows that no column tells

    def add(self, values: Any) -> bool:
        """Whether rows are told apart with one more column."""
        numpy = np()
        is_frequent = numpy.isnan(values) if values.dtype.kind == "f" else numpy.zeros(len(values), bool)
        ordered = numpy.sort(values[~is_frequent])
        if not len(ordered):
            return False
        is_first = numpy.concatenate([[True], ordered[1:] != ordered[:-1]])
        distinct = ordered[is_first]
        if values.dtype.str[1:] == "f8" and len(distinct_of(distinct.astype("f4"))) < _KEPT * len(distinct):
            return self.add(values.astype("f4"))  # as rows are hashed, which tells fewer values apart
        if not _are_distinct(len(distinct), len(values), self._n_distinct):
            return False
        counts = numpy.diff(numpy.append(numpy.flatnonzero(is_first), len(ordered)))
        frequent = distinct[counts > _FREQUENT]
        if 0 < len(frequent) < _MANY:
            is_frequent |= are_in(values, frequent)
        ranks = values[:_FIRST_ROWS].argsort(kind="stable").argsort()
        if any(abs(numpy.corrcoef(ranks, other)[0, 1]) > 0.999 for other in self._ranks):
            return False  # another scale of a column that is there
        chance = _chance(numpy, distinct, self._n)
        if chance * _DEPENDENCE >= 1 and chance * self._n**2 > _CHANCE:
            return False
        self._chances = sorted([*self._chances, chance])[:_MOST_JOINED]
        self._ranks.append(ranks)
        self._untold = is_frequent if self._untold is None else self._untold & is_frequent
        expected = float(self._n) ** 2 / _DEPENDENCE
        for one in self._chances:
            expected *= min(1.0, one * _DEPENDENCE)
        return not self._untold.any() and expected <= _CHANCE


def _are_distinct(n_seen: int, n_rows: int, n_distinct: int) -> bool:
    """Whether a column has a value for every second distinct row, by the distinct ones of some rows."""
    half = 0.5 * n_distinct
    # Of as many values, each as frequent as the others, this many are seen; a little fewer by chance.
    return n_seen >= 0.9 * half * (1 - math.exp(-n_rows / half))


def _chance(numpy: Any, distinct: Any, n: int) -> float:
    """The chance that two rows have one value in a column whose distinct values are these, sorted."""
    span = float(distinct[-1]) - float(distinct[0])
    if len(distinct) < 2 or not numpy.isfinite(span):
        return 1.0
    squared = float(len(distinct)) ** 2
    step = _step(numpy, distinct)
    if step is not None:
        gaps = numpy.diff(distinct.view("u8") if distinct.dtype.str[1:] == "i8" else distinct)
        return max(step / (span + step), int((gaps < 1.5 * step).sum()) / squared)
    small = distinct_of(distinct.astype("f4"))
    gaps = numpy.diff(small.astype("f8"))
    if not len(gaps):
        return 1.0
    nearest = int((gaps <= 1.01 * gaps.min()).sum())
    within = int((gaps <= _STEPS * numpy.spacing(numpy.abs(small[1:]))).sum())
    # One gap is the smallest on any data.
    on_grid = nearest / squared if nearest >= 4 else 0.0
    return max(on_grid, within / _STEPS / squared)


def _step(numpy: Any, distinct: Any) -> float | None:
    """The distance between the points of a grid of whole numbers or decimals on which all values lie; None if none."""
    if distinct.dtype.kind in "iu":
        wide = distinct.view("u8") if distinct.dtype.str[1:] == "i8" else distinct.astype("i8")
        return float(numpy.gcd.reduce(numpy.diff(wide)))
    precision = 2.0**-22 if distinct.dtype.itemsize <= 4 else 2.0**-50
    values = distinct.astype("f8")
    largest = max(abs(values[0]), abs(values[-1]))
    for power in range(_DECIMALS):
        grid = 10.0**power
        error = largest * grid * precision
        if error > 0.1:
            return None
        scaled = values * grid
        if (numpy.abs(scaled - numpy.rint(scaled)) <= error).all():
            return 1 / grid
    return None
