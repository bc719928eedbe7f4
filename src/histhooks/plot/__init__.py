"""Curves of runs: in the terminal, as a picture, as a page, and as small as a word.

>>> import histhooks
>>> from histhooks.plot import plot
>>> history = histhooks.History("histhooks.db")
>>> chart = plot(history.run("last"), "val_loss", smooth=0.6)
>>> print(chart)
>>> chart.save("chart.html")
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from histhooks._views.spark import spark_svg
from histhooks.errors import QueryError
from histhooks.plot._chart import Chart
from histhooks.plot._curves import read_curves
from histhooks.plot._joining import Request

if TYPE_CHECKING:
    from histhooks.history import RunRecord

__all__ = ["Chart", "plot", "spark_svg", "svg_curves"]


def plot(
    runs: RunRecord | Sequence[RunRecord],
    names: str | Sequence[str] = (),
    *,
    x: str = "step",
    log: bool = False,
    log_x: bool = False,
    smooth: float = 0.0,
    attempts: bool = True,
    points: int = 1000,
    start: float | None = None,
    stop: float | None = None,
    bottom: float | None = None,
    top: float | None = None,
    band: bool = False,
    clip: bool = False,
    align: bool = False,
    title: str | None = None,
) -> Chart:
    """Curves of metrics of runs.

    Parameters
    ----------
    runs : RunRecord or sequence of RunRecord
    names : str or sequence of str
        Metrics, or patterns such as ``val_*``. By default the metric that ranks the run, and the same on training data.
    x : str
        `step`, `epoch`, `time`, `relative` (seconds since the run's start), or `n`: the order of arrival.
    log, log_x : bool
        Whether an axis is logarithmic.
    smooth : float
        Weight of an exponential moving average, from 0 (none) up to 1; the logged points stay, faint.
    attempts : bool
        Whether a training that was stopped and resumed is one curve, with the abandoned part faint.
    points : int
        Approximate number of points to draw for each metric. Longer ones keep the smallest and largest of each part.
    start, stop : float, optional
        Only points at these places of the x-axis and between. Smoothing still runs over all points.
    bottom, top : float, optional
        The ends of the y-axis; both or none.
    band : bool
        Whether the mean of each part of a long curve is drawn, between its least and its greatest value.
    clip : bool
        Whether the y-axis spans the 1st to the 99th percentile of each curve, so that single points do not flatten it.
    align : bool
        Whether a run that goes on from another, and counts its steps anew, begins where that one was left.
    title : str, optional

    Returns
    -------
    Chart

    Raises
    ------
    QueryError
        If no run has such a metric, or an argument is out of range.

    Examples
    --------
    >>> from histhooks.plot import plot
    >>> chart = plot(history.runs(), "val_loss", smooth=0.6)
    >>> chart.save("chart.html")
    >>> print(chart)
    val_loss · train
    ...
    """
    chosen = [runs] if not isinstance(runs, Sequence) else list(runs)
    wanted = [names] if isinstance(names, str) else list(names)
    request = Request(x, smooth, attempts, points, start, stop, band, clip, align)
    curves, notes, metric = read_curves(chosen, wanted, request)
    if smooth:
        notes.insert(0, f"smoothed by {smooth:g}; what was logged is faint")
    return Chart.of(curves, title or _title(chosen, metric), x, log, log_x, notes, _bounds(bottom, top))


def _bounds(bottom: float | None, top: float | None) -> tuple[float, float] | None:
    if bottom is None and top is None:
        return None
    if bottom is None or top is None or not (math.isfinite(bottom) and math.isfinite(top) and bottom < top):
        raise QueryError(f"a y-axis goes from a number to a greater one, not from {bottom} to {top}")
    return bottom, top


def svg_curves(
    runs: RunRecord | Sequence[RunRecord], names: str | Sequence[str] = (), *, width: int = 720, height: int = 300
) -> str:
    """One chart as an inline `<svg>` element, for a page or a report; arguments as for :func:`plot`.

    Examples
    --------
    >>> from histhooks.plot import svg_curves
    >>> svg_curves(run, "val_loss", width=400)[:4]
    '<svg'
    """
    return plot(runs, names).svg(width, height)


def _title(runs: Sequence[RunRecord], metric: str) -> str:
    """The names of the runs, behind the metric if their curves are labelled by what the runs differ in."""
    names = list(dict.fromkeys(run.name for run in runs))
    told = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"{metric} · {told}" if metric else told
