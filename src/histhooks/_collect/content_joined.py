"""Tables made of tables: picked rows, one below the other, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from histhooks._collect.content_blocks import (
    Block,
    Numbers,
    Sparse,
    Table,
    Texts,
    Unreadable,
    distinct_of,
    np,
    side_by_side,
)


def picked(table: Table, indices: Any) -> Table:
    """Some rows of a table, by their numbers."""
    n = len(indices)

    def of(block: Block) -> Block:
        if isinstance(block, Texts):
            return Texts(n, lambda rows: block.read(indices[rows]))
        if isinstance(block, Sparse):
            return Sparse(n, block.width, block.dtype, lambda rows: block.read(indices[rows]))
        missing = block.missing
        mask = None if missing is None else lambda rows: missing(indices[rows])

        def cut(rows: Any, columns: slice) -> Any:
            return block.some(indices[rows], columns)

        return Numbers(n, block.width, block.dtype, lambda rows: block.read(indices[rows]), mask, cut)

    return Table(n, tuple(map(of, table.blocks)), table.names, table.is_image)


def stacked(tables: list[Table]) -> Table:
    """Tables one below the other."""
    first = tables[0]
    forms = {tuple((type(block), block.width, getattr(block, "dtype", "")) for block in one.blocks) for one in tables}
    if len(forms) != 1 or any(isinstance(block, Sparse) for block in first.blocks):
        raise Unreadable("parts of different columns")
    ends = np().cumsum([table.n_rows for table in tables])
    n = int(ends[-1])
    blocks = [_stack(n, ends, [table.blocks[at] for table in tables]) for at in range(len(first.blocks))]
    return Table(n, tuple(blocks), first.names, first.is_image)


def _stack(n: int, ends: Any, blocks: list[Any]) -> Block:
    numpy = np()

    def pieces(rows: Any) -> list[tuple[Any, Any, Any]]:
        """Of each part that has some of the rows: the part, its rows, and where they belong."""
        numbers = numpy.arange(n)[rows] if isinstance(rows, slice) else rows
        parts = numpy.searchsorted(ends, numbers, side="right")
        out = []
        for at in distinct_of(parts).tolist():
            where = numpy.flatnonzero(parts == at)
            out.append((blocks[at], numbers[where] - (ends[at] - blocks[at].n_rows), where))
        return out

    def texts(rows: Any) -> tuple[Any, list[str]]:
        found = pieces(rows)
        codes = numpy.full(sum(len(where) for _, _, where in found), -1, "i8")
        words: list[str] = []
        for block, numbers, where in found:
            inner, more = block.read(numbers)
            codes[where] = numpy.where(inner < 0, -1, inner + len(words))
            words += more
        return codes, words

    def values(rows: Any, what: str = "read") -> Any:
        found = pieces(rows)
        shape = sum(len(where) for _, _, where in found), width
        whole = numpy.zeros(shape, bool if what == "missing" else _stored(blocks[0].dtype))
        for block, numbers, where in found:
            read = getattr(block, what)
            part = None if read is None else read(numbers)
            if part is not None:
                whole[where] = part
        return whole

    width = blocks[0].width
    if isinstance(blocks[0], Texts):
        return Texts(n, texts)
    has_missing = any(block.missing is not None for block in blocks)
    return Numbers(n, width, blocks[0].dtype, values, (lambda rows: values(rows, "missing")) if has_missing else None)


def beside(tables: list[Table]) -> Table:
    """Tables side by side."""
    if len({table.n_rows for table in tables}) != 1:
        raise Unreadable("parts of different lengths")
    blocks = [block for table in tables for block in table.blocks]
    return Table(tables[0].n_rows, tuple(side_by_side(blocks)), None, any(table.is_image for table in tables))


def _stored(dtype: str) -> str:
    """The dtype of the array that a block gives."""
    return "<u2" if dtype == "bf2" else dtype if dtype[1:] == "1" else f"<{dtype}"


def remembered(table: Table) -> Table:
    """The same table, of which the last rows of texts that were read are kept for the next one who reads them."""
    blocks = [
        Texts(block.n_rows, _remembering(block.read)) if isinstance(block, Texts) else block for block in table.blocks
    ]
    return Table(table.n_rows, tuple(blocks), table.names, table.is_image)


def _remembering(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    last: list[Any] = [None, None]

    def again(rows: Any) -> Any:
        if not isinstance(rows, slice) or rows != last[0]:
            last[:] = rows, read(rows)
        return last[1]

    return again
