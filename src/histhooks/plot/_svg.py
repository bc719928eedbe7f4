"""A chart as SVG, without a library: text stays text, nothing is loaded, and it follows the colours around it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from histhooks._views.spark import escaped
from histhooks.plot._looks import COLOURS, DASHES, ON_WHITE, looks_for
from histhooks.plot._scales import Scale, short

if TYPE_CHECKING:
    from histhooks.plot._curves import Curve, Piece
    from histhooks.plot._drawing import Drawing

Look = tuple[str, str]  # a colour, and a pattern of dashes or nothing
Looks = Mapping[tuple[str, str], Look]
_LEGEND_LINE = 18
_FEW = 40
_FAR = 1000  # times the height


class Frame:
    """Where the parts of a picture lie."""

    def __init__(
        self,
        chart: Drawing,
        width: int,
        height: int,
        *,
        has_notes: bool = True,
        title: str = "",
        looks: Looks | None = None,
        colours: Sequence[str] = COLOURS,
    ) -> None:
        self.width, self.height = width, height
        self.x_scale, self.y_scale = chart.x_scale, chart.y_scale.padded(0.04)
        self.y_ticks = self.y_scale.ticks(max(2, height // 60))
        self.notes = chart.notes if has_notes else []
        self.title = title
        found = [(looks or {}).get((curve.run_id, curve.name)) for curve in chart.curves]
        default = [(colours[colour], DASHES[dash]) for colour, dash in looks_for(chart.curves)]
        self.looks = [own or look for own, look in zip(found, default, strict=True)]
        self.head = 22 if title else 0
        self.left = 14 + 7 * max((len(label) for _, label in self.y_ticks), default=1)
        self.right = width - 12
        self.top = 10 + self.head + len(chart.curves) * _LEGEND_LINE
        self.bottom = max(self.top + 40, height - 42 - 15 * len(self.notes))
        self.x_ticks = self.x_scale.ticks(max(2, (self.right - self.left) // 110))

    def x(self, value: float) -> float:
        return self.left + self.x_scale.share(value) * (self.right - self.left)

    def y(self, value: float) -> float:
        share = min(_FAR, max(-_FAR, self.y_scale.share(value)))  # what is clipped may be any float
        return self.bottom - share * (self.bottom - self.top)

    def has(self, x: float, y: float) -> bool:
        """Whether a point has a place on both scales."""
        return _is_on(self.x_scale, x) and _is_on(self.y_scale, y)

    def shows(self, x: float, y: float) -> bool:
        """Whether that place is between the ends of the y-axis."""
        return self.has(x, y) and self.y_scale.spans(y)


def _is_on(scale: Scale, value: float) -> bool:
    return math.isfinite(value) and (value > 0 or not scale.is_log)


def draw(chart: Drawing, width: int, height: int, looks: Looks | None = None) -> str:
    """A chart as one inline `<svg>` element.

    Parameters
    ----------
    chart : Drawing
    width, height : int, pixels
    looks : mapping, optional
        By run and metric the colour and the dash of a curve; by default those of its place.
    """
    return _element(chart, Frame(chart, width, height, looks=looks), "")


def draw_file(chart: Drawing, width: int, height: int, looks: Looks | None = None) -> str:
    """A chart as an SVG file with a ground of its own."""
    ground = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    frame = Frame(chart, width, height, title=chart.title, looks=looks, colours=ON_WHITE)
    body = _element(chart, frame, ground).replace("<svg ", '<svg color="#222222" ', 1)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _element(chart: Drawing, frame: Frame, ground: str) -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="curves" width="{frame.width}" height="{frame.height}" '
        f'viewBox="0 0 {frame.width} {frame.height}" role="img" font-family="system-ui, sans-serif" font-size="12" '
        'style="max-width:100%;height:auto">',
        f"<title>{escaped(chart.title)}</title>{ground}",
        *inside(chart, frame),
        "</svg>",
    ]
    return "\n".join(parts)


def inside(chart: Drawing, frame: Frame) -> list[str]:
    """Axes, curves, legend and notes."""
    parts = _axes(chart, frame)
    if frame.title:
        parts.append(_text(frame.left, 18, frame.title, "start", 'font-size="14" font-weight="bold"'))
    drawn = [part for number, curve in enumerate(chart.curves) for part in _ribbon(frame, curve, number)]
    for number, curve in enumerate(chart.curves):
        for piece in curve.pieces:
            drawn += _piece(frame, piece, number)
    parts += _within(frame, drawn, is_cut=any(_leaves(frame, curve) for curve in chart.curves))
    for number, curve in enumerate(chart.curves):
        parts += [odd for piece in curve.pieces for odd in _odd_ones(frame, piece, number)]
        parts += _best(frame, chart, curve, number)
        parts += _legend(chart, frame, curve, number)
    for number, note in enumerate(frame.notes):
        y = frame.height - 5 - 15 * (len(frame.notes) - 1 - number)
        parts.append(_text(frame.left, y, note, "start", 'font-size="11" opacity="0.7"'))
    return parts


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor" {more}>{escaped(words)}</text>'


def _axes(chart: Drawing, frame: Frame) -> list[str]:
    line = 'stroke="currentColor" stroke-width="1"'
    parts = []
    for value, label in frame.y_ticks:
        y = frame.y(value)
        parts.append(f'<path d="M{frame.left} {y:.1f}H{frame.right}" {line} opacity="0.15"/>')
        parts.append(_text(frame.left - 6, y + 4, label, "end"))
    for value, label in frame.x_ticks:
        x = frame.x(value)
        parts.append(f'<path d="M{x:.1f} {frame.bottom}v5" {line}/>')
        anchor = "end" if x > frame.right - 20 else "start" if x < frame.left + 8 else "middle"
        parts.append(_text(x, frame.bottom + 18, label, anchor))
    parts.append(f'<path d="M{frame.left} {frame.top}V{frame.bottom}H{frame.right}" fill="none" {line}/>')
    parts.append(_text((frame.left + frame.right) / 2, frame.bottom + 33, chart.x_name, "middle", 'opacity="0.7"'))
    return parts


def _leaves(frame: Frame, curve: Curve) -> bool:
    """Whether some of a curve lies beyond the ends of the y-axis."""
    ends = [] if curve.ribbon is None else curve.ribbon.low + curve.ribbon.high
    values = [*ends, *(y for piece in curve.pieces for y in piece.y)]
    return any(_is_on(frame.y_scale, y) and not frame.y_scale.spans(y) for y in values)


def _within(frame: Frame, parts: Sequence[str], *, is_cut: bool) -> list[str]:
    """Parts of a picture, without what lies above or below the axes: an `<svg>` in another one ends at its edges."""
    if not is_cut:
        return list(parts)
    place = f'x="0" y="{frame.top}" width="{frame.width}" height="{frame.bottom - frame.top}"'
    view = f'viewBox="0 {frame.top} {frame.width} {frame.bottom - frame.top}" preserveAspectRatio="none"'
    return [f'<svg {place} {view} overflow="hidden">', *parts, "</svg>"]


def _ribbon(frame: Frame, curve: Curve, number: int) -> list[str]:
    """What lies between the least and the greatest value of each part of a curve."""
    if curve.ribbon is None:
        return []
    colour, _ = frame.looks[number]
    low, high, floor = curve.ribbon.low, curve.ribbon.high, frame.y_scale.low
    if frame.y_scale.is_log:  # what has no place there begins at its foot
        low = [value if value > 0 else floor for value in low]
    kept = [(x, a, b) for x, a, b in zip(curve.ribbon.x, low, high) if frame.has(x, a) and frame.has(x, b)]
    if not kept:
        return []
    there = [f"{frame.x(x):.1f} {frame.y(b):.1f}" for x, _, b in kept]
    back = [f"{frame.x(x):.1f} {frame.y(a):.1f}" for x, a, _ in reversed(kept)]
    return [f'<path d="M{"L".join(there + back)}Z" fill="{colour}" opacity="0.2"/>']


def _piece(frame: Frame, piece: Piece, number: int) -> list[str]:
    colour, dash = frame.looks[number]
    look = f'stroke="{colour}" stroke-width="1.6" stroke-linejoin="round" fill="none"'
    look += f' stroke-dasharray="{dash}"' if dash else ""
    look += ' opacity="0.35"' if piece.is_faint else ""
    parts: list[str] = []
    path, places = [], []
    is_joined = False
    for x, y in zip(piece.x, piece.y):
        if frame.has(x, y):
            place = f"{frame.x(x):.1f} {frame.y(y):.1f}"
            path.append(("L" if is_joined else "M") + place)
            places.append(place)
        is_joined = frame.has(x, y)
    if path:
        parts.insert(0, f'<path d="{"".join(path)}" {look}/>')
    if len(places) <= _FEW:
        faint = ' opacity="0.35"' if piece.is_faint else ""
        for place in places:
            x_text, y_text = place.split()
            parts.append(f'<circle cx="{x_text}" cy="{y_text}" r="2.2" fill="{colour}"{faint}/>')
    return parts


def _odd_ones(frame: Frame, piece: Piece, number: int) -> list[str]:
    odd = [(x, y) for x, y in zip(piece.x, piece.y) if _is_on(frame.x_scale, x) and not math.isfinite(y)]
    return [_odd(frame, x, y, frame.looks[number][0]) for x, y in odd]


def _odd(frame: Frame, x: float, y: float, colour: str) -> str:
    """A value that is not finite stands at the edge to which it points; nan at the foot."""
    place = frame.top + 9 if y > 0 else frame.bottom - 3
    sign = "×" if y != y else "↑" if y > 0 else "↓"
    return (
        f'<text x="{frame.x(x):.1f}" y="{place:.1f}" text-anchor="middle" fill="{colour}" font-weight="bold">'
        f"{sign}<title>{y}</title></text>"
    )


def _best(frame: Frame, chart: Drawing, curve: Curve, number: int) -> list[str]:
    if curve.best is None or not frame.shows(*curve.best):
        return []
    x, y = frame.x(curve.best[0]), frame.y(curve.best[1])
    told = escaped(f"best {short(curve.best[1])} {chart.x_text(curve.best[0])}")
    return [
        f'<path d="M{x:.1f} {y - 6:.1f}l1.8 3.8 4.2.5-3.1 2.8.8 4.1-3.7-2-3.7 2 .8-4.1-3.1-2.8 4.2-.5z" '
        f'fill="{frame.looks[number][0]}" stroke="currentColor" stroke-width="0.8"><title>{told}</title></path>'
    ]


def _legend(chart: Drawing, frame: Frame, curve: Curve, number: int) -> list[str]:
    y = 14 + frame.head + number * _LEGEND_LINE
    colour, dash = frame.looks[number]
    told = f"last {short(curve.last[1])}"
    if curve.best is not None:
        told += f", best {short(curve.best[1])} {chart.x_text(curve.best[0])}"
    room = max(10, int((frame.right - frame.left - 40) / 6.6) - len(told))
    label = curve.label if len(curve.label) <= room else curve.label[: room - 1] + "…"
    return [
        f'<path d="M{frame.left} {y - 4}h22" stroke="{colour}" stroke-width="2.4" '
        f'stroke-dasharray="{dash or "none"}"/>',
        f'<text x="{frame.left + 28}" y="{y}" fill="currentColor">{escaped(label)}'
        f'<tspan opacity="0.7" dx="8">{escaped(told)}</tspan></text>',
    ]
