"""Make curves from runs and names of metrics: read, join attempts, smooth, thin; draws nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from histhooks._base.clock import from_iso
from histhooks._base.text import counted
from histhooks._views.differing import labels
from histhooks.errors import QueryError
from histhooks.history._ranking import main_of
from histhooks.history.curves.thinning import (
    Found,
    Point,
    find_series,
    first_place,
    listed,
    matching,
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
class Piece:
    """Points to join by a line. Values may be nan or infinite: the line has a gap there."""

    x: list[float]
    y: list[float]
    is_faint: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one training.

    Attributes
    ----------
    label : str
    pieces : list of Piece
        The faint ones first: what was abandoned by a later attempt, and what lies under a smoothed curve.
    best : tuple of float or None
        Where the best point is, if it is known which way is better.
    last : tuple of float
        Where the last point is, as it was logged.
    direction : int
    count, drawn, nonfinite : int
        Points it stands for, points that are drawn, and how many of the former are not finite.
    run_id, name : str
        The run, of several attempts the first, and the metric.
    """

    label: str
    pieces: list[Piece]
    best: tuple[float, float] | None
    last: tuple[float, float]
    direction: int
    count: int
    drawn: int
    nonfinite: int
    run_id: str = ""
    name: str = ""

    @property
    def main(self) -> Piece:
        """The curve itself."""
        return self.pieces[-1]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be drawn, and how."""

    x: str = "step"
    smooth: float = 0.0
    joins_attempts: bool = True
    points: int = 1000
    start: float | None = None
    stop: float | None = None

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
class _Joined:
    """The points of one metric over the attempts of one training."""

    kept: list[Point] = field(default_factory=list)
    tails: list[list[Point]] = field(default_factory=list)
    count: int = 0
    nonfinite: int = 0
    total: int = 0  # points of the series, in a window or not
    is_thinned: bool = False


def read_curves(
    runs: Sequence[RunRecord], names: Sequence[str], request: Request
) -> tuple[list[Curve], list[str], str]:
    """Curves in the order of runs and names, notes on what they do not show, and the metric that no label names.

    Raises
    ------
    QueryError
        If no run has one of the names.
    """
    lines, notes = _lines(runs, request)
    wanted = _wanted([line[-1] for line in lines], names)
    titles = labels([line[-1] for line in lines])
    is_one_name = len({name for chosen in wanted for name in chosen}) == 1
    curves = []
    for line, title, chosen in zip(lines, titles, wanted, strict=True):
        if names and not chosen:
            notes.append(f"{title}: has no {', '.join(names)}")
        for name in chosen:
            label = name if len(lines) == 1 else title if is_one_name else f"{title} · {name}"
            curve, note = _curve(line, name, label, request)
            notes += note
            if curve is not None:
                curves.append(curve)
    shared = next(name for chosen in wanted for name in chosen) if is_one_name and len(lines) > 1 else ""
    return curves, notes, shared


def _lines(runs: Sequence[RunRecord], request: Request) -> tuple[list[list[RunRecord]], list[str]]:
    """The attempts of each training, each training once, up to where steps are counted anew."""
    lines: list[list[RunRecord]] = []
    notes: list[str] = []
    for run in runs:
        # The order of arrival is that of one run.
        line = run.attempts if request.joins_attempts and request.x != "n" else [run]
        if any(run.id == other.id for known in lines for other in known):
            continue
        begins = [first_place(attempt.history, attempt.id)[0] for attempt in line]
        anew = [
            n
            for n in range(1, len(line))
            if request.x != "time" and (begins[n] or 0) <= (begins[n - 1] or 0) and begins[n - 1] is not None
        ]
        own = next(n for n, attempt in enumerate(line) if attempt.id == run.id)
        start = max((n for n in anew if n <= own), default=0)
        stop = min((n for n in anew if n > own), default=len(line))
        if stop - start < len(line):
            left = len(line) - (stop - start)
            runs_left = "1 attempt counts" if left == 1 else f"{left} attempts count"
            notes.append(f"{run.name}: {runs_left} steps anew, not drawn here; --x time joins all of them")
        if stop - start > 1:
            notes.append(f"{run.name}: {stop - start} attempts, drawn as one curve")
        lines.append(line[start:stop])
    return lines, notes


def _wanted(runs: list[RunRecord], names: Sequence[str]) -> list[list[str]]:
    """Names of each run's metrics that are meant."""
    known = [[summary["name"] for summary in run.summaries] for run in runs]
    if not names:
        found = [main_names(run, with_train=len(runs) == 1) for run in runs]
        if not any(found):
            children = sum(len(run.children) for run in runs)
            inside = (
                f"; there {'is' if children == 1 else 'are'} {counted(children, 'run')} inside, plot one of those"
                if children
                else ""
            )
            raise QueryError(f"{', '.join(run.name for run in runs)}: there is no metric to plot{inside}")
        return found
    for word in names:
        everything = list(dict.fromkeys(name for each in known for name in each))
        try:
            matching([word], everything)
        except QueryError:
            who = "the run has no" if len(runs) == 1 else "none of the runs has"
            raise QueryError(f"{who} metric {word!r}; there is {listed(word, everything)}") from None
    return [_matching_any(names, each) for each in known]


def _matching_any(names: Sequence[str], known: list[str]) -> list[str]:
    chosen: dict[str, None] = {}
    for word in names:
        try:
            chosen |= dict.fromkeys(matching([word], known))
        except QueryError:
            continue
    return list(chosen)


def main_names(run: RunRecord, *, with_train: bool = True) -> list[str]:
    """The metric that ranks a run, and the same on its training data."""
    found = [s for s in run.summaries if s["split"] != "system"]
    main = main_of(found, run.main_metric)
    if main is None:
        return []
    of_training = [s["name"] for s in found if s["metric"] == main["metric"] and s["split"] == "train"]
    return list(dict.fromkeys([*(of_training[:1] if with_train else []), main["name"]]))


def _curve(line: list[RunRecord], name: str, label: str, request: Request) -> tuple[Curve | None, list[str]]:
    joined, direction = _join(line, name, request)
    start = from_iso(line[0].started_at)
    shown = raw = joined.kept if request.x == "n" else _renumbered(joined.kept)
    faint = [Piece(*_places(tail, request, start), is_faint=True) for tail in joined.tails]
    if request.smooth:
        smoothed = _within(_smoothed(raw, request.smooth), request, start)
        raw = _within(raw, request, start)
        part = part_size(len(raw), request.points)
        faint.append(Piece(*_places(thinned(raw, part), request, start), is_faint=True))
        shown = thinned(smoothed, part)
    main = Piece(*_places(shown, request, start))
    notes = []
    if len(main.x) < len(shown):
        notes.append(f"{label}: points without an epoch are not drawn")
    if not main.x:
        return None, [*notes, f"{label}: no points"]
    finite = [(p.value, p) for p in raw if math.isfinite(p.value) and _x(p, request, start) is not None]
    best = None
    if direction and finite:
        value, point = (max if direction > 0 else min)(finite, key=lambda pair: pair[0])
        best = (float(_x(point, request, start) or 0), value)
    # A tail begins with the last point before it, which the curve has too.
    drawn = len(main.x) + sum(len(tail) - 1 for tail in joined.tails)
    if joined.is_thinned or len(shown) < len(raw):
        notes.append(f"{label}: {counted(drawn, 'point')} stand{'s' if drawn == 1 else ''} for {joined.count:,}")
    if joined.nonfinite:
        verb = "is" if joined.nonfinite == 1 else "are"
        where = "" if joined.total == joined.count else " in the whole series"
        notes.append(f"{label}: {joined.nonfinite:,} of {counted(joined.total, 'point')} {verb} not finite{where}")
    last = next((x, p.value) for p in reversed(raw) if (x := _x(p, request, start)) is not None)
    counts = joined.count, drawn, joined.nonfinite
    return Curve(label, [*faint, main], best, last, direction, *counts, line[0].id, name), notes


def _join(line: list[RunRecord], name: str, request: Request) -> tuple[_Joined, int]:
    """Points over attempts; those that a later attempt went over again are tails."""
    joined, direction = _Joined(), 0
    begins = [first_place(run.history, run.id)[0] for run in line]
    for number, run in enumerate(line):
        if name not in {summary["name"] for summary in run.summaries}:
            continue
        found = find_series(run.history, run.id, name)
        direction = found.direction
        points, count = _read(run.history, found, request, from_iso(line[0].started_at))
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


def _read(history: Reader, found: Found, request: Request, start: int) -> tuple[list[Point], int]:
    """Points of a series that may be drawn, and for how many they stand."""
    # What is smoothed is smoothed over every point, and thinned afterwards.
    if request.smooth or (not request.is_whole and found.start_time != start):
        points = list(read_points(history, found))
        if request.smooth:
            inside = _within(points, request, start)
            return points, max(found.count if request.is_whole else 0, len(inside))
        points = _within(points, request, start)
        return thinned(points, part_size(len(points), request.points)), len(points)
    if request.is_whole:
        points = thin(history, found, request.points)
        return points, max(found.count, len(points))
    points, _, count = points_in(history, found, request.points, request.x, request.start, request.stop)
    return points, count


def _within(points: list[Point], request: Request, start: int) -> list[Point]:
    return points if request.is_whole else [point for point in points if request.has(_x(point, request, start))]


def _renumbered(points: list[Point]) -> list[Point]:
    return [point._replace(n=n) for n, point in enumerate(points)]


def _smoothed(points: list[Point], weight: float) -> list[Point]:
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


def _x(point: Point, request: Request, start: int) -> float | None:
    if request.x == "step":
        return point.step
    if request.x == "epoch":
        return point.epoch
    if request.x == "n":
        return point.n
    return (point.time - (start if request.x == "relative" else 0)) / 1e6


def _places(points: list[Point], request: Request, start: int) -> tuple[list[float], list[float]]:
    pairs = [(x, point.value) for point in points if (x := _x(point, request, start)) is not None]
    return [float(x) for x, _ in pairs], [y for _, y in pairs]
