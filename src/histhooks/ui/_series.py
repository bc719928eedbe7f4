"""Curves as data and as files: points for the canvas, all points as CSV, a chart as SVG or PNG."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.responses import Response, StreamingResponse

from histhooks._base.ids import short_id
from histhooks.errors import QueryError
from histhooks.history.curves.attempts import shift_of
from histhooks.history.curves.band import band_of, clip_of
from histhooks.history.curves.thinning import find_series, matching, read_points
from histhooks.history.curves.window import curve_of
from histhooks.plot import plot
from histhooks.ui._cards import AXES, looking
from histhooks.ui._charts import chosen, state_of
from histhooks.ui._pages import Ask, guarded
from histhooks.ui._state import ChartState

if TYPE_CHECKING:
    from histhooks.history import RunRecord

_POINTS, _MOST_POINTS = 1500, 20_000
_BAND = 4  # a part of a band has as many pixels


def series(ask: Ask) -> Response:
    """Points of curves of a run in a window, for the canvas."""
    run, state = ask.history.run(ask.words["run"]), state_of(ask)
    at_most = _size(ask)
    names = matching(state.m, [summary["name"] for summary in run.summaries])
    curves = [_curve(run, name, state, at_most) for name in names]
    return ask.json({"run": run.id, "status": run.status, "curves": curves}, is_dense=True)


def _curve(run: RunRecord, name: str, state: ChartState, at_most: int) -> dict[str, Any]:
    x = AXES[state.x]
    by = shift_of(run.history, run.id).along(x) if state.align else 0.0
    start, stop = (None if bound is None else bound - by for bound in (state.start, state.stop))
    told = curve_of(
        run.history, run.id, name, at_most, x=x, start=start, stop=stop, smooth=state.smooth, is_log=state.log
    ).as_json()
    found = find_series(run.history, run.id, name)
    if state.band:
        told["band"] = band_of(run.history, found, max(1, at_most // _BAND), x, start, stop).as_json()
    if state.clip:
        clip = clip_of(run.history, found, x, start, stop)
        told["clip"] = None if clip is None else clip.as_json()
    if by:
        told["shift"] = by
        for part in (told, told.get("band", {})):
            part["x"] = [place + by for place in part.get("x", ())]
    return told


def _size(ask: Ask) -> int:
    text = dict(parse_qsl(ask.query)).get("n", "")
    if not text:
        return _POINTS
    if not text.isdecimal() or not 2 <= int(text) <= _MOST_POINTS:
        raise QueryError(f"n is a number of points from 2 to {_MOST_POINTS:,}, not {text!r}")
    return int(text)


def points(ask: Ask) -> Response:
    """All points of some curves of a run, a line each, as they are read."""
    run, state = ask.history.run(ask.words["run"]), ChartState.parse(ask.query)
    known = [summary["name"] for summary in run.summaries]
    names = matching(state.m, known) if state.m else known
    headers = {"content-disposition": f'attachment; filename="{short_id(run.id)}-points.csv"'}
    return StreamingResponse(_lines(run, names), 200, headers, "text/csv; charset=utf-8")


def _lines(run: RunRecord, names: Sequence[str]) -> Iterator[str]:
    yield "name,n,step,epoch,time,value\n"
    for name in names:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        title = guarded(name)
        for number_, point in enumerate(read_points(run.history, find_series(run.history, run.id, name))):
            writer.writerow([title, point.n, point.step, point.epoch, point.time, repr(point.value)])
            if number_ % 5000 == 4999:
                yield out.getvalue()
                out.seek(0)
                out.truncate()
        yield out.getvalue()


# --- as a picture -----------------------------------------------------------------------------------------------------


def as_svg(ask: Ask) -> Response:
    """One chart as a file."""
    from histhooks.plot._chart import WIDTH, height_for
    from histhooks.plot._svg import draw_file

    state = state_of(ask)
    runs = chosen(ask, state.runs)
    chart = plot(runs, state.m, **looking(state, "".join(state.card[:1]), attempts=len(runs) == 1))
    return ask.answer(draw_file(chart, WIDTH, height_for(chart)), "image/svg+xml", name="chart.svg")
