"""Read columns of Arrow and Polars: the buffers of Arrow as they lie, those of Polars by slices.

What is missing is nan in a column of floats and NaT in one of times, as in NumPy. Nothing here calls
``pyarrow.compute``, which a program that has a table may not have imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from histhooks._collect.content_blocks import Block, Numbers, Texts, Unreadable, coded, np

_ARROW = {
    "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8",
    "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8",
    "halffloat": "f2", "float": "f4", "double": "f8", "bool": "b1",
    "date32[day]": "M8[D]", "date64[ms]": "M8[ms]",
}  # fmt: skip
_TEXTS = (
    *("string", "large_string", "string_view", "binary", "large_binary", "binary_view", "fixed_size_binary"),
    *("decimal", "null", "time32", "time64"),
)
_POLARS = {
    "Int8": "i1", "Int16": "i2", "Int32": "i4", "Int64": "i8", "UInt8": "u1", "UInt16": "u2", "UInt32": "u4",
    "UInt64": "u8", "Float16": "f2", "Float32": "f4", "Float64": "f8", "Boolean": "b1", "Date": "M8[D]",
}  # fmt: skip


def of_arrow(column: Any) -> Block:
    """The block of a ChunkedArray or Array of pyarrow."""
    chunks = list(column.chunks) if hasattr(column, "chunks") else [column]
    name, n = str(column.type), len(column)
    dtype = _dtype_of_arrow(name)
    if name.startswith("dictionary"):
        return Texts(n, _reader(chunks, _values_of_dictionary, _coded_parts))
    if dtype is None:
        if name.startswith(_TEXTS):
            return Texts(n, _reader(chunks, lambda chunk, start, stop: chunk[start:stop].to_pylist(), _coded_parts))
        raise Unreadable(f"an Arrow column of type {name}")
    read = _reader(chunks, lambda chunk, start, stop: _values(chunk, dtype, start, stop), _concatenated)
    if dtype[0] in "fM" or dtype[0] == "m" or not column.null_count:
        return Numbers(n, 1, dtype, read)
    return Numbers(n, 1, dtype, read, _reader(chunks, _nulls, _concatenated))


def _dtype_of_arrow(name: str) -> str | None:
    kind, _, unit = name.partition("[")
    if kind in ("timestamp", "duration"):
        return f"{'M' if kind == 'timestamp' else 'm'}8[{unit.rstrip(']').partition(',')[0]}]"
    return _ARROW.get(name)


def _reader(chunks: list[Any], piece: Callable[[Any, int, int], Any], join: Callable[[list[Any]], Any]) -> Any:
    """Read a column that lies in chunks."""

    def read(rows: Any) -> Any:
        if not isinstance(rows, slice):
            raise Unreadable("picked rows of an Arrow column")
        out, first = [], 0
        for chunk in chunks:
            start, stop = max(rows.start, first) - first, min(rows.stop, first + len(chunk)) - first
            if start < stop:
                out.append(piece(chunk, start, stop))
            first += len(chunk)
        joined = join(out)
        if (rows.step or 1) == 1:
            return joined
        return (joined[0][:: rows.step], joined[1]) if isinstance(joined, tuple) else joined[:: rows.step]

    return read


def _concatenated(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else np().concatenate([np().empty((0, 1), parts[0].dtype), *parts])


def _coded_parts(parts: list[Any]) -> Any:
    return coded([value for part in parts for value in part])


def _values_of_dictionary(chunk: Any, start: int, stop: int) -> list[Any]:
    part, words = chunk[start:stop], chunk.dictionary.to_pylist()
    return [None if code is None else words[code] for code in part.indices.to_pylist()]


def _bits(buffer: Any, start: int, stop: int) -> Any:
    numpy = np()
    raw = numpy.frombuffer(buffer, "u1")[start // 8 : -(-stop // 8)]
    return numpy.unpackbits(raw, bitorder="little")[start % 8 : start % 8 + stop - start].view(bool)


def _nulls(chunk: Any, start: int, stop: int) -> Any:
    numpy, validity = np(), chunk.buffers()[0]
    if validity is None or not chunk.null_count:
        return numpy.zeros((stop - start, 1), bool)
    return ~_bits(validity, chunk.offset + start, chunk.offset + stop)[:, None]


def _values(chunk: Any, dtype: str, start: int, stop: int) -> Any:
    numpy, data = np(), chunk.buffers()[1]
    if dtype == "b1":
        values = _bits(data, chunk.offset + start, chunk.offset + stop)
    elif dtype == "M8[D]":
        values = numpy.frombuffer(data, "<i4")[chunk.offset + start : chunk.offset + stop].astype("<i8").view("<M8[D]")
    else:
        values = numpy.frombuffer(data, "<" + dtype)[chunk.offset + start : chunk.offset + stop]
    values = values[:, None]
    if not chunk.null_count:
        return values
    nothing = {"f": "nan", "M": "NaT", "m": "NaT"}.get(dtype[0], 0)
    return numpy.where(_nulls(chunk, start, stop), numpy.array(nothing, values.dtype), values)


def of_polars(series: Any) -> Block:
    """The block of a Series of Polars."""
    n, name = len(series), str(series.dtype)
    kind = name.partition("(")[0]
    dtype = _POLARS.get(name)
    if kind in ("Datetime", "Duration"):
        dtype = f"{'M' if kind == 'Datetime' else 'm'}8[{series.dtype.time_unit}]"
    if dtype is None:
        if kind not in ("String", "Categorical", "Enum", "Decimal", "Time", "Binary", "Null"):
            raise Unreadable(f"a column of Polars of type {name}")
        return Texts(n, lambda rows: coded(series[rows].to_list()))
    has_nan = dtype[0] in "fMm"
    is_filled = series.null_count() > 0 and not has_nan

    def read(rows: Any) -> Any:
        part = series[rows]
        if is_filled:
            part = part.fill_null(False if dtype == "b1" else 0)
        return np().ascontiguousarray(part.to_numpy().reshape(-1, 1), dtype="<" + dtype if dtype != "b1" else dtype)

    missing = (lambda rows: series[rows].is_null().to_numpy()[:, None]) if is_filled else None
    return Numbers(n, 1, dtype, read, missing)
