"""Folds of points: the summary of a series and its rollups. Pure, so that verification can recompute them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import fsum, isfinite

from histhooks._store.entries import Point

# level, bucket, first_step, last_step, count, min, max, mean
Rollup = tuple[int, int, int, int, int, float | None, float | None, float | None]

LEVELS = (64, 16, 16, 16)


@dataclass(slots=True)
class Summary:
    """What a listing shows of a series without reading its points. Fields are columns of `metric_summaries`."""

    count: int = 0
    first: float | None = None
    last: float | None = None
    last_special: str | None = None
    last_step: int | None = None
    last_epoch: int | None = None
    min: float | None = None
    min_step: int | None = None
    max: float | None = None
    max_step: int | None = None
    nonfinite: int = 0

    def add(self, points: Sequence[Point]) -> None:
        """Fold the next points of the series, in order of arrival."""
        if not points:
            return
        if self.count == 0:
            self.first = points[0][4]
        self.count += len(points)
        _, self.last_step, self.last_epoch, _, self.last, self.last_special = points[-1]
        values = [p[4] for p in points if p[4] is not None]
        self.nonfinite += len(points) - len(values)
        if not values:
            return
        low, high = min(values), max(values)
        if self.min is None or low < self.min:
            self.min, self.min_step = low, next(p[1] for p in points if p[4] == low)
        if self.max is None or high > self.max:
            self.max, self.max_step = high, next(p[1] for p in points if p[4] == high)


@dataclass(slots=True)
class Roller:
    """Builds rollups: 64 points a bucket, then 16 buckets a bucket, three times over."""

    _points: list[Point] = field(default_factory=list)
    _open: list[list[Rollup]] = field(default_factory=lambda: [[] for _ in LEVELS[1:]])

    def copy(self) -> Roller:
        """One that goes on from here by itself."""
        return Roller(list(self._points), [list(waiting) for waiting in self._open])

    def add(self, points: Sequence[Point]) -> list[Rollup]:
        """Fold the next points of the series and give the buckets that became full."""
        full: list[Rollup] = []
        self._points.extend(points)
        size, start, pending = LEVELS[0], 0, self._points
        while len(pending) - start >= size:
            bucket = _bucket_of_points(pending[start : start + size], size)
            start += size
            full.append(bucket)
            self._carry(bucket, full)
        if start:
            del pending[:start]
        return full

    def add_bucket(self, bucket: Rollup) -> list[Rollup]:
        """Fold the next bucket of the finest level and give all that became full, it included."""
        full = [bucket]
        self._carry(bucket, full)
        return full

    def _carry(self, bucket: Rollup, full: list[Rollup]) -> None:
        for level, waiting in enumerate(self._open, start=2):
            waiting.append(bucket)
            if len(waiting) < LEVELS[level - 1]:
                return
            bucket = _bucket_of_buckets(level, waiting)
            waiting.clear()
            full.append(bucket)


def _bucket_of_points(points: Sequence[Point], size: int) -> Rollup:
    return bucket_of(points[0][0] // size, points[0][1], points[-1][1], [point[4] for point in points])


def bucket_of(number: int, first_step: int, last_step: int, values: Iterable[float | None]) -> Rollup:
    """The finest bucket, of the values of its points."""
    finite = [value for value in values if value is not None and isfinite(value)]
    low, high, mean = (min(finite), max(finite), fsum(finite) / len(finite)) if finite else (None, None, None)
    return (1, number, first_step, last_step, len(finite), low, high, mean)


def _bucket_of_buckets(level: int, buckets: Sequence[Rollup]) -> Rollup:
    filled = [b for b in buckets if b[4]]
    count = sum(b[4] for b in filled)
    low = min((b[5] for b in filled if b[5] is not None), default=None)
    high = max((b[6] for b in filled if b[6] is not None), default=None)
    mean = fsum(b[7] * b[4] for b in filled if b[7] is not None) / count if count else None
    return (level, buckets[0][1] // LEVELS[level - 1], buckets[0][2], buckets[-1][3], count, low, high, mean)
