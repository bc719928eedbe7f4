"""Facts of columns: deciles with counts, distinct and missing values, categories by keyed hashes, and the target.

The first 100 columns are looked at, in up to 262,144 rows at even distances (``count`` says how many hold a value).
A decile has six significant digits; a category is a keyed hash, never a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from histhooks._collect.content_blocks import Numbers, Sparse, Table, Texts, chunks, np, row_bytes, rows_at_once
from histhooks._collect.content_rows import text_hash
from histhooks._collect.content_sparse import first_columns
from histhooks._collect.content_target import alone, equals_target, target_of, whole_codes
from histhooks._collect.data_values import six_digits

MOST_COLUMNS = 100
MOST_ROWS = 1 << 18
_FIRST_ROWS = 1024  # that show what most columns are not
_MOST_BYTES = 64 << 20  # of columns that are copied at once

Facts = dict[str, Any]


def facts_of(
    X: Table,
    y: Table | None,
    key: bytes,
    may_go_on: Callable[[], bool],
    at: list[dict[str, Any]] | None = None,
) -> tuple[list[dict[str, Any]], str]:
    """The facts of the columns of data.

    Parameters
    ----------
    X : Table
    y : Table or None
    key : bytes
    may_go_on : callable
        Asked between columns.
    at : list of dict, optional
        Facts of the training data, at whose edges values are counted.

    Returns
    -------
    list of dict, and str
        Position, name and facts; and why some columns have none.
    """
    if X.is_image:
        return [], "a row is an array: its values are no columns"
    rows = slice(0, X.n_rows, max(1, -(-X.n_rows // MOST_ROWS)))
    why = f"the first {MOST_COLUMNS} of {X.width:,} columns" if X.width > MOST_COLUMNS else ""
    edges = {one["position"]: one["facts"].get("edges") for one in at or ()}
    target = target_of(y, rows) if X.n_rows else None
    out: list[dict[str, Any]] = []
    for position, column in enumerate(_columns(X, rows)):
        if position >= MOST_COLUMNS:
            break
        if position and not may_go_on():
            return out, f"the first {position} of {X.width:,} columns, in the time there was"
        facts = _of_numbers(column, edges.get(position)) if column.texts is None else _of_texts(column, key)
        if target is not None:
            facts["alone"] = alone(column.floats, target)
            facts["equals_target"] = equals_target(column.floats, target, column.texts is None)
        name = X.names[position] if X.names is not None else str(position)
        out.append({"position": position, "name": name, "facts": facts})
    return out, why


@dataclass(slots=True, frozen=True)
class _Column:
    """One column as an array in the order of the rows.

    Attributes
    ----------
    values : ndarray
        Numbers, or the codes of texts.
    missing : ndarray of bool, or None
    texts : list of str, or None
        The distinct texts, if they are few; None if the column has none.
    n_distinct : int
        Of texts.
    """

    values: Any
    missing: Any
    texts: list[str] | None = None
    n_distinct: int = 0

    def floats(self, step: int = 1) -> Any:
        """The values of rows at even distances as float64, of which nan is missing."""
        out = self.values[::step].astype("f8")
        if self.missing is not None:
            out[self.missing[::step]] = np().nan
        return out


def _columns(X: Table, rows: slice) -> Iterator[_Column]:
    for block in X.blocks:
        if isinstance(block, Texts):
            codes, n_distinct, texts = whole_codes(block, rows)
            yield _Column(codes, codes < 0, texts, n_distinct)
        else:
            sparse = first_columns(block, min(block.width, MOST_COLUMNS)) if isinstance(block, Sparse) else block
            yield from _of_block(sparse, rows)


def _of_block(block: Numbers, rows: slice) -> Iterator[_Column]:
    """The columns of a block, as many of them at once as 64 MiB hold."""
    numpy = np()
    n = len(range(rows.start, rows.stop, rows.step))
    width = min(block.width, MOST_COLUMNS)
    most = max(1, _MOST_BYTES // max(1, n * 8))
    for first in range(0, width, most):
        here = slice(first, min(width, first + most))
        values: Any = None
        missing: Any = None
        done = 0
        for part in chunks(rows, rows_at_once(row_bytes(block))):
            read = block.some(part, here)
            if values is None:
                values = numpy.empty((here.stop - first, n), read.dtype)
                missing = numpy.zeros(values.shape, bool)
            stop = done + len(read)
            values[:, done:stop] = read.T
            found = None if block.missing is None else block.missing(part)
            if found is not None:
                missing[:, done:stop] = found[:, here].T
            done = stop
        if values is None:
            return
        values, missing = _plain(numpy, values, block.dtype, missing)
        for number in range(len(values)):
            mask = missing[number]
            yield _Column(values[number], mask if mask.any() else None)


def _plain(numpy: Any, values: Any, dtype: str, missing: Any) -> tuple[Any, Any]:
    """Values of any dtype as numbers that can be sorted, and which are missing."""
    if dtype[0] in "mM":
        return values.astype(f"{dtype[0]}8[ns]").view("<i8"), missing | numpy.isnat(values)
    if dtype == "bf2":
        values = (values.astype("<u4") << numpy.uint32(16)).view("<f4")
    if dtype == "b1":
        values = values.view("u1")
    return (values, missing | numpy.isnan(values)) if values.dtype.kind == "f" else (values, missing)


# --- facts ------------------------------------------------------------------------------------------------------------


def _of_numbers(column: _Column, at: list[float] | None) -> Facts:
    numpy = np()
    values, n = column.values, len(column.values)
    there = values if column.missing is None else values[~column.missing]
    facts: Facts = {"count": len(there), "missing": n - len(there)}
    if there.dtype.kind == "f":
        is_finite = numpy.isfinite(there)
        facts["infinite"] = int(len(there) - is_finite.sum())
        there = there[is_finite] if facts["infinite"] else there
    else:
        facts["infinite"] = 0
    ordered = numpy.sort(there)
    facts["distinct"] = int((ordered[1:] != ordered[:-1]).sum()) + 1 if len(ordered) else 0
    facts["zero"] = int(numpy.searchsorted(ordered, 0, "right") - numpy.searchsorted(ordered, 0, "left"))
    facts["monotone"] = _monotone(there) if facts["distinct"] > 1 else 0
    edges = at if at is not None else _edges(ordered)
    if edges and len(ordered):
        below = numpy.searchsorted(ordered, numpy.array(edges), side="right")
        facts |= {"edges": edges, "counts": numpy.diff([0, *below.tolist(), len(ordered)]).tolist()}
    return facts


def _monotone(values: Any) -> int:
    """1 where values never fall in the order of the rows, -1 where they never rise, else 0."""
    for part in (values[:_FIRST_ROWS], values):
        rises, falls = bool((part[1:] >= part[:-1]).all()), bool((part[1:] <= part[:-1]).all())
        if not (rises or falls):
            return 0
    return 1 if rises else -1


def _edges(ordered: Any) -> list[float]:
    """The deciles of sorted values."""
    if not len(ordered):
        return []
    out = []
    for tenth in range(1, 10):
        place, part = divmod(tenth * (len(ordered) - 1), 10)
        low, high = (ordered[at].item() for at in (place, min(place + 1, len(ordered) - 1)))
        edge = low if low == high or not part else low + (high - low) * part / 10
        out.append(six_digits(edge))
    return out


def _of_texts(column: _Column, key: bytes) -> Facts:
    numpy = np()
    missing = int(column.missing.sum())
    facts: Facts = {"count": len(column.values) - missing, "missing": missing, "distinct": column.n_distinct}
    if column.texts:
        counts = numpy.bincount(column.values[~column.missing], minlength=len(column.texts)).tolist()
        secret = hashlib.sha256(key).digest()
        hashes = [f"{text_hash(text, secret):016x}"[:8] for text in column.texts]
        facts["categories"] = sorted(map(list, zip(hashes, counts)), key=lambda one: (-one[1], one[0]))
    return facts
