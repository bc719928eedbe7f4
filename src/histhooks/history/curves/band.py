"""What a curve does between the points that are drawn: the mean and the extremes of each part, and its percentiles.

Both are over all points of a window, not over those that a thinned curve keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite
from typing import TYPE_CHECKING, Any

from histhooks._base.text import finite
from histhooks.history.curves.thinning import SIZES, Found, part_size
from histhooks.history.curves.window import condition_of, last_of, place_of, span_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_LOW, _HIGH = 0.01, 0.99
_REMEMBERED = 64  # percentiles of so many windows


@dataclass(slots=True)
class _Part:
    """The finite points of a part."""

    count: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, count: int, low: float | None, high: float | None, total: float | None) -> None:
        """Take in a bucket, or some points."""
        if count and low is not None and high is not None and total is not None:
            self.count += count
            self.total += total
            self.low, self.high = min(self.low, low), max(self.high, high)


@dataclass(frozen=True, slots=True)
class Band:
    """A window of a series in parts of equal length; parts without a finite point are left out.

    Attributes
    ----------
    part : int
        Number of points in a part.
    places : list of float
        Where the middle point of each part is on the x-axis; of the first its first, of the last its last point.
    low, high, mean : list of float
        Of the finite points of each part.
    count : list of int
        How many they are.
    """

    part: int
    places: list[float]
    low: list[float]
    high: list[float]
    mean: list[float]
    count: list[int]

    def as_json(self) -> dict[str, Any]:
        """A list for each column."""
        return {
            "part": self.part, "x": self.places, "min": self.low, "max": self.high, "mean": finite(self.mean),
            "count": self.count,
        }  # fmt: skip


def band_of(
    reader: Reader, found: Found, parts: int, x: str = "step", start: float | None = None, stop: float | None = None
) -> Band:
    """Mean and extremes of about so many parts of a window, from rollups where they cover it."""
    first, last, count = span_of(reader, found, x, start, stop)
    if not count:
        return Band(1, [], [], [], [], [])
    part = part_size(count, 2 * parts)
    if last - first + 1 == count:
        kept = _of_row(reader, found, part, first, last)
        middles = {p: min(max(first, p * part + (part - 1) // 2), last) for p in kept}
    else:  # the axis goes back, and the points of the window lie in several places
        condition, values = condition_of(found, x, start, stop)
        sql = f"SELECT n, value FROM points WHERE series = ?{condition} ORDER BY n"
        kept, middles = _of_several(reader.cursor(sql, found.key, *values), part)
    if kept:
        middles[min(kept)], middles[max(kept)] = (first, last) if len(kept) > 1 else (first, first)
    places = _places(reader, found, x, set(middles.values()))
    parted = [(place, each) for p, each in sorted(kept.items()) if (place := places.get(middles[p])) is not None]
    return Band(
        part,
        [place for place, _ in parted],
        [each.low for _, each in parted],
        [each.high for _, each in parted],
        [each.total / each.count for _, each in parted],
        [each.count for _, each in parted],
    )


def _of_row(reader: Reader, found: Found, part: int, first: int, last: int) -> dict[int, _Part]:
    """Parts of points that arrived one after another."""
    kept: dict[int, _Part] = {}
    begin, end = last + 1, last + 1  # what rollups cover
    level = max((n for n, size in enumerate(SIZES, start=1) if part % size == 0), default=0)
    if level:
        size = SIZES[level - 1]
        sql = (
            "SELECT bucket, count, min, max, mean FROM rollups "
            "WHERE series = ? AND level = ? AND bucket BETWEEN ? AND ? ORDER BY bucket"
        )
        start = -(-first // size)
        begin = min(start * size, last + 1)
        end = begin
        for bucket, count, low, high, mean in reader.cursor(sql, found.key, level, start, (last + 1) // size - 1):
            if bucket * size != end:
                break  # of the rest there are only points
            end += size
            total = None if mean is None else mean * count
            kept.setdefault(bucket * size // part, _Part()).add(count, low, high, total)
    sql = (
        "SELECT n / ?, count(value), min(value), max(value), total(value) FROM points "
        "WHERE series = ? AND n BETWEEN ? AND ? GROUP BY n / ?"
    )
    for low_n, high_n in ((first, begin - 1), (end, last)):
        if low_n <= high_n:
            for p, *facts in reader.cursor(sql, part, found.key, low_n, high_n, part):
                kept.setdefault(p, _Part()).add(*facts)
    return {p: each for p, each in kept.items() if each.count}


def _of_several(rows: Any, part: int) -> tuple[dict[int, _Part], dict[int, int]]:
    kept: dict[int, _Part] = {}
    middles: dict[int, int] = {}
    for number, (n, value) in enumerate(rows):
        p = number // part
        if number % part <= (part - 1) // 2:
            middles[p] = n
        if value is not None:
            kept.setdefault(p, _Part()).add(1, value, value, value)
    return kept, {p: n for p, n in middles.items() if p in kept}


def _places(reader: Reader, found: Found, x: str, orders: set[int]) -> dict[int, float | None]:
    listed, places = sorted(orders), dict[int, float | None]()
    for begin in range(0, len(listed), 500):
        some = listed[begin : begin + 500]
        sql = "SELECT n, coalesce(step, n), epoch, time FROM points WHERE series = ? AND n IN "
        sql += f"({', '.join('?' * len(some))})"
        for n, step, epoch, time in reader.cursor(sql, found.key, *some):
            places[n] = place_of(x, n, step, epoch, time, found.start_time)
    return places


# --- percentiles ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clip:
    """Between which values the middle of a window lies.

    Attributes
    ----------
    low, high : float
        The 1st and the 99th percentile of its finite points, interpolated as `numpy.percentile` does.
    below, above : int
        How many finite points lie beyond them.
    """

    low: float
    high: float
    below: int
    above: int

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"low": self.low, "high": self.high, "below": self.below, "above": self.above}


def clip_of(
    reader: Reader, found: Found, x: str = "step", start: float | None = None, stop: float | None = None
) -> Clip | None:
    """The percentiles of all points of a window; None if none of them is finite."""
    kept: dict[tuple[Any, ...], Clip | None] = reader.remembered.setdefault(("clips",), {})
    key = (found.key, last_of(reader, found), x, start, stop)
    if key not in kept:
        first, last, count = span_of(reader, found, x, start, stop)
        is_in_a_row = last - first + 1 == count
        window = (" AND n BETWEEN ? AND ?", [first, last]) if is_in_a_row else condition_of(found, x, start, stop)
        kept[key] = _clip(reader, found, *window)
        while len(kept) > _REMEMBERED:
            del kept[next(iter(kept))]
    return kept[key]


def _clip(reader: Reader, found: Found, condition: str, values: list[int]) -> Clip | None:
    source = f"FROM points WHERE series = ?{condition} AND value IS NOT NULL"
    (count,) = reader.cursor(f"SELECT count(*) {source}", found.key, *values).fetchone()
    if not count:
        return None
    bounds = []
    for share, order in ((_LOW, "ASC"), (1 - _HIGH, "DESC")):  # from the nearer end, so that few are sorted
        place = share * (count - 1)
        sql = f"SELECT value {source} ORDER BY value {order} LIMIT 2 OFFSET ?"
        near = [value for (value,) in reader.cursor(sql, found.key, *values, floor(place))]
        bound = near[0] + (near[-1] - near[0]) * (place - floor(place))
        bounds.append(bound if isfinite(bound) else near[0])
    low, high = bounds
    sql = f"SELECT count(*) FILTER (WHERE value < ?), count(*) FILTER (WHERE value > ?) {source}"
    return Clip(low, high, *reader.cursor(sql, low, high, found.key, *values).fetchone())


def percentiles(values: Sequence[float]) -> tuple[float, float] | None:
    """The 1st and the 99th percentile of values in their order, as those of a window; None if there is none."""
    if not values:
        return None
    place = _LOW * (len(values) - 1)
    near, share = floor(place), place - floor(place)
    bounds = []
    for ordered in (values, values[::-1]):
        first, second = ordered[near], ordered[min(near + 1, len(ordered) - 1)]
        bound = first + (second - first) * share
        bounds.append(bound if isfinite(bound) else first)
    return bounds[0], bounds[1]
