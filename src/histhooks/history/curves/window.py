"""A window of one curve: thinned without losing an extreme, and smoothed over every point of its series."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks._base.text import finite
from histhooks.errors import QueryError
from histhooks.history.curves.thinning import Found, Point, find_series, part_size, thin, thinned

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

AXES = ("step", "epoch", "time", "relative", "n")
_PLACE = {"step": "coalesce(step, n)", "epoch": "epoch", "time": "time", "relative": "time", "n": "n"}
_MOST_KEPT = 4  # smoothed series that a thread remembers
_MOST_SPANS = 64  # windows


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one metric of one run in a window of its x-axis.

    The window is cut into parts of `part` points. Each part has its smallest and its largest finite point, and its
    first and last point that is not finite; the window has its first and its last point. All are as they were recorded.

    Attributes
    ----------
    run_id : str
    name : str
        The name in the framework.
    metric : str
        What is measured, without the split.
    split : str or None
        `train`, `valid`, `test` or `system`.
    direction : int
        1 if more is better, -1 if less is, 0 if unknown.
    x : str
        `step`, `epoch`, `time` (seconds UTC), `relative` (seconds since the run's start) or `n` (order of arrival).
    points : list of Point
        In order of arrival; each has `n`, `step`, `epoch`, `time` (microseconds UTC) and `value`.
    places : list of float
        Where each point is on the x-axis.
    smoothed : list of float or None
        The smoothed value at each point, nan at a point that is not finite; None if nothing is smoothed.
    part : int
        Number of points in a part; parts begin at multiples of it in the order of arrival, or of the window if its
        points did not arrive one after another.
    count : int
        Points in the window.
    total : int
        Points of the series.
    nonfinite : int
        How many of the series are not finite.

    Examples
    --------
    >>> curve = run.curve("val_loss", start=1)
    >>> curve.places, [point.value for point in curve.points], curve.count, curve.total
    ([1.0, 2.0], [0.5, 0.25], 2, 3)
    >>> curve.is_thinned, curve.as_json()["value"]
    (False, [0.5, 0.25])
    """

    run_id: str
    name: str
    metric: str
    split: str | None
    direction: int
    x: str
    points: list[Point]
    places: list[float]
    smoothed: list[float] | None
    part: int
    count: int
    total: int
    nonfinite: int

    def __repr__(self) -> str:
        points = "point" if self.count == 1 else "points"
        return f"<Curve {short_id(self.run_id)} {self.name!r} {len(self.points)} of {self.count} {points}>"

    @property
    def is_thinned(self) -> bool:
        """Whether its points stand for more."""
        return len(self.points) < self.count

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values, a list for each column; what is not finite as a word."""
        columns = zip(*self.points) if self.points else ([],) * 5
        n, step, epoch, time, value = (list(column) for column in columns)
        return {
            "run": self.run_id, "name": self.name, "metric": self.metric, "split": self.split,
            "direction": self.direction, "axis": self.x, "part": self.part, "count": self.count, "total": self.total,
            "nonfinite": self.nonfinite, "x": self.places, "n": n, "step": step, "epoch": epoch, "time": time,
            "value": finite(value), "smoothed": None if self.smoothed is None else finite(self.smoothed),
        }  # fmt: skip


def curve_of(
    reader: Reader,
    run_id: str,
    name: str,
    at_most: int = 2000,
    *,
    x: str = "step",
    start: float | None = None,
    stop: float | None = None,
    smooth: float = 0.0,
    is_log: bool = False,
) -> Curve:
    """A window of a metric of a run; see :meth:`RunRecord.curve`."""
    if x not in AXES:
        raise QueryError(f"the x-axis cannot be {x!r}; choose one of {', '.join(AXES)}")
    if at_most < 2:
        raise QueryError(f"a curve cannot be thinned to {at_most} points; its first and last always stay")
    if not 0 <= smooth < 1:
        raise QueryError(f"smoothing is from 0 up to, not including, 1: not {smooth}")
    for bound in (start, stop):
        if bound is not None and not math.isfinite(bound):
            raise QueryError(f"a window begins and ends at a number, not at {bound}")
    found = find_series(reader, run_id, name)
    points, part, count = points_in(reader, found, at_most, x, start, stop)
    smoothed = None
    if smooth and points:
        line = _smoothed(reader, found, smooth, points[-1].n, is_log=is_log)
        smoothed = [line[point.n] for point in points]
    origin = found.start_time
    places = [place_of(x, p.n, p.step, p.epoch, p.time - origin, origin) or 0.0 for p in points]
    facts = (run_id, name, found.metric, found.split, found.direction, x)
    return Curve(*facts, points, places, smoothed, part, count, max(found.count, count), found.nonfinite)


def place_of(x: str, n: int, step: int, epoch: int | None, time: int, start_time: int) -> float | None:
    """Where a point is on an axis; its time counts from the start of the run, in microseconds."""
    if x == "step":
        return float(step)
    if x == "epoch":
        return None if epoch is None else float(epoch)
    if x == "n":
        return float(n)
    return (time + (start_time if x == "time" else 0)) / 1e6


def points_in(
    reader: Reader, found: Found, at_most: int, x: str, start: float | None, stop: float | None
) -> tuple[list[Point], int, int]:
    """Points of a window, the size of a part, and how many points lie in it."""
    if start is None and stop is None and x != "epoch":
        points = thin(reader, found, at_most)
        count = max(points[-1].n + 1, found.count) if points else 0
        return points, part_size(count, at_most), count
    first, last, count = span_of(reader, found, x, start, stop)
    if not count:
        return [], 1, 0
    part = part_size(last - first + 1, at_most)
    if last - first + 1 == count:
        return thin(reader, found, at_most, first=first, last=last), part, count
    # The axis goes back somewhere, so that the points of the window lie in several places of the series.
    condition, values = condition_of(found, x, start, stop)
    part = part_size(count, at_most)
    columns = "n, coalesce(step, n), epoch, time, value, special"
    rows = reader.cursor(f"SELECT {columns} FROM points WHERE series = ?{condition} ORDER BY n", found.key, *values)
    orders: list[int] = []
    kept = thinned(_in_a_row(rows, found.start_time, orders), part)
    return [point._replace(n=orders[point.n]) for point in kept], part, len(orders)


def last_of(reader: Reader, found: Found) -> int:
    """Order of the last point of a series, also of one that grows: its summary may come later than its points."""
    sql = "SELECT n FROM points WHERE series = ? AND n >= ? ORDER BY n DESC LIMIT 1"
    row = reader.cursor(sql, found.key, max(0, found.count - 1)).fetchone()
    return found.count if row is None else int(row[0])


def span_of(reader: Reader, found: Found, x: str, start: float | None, stop: float | None) -> tuple[int, int, int]:
    """Order of the first and of the last point of a window, and how many points lie in it; remembered for a while."""
    kept: dict[tuple[Any, ...], tuple[int, int, int]] = reader.remembered.setdefault(("spans",), {})
    key = (found.key, last_of(reader, found), x, start, stop)
    if key not in kept:
        condition, values = condition_of(found, x, start, stop)
        sql = f"SELECT min(n), max(n), count(*) FROM points WHERE series = ?{condition}"
        first, last, count = reader.cursor(sql, found.key, *values).fetchone()
        kept[key] = (first or 0, last or 0, count)
        while len(kept) > _MOST_SPANS:
            del kept[next(iter(kept))]
    return kept[key]


def condition_of(found: Found, x: str, start: float | None, stop: float | None) -> tuple[str, list[int]]:
    """SQL that points of a window fulfil, with its values."""
    place = _PLACE[x]
    sql, values = (f" AND {place} IS NOT NULL" if x == "epoch" else ""), []
    for bound, operator, inwards in ((start, ">=", math.ceil), (stop, "<=", math.floor)):
        if bound is None:
            continue
        if x in ("time", "relative"):  # as floats they are not exact to the microsecond
            value = round(bound * 1e6) - (found.start_time if x == "time" else 0)
        else:
            value = inwards(bound)
        sql += f" AND {place} {operator} ?"
        values.append(max(-(1 << 62), min(1 << 62, value)))
    return sql, values


def _in_a_row(rows: Any, start_time: int, orders: list[int]) -> Iterator[Point]:
    """Points counted from 0, and their orders in the series."""
    for number, (n, step, epoch, time, value, special) in enumerate(rows):
        orders.append(n)
        yield Point(number, step, epoch, start_time + time, float(special) if value is None else value)


# --- smoothing --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Average:
    """An exponential moving average without the pull to zero at its start, as far as it was computed.

    Formula: `_smooth` of tensorboard/components/vz_line_chart2/line-chart.ts.
    """

    weight: float
    is_log: bool
    line: array[float]
    average: float = 0.0
    correction: float = 0.0

    def add(self, n: int, value: float | None) -> None:
        """Go on with the next point; one without a place in the average leaves it as it is."""
        while len(self.line) < n:
            self.line.append(math.nan)
        if value is None or (self.is_log and value <= 0):
            self.line.append(math.nan)
            return
        share = 1 - self.weight
        self.average = self.average * self.weight + share * (math.log(value) if self.is_log else value)
        self.correction = self.correction * self.weight + share
        smooth = self.average / self.correction
        self.line.append(math.exp(smooth) if self.is_log else smooth)


def _smoothed(reader: Reader, found: Found, weight: float, last: int, *, is_log: bool) -> array[float]:
    """The average at each point up to one, by its order. What was computed goes on from there as points come."""
    kept: dict[tuple[Any, ...], _Average] = reader.remembered.setdefault(("smoothed",), {})
    key = (found.key, weight, is_log)
    known = kept.pop(key, None) or _Average(weight, is_log, array("d"))
    if len(known.line) <= last:
        sql = "SELECT n, value FROM points WHERE series = ? AND n BETWEEN ? AND ? ORDER BY n"
        for n, value in reader.cursor(sql, found.key, len(known.line), last):
            if n >= len(known.line):  # a point may lie in a spool and in its store
                known.add(n, value)
    kept[key] = known
    while len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]
    return known.line
