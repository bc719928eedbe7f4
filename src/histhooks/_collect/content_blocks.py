"""Values in one form whatever their container: columns of numbers and columns of texts, read block by block.

A :class:`Numbers` is columns of one dtype, a :class:`Texts` one column of anything else. Both are read by a slice of
rows, or by the numbers of rows, in place: a read copies one block at most. The values of two containers are equal if
their blocks are.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from histhooks._collect.data_hash import token_of
from histhooks._collect.data_values import is_missing

BLOCK = 16_384  # rows that are read at once, at most
_BLOCK_BYTES = 16 << 20
_SIZES = {"b1": 1, "u1": 1, "i1": 1, "bf2": 2, "f2": 2, "i2": 2, "u2": 2, "f4": 4, "i4": 4, "u4": 4}  # else 8
_TEXT_BYTES = 16  # of what is hashed of a text


class Unreadable(Exception):
    """Values that cannot be read in place; its text says why."""


def np() -> Any:
    """NumPy, which the program has imported; never imported here."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise Unreadable("NumPy is not imported")
    return numpy


def distinct_of(values: Any) -> Any:
    """The distinct values of an array, sorted. `numpy.unique` would import `numpy.ma`, as `numpy.isin` does."""
    ordered = np().sort(values)
    return ordered[np().concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def are_in(values: Any, ordered: Any) -> Any:
    """Which values are among others, which are sorted."""
    if not len(ordered):
        return np().zeros(len(values), bool)
    return ordered[np().minimum(np().searchsorted(ordered, values), len(ordered) - 1)] == values


@dataclass(slots=True, frozen=True)
class Numbers:
    """Columns of numbers, booleans or times of one dtype.

    Attributes
    ----------
    n_rows, width : int
    dtype : str
        Kind and size without the order of bytes: `f8`, `i8`, `b1`, `M8[ns]`; `bf2` is bfloat16.
    read : callable
        Values of some rows, of shape (n, width) by rows, little-endian; what is missing is 0, or nan in floats.
    missing : callable or None
        Which of them are missing where a number has no nan, as an array of booleans; None if none are.
    cut : callable or None
        Values of some rows and some neighbouring columns only.
    """

    n_rows: int
    width: int
    dtype: str
    read: Callable[[Any], Any]
    missing: Callable[[Any], Any] | None = None
    cut: Callable[[Any, slice], Any] | None = None

    def some(self, rows: Any, columns: slice) -> Any:
        """Values of some rows and some neighbouring columns, read without the others where that can be."""
        return self.read(rows)[:, columns] if self.cut is None else self.cut(rows, columns)


@dataclass(slots=True, frozen=True)
class Texts:
    """One column of texts, or of other values that have a text of their own.

    Attributes
    ----------
    n_rows, width : int
    read : callable
        The codes of some rows and the distinct texts that they stand for, each with its kind in front; -1 is missing.
    """

    n_rows: int
    read: Callable[[Any], tuple[Any, list[str]]]
    width: int = 1


@dataclass(slots=True, frozen=True)
class Sparse:
    """The columns of a sparse matrix.

    Attributes
    ----------
    n_rows, width : int
    dtype : str
    read : callable
        How many values some rows hold, and the columns and values of those, in order and without zeros.
    """

    n_rows: int
    width: int
    dtype: str
    read: Callable[[Any], tuple[Any, Any, Any]]


Block = Numbers | Texts | Sparse


@dataclass(slots=True, frozen=True)
class Table:
    """Data as blocks that lie side by side.

    Attributes
    ----------
    n_rows : int
    blocks : tuple of Numbers and Texts
    names : tuple of str, or None
        Those of the columns, masked; None if they have none.
    is_image : bool
        Whether a row has a shape of its own, so that no value of it is a column.
    """

    n_rows: int
    blocks: tuple[Block, ...]
    names: tuple[str, ...] | None = None
    is_image: bool = False

    @property
    def width(self) -> int:
        """How many values a row has."""
        return sum(block.width for block in self.blocks)

    @property
    def row_bytes(self) -> int:
        """What is hashed of a row; of a sparse one nothing, since few of its values are stored."""
        return sum(map(row_bytes, self.blocks))


def row_bytes(block: Block) -> int:
    """What is hashed of a row of one block."""
    if isinstance(block, Texts):
        return _TEXT_BYTES
    return 0 if isinstance(block, Sparse) else block.width * _SIZES.get(block.dtype, 8)


def rows_at_once(row_bytes: int) -> int:
    """How many rows are read at once: 16,384, or fewer if they are large."""
    return max(1, min(BLOCK, _BLOCK_BYTES // max(1, row_bytes)))


# --- numbers ----------------------------------------------------------------------------------------------------------


def of_array(array: Any, bfloat16: bool = False) -> list[Block]:
    """The blocks of a NumPy array of any order, layout and dtype."""
    dtype = array.dtype
    if not array.shape:
        raise Unreadable("an array without rows")
    if dtype.names is not None:
        return [block for name in dtype.names for block in of_array(array[name])]
    if dtype.hasobject or dtype.kind in "USTV":
        return _of_objects(array)
    if bfloat16:
        return [_plain(array, "bf2", "u2")]
    if dtype.kind == "c":
        return [_of_complex(array)]
    if dtype.kind == "f" and dtype.itemsize > 8:
        return [_of_long_doubles(array)]
    if dtype.kind not in "biufmM":
        raise Unreadable(f"values of dtype {dtype}")
    return [_plain(array, dtype.str[1:], dtype.str[1:])]


def _plain(array: Any, name: str, dtype: str) -> Block:
    flat = array.reshape(len(array), _width(array)) if array.ndim == 1 or array.flags.c_contiguous else array

    def cut(rows: Any, columns: slice) -> Any:
        return _canonical(flat[rows, columns], dtype)

    is_matrix = flat.ndim == 2 and flat.shape[1] > 1
    return Numbers(
        len(array),
        _width(array),
        name,
        lambda rows: _canonical(flat[rows], dtype),
        None,
        cut if is_matrix else None,
    )


def _width(array: Any) -> int:
    width = 1
    for size in array.shape[1:]:
        width *= size
    return width


def _canonical(values: Any, dtype: str) -> Any:
    """Values by rows, little-endian; no copy of what lies so already."""
    order = "<" if dtype[0] not in "b" and dtype[1:] != "1" else "|"
    return np().ascontiguousarray(values.reshape(len(values), _width(values)), dtype=order + dtype)


def _of_complex(array: Any) -> Block:
    half = f"f{array.dtype.itemsize // 2}"

    def read(rows: Any) -> Any:
        values = np().ascontiguousarray(array[rows])
        flat = values.reshape(len(values), _width(values))
        return _canonical(flat.view(flat.real.dtype), half)

    return Numbers(len(array), 2 * _width(array), half, read)


def _of_long_doubles(array: Any) -> Block:
    """Two float64 that add up to each value: the bytes between values of 80 bits are undefined."""

    def read(rows: Any) -> Any:
        values = array[rows]
        values = values.reshape(len(values), _width(values))
        high = values.astype("<f8")
        return np().concatenate([high, (values - high).astype("<f8")], axis=1)

    return Numbers(len(array), 2 * _width(array), "f8", read)


def side_by_side(columns: Sequence[Block]) -> list[Block]:
    """Neighbours of one dtype as one block, which has the bytes of the array that they would make."""
    out: list[list[Block]] = []
    for column in columns:
        last = out[-1][-1] if out else None
        if isinstance(column, Numbers) and isinstance(last, Numbers) and column.dtype == last.dtype:
            out[-1].append(column)
        else:
            out.append([column])
    return [group[0] if len(group) == 1 else _joined(group) for group in out]


def _joined(group: list[Any]) -> Block:
    def read(rows: Any) -> Any:
        return np().concatenate([column.read(rows) for column in group], axis=1)

    def missing(rows: Any) -> Any:
        found = [None if column.missing is None else column.missing(rows) for column in group]
        if all(one is None for one in found):
            return None
        n = next(len(one) for one in found if one is not None)
        none = [np().zeros((n, column.width), bool) if one is None else one for one, column in zip(found, group)]
        return np().concatenate(none, axis=1)

    ends = list(itertools.accumulate(column.width for column in group))

    def cut(rows: Any, columns: slice) -> Any:
        parts = []
        for column, end in zip(group, ends):
            first = end - column.width
            here = slice(max(columns.start, first) - first, min(columns.stop, end) - first)
            if here.start < here.stop:
                parts.append(column.some(rows, here))
        return np().concatenate(parts, axis=1)

    has_missing = any(column.missing is not None for column in group)
    return Numbers(group[0].n_rows, ends[-1], group[0].dtype, read, missing if has_missing else None, cut)


def masked(values: Any, mask: Any) -> list[Block]:
    """An array and the array of booleans that says what of it is missing."""
    (block,) = of_array(values)
    if not isinstance(block, Numbers):
        raise Unreadable("a mask over values that are no numbers")
    is_float = block.dtype[0] == "f"

    def missing(rows: Any) -> Any:
        found = mask[rows]
        found = found.reshape(len(found), _width(found))
        return found if found.any() else None

    def read(rows: Any) -> Any:
        found, where = block.read(rows), missing(rows)
        if where is None:
            return found
        return np().where(where, found.dtype.type("nan") if is_float else found.dtype.type(0), found)

    return [Numbers(block.n_rows, block.width, block.dtype, read, None if is_float else missing)]


def chunks(rows: slice, size: int = BLOCK) -> list[slice]:
    """Some rows, a block of them after the other."""
    step = rows.step or 1
    return [slice(at, min(rows.stop, at + size * step), step) for at in range(rows.start, rows.stop, size * step)]


# --- texts and objects ------------------------------------------------------------------------------------------------


def _of_objects(array: Any) -> list[Block]:
    width = _width(array)
    flat = array.reshape(len(array), _width(array))
    return side_by_side([of_values(len(array), _taker(flat, number)) for number in range(width)])


def _taker(flat: Any, number: int) -> Callable[[Any], list[Any]]:
    return lambda rows: flat[rows, number].tolist()


def of_values(n_rows: int, take: Callable[[Any], list[Any]]) -> Block:
    """A column of Python values: numbers if all of it are of one kind, else texts."""
    first = take(slice(0, 1)) if n_rows else [None]
    if isinstance(first[0], np().generic):
        return _of_scalars(n_rows, take, type(first[0]))
    if type(first[0]) in (int, float, bool):
        kinds: set[type] = set()
        for start in range(0, n_rows, BLOCK):
            kinds.update(map(type, take(slice(start, start + BLOCK))))
            if not kinds <= {int, float, bool}:
                break
        if kinds <= {bool} or kinds <= {int, float}:
            dtype = "b1" if kinds == {bool} else "f8" if float in kinds else "i8"
            return Numbers(n_rows, 1, dtype, lambda rows: _numbers(take(rows), dtype))
    return Texts(n_rows, lambda rows: coded(take(rows)))


def _of_scalars(n_rows: int, take: Callable[[Any], list[Any]], kind: type) -> Block:
    """A column of scalars of NumPy: numbers if all are of one class."""
    dtype = np().dtype(kind)
    for start in range(0, n_rows, BLOCK):
        if (
            dtype.kind not in "biuf"
            or dtype.itemsize > 8
            or set(map(type, take(slice(start, start + BLOCK)))) != {kind}
        ):
            return Texts(n_rows, lambda rows: coded(take(rows)))
    name = dtype.str[1:]
    return Numbers(n_rows, 1, name, lambda rows: _numbers(take(rows), name))


def _numbers(values: list[Any], dtype: str) -> Any:
    try:
        return np().array(values, dtype=dtype).reshape(-1, 1)
    except OverflowError:
        raise Unreadable("whole numbers of more than 64 bits") from None


def coded(values: list[Any]) -> tuple[Any, list[str]]:
    """Values as codes, and the texts of the distinct ones."""
    if set(map(type, values)) == {str}:
        distinct = dict.fromkeys(values)
        texts = [f"t{value}" for value in distinct]
    else:
        tokens = [None if is_missing(value) else _token(value) for value in values]
        values, distinct = tokens, dict.fromkeys(tokens)
        distinct.pop(None, None)
        texts = list(distinct)
    codes = {value: code for code, value in enumerate(distinct)}
    codes[None] = -1
    return np().fromiter(map(codes.__getitem__, values), "i8", len(values)), texts


def _token(value: Any) -> str:
    token = token_of(value)
    if token is None:
        raise Unreadable(f"a value of class {type(value).__name__}")
    return token


def of_categories(n_rows: int, codes_of: Callable[[Any], Any], categories: list[Any]) -> Texts:
    """A column of codes that stand for categories."""
    texts = ["" if is_missing(value) else _token(value) for value in categories]
    return Texts(n_rows, lambda rows: (codes_of(rows).astype("i8"), texts))
