"""A curve as small as a word, as inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isfinite
from typing import Any

from histhooks._base.text import is_flat, plain

_MARGIN = 1.5


def spark_svg(series: Any, width: int = 120, height: int = 24, *, title: str | None = None) -> str:
    """One curve as an inline SVG without axes, in the colour of the text around it.

    Parameters
    ----------
    series : Series or iterable of float or None
        Of more points than fit, the least and the greatest of each column stay.
    width, height : int, pixels
    title : str, optional
        The tooltip, also read by a screen reader.

    Returns
    -------
    str
        An `<svg>` element, empty if there is no finite value. If a value is not finite, the curve has a gap.

    Examples
    --------
    >>> from histhooks.plot import spark_svg
    >>> spark_svg(run.series("val_loss"), title="val_loss")[:4]
    '<svg'
    """
    values = [None if v is None or not isfinite(v) else float(v) for v in _values(series)]
    label = f"<title>{escaped(title)}</title>" if title else ""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="spark" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">{label}'
    )
    known = [v for v in values if v is not None]
    if not known:
        return f"{head}</svg>"
    low, high = min(known), max(known)
    flat = is_flat(low, high)
    inner_x, inner_y = width - 2 * _MARGIN, height - 2 * _MARGIN
    last = max(1, len(values) - 1)

    def place(n: int) -> str:
        value = values[n]
        assert value is not None
        # Halved first: the span of very great values is no float.
        share = (value / 2 - low / 2) / (high / 2 - low / 2) if not flat else 0.5
        return f"{_MARGIN + inner_x * n / last:.1f},{_MARGIN + inner_y * (1 - share):.1f}"

    pieces = []
    for stretch in _stretches(values):
        places = [place(n) for n in _outline(values, stretch, max(2, int(width)))]
        if len(places) == 1:
            x, y = places[0].split(",")
            pieces.append(f'<circle cx="{x}" cy="{y}" r="1.5" fill="currentColor"/>')
        else:
            pieces.append(
                f'<polyline points="{" ".join(places)}" fill="none" stroke="currentColor" stroke-width="1.3" '
                'stroke-linejoin="round" stroke-linecap="round"/>'
            )
    return f"{head}{''.join(pieces)}</svg>"


def escaped(text: str) -> str:
    """A recorded text for a place in SVG or HTML, without what XML cannot hold."""
    return escape(plain(text))


def _values(series: Any) -> Iterable[Any]:
    """The values of a Series, or those that were given."""
    values: Any = getattr(series, "value", series)
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _stretches(values: Sequence[float | None]) -> list[range]:
    """Where values follow each other without a gap."""
    found, start = [], None
    for n, value in enumerate([*values, None]):
        if value is None and start is not None:
            found.append(range(start, n))
            start = None
        elif value is not None and start is None:
            start = n
    return found


def _outline(values: Sequence[Any], stretch: range, columns: int) -> list[int]:
    """Which points to draw: of each column the least and the greatest, in their order."""
    part = -(-len(values) // columns)
    if part <= 2:
        return list(stretch)
    kept = {stretch[0], stretch[-1]}
    for begin in range(stretch.start - stretch.start % part, stretch.stop, part):
        column = range(max(begin, stretch.start), min(begin + part, stretch.stop))
        kept |= {min(column, key=values.__getitem__), max(column, key=values.__getitem__)}
    return sorted(kept)
