"""What a curve does between the points that are drawn, and between which values most of it lies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from histhooks.history.curves.band import Band, band_of, clip_of, percentiles
from histhooks.history.curves.thinning import part_size

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history.curves.thinning import Found
    from histhooks.plot._joining import Request

_PIXELS = 4  # of a part


@dataclass(frozen=True, slots=True)
class Ribbon:
    """The mean, the least and the greatest value of each part of a curve.

    Attributes
    ----------
    x, low, high, mean : list of float
    """

    x: list[float]
    low: list[float]
    high: list[float]
    mean: list[float]


def ribbon_in(reader: Reader, found: Found, request: Request) -> Ribbon | None:
    """The ribbon of a series, from rollups; None if each part is one point, or its axis goes back."""
    return _ribbon(band_of(reader, found, _parts(request), request.x, request.start, request.stop))


def clip_in(reader: Reader, found: Found, request: Request) -> tuple[float, float] | None:
    """The 1st and the 99th percentile of a series; None if no point of it is finite."""
    clip = clip_of(reader, found, request.x, request.start, request.stop)
    return None if clip is None else (clip.low, clip.high)


def ribbon_over(places: Sequence[float], values: Sequence[float], request: Request) -> Ribbon | None:
    """The ribbon of points that are at hand."""
    part = part_size(len(values), 2 * _parts(request))
    parts = [(list(places[i : i + part]), values[i : i + part]) for i in range(0, len(values), part)]
    kept = [(xs[(len(xs) - 1) // 2], [y for y in ys if math.isfinite(y)]) for xs, ys in parts]
    found = [(x, ys) for x, ys in kept if ys]
    if len(found) > 1:
        found[0], found[-1] = (places[0], found[0][1]), (places[-1], found[-1][1])
    return _ribbon(
        Band(
            part, [x for x, _ in found], [min(ys) for _, ys in found], [max(ys) for _, ys in found],
            [math.fsum(ys) / len(ys) for _, ys in found], [len(ys) for _, ys in found],
        )
    )  # fmt: skip


def clip_over(values: Sequence[float]) -> tuple[float, float] | None:
    """The percentiles of values that are at hand."""
    return percentiles(sorted(value for value in values if math.isfinite(value)))


def _parts(request: Request) -> int:
    return max(1, request.points // _PIXELS)


def _ribbon(band: Band) -> Ribbon | None:
    is_ascending = all(a <= b for a, b in pairwise(band.places))
    return Ribbon(band.places, band.low, band.high, band.mean) if band.part > 1 and is_ascending else None


Place = tuple[float, float]


def inside(places: Sequence[Place | None]) -> Iterator[tuple[Place, Place]]:
    """The lines that join places, as far as they lie from 0 to 1 in y; a gap at None. A place alone is a line too."""
    before: Place | None = None
    for place in places:
        if place is not None and (line := _cut(before or place, place)) is not None:
            yield line
        before = place


def _cut(a: Place, b: Place) -> tuple[Place, Place] | None:
    (x0, y0), (x1, y1) = a, b
    if max(y0, y1) < 0 or min(y0, y1) > 1:
        return None

    def at(x: float, y: float) -> Place:
        edge = min(1.0, max(0.0, y))
        return (x, y) if edge == y else (x0 + (x1 - x0) * ((edge - y0) / (y1 - y0)), edge)

    return at(x0, y0), at(x1, y1)
