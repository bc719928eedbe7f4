"""Read what a curve is made of: the points of one metric over the attempts of one training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from histhooks._base.clock import from_iso
from histhooks.errors import QueryError
from histhooks.history.curves.attempts import Shift, shift_of
from histhooks.history.curves.thinning import (
    Found,
    Point,
    find_series,
    first_place,
    part_size,
    read_points,
    thin,
    thinned,
)  # fmt: skip
from histhooks.history.curves.window import points_in

if TYPE_CHECKING:
    from histhooks.history import RunRecord
    from histhooks.history._reader import Reader

AXES = ("step", "epoch", "time", "relative", "n")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be drawn, and how."""

    x: str = "step"
    smooth: float = 0.0
    joins_attempts: bool = True
    points: int = 1000
    start: float | None = None
    stop: float | None = None
    has_band: bool = False
    is_clipped: bool = False
    is_aligned: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all of each curve is drawn."""
        return self.start is None and self.stop is None

    def has(self, x: float | None) -> bool:
        """Whether a place of the x-axis is drawn."""
        return x is not None and not (
            (self.start is not None and x < self.start) or (self.stop is not None and x > self.stop)
        )

    def __post_init__(self) -> None:
        if self.x not in AXES:
            raise QueryError(f"the x-axis cannot be {self.x!r}; choose one of {', '.join(AXES)}")
        if not 0 <= self.smooth < 1:
            raise QueryError(f"smoothing is from 0 up to, not including, 1: not {self.smooth}")
        if self.points < 2:
            raise QueryError(f"a curve has at least 2 points, not {self.points}")
        if any(bound is not None and not math.isfinite(bound) for bound in (self.start, self.stop)):
            raise QueryError(f"a window begins and ends at a number, not at {self.start} and {self.stop}")


@dataclass(slots=True)
class Joined:
    """The points of one metric over the attempts of one training."""

    kept: list[Point] = field(default_factory=list)
    tails: list[list[Point]] = field(default_factory=list)
    count: int = 0
    nonfinite: int = 0
    total: int = 0  # points of the series, in a window or not
    is_thinned: bool = False
    is_all: bool = False  # whether these are all points, of which those that are drawn are chosen later


def join(line: list[RunRecord], name: str, request: Request) -> tuple[Joined, int]:
    """Points over attempts; those that a later attempt went over again are tails."""
    shifts = [shift_of(run.history, run.id) if request.is_aligned else Shift() for run in line]
    is_moved = not all(shift.is_none for shift in shifts)
    joined, direction = Joined(), 0
    # What is smoothed is smoothed over every point, and thinned afterwards.
    is_over_many = (len(line) > 1 or is_moved) and (request.has_band or request.is_clipped)
    joined.is_all = bool(request.smooth) or is_over_many
    places = [first_place(run.history, run.id)[0] for run in line]
    begins = [None if place is None else place + shift.step for place, shift in zip(places, shifts)]
    for number, run in enumerate(line):
        if name not in {summary["name"] for summary in run.summaries}:
            continue
        found = find_series(run.history, run.id, name)
        direction = found.direction
        origin = from_iso(line[0].started_at)
        if is_moved:
            # Its own start is moved to where it goes on; a time of day stays.
            by = 0 if request.x == "time" else origin - from_iso(run.started_at) + round(shifts[number].seconds * 1e6)
            points, count = _all(run.history, found, request, origin, joined, shifts[number], by)
        else:
            points, count = _read(run.history, found, request, origin, joined)
        joined.count += count
        joined.is_thinned |= len(points) < count
        joined.nonfinite += found.nonfinite
        joined.total += found.count
        end = _end(begins, number)
        kept = [point for point in points if end is None or point.step < end]
        tail = [point for point in points if end is not None and point.step >= end]
        joined.kept += kept
        if tail:
            joined.tails.append([*kept[-1:], *tail])
    return joined, direction


def _end(begins: list[int | None], number: int) -> int | None:
    """The step at which a later attempt went over the steps of this one again; None if none did."""
    ends: list[int] = []
    own = begins[number]
    for begin in begins[number + 1 :]:
        if begin is not None and own is not None and begin <= own:
            break  # counts anew: these are other steps
        ends += [] if begin is None else [begin]
    return min(ends, default=None)


def _read(history: Reader, found: Found, request: Request, start: int, joined: Joined) -> tuple[list[Point], int]:
    """Points of a series that may be drawn, and for how many they stand."""
    if joined.is_all or (not request.is_whole and found.start_time != start):
        return _all(history, found, request, start, joined)
    if request.is_whole:
        points = thin(history, found, request.points)
        return points, max(found.count, len(points))
    points, _, count = points_in(history, found, request.points, request.x, request.start, request.stop)
    return points, count


def _all(
    history: Reader,
    found: Found,
    request: Request,
    start: int,
    joined: Joined,
    shift: Shift | None = None,
    by: int = 0,
) -> tuple[list[Point], int]:
    """The same from every point, moved."""
    points = list(read_points(history, found))
    if shift is not None:
        points = [
            Point(n, step + shift.step, None if epoch is None else epoch + shift.epoch, time + by, value)
            for n, step, epoch, time, value in points
        ]
    inside = within(points, request, start)
    if joined.is_all:
        return points, max(found.count if request.is_whole else 0, len(inside))
    return thinned(inside, part_size(len(inside), request.points)), len(inside)


def within(points: list[Point], request: Request, start: int) -> list[Point]:
    return points if request.is_whole else [point for point in points if request.has(place_on(point, request, start))]


def renumbered(points: list[Point]) -> list[Point]:
    return [point._replace(n=n) for n, point in enumerate(points)]


def smoothed(points: list[Point], weight: float) -> list[Point]:
    """An exponential moving average without the pull to zero at its start, as TensorBoard's.

    Formula: `_smooth` of tensorboard/components/vz_line_chart2/line-chart.ts. What is not finite passes as it is.
    """
    out, average, correction = [], 0.0, 0.0
    for point in points:
        if math.isfinite(point.value):
            average = average * weight + (1 - weight) * point.value
            correction = correction * weight + (1 - weight)
            point = point._replace(value=average / correction)
        out.append(point)
    return out


def place_on(point: Point, request: Request, start: int) -> float | None:
    if request.x == "step":
        return point.step
    if request.x == "epoch":
        return point.epoch
    if request.x == "n":
        return point.n
    return (point.time - (start if request.x == "relative" else 0)) / 1e6


def places(points: list[Point], request: Request, start: int) -> tuple[list[float], list[float]]:
    pairs = [(x, point.value) for point in points if (x := place_on(point, request, start)) is not None]
    return [float(x) for x, _ in pairs], [y for _, y in pairs]
