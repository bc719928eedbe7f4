"""Read CSV and Parquet files a part at a time; without pandas, CSV by the standard library."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._collect.content_blocks import Table, Unreadable
from histhooks._collect.content_kept import keep
from histhooks._collect.content_tables import table_of
from histhooks.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROWS = 100_000


class Part:
    """Some rows of a file, by column.

    Parameters
    ----------
    names : sequence of str
    frame : DataFrame or None
    columns : dict of str to ndarray, optional
        Where there is no frame.
    """

    def __init__(self, names: Sequence[str], frame: Any, columns: dict[str, Any] | None = None) -> None:
        self.names = list(names)
        self._frame, self._columns = frame, columns or {}

    def column(self, name: str) -> Any:
        """The values of a column as an array."""
        return self._columns[name] if self._frame is None else self._frame[name].to_numpy()

    def table(self, names: Sequence[str], rows: Any) -> Table:
        """Some columns of some rows, to be counted."""
        if self._frame is not None:
            return table_of(keep(self._frame.loc[rows, list(names)], 0))
        found = table_of(keep({name: self._columns[name][rows] for name in names}, 0))
        return Table(found.n_rows, found.blocks, tuple(names))


def parts_of(path: Path) -> Iterator[Part]:
    """A file, a part at a time.

    Raises
    ------
    QueryError
        If it is not there, or cannot be read.
    """
    if not path.is_file():
        raise QueryError(f"no file {path}")
    has_pandas = importlib.util.find_spec("pandas") is not None
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            yield from _parquet(path, has_pandas=has_pandas)
        elif has_pandas:
            import pandas

            with pandas.read_csv(path, chunksize=_ROWS) as frames:
                for frame in frames:
                    yield _named(frame)
        else:
            yield from _csv(path)
    except (ValueError, OSError, csv.Error, Unreadable) as error:
        raise QueryError(f"{path} cannot be read: {error}; give a CSV or a Parquet file") from error


def _named(frame: Any) -> Part:
    names = list(map(str, frame.columns))
    return Part(names, frame.set_axis(names, axis=1))


def _parquet(path: Path, *, has_pandas: bool) -> Iterator[Part]:
    if not has_pandas or importlib.util.find_spec("pyarrow") is None:
        raise QueryError(f"{path} is Parquet, which takes pandas and pyarrow: pip install 'histhooks[pandas]' pyarrow")
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_ROWS):
            yield _named(batch.to_pandas())


def _csv(path: Path) -> Iterator[Part]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        names = next(rows, [])
        held: list[list[str]] = []
        for row in rows:
            held.append(row)
            if len(held) == _ROWS:
                yield _columns_of(names, held)
                held = []
        if held:
            yield _columns_of(names, held)


def _columns_of(names: list[str], rows: list[list[str]]) -> Part:
    import numpy

    columns = {}
    for place, name in enumerate(names):
        texts = [row[place] if place < len(row) else "" for row in rows]
        try:
            columns[name] = numpy.array([float(text) if text else float("nan") for text in texts])
        except ValueError:
            columns[name] = numpy.array([text or None for text in texts], dtype=object)
    return Part(names, None, columns)


def seconds_in(values: Any, column: str) -> Any:
    """Times of a column in seconds of the epoch; those without a zone are UTC.

    Raises
    ------
    QueryError
        If a value is no time.
    """
    import numpy

    if values.dtype.kind == "M":
        return values.astype("M8[us]").astype("i8") / 1e6
    if values.dtype.kind in "iuf":
        return values.astype("f8")
    out = numpy.empty(len(values))
    for place, value in enumerate(values.tolist()):
        try:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError:
            raise QueryError(
                f"column {column!r} has {str(value)[:40]!r}, which is no time; write 2026-11-01T09:30 or seconds"
            ) from None
        out[place] = (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    return out
