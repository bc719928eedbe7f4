"""One series as NumPy arrays, without a Python object for each point that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks.errors import QueryError
from histhooks.history._dataframes import pandas_module
from histhooks.history.curves.thinning import Found, find_series, thin

if TYPE_CHECKING:
    import numpy
    import pandas
    from numpy.typing import NDArray

    from histhooks.history._reader import Reader

NO_EPOCH = -1


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The points of one metric of one run, in order of arrival.

    Attributes
    ----------
    run_id : str
    name : str
        The name in the framework.
    metric : str
        What is measured, without the split.
    split : str
        `train`, `valid`, `test` or `system`.
    direction : int
        1 if more is better, -1 if less is, 0 if unknown.
    n : ndarray of int64
        0-based order of arrival.
    step : ndarray of int64
        0-based; may repeat.
    epoch : ndarray of int64
        0-based; -1 if there is none.
    time : ndarray of int64
        Microseconds UTC.
    value : ndarray of float64
        Values, also those that are not finite.
    count : int
        Number of points before thinning.
    nonfinite : int
        How many of those are not finite.

    Examples
    --------
    >>> series = run.series("val_loss")
    >>> len(series), series.count, series.is_thinned, series.value.min().item()
    (3, 3, False, 0.25)
    >>> series.to_pandas()[["step", "epoch", "value"]].values.tolist()[-1]
    [2, 2, 0.25]
    """

    run_id: str
    name: str
    metric: str
    split: str | None
    direction: int
    n: NDArray[numpy.int64]
    step: NDArray[numpy.int64]
    epoch: NDArray[numpy.int64]
    time: NDArray[numpy.int64]
    value: NDArray[numpy.float64]
    count: int
    nonfinite: int

    def __len__(self) -> int:
        return len(self.n)

    def __repr__(self) -> str:
        stands = f" of {self.count}" if self.is_thinned else ""
        points = "point" if self.count == 1 else "points"
        return f"<Series {short_id(self.run_id)} {self.name!r} {len(self)}{stands} {points}>"

    @property
    def is_thinned(self) -> bool:
        """Whether it stands for more points than it has."""
        return len(self) < self.count

    def to_pandas(self) -> pandas.DataFrame:
        """Its points as a DataFrame, a row each: n, step, epoch (`Int64`), time (UTC), value."""
        pandas = pandas_module()
        epoch = pandas.array(self.epoch, dtype="Int64")
        epoch[self.epoch == NO_EPOCH] = pandas.NA
        time = pandas.to_datetime(self.time, unit="us", utc=True)
        columns = {"n": self.n, "step": self.step, "epoch": epoch, "time": time, "value": self.value}
        return pandas.DataFrame(columns)


def read_series(history: Reader, run_id: str, name: str, points: int | None) -> Series:
    """A series of a run, whole or thinned to about so many points."""
    try:
        import numpy
    except ModuleNotFoundError:
        raise QueryError("a series is NumPy arrays, and NumPy is not installed: pip install numpy") from None
    found = find_series(history, run_id, name)
    if points is None:
        columns = _whole(history, found)
        count, nonfinite = len(columns[0]), int(numpy.count_nonzero(~numpy.isfinite(columns[4])))
    elif points < 2:
        raise QueryError(f"a series cannot be thinned to {points} points; its first and last always stay")
    else:
        kept = thin(history, found, points)
        dtype = [("n", "i8"), ("step", "i8"), ("epoch", "i8"), ("time", "i8"), ("value", "f8")]
        rows = ((n, step, NO_EPOCH if epoch is None else epoch, time, v) for n, step, epoch, time, v in kept)
        table = numpy.fromiter(rows, dtype=dtype, count=len(kept))
        columns = [table[field].copy() for field, _ in dtype]
        # Points may have come since the summary was read.
        count, nonfinite = max(found.count, len(kept)), found.nonfinite
    n, step, epoch, time, value = columns
    facts = (run_id, name, found.metric, found.split, found.direction)
    return Series(*facts, n, step, epoch, time, value, count, nonfinite)


def _whole(history: Reader, found: Found) -> list[Any]:
    """Columns of all points. Those that say nothing, a step that is n or an epoch that is not there, are not read."""
    import numpy

    sql = "SELECT count(*), count(step), count(epoch), count(special), min(n), max(n) FROM points WHERE series = ?"
    count, steps, epochs, specials, first, last = history.cursor(sql, found.key).fetchone()
    if not count:
        empty = numpy.empty(0, dtype="i8")
        return [empty, empty, empty, empty, empty.astype("f8")]
    wanted = {"time": "i8", "value": "f8"}
    if last - first + 1 != count:
        wanted["n"] = "i8"
    wanted |= {"step": "i8"} if steps else {}
    wanted |= {"epoch": "i8"} if epochs else {}
    read = {"step": "coalesce(step, n)", "epoch": f"coalesce(epoch, {NO_EPOCH})"}
    if specials:
        read["value"] = "CASE special WHEN 'inf' THEN 9e999 WHEN '-inf' THEN -9e999 ELSE value END"
    selected = ", ".join(read.get(column, column) for column in wanted)
    rows = history.cursor(f"SELECT {selected} FROM points WHERE series = ? AND n <= ? ORDER BY n", found.key, last)
    table = numpy.fromiter(rows, dtype=list(wanted.items()))
    n = numpy.array(table["n"]) if "n" in wanted else numpy.arange(first, first + len(table))
    step = numpy.array(table["step"]) if steps else n.copy()
    epoch = numpy.array(table["epoch"]) if epochs else numpy.full(len(n), NO_EPOCH)
    columns = [n, step, epoch, table["time"] + found.start_time, numpy.array(table["value"])]
    fresh = numpy.flatnonzero(numpy.diff(n, prepend=n[0] - 1))  # a point may lie in a spool and in its store
    return columns if len(fresh) == len(n) else [column[fresh] for column in columns]
