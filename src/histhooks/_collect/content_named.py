"""Columns that the program named: which groups rows are of, by keyed hashes, and when they were.

A group is hashed as a text by keyed BLAKE2b, which cannot be solved for the key as sums of rows could of one column.
Whole numbers are one group in any dtype; a row without a group is in none. Times are dates, texts of dates (ISO 8601,
without a zone), or numbers; they stay in the process but for the first and the last one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from histhooks._collect.content_blocks import Block, Numbers, Sparse, Table, Texts, Unreadable, distinct_of, np
from histhooks._collect.content_columns import Facts
from histhooks._collect.content_kept import Kept
from histhooks._collect.content_rows import RowHashes, blocks_of, overlap, text_hash
from histhooks._collect.content_tables import table_of
from histhooks._host.named_columns import GIVEN, named

_DATE = re.compile(r"(?:t|date |datetime |Timestamp )(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?)")
_OWN = ("edges", "counts")  # facts of a column of groups that would be groups
_FAILURES = (Unreadable, AttributeError, TypeError, ValueError, LookupError, ArithmeticError, MemoryError, RuntimeError)
_Ask = Callable[[], bool]


@dataclass(slots=True, frozen=True)
class Marks:
    """What one named column says of the rows.

    Attributes
    ----------
    part : str
        `group:<column>` or `time:<column>`.
    n_rows : int
        Those of the data, whether they have a value or not.
    rows : RowHashes or None
        Rows that are in a group, by its hash.
    times : ndarray or None
        Sorted.
    """

    part: str
    n_rows: int
    rows: RowHashes | None = None
    times: Any = None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.rows.nbytes if self.rows is not None else int(self.times.nbytes)


def marks_of(X: Table, groups: Kept | None, key: bytes, may_go_on: _Ask) -> tuple[list[Marks], str]:
    """What the named columns of data, and the groups that were given beside it, say of its rows.

    Parameters
    ----------
    X : Table
    groups : Kept or None
    key : bytes
    may_go_on : callable

    Returns
    -------
    list of Marks, and str
        Why some are not there.
    """
    wanted = [("group", name) for name in named().groups] + [("time", name) for name in named().times]
    found: list[Marks] = []
    why: list[str] = []
    for kind, name in wanted:
        if X.names is not None and name in X.names:
            _add(found, why, f"{kind}:{name}", partial(_column_of, X, name), key, may_go_on)
    if groups is not None and not any(one.part == f"group:{GIVEN}" for one in found):
        _add(found, why, f"group:{GIVEN}", partial(_column_beside, X, groups), key, may_go_on)
    return found, "; ".join(why)


def _add(
    found: list[Marks], why: list[str], part: str, column: Callable[[], Table], key: bytes, may_go_on: _Ask
) -> None:
    try:
        table = column()
        if part.startswith("group:"):
            found.append(Marks(part, table.n_rows, rows=_groups(table, key, may_go_on)))
        else:
            found.append(Marks(part, table.n_rows, times=_times(table, may_go_on)))
    except _FAILURES as error:
        told = str(error) if isinstance(error, Unreadable) else f"reading it raised {type(error).__name__}"
        why.append(f"{part}: {told}")


def _column_of(X: Table, name: str) -> Table:
    names: Any = X.names
    if len(names) != X.width:
        raise Unreadable(f"{len(names)} names of {X.width} columns")
    at = names.index(name)
    for block in X.blocks:
        if at < block.width:
            return Table(X.n_rows, (_one_of(block, at),))
        at -= block.width
    raise Unreadable("no such column")


def _one_of(block: Block, at: int) -> Block:
    """One column of a block."""
    if isinstance(block, Texts):
        return block
    if isinstance(block, Sparse):
        raise Unreadable("a column of a sparse matrix")
    here, missing = slice(at, at + 1), block.missing

    def missing_here(rows: Any) -> Any:
        mask = missing(rows)  # type: ignore[misc]
        return None if mask is None else mask[:, here]

    return Numbers(
        *(block.n_rows, 1, block.dtype), lambda rows: block.some(rows, here), None if missing is None else missing_here
    )


def _column_beside(X: Table, groups: Kept) -> Table:
    table = table_of(groups)
    if table.n_rows != X.n_rows or table.width != 1:
        raise Unreadable(f"{table.n_rows} rows of {table.width} values, beside {X.n_rows} rows")
    return Table(table.n_rows, (_one_of(table.blocks[0], 0),))


def _groups(table: Table, key: bytes, may_go_on: _Ask) -> RowHashes:
    numpy, secret = np(), hashlib.sha256(b"groups " + key).digest()
    known: dict[Any, int] = {}
    (block,) = table.blocks
    parts = [numpy.empty(0, "u8")]
    for start, stop in blocks_of(table):
        if not may_go_on():
            raise Unreadable("not in the time there was")
        codes, texts = _coded(block, slice(start, stop))
        for text in texts:
            if text not in known:
                known[text] = text_hash(str(text), secret)
        hashes = numpy.array([known[text] for text in texts], "u8")
        parts.append(hashes[codes[codes >= 0]])
    return RowHashes(numpy.concatenate(parts))


def _coded(block: Any, rows: slice) -> tuple[Any, list[Any]]:
    """Values as codes of the distinct ones, of which whole numbers are the same in any dtype; -1 is missing."""
    if isinstance(block, Texts):
        codes, texts = block.read(rows)
        used = distinct_of(codes[codes >= 0])
        places = np().searchsorted(used, codes)
        return np().where(codes < 0, -1, places), [texts[code] for code in used.tolist()]
    numpy, values = np(), block.read(rows)[:, 0]
    is_missing = numpy.zeros(len(values), bool)
    if block.missing is not None and (mask := block.missing(rows)) is not None:
        is_missing |= mask[:, 0]
    if values.dtype.kind in "mM":
        is_missing |= numpy.isnat(values)
        values = values.astype(f"{values.dtype.kind}8[us]").view("<i8")
    elif values.dtype.kind == "f":
        is_missing |= numpy.isnan(values)
        values = values.astype("f8")
        is_whole = (numpy.floor(values) == values) & (numpy.abs(values) < 1 << 53)
        if is_whole[~is_missing].all():
            values = numpy.where(is_missing, 0, values).astype("i8")
    distinct = distinct_of(values[~is_missing])
    codes = numpy.searchsorted(distinct, values)
    told = [int(one) if isinstance(one, float) and one.is_integer() else one for one in distinct.tolist()]
    return numpy.where(is_missing, -1, codes), [f"n{int(one) if isinstance(one, bool) else one}" for one in told]


def _times(table: Table, may_go_on: _Ask) -> Any:
    numpy = np()
    (block,) = table.blocks
    parts = []
    for start, stop in blocks_of(table):
        if not may_go_on():
            raise Unreadable("not in the time there was")
        rows = slice(start, stop)
        if isinstance(block, Texts):
            codes, texts = block.read(rows)
            parts.append(_dates(texts)[codes[codes >= 0]])
            continue
        if not isinstance(block, Numbers) or block.dtype[0] not in "iufM" or block.dtype == "bf2":
            raise Unreadable("its values are no times")
        values = block.read(rows)[:, 0]
        is_there = ~(numpy.isnat(values) if values.dtype.kind == "M" else values != values)
        if block.missing is not None and (mask := block.missing(rows)) is not None:
            is_there &= ~mask[:, 0]
        parts.append(values[is_there])
    if not parts:
        raise Unreadable("no rows")
    return numpy.sort(numpy.concatenate(parts))


def _dates(texts: list[str]) -> Any:
    found = [_DATE.fullmatch(text) for text in texts]
    if not all(found):
        raise Unreadable("its texts are no dates as 2024-12-31 or 2024-12-31T23:59:59")
    return np().array([one.group(1) for one in found if one], "M8[us]")


# --- what follows from them -------------------------------------------------------------------------------------------


def shared(a: Marks, b: Marks) -> dict[str, Any] | None:
    """How many rows have a group of other data, or are before its last time: columns of `dataset_overlaps`.

    Parameters
    ----------
    a, b : Marks
        Of one part; `b` is that of the training data.

    Returns
    -------
    dict or None
        None if times are of two kinds, or there are none.
    """
    row = {"n_rows": a.n_rows, "n_twins": None, "is_identifying": None, "method": "exact"}
    if a.rows is not None and b.rows is not None:
        counts = overlap(a.rows, b.rows)
        return {**row, "n_equal": counts["n_equal"], "n_twins": counts["n_twins"]}
    if a.times is None or b.times is None or not len(b.times):
        return None
    if (a.times.dtype.kind == "M") != (b.times.dtype.kind == "M") and len(a.times):
        return None
    return {**row, "n_equal": int((a.times < b.times[-1]).sum()) if len(a.times) else 0}


def with_marks(columns: list[dict[str, Any]], marks: list[Marks]) -> None:
    """Add the first and the last time to the facts of columns of times; take those off that are groups themselves."""
    by_part = {one.part: one for one in marks}
    for column in columns:
        facts: Facts = column["facts"]
        if column["name"] in named().groups:
            for key in _OWN:
                facts.pop(key, None)
        times = by_part.get(f"time:{column['name']}")
        if times is not None and len(times.times):
            facts |= {"first": _told(times.times[0]), "last": _told(times.times[-1])}


def _told(value: Any) -> Any:
    """A time as text of ISO 8601, without zeros at its end; a number as it is."""
    if value.dtype.kind != "M":
        return value.item()
    text = str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text
