"""Make curves from runs and names of metrics: read, join attempts, smooth, thin; draws nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from histhooks._base.clock import from_iso
from histhooks._base.text import counted
from histhooks._views.differing import labels
from histhooks.errors import QueryError
from histhooks.history._ranking import main_of
from histhooks.history.curves.thinning import find_series, first_place, listed, matching, part_size, thinned
from histhooks.plot._joining import Joined, Request, join, place_on, places, renumbered, smoothed, within
from histhooks.plot._ribbons import Ribbon, clip_in, clip_over, ribbon_in, ribbon_over

if TYPE_CHECKING:
    from histhooks.history import RunRecord


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
        The run that was asked for, and the metric.
    ribbon : Ribbon or None
        The mean and the extremes of its parts, if they are drawn.
    clip : tuple of float or None
        Its 1st and its 99th percentile, if the y-axis spans them.
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
    ribbon: Ribbon | None = None
    clip: tuple[float, float] | None = None

    @property
    def main(self) -> Piece:
        """The curve itself."""
        return self.pieces[-1]


def read_curves(
    runs: Sequence[RunRecord], names: Sequence[str], request: Request
) -> tuple[list[Curve], list[str], str]:
    """Curves in the order of runs and names, notes on what they do not show, and the metric that no label names.

    Raises
    ------
    QueryError
        If no run has one of the names.
    """
    asked, lines, notes = _lines(runs, request)
    wanted = _wanted(asked, lines, names)
    titles = labels(asked)
    is_one_name = len({name for chosen in wanted for name in chosen}) == 1
    curves = []
    for run, line, title, chosen in zip(asked, lines, titles, wanted, strict=True):
        if names and not chosen:
            notes.append(f"{title}: has no {', '.join(names)}")
        for name in chosen:
            label = name if len(lines) == 1 else title if is_one_name else f"{title} · {name}"
            curve, note = _curve(line, name, label, request)
            notes += note
            if curve is not None:
                curves.append(replace(curve, run_id=run.id))
    shared = next(name for chosen in wanted for name in chosen) if is_one_name and len(lines) > 1 else ""
    return curves, notes, shared


def _lines(runs: Sequence[RunRecord], request: Request) -> tuple[list[RunRecord], list[list[RunRecord]], list[str]]:
    """The runs of which each training is drawn once, with its attempts up to where steps are counted anew."""
    lines: list[list[RunRecord]] = []
    asked: list[RunRecord] = []
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
            if request.x != "time"
            and not request.is_aligned
            and (begins[n] or 0) <= (begins[n - 1] or 0)
            and begins[n - 1] is not None
        ]
        own = next(n for n, attempt in enumerate(line) if attempt.id == run.id)
        start = max((n for n in anew if n <= own), default=0)
        stop = min((n for n in anew if n > own), default=len(line))
        if stop - start < len(line):
            left = len(line) - (stop - start)
            runs_left = "1 attempt counts" if left == 1 else f"{left} attempts count"
            notes.append(f"{run.name}: {runs_left} steps anew, not drawn here; --align joins all of them")
        if stop - start > 1:
            notes.append(f"{run.name}: {stop - start} attempts, drawn as one curve")
        lines.append(line[start:stop])
        asked.append(run)
    return asked, lines, notes


def _wanted(runs: list[RunRecord], lines: list[list[RunRecord]], names: Sequence[str]) -> list[list[str]]:
    """Names of each training's metrics that are meant; an attempt may lack what another one has."""
    known = [
        list(dict.fromkeys(summary["name"] for each in (run, *line) for summary in each.summaries))
        for run, line in zip(runs, lines, strict=True)
    ]
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
    joined, direction = join(line, name, request)
    start = from_iso(line[0].started_at)
    shown = raw = joined.kept if request.x == "n" else renumbered(joined.kept)
    part = 1
    if joined.is_all:
        if request.smooth:
            shown = smoothed(raw, request.smooth)
        raw = within(raw, request, start)
        part = part_size(len(raw), request.points)
        shown = thinned(within(shown, request, start), part)
    ribbon, clip = _spread(line, name, request, places(raw, request, start) if joined.is_all else None)
    faint = [Piece(*places(within(tail, request, start), request, start), is_faint=True) for tail in joined.tails]
    if request.smooth and ribbon is None:
        faint.append(Piece(*places(thinned(raw, part), request, start), is_faint=True))
    main = Piece(*places(shown, request, start))
    notes = []
    if len(main.x) < len(shown):
        notes.append(f"{label}: points without an epoch are not drawn")
    if not main.x:
        return None, [*notes, f"{label}: no points"]
    # A tail begins with the last point before it, which the curve has too.
    drawn = len(main.x) + sum(len(tail) - 1 for tail in joined.tails)
    if ribbon is not None and not request.smooth:
        notes.append(f"{label}: mean, least and greatest of {len(ribbon.x):,} parts of {joined.count:,} points")
        odd = [(x, y) for x, y in zip(main.x, main.y) if not math.isfinite(y)]
        faint.append(Piece([x for x, _ in odd], [y for _, y in odd]))
        main = Piece(ribbon.x, ribbon.mean)
    elif joined.is_thinned or len(shown) < len(raw):
        notes.append(f"{label}: {counted(drawn, 'point')} stand{'s' if drawn == 1 else ''} for {joined.count:,}")
    notes += _odd_note(label, joined)
    placed = [(x, point.value) for point in raw if (x := place_on(point, request, start)) is not None]
    counts = joined.count, drawn, joined.nonfinite
    best = _best(placed, direction)
    curve = Curve(label, [*faint, main], best, placed[-1], direction, *counts, line[0].id, name, ribbon, clip)
    return curve, notes


def _best(placed: Sequence[tuple[float, float]], direction: int) -> tuple[float, float] | None:
    finite = [(x, y) for x, y in placed if math.isfinite(y)]
    if not direction or not finite:
        return None
    x, y = (max if direction > 0 else min)(finite, key=lambda place: place[1])
    return float(x), y


def _odd_note(label: str, joined: Joined) -> list[str]:
    if not joined.nonfinite:
        return []
    verb = "is" if joined.nonfinite == 1 else "are"
    where = "" if joined.total == joined.count else " in the whole series"
    return [f"{label}: {joined.nonfinite:,} of {counted(joined.total, 'point')} {verb} not finite{where}"]


def _spread(
    line: list[RunRecord], name: str, request: Request, all_points: tuple[list[float], list[float]] | None
) -> tuple[Ribbon | None, tuple[float, float] | None]:
    """The ribbon and the percentiles of a curve, as far as they are asked for."""
    if all_points is not None:
        ribbon = ribbon_over(*all_points, request) if request.has_band else None
        return ribbon, clip_over(all_points[1]) if request.is_clipped else None
    if not (request.has_band or request.is_clipped):
        return None, None
    found = find_series(line[0].history, line[0].id, name)
    ribbon = ribbon_in(line[0].history, found, request) if request.has_band else None
    return ribbon, clip_in(line[0].history, found, request) if request.is_clipped else None
