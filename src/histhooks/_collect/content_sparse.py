"""Sparse matrices of SciPy in one form: by rows, columns in order, no value stored twice, no zero stored."""

from __future__ import annotations

from typing import Any

from histhooks._collect.content_blocks import Numbers, Sparse, Unreadable, np

_MOST_BYTES = 256 << 20  # of a matrix that has to be sorted or put into rows


def of_sparse(X: Any) -> Sparse:
    """The block of a matrix of any format; what the program's object holds stays as it is."""
    numpy = np()
    if len(X.shape) != 2:
        raise Unreadable("a sparse array that is no matrix")
    if X.format != "csr":
        if X.nnz * 16 > _MOST_BYTES:
            raise Unreadable(f"a sparse matrix of format {X.format} with {X.nnz:,} values")
        X = X.tocsr()
    if X.data.dtype.kind not in "biuf" or X.data.dtype.itemsize > 8:
        raise Unreadable(f"a sparse matrix of dtype {X.data.dtype}")
    indptr, indices, data = X.indptr, X.indices[: X.indptr[-1]], X.data[: X.indptr[-1]]
    if not _is_sorted(numpy, indptr, indices) or not data.all():
        if data.nbytes + indices.nbytes > _MOST_BYTES:
            raise Unreadable(f"a sparse matrix of {len(data):,} values that are not in order")
        X = X.copy()
        X.sum_duplicates()
        X.eliminate_zeros()
        indptr, indices, data = X.indptr, X.indices, X.data
    n, width = (int(size) for size in X.shape)
    name = data.dtype.str[1:]

    def read(rows: Any) -> tuple[Any, Any, Any]:
        return _rows(numpy, indptr, indices, data, rows)

    return Sparse(n, width, name, read)


def _is_sorted(numpy: Any, indptr: Any, indices: Any) -> bool:
    rises = indices[1:] > indices[:-1]
    if rises.all():
        return True
    # A row may begin before the column where the one above ends.
    begins = indptr[1:-1]
    rises[begins[(begins > 0) & (begins < len(indices))] - 1] = True
    return bool(rises.all())


def _rows(numpy: Any, indptr: Any, indices: Any, data: Any, rows: Any) -> tuple[Any, Any, Any]:
    """How many values some rows hold, and their columns and values."""
    little = data.dtype.newbyteorder("<")
    if isinstance(rows, slice) and (rows.step or 1) == 1:
        begin, end = int(indptr[rows.start]), int(indptr[rows.stop])
        lengths = numpy.diff(indptr[rows.start : rows.stop + 1])
        where: Any = slice(begin, end)
    else:
        numbers = numpy.arange(len(indptr) - 1)[rows]
        starts = indptr[numbers].astype("i8")
        lengths = indptr[numbers + 1] - starts
        where = numpy.repeat(starts - numpy.cumsum(lengths) + lengths, lengths) + numpy.arange(lengths.sum())
    return lengths.astype("<i8"), indices[where].astype("<i8"), numpy.ascontiguousarray(data[where], dtype=little)


def first_columns(block: Sparse, width: int) -> Numbers:
    """The first columns of a sparse block with their zeros."""
    numpy = np()

    def read(rows: Any) -> Any:
        lengths, columns, values = block.read(rows)
        numbers = numpy.repeat(numpy.arange(len(lengths)), lengths)
        is_here = columns < width
        out = numpy.zeros((len(lengths), width), dtype=values.dtype)
        out[numbers[is_here], columns[is_here]] = values[is_here]
        return out

    return Numbers(block.n_rows, width, block.dtype, read)
