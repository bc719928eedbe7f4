"""Which rows went through which transformers, and which of them these had been fitted on: by hashes of rows alone.

A transformer that was fitted on rows of the test set has seen them. Nothing in a model shows it afterwards, but rows
do: those of the test set are looked up among the rows that came out of each transformer, from there among the rows that
went in, and those among the rows that it had been fitted on. Where columns were taken out or put together later, rows
are no longer known; then some rows are looked up by the values of single columns that tell rows apart.

Standardising by hand, and values that are changed in place after they came out, are not seen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from histhooks._collect.content import FAILURES, Held, hashes_of
from histhooks._collect.content_blocks import Numbers, Sparse, Table, distinct_of
from histhooks._collect.content_joined import picked
from histhooks._collect.content_rows import RowHashes, bits_of, final

_MOST_BYTES = 1 << 26  # of hashes that are kept, in all
_MOST_CELLS = 1 << 21  # of one pass that are hashed; of larger ones, rows at even distances are followed
_DEEP = 16  # transformers one after the other
_COLUMNS, _COLUMNS_LOOKED_UP = 8, 100
_SAMPLE = 128  # rows that are looked up by columns
_FEW = 8  # rows that must be found by columns
_SHARE = 0.1  # of the rows that are looked up, which must be found by one column
_TWINS = 0.05  # share of rows that have a twin, above which equal rows say nothing


@dataclass(slots=True, eq=False)
class Transformer:
    """A transformer that was fitted here.

    Attributes
    ----------
    class_name : str
    run_id : str or None
        The run of its fit; None if it never learns.
    requires_fit : bool
        Whether it learns from data.
    uses_target : bool
    dataset_id : str or None
        The data it was fitted on.
    fitted : callable
        The rows of that data; None if they are not known, or no longer.
    """

    class_name: str
    run_id: str | None
    requires_fit: bool
    uses_target: bool
    dataset_id: str | None = None
    fitted: Callable[[], RowHashes | None] = lambda: None


@dataclass(slots=True)
class _Pass:
    """Rows that a transformer has transformed, in the order of the hashes of what came out."""

    out: Any
    into: Any
    columns: list[tuple[Any, Any]] = field(default_factory=list)  # hashes of single values, and the rows that went in

    @property
    def nbytes(self) -> int:
        return int(self.out.nbytes + self.into.nbytes + sum(a.nbytes + b.nbytes for a, b in self.columns))


@dataclass(slots=True, frozen=True)
class Step:
    """What a transformer did to rows of data: columns of `transforms`.

    Attributes
    ----------
    transformer : Transformer
    n_rows : int
        Rows of the data that came out of it; by columns, of a sample of 128.
    n_fitted : int or None
        Of them, those that it had been fitted on; None if that cannot be known.
    by : {'rows', 'columns'}
    """

    transformer: Transformer
    n_rows: int
    n_fitted: int | None
    by: str


class Flows:
    """The rows that went through transformers, for one thread."""

    def __init__(self) -> None:
        self._passes: dict[Transformer, list[_Pass]] = {}
        self._nbytes = 0

    def __bool__(self) -> bool:
        return bool(self._passes)

    def passed(self, transformer: Transformer, into: Held, out: Held, key: bytes | None) -> bool:
        """Keep the hashes of rows that a transformer has transformed; the oldest go where they are too many.

        Returns
        -------
        bool
            Whether all rows are followed.
        """
        table, result = into.tables()[0], out.tables()[0]
        if table is None or result is None or table.n_rows != result.n_rows or not table.n_rows:
            return True
        numpy, n = sys.modules["numpy"], table.n_rows
        most = max(1, _MOST_CELLS // max(1, _cells(table), _cells(result)))
        if n > most:
            rows = numpy.linspace(0, n - 1, most).astype("i8")
            table, result = picked(table, rows), picked(result, rows)
        rows, made = hashes_of(table, key), hashes_of(result, key)
        changed = made != rows  # a row that came out as it went in shows nothing
        order = numpy.argsort(made[changed])
        new = _Pass(made[changed][order], rows[changed][order])
        if not len(order):
            return n <= most
        for values in _telling(result, table):
            order = numpy.argsort(values)
            new.columns.append((values[order], rows[order]))
        self._passes.setdefault(transformer, []).append(new)
        self._nbytes += new.nbytes
        while self._nbytes > _MOST_BYTES:
            self._drop_oldest()
        return n <= most

    def _drop_oldest(self) -> None:
        transformer = next(iter(self._passes))
        self._nbytes -= self._passes[transformer].pop(0).nbytes
        if not self._passes[transformer]:
            del self._passes[transformer]

    def trace(self, rows: RowHashes, sample: list[Any]) -> list[Step]:
        """Find the transformers that data came out of, the first one that it went through first.

        Parameters
        ----------
        rows : RowHashes
            Of the features.
        sample : list of ndarray
            What :func:`sample_of` made of the data, which is asked where no row is found.
        """
        if not self._passes:
            return []
        return (list(self._by_rows(rows.hashes)) or list(self._by_columns(sample)))[::-1]

    def _by_rows(self, hashes: Any, without: frozenset[int] = frozenset()) -> Iterator[Step]:
        """Of each row, the transformer that made it last, and from there on upwards."""
        numpy = sys.modules["numpy"]
        left = numpy.ones(len(hashes), bool)
        # A copy: to know what a transformer was fitted on, its data may be looked at first, and what waits before that.
        for transformer, passes in reversed(self._passes.copy().items()):
            if id(transformer) in without or len(without) >= _DEEP:
                continue
            known = numpy.zeros(len(hashes), bool)
            into = numpy.zeros(len(hashes), "u8")
            for one in passes:
                places = numpy.minimum(numpy.searchsorted(one.out, hashes), len(one.out) - 1)
                new = (one.out[places] == hashes) & left & ~known
                into[new] = one.into[places[new]]
                known |= new
            if known.any():
                left &= ~known
                yield Step(transformer, int(known.sum()), _n_fitted(transformer, into[known]), "rows")
                yield from self._by_rows(into[known], without | {id(transformer)})

    def _by_columns(self, sample: list[Any]) -> Iterator[Step]:
        """Of each column, the transformer that made it last."""
        numpy = sys.modules["numpy"]
        left = dict(enumerate(sample))
        for transformer, passes in reversed(self._passes.copy().items()):
            most, found, into = 0, None, None
            for number, values in list(left.items()):
                for theirs, went_in in (column for one in passes for column in one.columns):
                    places = numpy.minimum(numpy.searchsorted(theirs, values), len(theirs) - 1)
                    same = theirs[places] == values
                    count = int(same.sum())
                    # Flags of 0 and 1 are in whatever was scaled to that range: few values say nothing.
                    if count >= max(_FEW, _SHARE * len(values)) and len(distinct_of(values[same])) >= _FEW:
                        left.pop(number, None)
                        if count > most:
                            most, found, into = count, same, went_in[places]
            if found is not None and into is not None:
                yield Step(transformer, most, _n_fitted(transformer, into[found]), "columns")


def _n_fitted(transformer: Transformer, rows: Any) -> int | None:
    """How many rows a transformer had been fitted on; None where equal rows may be other samples."""
    if not transformer.requires_fit:
        return 0
    fitted = transformer.fitted()
    if fitted is None or fitted.n_rows - fitted.n_distinct > _TWINS * fitted.n_rows:
        return None
    numpy = sys.modules["numpy"]
    places = numpy.minimum(numpy.searchsorted(fitted.hashes, rows), len(fitted.hashes) - 1)
    return int((fitted.hashes[places] == rows).sum())


def _cells(table: Table) -> int:
    """Numbers in a row that are read: of a sparse matrix some few."""
    return sum(
        min(block.width, 64) if isinstance(block, Sparse) else getattr(block, "width", 1) for block in table.blocks
    )


def sample_of(held: Held) -> list[Any]:
    """A hash of each value of some rows at even distances, column by column, of columns of floats."""
    table = held.tables()[0]
    if table is None or not table.n_rows:
        return []
    try:
        return _sampled(table)
    except FAILURES:  # such as picked rows of an Arrow column
        return []


def _sampled(table: Table) -> list[Any]:
    numpy = sys.modules["numpy"]
    rows = distinct_of(numpy.linspace(0, table.n_rows - 1, min(_SAMPLE, table.n_rows)).astype("i8"))
    return list(_values(table, rows, _COLUMNS_LOOKED_UP))


def _values(table: Table, rows: Any, most: int) -> Iterator[Any]:
    """A hash of each value in some rows, of each of the first columns that are floats."""
    numpy, position = sys.modules["numpy"], 0
    for block in table.blocks:
        if isinstance(block, Numbers) and block.dtype[0] == "f" and position < most:
            with numpy.errstate(all="ignore"):
                cells = bits_of(numpy, block.read(rows), block.dtype)
            for number in range(min(cells.shape[1], most - position)):
                yield (final(cells[:, number]) >> numpy.uint64(32)).astype("u4")
        position += getattr(block, "width", 1)


def _telling(table: Table, before: Table) -> Iterator[Any]:
    """The first columns of which most rows have a value of their own, as hashes of all values.

    A column of which half the values went in as they came out shows nothing.
    """
    found, rows = 0, slice(0, table.n_rows)
    known = list(_values(before, rows, _COLUMNS_LOOKED_UP))
    for values in _values(table, rows, _COLUMNS_LOOKED_UP):
        if 2 * len(distinct_of(values)) > len(values) and all(
            2 * (values == one).sum() < table.n_rows for one in known
        ):
            found += 1
            yield values
        if found == _COLUMNS:
            return
