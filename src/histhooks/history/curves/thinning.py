"""The points of a series as plain rows, whole or thinned, without NumPy and without reading more than is needed.

Thinning keeps extremes. A series is cut into parts of equal length. Each part keeps its smallest and largest finite
point, with their step, epoch and time, and its first and last non-finite point. The series keeps its first and last
point. The writer maintains rollups (:mod:`histhooks._store.folds`), which show which 64 points contain an extreme, and
only those are read. Points without a rollup yet are read directly.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite
from operator import mul
from typing import TYPE_CHECKING, Any, NamedTuple

from histhooks._store.folds import LEVELS
from histhooks.errors import QueryError
from histhooks.history._reader import extremes

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

# Points in a bucket of each level, the finest first.
SIZES: tuple[int, ...] = tuple(accumulate(LEVELS, mul))
_POINT = "SELECT n, coalesce(step, n), epoch, time, value, special FROM points WHERE series = ?"


class Point(NamedTuple):
    """One point. Its value may be nan or infinite.

    Attributes
    ----------
    n : int
        0-based order of arrival.
    step : int
    epoch : int or None
    time : int, microseconds UTC
    value : float
    """

    n: int
    step: int
    epoch: int | None
    time: int
    value: float


_MOST_POINTS = 20_000  # what one look may read


@dataclass(frozen=True, slots=True)
class Found:
    """A series in its store: what `metric_summaries` says of it."""

    key: int
    run_id: str
    name: str
    metric: str
    split: str | None
    direction: int
    start_time: int
    count: int
    nonfinite: int


def find_series(history: Reader, run_id: str, name: str) -> Found:
    """The series of a run under a name.

    Raises
    ------
    QueryError
        If the run has none of that name; the message names those it has, the most alike first.
    """
    columns = "series, run_id, name, metric, split, direction, start_time, count, nonfinite"
    rows = history.cursor(f"SELECT {columns} FROM metric_summaries WHERE run_id = ? AND name = ?", run_id, name)
    row = rows.fetchone()
    if row is not None:
        return Found(*row)
    names = history.cursor("SELECT name FROM metric_summaries WHERE run_id = ? ORDER BY series", run_id)
    raise QueryError(f"the run has no metric {name!r}; it has {listed(name, [name for (name,) in names])}")


def listed(name: str, known: list[str]) -> str:
    """Names for a message, those that are most like the one that was asked for first."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return ", ".join([*close, *(other for other in known if other not in close)]) or "none"


def matching(wanted: Iterable[str], known: list[str]) -> list[str]:
    """The matching names, each once; a word that is not a name may be a pattern, as in a shell.

    Raises
    ------
    QueryError
        If one means nothing; the message names those there are, the most alike first.
    """
    chosen: dict[str, None] = {}
    for word in wanted:
        found = [word] if word in known else fnmatch.filter(known, word)
        if not found:
            raise QueryError(f"the run has no metric {word!r}; it has {listed(word, known)}")
        chosen |= dict.fromkeys(found)
    return list(chosen)


def read_points(
    history: Reader, found: Found, *, from_step: int | None = None, to_step: int | None = None, last: int | None = None
) -> Iterator[Point]:
    """Points of a series in order of arrival.

    Parameters
    ----------
    history : Reader
    found : Found
    from_step, to_step : int, optional
        Only points at these steps and between.
    last : int, optional
        Only the last so many of them.
    """
    sql, values = _POINT, [found.key]
    for step, operator in ((from_step, ">="), (to_step, "<=")):
        if step is not None:
            sql += f" AND coalesce(step, n) {operator} ?"
            values.append(step)
    if last is not None and len(values) == 1:
        sql += f" AND n >= {max(0, found.count - last)}"
    if last is None:
        rows: Iterable[Any] = history.cursor(f"{sql} ORDER BY n", *values)
    else:
        rows = reversed(history.cursor(f"{sql} ORDER BY n DESC LIMIT ?", *values, last).fetchall())
    return _points(rows, found.start_time)


def thin(
    history: Reader, found: Found, at_most: int, *, first: int | None = None, last: int | None = None
) -> list[Point]:
    """About as many points of a series as requested; all of them if there are no more.

    Parameters
    ----------
    history : Reader
    found : Found
    at_most : int
        At least 2. Points that are not finite may come on top.
    first, last : int, optional
        Order of arrival of the first point and of the last, for a window of the series. Its parts begin where those of
        a series of that length begin: at multiples of :func:`part_size`.
    """
    ends = _ends(history, found, first, last)
    if not ends:
        return []
    low, high = ends[0][0], ends[1][0]
    part = part_size(high - low + 1, at_most)
    within = f"{_POINT} AND n BETWEEN ? AND ? ORDER BY n"
    if part < SIZES[0]:
        return thinned(_points(history.cursor(within, found.key, low, high), found.start_time), part)
    found_there = extremes(history, found.key, low, high, part)
    if found_there is not None:
        return thinned(_points([*ends, *found_there], found.start_time), part)
    level = max((n for n, size in enumerate(SIZES, start=1) if size * 4 <= part), default=1)
    begin, covered, candidates = _candidates(history, found, level, part, (low, high))
    rows = [*ends, *history.cursor(within, found.key, low, begin - 1), *candidates]
    rows += history.cursor(within, found.key, covered, high)
    return thinned(_points(rows, found.start_time), part)


def _ends(history: Reader, found: Found, first: int | None = None, last: int | None = None) -> list[Any]:
    """The first point and the last, of all or of a window; none where there is none."""
    window = f" AND n >= {first or 0}" + (f" AND n <= {last}" if last is not None else "")
    ends = []
    # If spools are laid over a store, SQLite sorts all of a series to find its ends: look where they must be.
    places = (f"n <= {first or 0}", ""), (f"n >= {found.count - 1 if last is None else last}", " DESC")
    for bound, order in places:
        for condition in (f"{window} AND {bound}", window):
            row = history.cursor(f"{_POINT}{condition} ORDER BY n{order} LIMIT 1", found.key).fetchone()
            if row is not None:
                ends.append(row)
                break
    return ends


def first_place(history: Reader, run_id: str) -> tuple[int | None, int | None]:
    """The least step and epoch at which a metric of a run's own training begins; None if there is none."""
    keys = history.cursor("SELECT series FROM metric_summaries WHERE run_id = ? AND split IS NOT 'system'", run_id)
    sql = "SELECT coalesce(step, n), epoch FROM points WHERE series = ? AND n = 0"
    found = [row for (key,) in keys.fetchall() for row in history.cursor(sql, key)]
    epochs = [epoch for _, epoch in found if epoch is not None]
    return min((step for step, _ in found), default=None), min(epochs, default=None)


def part_size(length: int, at_most: int) -> int:
    """How many points make one part: a whole number of the finest buckets, where it is as many."""
    if length <= at_most:
        return 1
    part = -(-length // max(1, at_most // 2))
    if part < SIZES[0]:
        return part
    bucket = max((size for size in SIZES if size * 4 <= part), default=SIZES[0])
    return -(-part // bucket) * bucket


def thinned(points: Iterable[Point], part: int) -> list[Point]:
    """The smallest, the largest, and the first and last non-finite point of each part, and both ends of the series."""
    by_order = {point.n: point for point in points}
    ordered = [by_order[n] for n in sorted(by_order)]
    if part <= 1 or not ordered:
        return ordered
    kept = {ordered[0].n: ordered[0], ordered[-1].n: ordered[-1]}
    for point in _kept(
        ordered, lambda p: p.n // part, lambda p: (isfinite(p.value), not isfinite(p.value), p[4], p[4])
    ):
        kept[point.n] = point
    return [kept[n] for n in sorted(kept)]


def _kept(entries: Iterable[Any], part_of: Callable[[Any], int], facts: Callable[[Any], tuple[Any, ...]]) -> list[Any]:
    """Of each part the entries with the least and the greatest, and the first and last with something not finite.

    `facts` gives of an entry whether it has finite values, whether it has others, and its least and greatest.
    """
    least: dict[int, tuple[Any, Any]] = {}
    greatest: dict[int, tuple[Any, Any]] = {}
    odd: dict[int, tuple[Any, Any]] = {}
    for entry in entries:
        part = part_of(entry)
        has_finite, has_odd, low, high = facts(entry)
        if has_finite:
            if part not in least or low < least[part][0]:
                least[part] = (low, entry)
            if part not in greatest or high > greatest[part][0]:
                greatest[part] = (high, entry)
        if has_odd:
            odd[part] = (odd[part][0] if part in odd else entry, entry)
    chosen = [entry for _, entry in (*least.values(), *greatest.values())]
    return chosen + [entry for pair in odd.values() for entry in pair]


def _candidates(
    history: Reader, found: Found, level: int, part: int, window: tuple[int, int]
) -> tuple[int, int, list[Any]]:
    """From which order up to which one rollups cover the window, and rows of points of it that may be kept."""
    sql = "SELECT bucket, count, min, max FROM rollups WHERE series = ? AND level = ? AND bucket BETWEEN ? AND ?"
    size = SIZES[level - 1]
    start, stop = -(-window[0] // size), (window[1] + 1) // size
    rows = {row[0]: row for row in history.cursor(sql, found.key, level, start, stop - 1)}
    whole = next((n for n in range(start, stop) if n not in rows), stop)
    buckets = [rows[n] for n in range(start, whole)]
    begin = start * size
    covered = whole * size
    buckets = _chosen(buckets, size, part)
    while level > 1:
        level, size = level - 1, SIZES[level - 2]
        children = {
            row[0]: row
            for bucket, *_ in buckets
            for row in history.cursor(sql, found.key, level, bucket * 16, bucket * 16 + 15)
        }
        buckets = _chosen([children[n] for n in sorted(children)], size, part)
    inside = f"{_POINT} AND n BETWEEN ? AND ? AND (special IS NOT NULL OR value = ? OR value = ?)"
    points = [
        row
        for bucket, _, low, high in buckets
        for row in history.cursor(inside, found.key, bucket * size, bucket * size + size - 1, low, high)
    ]
    return begin, covered, points


def _chosen(buckets: list[Any], size: int, part: int) -> list[Any]:
    kept = _kept(buckets, lambda b: b[0] * size // part, lambda b: (b[1] > 0, b[1] < size, b[2], b[3]))
    return list({bucket[0]: bucket for bucket in kept}.values())


def _points(rows: Iterable[Any], start: int) -> Iterator[Point]:
    for n, step, epoch, time, value, special in rows:
        yield Point(n, step, epoch, start + time, float(special) if value is None else value)


def epoch_at(history: Reader, run_id: str, name: str, step: int | None) -> int | None:
    """The epoch of a metric's point at a step; see :meth:`RunRecord.epoch_at`."""
    found = find_series(history, run_id, name)
    if found.count > _MOST_POINTS:
        kept = thin(history, found, 96)
        return next((point.epoch for point in kept if point.step == step), None)
    sql = "SELECT epoch FROM points WHERE series = ? AND coalesce(step, n) = ? AND epoch IS NOT NULL ORDER BY n LIMIT 1"
    row = history.cursor(sql, found.key, step).fetchone()
    return None if row is None else int(row[0])
