"""Many runs at once: parallel coordinates and a scatter plot, drawn by the server; a brush writes the filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks.errors import QueryError
from histhooks.history._table import listed
from histhooks.ui._axes import Axis, axes_of, choices
from histhooks.ui._fitting import fit, fit_end, length
from histhooks.ui._ranks import going_with
from histhooks.ui._state import ExploreState

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.history._run_rows import RunRows
    from histhooks.ui._pages import Ask

_MOST_RUNS = 500
_MOST_AXES, _FEW_AXES = 12, 6
_MOST_ROWS = 100
_MOST_CHOICES = 60
_SHADES = 7
# Of the parallel coordinates, in pixels.
_LEAST_GAP, _SPAN, _SIDE = 150, 1030, 92
_EM, _ROOM = 13.6, 10  # of a title, whose letters are bold, and between two
_TOP, _TALL, _BELOW = 46, 330, 40
# Of the scatter plot.
_WIDE, _HIGH, _LEFT, _UNDER = 620, 400, 74, 52


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis."""

    at: float
    text: str
    literal: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """An axis as it is drawn."""

    axis: Axis
    x: float
    title: str
    ticks: list[Tick]
    low: str
    high: str
    title_x: float = 0.0
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Stroke:
    """A run in a picture."""

    id: str
    href: str
    title: str
    shade: int
    is_best: bool
    path: str = ""
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class Picture:
    """All that a template draws."""

    axes: list[Drawn]
    strokes: list[Stroke]
    width: int
    height: int
    top: int
    bottom: int
    missing: int
    left: int = 0
    right: int = 0
    left_out: int = 0


def page(ask: Ask) -> Response:
    """The page."""
    state = ExploreState.parse(ask.query)
    error, total = "", 0
    rows: Sequence[RunRows] = []
    names: list[str] = []
    axes: list[Axis] = []
    try:
        rows, total = _runs(ask, state)
        names, preset = choices(ask.history, rows, _FEW_AXES) if rows else ([], [])
        words = (state.axes or tuple(preset))[:_MOST_AXES]
        axes = axes_of(ask.history, rows, words) if rows else []
    except QueryError as found:
        error = str(found)
    parallel = _parallel(ask, rows, axes) if axes else None
    pair = _pair(state, axes)
    listed_names = list(dict.fromkeys([*(axis.word for axis in axes), *names]))[:_MOST_CHOICES]
    return ask.page(
        "explore.html", 400 if error else 200, title="Explore", state=state, error=error, total=total, axes=axes,
        rows=[_row(rows[place], axes, place) for place in _order(axes, len(rows))[:_MOST_ROWS]], n_rows=len(rows),
        parallel=parallel, scatter=_scatter(ask, rows, *pair, axes[-1]) if pair else None, pair=pair,
        going=going_with(axes, axes[-1]) if axes else [],
        names=listed_names, has_runs=bool(rows) or bool(ask.history.runs(limit=1)), best=axes[-1] if axes else None,
        runs_link=ask.link("runs", state.runs_query(tuple(axis.word for axis in axes))),
    )  # fmt: skip


def _runs(ask: Ask, state: ExploreState) -> tuple[Sequence[RunRows], int]:
    """The runs that are asked for, the latest first, and how many there are in all."""
    if state.runs:
        found: list[RunRows] = list(ask.history.select(*state.runs))
        if len(found) == 1 and (children := found[0].children):
            found = list(children)[::-1]  # of a search its candidates
        if state.where:
            kept = {run.id for run in ask.history.runs(where=state.where)}
            found = [run for run in found if run.id in kept]
        return found[:_MOST_RUNS], len(found)
    rows = listed(ask.history, state.which, _MOST_RUNS, is_running_first=False, order_by="started_at")
    total = ask.history.table(limit=0, **state.which).total if len(rows) == _MOST_RUNS else len(rows)
    return rows, total


def _row(row: RunRows, axes: Sequence[Axis], place: int) -> dict[str, Any]:
    return {
        "id": row.id, "short": short_id(row.id), "name": row.name, "status": row.status,
        "cells": [axis.text(place) for axis in axes],
    }  # fmt: skip


def _order(axes: Sequence[Axis], count: int) -> list[int]:
    """The places of the runs: by the last axis if it is known which way is better, the best first."""
    if not axes or not axes[-1].direction:
        return list(range(count))
    shares = [axes[-1].share(place) for place in range(count)]
    return sorted(range(count), key=lambda place: (shares[place] is None, -axes[-1].direction * (shares[place] or 0.0)))


def _shades(axis: Axis, count: int) -> tuple[list[int], int | None]:
    """How strong each run is by its rank on an axis, the best strongest, and which run is the best."""
    sign = axis.direction or 1
    shares = {place: sign * share for place in range(count) if (share := axis.share(place)) is not None}
    ranks = {value: rank for rank, value in enumerate(sorted(set(shares.values())))}
    shades = [
        1 + ranks[shares[place]] * (_SHADES - 1) // max(1, len(ranks) - 1) if place in shares else 0
        for place in range(count)
    ]
    best = max(shares, key=lambda place: (shares[place], -place)) if shares and axis.direction else None
    return shades, best


def _said(row: RunRows, axes: Sequence[Axis], place: int) -> str:
    told = (f"{axis.word} {axis.text(place) or 'none'}" for axis in axes)
    return f"{row.name[:120]} ({short_id(row.id)}): {', '.join(told)}"[:600]


def _parallel(ask: Ask, rows: Sequence[RunRows], axes: Sequence[Axis]) -> Picture:
    gap = max(_LEAST_GAP, _SPAN // max(1, len(axes) - 1)) if len(axes) > 1 else _SPAN
    gap = min(gap, 360)
    bottom, missing = _TOP + _TALL, _TOP + _TALL + 24
    drawn = [_upright(axis, place, len(axes), gap) for place, axis in enumerate(axes)]
    shades, best = _shades(axes[-1], len(rows))
    strokes, has_gaps = [], False
    for place, row in enumerate(rows):
        points, has_gap = [], False
        for one in drawn:
            share = one.axis.share(place)
            has_gap |= share is None
            points.append((one.x, missing if share is None else bottom - share * _TALL))
        has_gaps |= has_gap
        if len(points) == 1:  # a mark, since there is nowhere to go
            points = [(points[0][0] - 7, points[0][1]), (points[0][0] + 7, points[0][1])]
        strokes.append(
            Stroke(row.id, ask.link(f"runs/{row.id}"), _said(row, axes, place), shades[place], place == best,
                   path="M" + "L".join(f"{x:.0f} {y:.1f}" for x, y in points))
        )  # fmt: skip
    strokes.sort(key=lambda stroke: (stroke.is_best, stroke.shade))  # what is best lies on top
    width = 2 * _SIDE + gap * max(0, len(axes) - 1)
    return Picture(
        drawn, strokes, width, bottom + (_BELOW if has_gaps else 16), _TOP, bottom, missing if has_gaps else 0
    )


def _upright(axis: Axis, place: int, count: int, gap: int) -> Drawn:
    """An axis of the parallel coordinates; a long title of one at a side begins or ends at that side."""
    x, is_first, is_last = _SIDE + place * gap, place == 0, place == count - 1
    room = min(gap, _SIDE + gap / 2 - 12) if is_first or is_last else gap
    title = fit_end(axis.word, (room - _ROOM) / _EM)
    is_long = length(title) * _EM > 2 * _SIDE - 12
    anchor = "start" if is_first and is_long else "end" if is_last and is_long else "middle"
    title_x = {"start": 6.0, "middle": float(x), "end": float(x + _SIDE - 6)}[anchor]
    return Drawn(axis, x, title, _ticks(axis), *_ends(axis), title_x, anchor)


def _ticks(axis: Axis) -> list[Tick]:
    found = axis.ticks(5)
    every = max(1, -(-len(found) // 16))
    return [
        Tick(_TOP + _TALL - share * _TALL, fit(text, 6.8), axis.literals.get(text, ""))
        for number, (share, text) in enumerate(found)
        if axis.scale is None or number % every == 0
    ]


def _ends(axis: Axis) -> tuple[str, str]:
    return ("", "") if axis.scale is None else (repr(axis.scale.low), repr(axis.scale.high))


def _pair(state: ExploreState, axes: Sequence[Axis]) -> tuple[Axis, Axis] | None:
    """What the scatter plot has on its axes: what is asked for, else the first number and the last axis."""
    if len(axes) < 2:
        return None
    by_word = {axis.word: axis for axis in axes}
    y = by_word.get(state.y, axes[-1])
    others = [axis for axis in axes if axis is not y]
    x = by_word.get(state.x) or next((axis for axis in others if axis.scale is not None), others[0])
    return x, y


def _scatter(ask: Ask, rows: Sequence[RunRows], x: Axis, y: Axis, last: Axis) -> Picture:
    right, bottom = _WIDE - 18, _HIGH - _UNDER
    shades, best = _shades(last, len(rows))
    strokes = []
    for place, row in enumerate(rows):
        across, up = x.share(place), y.share(place)
        if across is None or up is None:
            continue
        strokes.append(
            Stroke(row.id, ask.link(f"runs/{row.id}"), _said(row, [x, y], place), shades[place], place == best,
                   x=round(_LEFT + 10 + across * (right - _LEFT - 20), 1), y=round(bottom - 10 - up * (bottom - 36), 1))
        )  # fmt: skip
    strokes.sort(key=lambda stroke: (stroke.is_best, stroke.shade))
    drawn = [
        Drawn(x, 0, fit(x.word, 40), [
            Tick(_LEFT + 10 + share * (right - _LEFT - 20), fit(text, 7), x.literals.get(text, ""))
            for share, text in _few(x.ticks(6), 10)
        ], *_ends(x)),
        Drawn(y, 0, fit(y.word, 40), [
            Tick(bottom - 10 - share * (bottom - 36), fit(text, 5.4), y.literals.get(text, ""))
            for share, text in _few(y.ticks(5), 16)
        ], *_ends(y)),
    ]  # fmt: skip
    return Picture(drawn, strokes, _WIDE, _HIGH, 26, bottom, 0, _LEFT, right, len(rows) - len(strokes))


def _few(ticks: Sequence[tuple[float, str]], most: int) -> Sequence[tuple[float, str]]:
    return ticks[:: max(1, -(-len(ticks) // most))]
