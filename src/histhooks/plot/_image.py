"""Draw a chart with matplotlib, without its global state: no pyplot, no backend, no style of the program."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base.text import plain
from histhooks.errors import QueryError
from histhooks.plot._looks import DASHES, ON_WHITE, Look, looks_for
from histhooks.plot._scales import short

if TYPE_CHECKING:
    from histhooks.plot._curves import Curve
    from histhooks.plot._drawing import Drawing

_DPI = 120
_WIDTH = 1.4
_POINT = 72 / _DPI  # of a pixel, as in an SVG


def save(chart: Drawing, path: Path, width: int, height: int) -> None:
    """Write a chart as .png or .pdf.

    Raises
    ------
    QueryError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError:
        raise QueryError(
            f'{path.name} needs matplotlib: pip install "histhooks[plot]", or write chart.svg or chart.html'
        ) from None
    with rc_context(rc={"path.simplify": False, "agg.path.chunksize": 0}):
        layout = ConstrainedLayoutEngine(w_pad=0.1)  # inches: room for half a star
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, layout=layout)
        axes = figure.add_subplot()
        for curve, look in zip(chart.curves, looks_for(chart.curves), strict=True):
            _curve(axes, chart, curve, look)
        # Above all, so that the legend has its place between it and the curves.
        figure.suptitle(_words(chart.title), fontsize=10, x=0.02, ha="left")
        _dress(axes, chart)
        if chart.notes:
            figure.supxlabel("\n".join(map(_words, chart.notes)), fontsize=7, alpha=0.7, x=0.02, ha="left")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in letters that its font has not
            figure.savefig(path)


def _curve(axes: Any, chart: Drawing, curve: Curve, own: Look) -> None:
    colour = ON_WHITE[own[0]]
    # Matplotlib counts dashes in widths of the line.
    line = (0, [float(n) * _POINT / _WIDTH for n in DASHES[own[1]].split()]) if DASHES[own[1]] else "-"
    if curve.ribbon is not None:
        low, high = curve.ribbon.low, curve.ribbon.high
        axes.fill_between(curve.ribbon.x, low, high, color=colour, alpha=0.2, linewidth=0, label="_")
    for piece in curve.pieces:
        marker = "o" if len(piece.x) <= 40 else ""
        y = [value if math.isfinite(value) else math.nan for value in piece.y]
        look = {"color": colour, "linestyle": line, "linewidth": _WIDTH, "marker": marker, "markersize": 3}
        axes.plot(piece.x, y, alpha=0.35 if piece.is_faint else 1.0, label="_", **look)
        for x, value in zip(piece.x, piece.y):
            if not math.isfinite(value):
                # At the edge to which it points; nan at the foot.
                mark, height = ("x", 0.01) if value != value else ("^", 0.99) if value > 0 else ("v", 0.01)
                axes.plot([x], [height], mark, color=colour, transform=axes.get_xaxis_transform(), label="_")
    told = f"{curve.label}  last {short(curve.last[1])}"
    if curve.best is not None:
        told += f", best {short(curve.best[1])} {chart.x_text(curve.best[0])}"
        if chart.y_scale.padded(0.04).spans(curve.best[1]):
            # Above all, since the best is often the last.
            edge = {"markeredgecolor": "black", "markeredgewidth": 0.6, "clip_on": False, "zorder": 5}
            axes.plot(*curve.best, "*", color=colour, markersize=11, label="_", **edge)
    axes.plot([], [], color=colour, linestyle=line, label=_words(told).lstrip("_"))


def _words(text: str) -> str:
    """What a person wrote is no formula."""
    return plain(text).replace("$", r"\$")


def _dress(axes: Any, chart: Drawing) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xlabel(chart.x_name)
    for name, scale, count in (("x", chart.x_scale, 8), ("y", chart.y_scale.padded(0.04), 7)):
        if scale.is_log:
            getattr(axes, f"set_{name}scale")("log")
        getattr(axes, f"set_{name}lim")(scale.low, scale.high)
        ticks = dict(scale.ticks(count))
        axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(FixedLocator(list(ticks)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _, ticks=ticks: ticks.get(value, "")))
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.03), borderaxespad=0)
    if chart.x == "time":
        axes.set_xlabel(f"time, from {datetime.fromtimestamp(chart.x_scale.low, UTC).astimezone():%Y-%m-%d %Z}")
