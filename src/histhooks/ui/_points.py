"""The points of curves as tables, for whoever reads numbers rather than charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from histhooks._base.clock import from_iso
from histhooks._base.text import seconds
from histhooks._views import run_words
from histhooks.history.curves.thinning import matching
from histhooks.history.curves.window import Curve, curve_of
from histhooks.ui._cards import AXES
from histhooks.ui._charts import state_of
from histhooks.ui._pages import many
from histhooks.ui._run_head import head_of, moved_to, run_of

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.history import RunRecord
    from histhooks.ui._pages import Ask

_MOST = 500  # points of a curve; all of them are in the CSV
_CURVES = 12


@dataclass(frozen=True, slots=True)
class Points:
    """A curve as a table.

    Attributes
    ----------
    rows : list of tuple
        Step, epoch, time since the start, and value of each point, as text.
    """

    name: str
    said: str
    rows: list[tuple[str, str, str, str]]


def page(ask: Ask) -> Response:
    """The points of some curves of a run in a window; of a long one those that a chart has."""
    run = run_of(ask)
    if (moved := moved_to(ask, run)) is not None:
        return moved
    state = state_of(ask)
    known = [summary["name"] for summary in run.summaries]
    names = matching(state.m, known) if state.m else known[:1]
    curves = [
        curve_of(run.history, run.id, name, _MOST, x=AXES[state.x], start=state.start, stop=state.stop)
        for name in names[:_CURVES]
    ]
    return ask.page(
        "points.html", **head_of(ask, run, "charts", state=state), tables=[_table(run, curve) for curve in curves]
    )


def _table(run: RunRecord, curve: Curve) -> Points:
    shown, count = len(curve.points), many(curve.count, "point")
    said = f"{shown:,} of {count}, no extreme left out" if curve.is_thinned else f"all {count}" if shown > 1 else count
    start = from_iso(run.started_at)
    rows = [
        (
            f"{point.step:,}", "" if point.epoch is None else run_words.epoch(run.framework, point.epoch),
            seconds(max(0.0, (point.time - start) / 1e6)), f"{point.value:.10g}",
        )
        for point in curve.points
    ]  # fmt: skip
    return Points(curve.name, said, rows)
