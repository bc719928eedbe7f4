"""A chart: curves, scales and notes, drawn on request."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from histhooks.errors import QueryError
from histhooks.plot._curves import Curve
from histhooks.plot._drawing import Drawing
from histhooks.plot._scales import scale_of, short

WIDTH = 960  # of a file, in pixels
_KINDS = {"time": "time", "relative": "duration", "step": "whole", "epoch": "whole", "n": "whole"}


@dataclass(frozen=True, slots=True)
class Chart(Drawing):
    """Curves with their axes. ``print(chart)`` draws it in the terminal, a notebook shows it as a picture.

    Attributes
    ----------
    curves : list of Curve
    title : str
    x : str
        `step`, `epoch`, `time`, `relative` or `n`.
    x_scale, y_scale : Scale
    notes : list of str
        Notes on points that are not shown: thinned, non-finite, or outside the axes.

    Examples
    --------
    >>> chart = histhooks.plot.plot(run, "val_*")
    >>> chart.title, [curve.label for curve in chart.curves], chart.notes
    ('train', ['val_loss'], [])
    >>> chart.svg()[:4], chart.html()[:15], chart.text(60, 16).splitlines()[0]
    ('<svg', '<!DOCTYPE html>', 'train')
    >>> chart.save("chart.svg", width=800, height=400)
    >>> chart.show(width=60, height=16)
    train
    ...
    >>> chart.as_json()["x"]
    'step'
    """

    @classmethod
    def of(
        cls,
        curves: Sequence[Curve],
        title: str,
        x: str,
        is_log: bool,
        is_log_x: bool,
        notes: Sequence[str],
        bounds: tuple[float, float] | None = None,
    ) -> Chart:
        """A chart that says itself what its axes have no place for; its y-axis spans the bounds, if there are any."""
        if not curves:
            raise QueryError(f"{title}: there are no points to plot")
        said, scales = list(dict.fromkeys(notes)), {}
        for axis, is_on, kind in (("y", is_log, "number"), ("x", is_log_x, _KINDS.get(x, "number"))):
            values = [v for curve in curves for piece in curve.pieces for v in getattr(piece, axis)]
            ends = [v for curve in curves if curve.ribbon and axis == "y" for v in curve.ribbon.low + curve.ribbon.high]
            scales[axis] = scale_of([*values, *ends], is_log=is_on, kind=kind)
            below = sum(v <= 0 for v in values if math.isfinite(v))
            if is_on and below:
                some = f"{below:,} point{'s' if below > 1 else ''} at or below 0"
                said.append(f"{some} {'have' if below > 1 else 'has'} no place on a log axis")
        if (spanned := _spanned(curves, is_log, bounds)) is not None:
            low, high = spanned
            scales["y"] = replace(scales["y"], low=low, high=high, is_exact=bounds is not None)
            span = f"{short(low)} to {short(high)}"
            said.append(f"y from {span}" if bounds else f"clipped to {span}, the 1st to the 99th percentile")
        return cls(list(curves), title, x, scales["x"], scales["y"], said)

    def as_json(self) -> dict[str, Any]:
        """What is drawn, as plain values; what is not finite as a word."""
        curves = [
            {
                "label": curve.label, "points": curve.count, "nonfinite": curve.nonfinite, "best": curve.best,
                "direction": curve.direction,
                "band": None if curve.ribbon is None else asdict(curve.ribbon), "clip": curve.clip,
                "pieces": [
                    {"is_faint": p.is_faint, "x": p.x, "y": [y if math.isfinite(y) else str(y) for y in p.y]}
                    for p in curve.pieces
                ],
            }
            for curve in self.curves
        ]  # fmt: skip
        return {"title": self.title, "x": self.x, "notes": self.notes, "curves": curves}

    def text(
        self,
        width: int | None = None,
        height: int | None = None,
        *,
        has_colour: bool = False,
        is_plain: bool = False,
    ) -> str:
        """The chart as text, as wide as the terminal.

        Parameters
        ----------
        width, height : int, characters, optional
        has_colour : bool
            Whether ANSI colours are understood.
        is_plain : bool
            Whether only ASCII is.
        """
        from histhooks.plot._terminal import draw

        columns, lines = shutil.get_terminal_size((80, 24))
        width = min(columns, 160) if width is None else width
        height = max(12, min(lines - 2, 16 + len(self.curves) + len(self.notes))) if height is None else height
        return draw(self, width, height, has_colour=has_colour, is_plain=is_plain)

    def show(self, stream: TextIO | None = None, width: int | None = None, height: int | None = None) -> None:
        """Write it as text, with what the stream can show: colours on a terminal unless NO_COLOR is set; ASCII on a
        dumb one."""
        stream = stream or sys.stdout
        encoding = (stream.encoding or "ascii").lower().replace("-", "")
        is_dumb = os.environ.get("TERM") == "dumb"
        has_colour = stream.isatty() and not is_dumb and not os.environ.get("NO_COLOR")
        is_plain = is_dumb or not encoding.startswith("utf")
        print(self.text(width, height, has_colour=has_colour, is_plain=is_plain), file=stream)

    def svg(self, width: int = 720, height: int = 400) -> str:
        """The chart as one inline `<svg>` element, in the colours of the page around it."""
        from histhooks.plot._svg import draw

        return draw(self, width, height)

    def html(self, width: int = 960, height: int = 520) -> str:
        """The chart as one self-contained page, which shows values under the pointer."""
        from histhooks.plot._page import page

        return page(self, width, height)

    def save(self, path: str | os.PathLike[str], *, width: int | None = None, height: int | None = None) -> None:
        """Write it to a file: `.svg` and `.html` directly, `.png` and `.pdf` with matplotlib.

        Parameters
        ----------
        path : str or path
        width, height : int, pixels, optional

        Raises
        ------
        QueryError
            If its name ends otherwise, matplotlib is needed and not installed, or it cannot be written.
        """
        target = Path(path)
        try:
            self._save(target, width, height)
        except OSError as error:
            raise QueryError(f"{target} cannot be written: {error.strerror or error}") from error

    def _save(self, target: Path, width: int | None, height: int | None) -> None:
        size = (width or WIDTH, height or height_for(self))
        ending = target.suffix.lower()
        if ending == ".html":
            target.write_text(self.html(*size), encoding="utf-8")
        elif ending == ".svg":
            from histhooks.plot._svg import draw_file

            target.write_text(draw_file(self, *size), encoding="utf-8")
        elif ending in (".png", ".pdf"):
            from histhooks.plot._image import save

            save(self, target, *size)
        else:
            raise QueryError(f"{target.name}: a chart is written as .png, .svg, .pdf or .html")

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.svg()


def _spanned(curves: Sequence[Curve], is_log: bool, bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    """What the y-axis spans if that is not all points: the bounds, else the percentiles of all curves together."""
    if bounds is not None:
        if is_log and bounds[0] <= 0:
            raise QueryError(f"a log axis begins above 0, not at {bounds[0]:g}")
        return bounds
    clips = [curve.clip for curve in curves if curve.clip is not None]
    low, high = min((low for low, _ in clips), default=0.0), max((high for _, high in clips), default=0.0)
    return (low, high) if low < high and (low > 0 or not is_log) else None


def height_for(chart: Drawing) -> int:
    """How high a file is, so that a long legend leaves the curves their room."""
    return max(520, 360 + 18 * len(chart.curves) + 15 * len(chart.notes))
