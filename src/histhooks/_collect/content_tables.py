"""Read containers of data as tables (:mod:`histhooks._collect.content_blocks`).

:func:`table_of` runs on any thread, some time after the data was kept (:mod:`histhooks._collect.content_kept`). It
imports no library, iterates no Dataset and asks no device for anything.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

from histhooks._collect.content_arrow import of_arrow, of_polars
from histhooks._collect.content_blocks import (
    Block,
    Numbers,
    Table,
    Unreadable,
    masked,
    np,
    of_array,
    of_categories,
    of_values,
    side_by_side,
)
from histhooks._collect.content_joined import beside, picked, stacked
from histhooks._collect.content_kept import Kept
from histhooks._collect.content_sparse import of_sparse
from histhooks._collect.data_values import names_of

MOST_COLUMNS = 2000  # of a frame: above, a column costs more than its values
_MOST_NAMES = 100


def table_of(kept: Kept) -> Table:
    """What is kept, as a table.

    Raises
    ------
    Unreadable
    """
    table: Table = _READERS[kept.kind](kept.data)
    return table


def _of_ndarray(array: Any) -> Table:
    numpy, ma = np(), sys.modules.get("numpy.ma")  # to ask NumPy for it would import it
    if ma is not None and isinstance(array, ma.MaskedArray) and array.mask.shape:
        blocks = masked(array.data, array.mask)
    else:
        blocks = of_array(numpy.asarray(array))
    names = array.dtype.names
    is_flat = names is not None and all(array.dtype[name].shape == () for name in names)
    return Table(len(array), tuple(side_by_side(blocks)), names if is_flat else None, array.ndim > 2)


def _of_bfloat16(array: Any) -> Table:
    return Table(len(array), tuple(of_array(array, bfloat16=True)), None, array.ndim > 2)


# --- frames -----------------------------------------------------------------------------------------------------------


def _of_frame(frame: Any) -> Table:
    width = len(frame.columns)
    if width > MOST_COLUMNS:
        return _of_wide_frame(frame)
    columns = [column_of(frame.iloc[:, number].array) for number in range(width)]
    return Table(len(frame), tuple(side_by_side(columns)), tuple(names_of(frame, width)))


def _of_wide_frame(frame: Any) -> Table:
    """A frame of very many columns, if they are one array."""
    values = frame.to_numpy(copy=False)
    if values.dtype.hasobject or values.base is None:
        raise Unreadable(f"a frame of {len(frame.columns):,} columns that do not lie together")
    return Table(len(frame), tuple(of_array(values)), tuple(names_of(frame, _MOST_NAMES)))


def _of_series(series: Any) -> Table:
    return Table(len(series), (column_of(series.array),), None)


def column_of(array: Any) -> Block:
    """The block of a column of pandas."""
    n = len(array)
    if hasattr(array, "categories") and hasattr(array, "codes"):
        codes = array.codes
        return of_categories(n, lambda rows: codes[rows], array.categories.tolist())
    arrow = getattr(array, "_pa_array", None)
    if arrow is not None:
        return of_arrow(arrow)
    values = getattr(array, "_ndarray", None)
    if values is not None and values.dtype.kind in "biufcmM":
        return _one(of_array(values))
    values, mask = getattr(array, "_data", None), getattr(array, "_mask", None)
    if mask is not None and hasattr(values, "dtype"):  # a nullable column
        return _one(masked(values, mask))
    if hasattr(array, "sp_values"):
        return Numbers(n, 1, array.dtype.subtype.str[1:], lambda rows: np().asarray(array[rows])[:, None])
    return of_values(n, lambda rows: list(array[rows].tolist()))


def _one(blocks: list[Block]) -> Block:
    (block,) = blocks
    return block


def _of_polars(frame: Any) -> Table:
    if not hasattr(frame, "get_columns"):  # a Series
        return Table(len(frame), (of_polars(frame),))
    columns = [of_polars(series) for series in frame.get_columns()]
    return Table(len(frame), tuple(side_by_side(columns)), tuple(names_of(frame, len(columns))))


def _of_arrow(data: Any) -> Table:
    if not hasattr(data, "column_names"):  # an array
        return Table(len(data), (of_arrow(data),))
    columns = [of_arrow(data.column(number)) for number in range(data.num_columns)]
    names = type("Names", (), {"columns": data.column_names})
    return Table(data.num_rows, tuple(side_by_side(columns)), tuple(names_of(names, len(columns))))


def _of_sparse(matrix: Any) -> Table:
    block = of_sparse(matrix)
    return Table(block.n_rows, (block,))


# --- lists ------------------------------------------------------------------------------------------------------------


def _of_list(values: Any) -> Table:
    n = len(values)
    if not n or type(values[0]) not in (list, tuple):
        return Table(n, (of_values(n, lambda rows: _rows(values, rows)),))
    widths = set(map(len, values))
    if len(widths) != 1:
        raise Unreadable("rows of different lengths")
    width = widths.pop()
    kinds = set(map(type, itertools.chain.from_iterable(values)))
    if kinds and (kinds <= {int, float} or kinds == {bool}):  # one dtype for all, as of the array of them
        dtype = "f8" if float in kinds else "b1" if bool in kinds else "i8"
        return Table(n, (Numbers(n, width, dtype, lambda rows: _array(_rows(values, rows), dtype)),))
    return Table(n, tuple(side_by_side([of_values(n, _column(values, number)) for number in range(width)])))


def _array(rows: list[Any], dtype: str) -> Any:
    try:
        return np().array(rows, dtype=dtype)
    except OverflowError:
        raise Unreadable("whole numbers of more than 64 bits") from None


def _rows(values: Any, rows: Any) -> list[Any]:
    return list(values[rows]) if isinstance(rows, slice) else [values[row] for row in rows.tolist()]


def _column(values: Any, number: int) -> Any:
    return lambda rows: [row[number] for row in _rows(values, rows)]


def _of_stack(arrays: list[Any]) -> Table:
    """A list of arrays, each of which is a row."""
    numpy = np()
    if len({array.shape for array in arrays}) != 1 or len({array.dtype for array in arrays}) != 1:
        raise Unreadable("rows of different shapes")
    (block,) = of_array(numpy.stack(arrays[:1]))
    if not isinstance(block, Numbers):
        raise Unreadable("a list of arrays of objects")

    def read(rows: Any) -> Any:
        (part,) = of_array(numpy.stack(_rows(arrays, rows)))
        return part.read(slice(None))

    return Table(len(arrays), (Numbers(len(arrays), block.width, block.dtype, read),), None, arrays[0].ndim > 1)


# --- of several -------------------------------------------------------------------------------------------------------


def _of_picked(data: tuple[Kept, Any]) -> Table:
    inner, indices = data
    return picked(table_of(inner), numbers_of(indices))


def numbers_of(indices: Any) -> Any:
    """The indices of a Subset, a list or an array, as an array."""
    return np().asarray(indices, dtype="i8").reshape(-1)


_READERS: dict[str, Any] = {
    "array": _of_ndarray,
    "bfloat16": _of_bfloat16,
    "frame": _of_frame,
    "series": _of_series,
    "polars": _of_polars,
    "arrow": _of_arrow,
    "sparse": _of_sparse,
    "list": _of_list,
    "rows": _of_stack,
    "picked": _of_picked,
    "stacked": lambda parts: stacked(list(map(table_of, parts))),
    "beside": lambda parts: beside(list(map(table_of, parts))),
}
