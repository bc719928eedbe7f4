"""The input of the renderers: curves, scales, and the notes below them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from histhooks.plot._curves import Curve
from histhooks.plot._scales import Scale, duration, whole


@dataclass(frozen=True, slots=True)
class Drawing:
    """Curves with their axes; :class:`histhooks.plot.Chart` has what can be done with one.

    Attributes
    ----------
    curves : list of Curve
    title : str
    x : str
        `step`, `epoch`, `time`, `relative` or `n`.
    x_scale, y_scale : Scale
    notes : list of str
        What is not shown: points that are thinned, not finite, or have no place on the axes.
    """

    curves: list[Curve]
    title: str
    x: str
    x_scale: Scale
    y_scale: Scale
    notes: list[str] = field(default_factory=list)

    @property
    def x_name(self) -> str:
        """What the x-axis counts."""
        return {"time": "time", "relative": "time since the start", "n": "point"}.get(self.x, self.x)

    def x_text(self, value: float) -> str:
        """Where on the x-axis, in words that follow a value."""
        if self.x == "time":
            return datetime.fromtimestamp(value).strftime("on %Y-%m-%d at %H:%M:%S")
        return f"after {duration(value, 0)}" if self.x == "relative" else f"at {self.x_name} {whole(value)}"
