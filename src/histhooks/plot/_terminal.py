"""Curves in a terminal: braille dots if it can show them, else letters; colours, and marks that need no colour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from histhooks._base.text import plain
from histhooks.plot._ribbons import inside
from histhooks.plot._scales import Scale, short

if TYPE_CHECKING:
    from histhooks.plot._curves import Curve, Piece
    from histhooks.plot._drawing import Drawing

COLOURS = (36, 33, 35, 32, 34, 31)  # ANSI: cyan, yellow, magenta, green, blue, red
_MARKS = "●■▲◆○□△◇"
_PLAIN_MARKS = "*o+x#%&="
_BETWEEN_MARKS = 14
# Bits of the dots of a braille character, U+2800 and on: left column, then right, from the top.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


@dataclass(slots=True)
class _Canvas:
    """Character cells; each is 2 by 4 dots in braille, or one dot."""

    columns: int
    rows: int
    is_plain: bool
    dots: dict[tuple[int, int], int] = field(default_factory=dict)
    paint: dict[tuple[int, int], tuple[int, bool]] = field(default_factory=dict)
    marks: dict[tuple[int, int], tuple[str, int, bool]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return self.columns * (1 if self.is_plain else 2)

    @property
    def height(self) -> int:
        return self.rows * (1 if self.is_plain else 4)

    def cell(self, x: int, y: int) -> tuple[int, int]:
        return (x, y) if self.is_plain else (x // 2, y // 4)

    def dot(self, x: int, y: int, colour: int, is_faint: bool) -> None:
        cell = self.cell(x, y)
        bit = 1 if self.is_plain else _DOTS[x % 2][y % 4]
        if not is_faint and self.paint.get(cell, (0, False))[1]:
            self.dots[cell] = 0  # a curve stands out from what is faint under it
        self.dots[cell] = self.dots.get(cell, 0) | bit
        self.paint[cell] = (colour, is_faint)


def draw(chart: Drawing, columns: int, lines: int, *, has_colour: bool, is_plain: bool) -> str:
    """A chart as text.

    Parameters
    ----------
    chart : Drawing
    columns, lines : int
        What it may fill.
    has_colour : bool
        Whether ANSI colours are understood.
    is_plain : bool
        Whether only ASCII is.
    """
    marks = _PLAIN_MARKS if is_plain else _MARKS
    title = _fit(chart.title, columns)
    legend = [f"\x1b[1m{title}\x1b[0m" if has_colour else title]
    legend += _legend(chart, columns, marks, has_colour, is_plain)
    notes = [_fit(note, columns) for note in chart.notes]
    rows = max(5, lines - len(legend) - len(notes) - 3)
    y_ticks = chart.y_scale.ticks(max(2, min(rows // 3, 8)))
    margin = max((len(label) for _, label in y_ticks), default=1)
    canvas = _Canvas(max(10, columns - margin - 3), rows, is_plain)
    for number, curve in enumerate(chart.curves):
        _draw_curve(canvas, chart, curve, number, marks[number % len(marks)] if len(chart.curves) > 1 else "")
    for number, curve in enumerate(chart.curves):
        if curve.best is not None and _fits(chart, *curve.best) and chart.y_scale.spans(curve.best[1]):
            cell = canvas.cell(*_place(canvas, chart, *curve.best))
            canvas.marks[cell] = ("@" if is_plain else "★", number, False)
    text = [
        *legend,
        *_body(canvas, chart, y_ticks, margin, has_colour),
        *_axis(chart, canvas, margin, is_plain),
        *notes,
    ]
    # If the terminal shows only ASCII, the few other words and signs of histhooks become ASCII too.
    return "\n".join(line.rstrip().translate(_TO_ASCII) if is_plain else line.rstrip() for line in text)


_TO_ASCII = str.maketrans({"·": "-", "–": "-", "…": "~", "→": ">", "×": "x"})


def _fits(chart: Drawing, x: float, y: float) -> bool:
    is_placed = math.isfinite(x) and (x > 0 or not chart.x_scale.is_log)
    return is_placed and math.isfinite(y) and (y > 0 or not chart.y_scale.is_log)


def _place(canvas: _Canvas, chart: Drawing, x: float, y: float) -> tuple[int, int]:
    return _dot(canvas, chart.x_scale.share(x), chart.y_scale.share(y))


def _dot(canvas: _Canvas, x: float, y: float) -> tuple[int, int]:
    return _nth(x, canvas.width), canvas.height - 1 - _nth(y, canvas.height)


def _along(scale: Scale, value: float, length: int) -> int:
    return _nth(scale.share(value), length)


def _nth(share: float, length: int) -> int:
    return min(length - 1, max(0, round(share * (length - 1))))


def _draw_curve(canvas: _Canvas, chart: Drawing, curve: Curve, number: int, mark: str) -> None:
    if curve.ribbon is not None:
        for edge in (curve.ribbon.low, curve.ribbon.high):
            _draw_line(canvas, chart, curve.ribbon.x, edge, number, is_faint=True)
    for piece in curve.pieces:
        _draw_piece(canvas, chart, piece, number)
    if not mark:
        return
    tops: dict[int, int] = {}
    for line in _lines(canvas, chart, curve.main.x, curve.main.y):
        for x, y in _line(*line):
            tops[canvas.cell(x, y)[0]] = canvas.cell(x, y)[1]
    shift = number * 5
    chosen = [column for column in tops if (column + shift) % _BETWEEN_MARKS == _BETWEEN_MARKS // 2] or list(tops)[-1:]
    for column in chosen:
        canvas.marks.setdefault((column, tops[column]), (mark, number, False))


def _draw_piece(canvas: _Canvas, chart: Drawing, piece: Piece, number: int) -> None:
    _draw_line(canvas, chart, piece.x, piece.y, number, is_faint=piece.is_faint)
    for x, y in zip(piece.x, piece.y):
        if math.isfinite(x) and not math.isfinite(y) and (x > 0 or not chart.x_scale.is_log):
            _draw_odd(canvas, chart, x, y, number)


def _draw_line(
    canvas: _Canvas, chart: Drawing, xs: Sequence[float], ys: Sequence[float], number: int, *, is_faint: bool
) -> None:
    for line in _lines(canvas, chart, xs, ys):
        for number_of_dot, dot in enumerate(_line(*line)):
            # Also without colour, what is faint is drawn with gaps.
            if not is_faint or (dot[0] + number_of_dot) % 3 == 0:
                canvas.dot(*dot, number, is_faint)


def _lines(
    canvas: _Canvas, chart: Drawing, xs: Sequence[float], ys: Sequence[float]
) -> Iterator[tuple[int, int, int, int]]:
    """From which dot to which the lines of a curve go, as far as they lie on the canvas."""
    x_scale, y_scale = chart.x_scale, chart.y_scale
    places = [(x_scale.share(x), y_scale.share(y)) if _fits(chart, x, y) else None for x, y in zip(xs, ys)]
    for (x0, y0), (x1, y1) in inside(places):
        yield (*_dot(canvas, x0, y0), *_dot(canvas, x1, y1))


def _draw_odd(canvas: _Canvas, chart: Drawing, x: float, y: float, number: int) -> None:
    """A value that is not finite stands at the edge to which it points; nan at the foot."""
    sign = {True: "N^v", False: "×↑↓"}[canvas.is_plain]
    row = 0 if y > 0 else canvas.rows - 1
    column = canvas.cell(_along(chart.x_scale, x, canvas.width), 0)[0]
    canvas.marks[(column, row)] = (sign[0] if y != y else sign[1] if y > 0 else sign[2], number, False)


def _line(x0: int, y0: int, x1: int, y1: int) -> list[tuple[int, int]]:
    count = max(abs(x1 - x0), abs(y1 - y0), 1)
    return [(x0 + round((x1 - x0) * n / count), y0 + round((y1 - y0) * n / count)) for n in range(count + 1)]


def _body(
    canvas: _Canvas, chart: Drawing, y_ticks: list[tuple[float, str]], margin: int, has_colour: bool
) -> list[str]:
    labels: dict[int, str] = {}
    for value, label in y_ticks:
        row = canvas.cell(0, canvas.height - 1 - _along(chart.y_scale, value, canvas.height))[1]
        labels.setdefault(row, label)
    edge = ("|", "+") if canvas.is_plain else ("│", "┤")
    lines = []
    for row in range(canvas.rows):
        label = labels.get(row, "")
        cells = "".join(_cell(canvas, column, row, has_colour) for column in range(canvas.columns))
        lines.append(f"{label:>{margin}} {edge[1] if label else edge[0]}{cells}")
    return lines


def _cell(canvas: _Canvas, column: int, row: int, has_colour: bool) -> str:
    place = (column, row)
    if place in canvas.marks:
        character, number, is_faint = canvas.marks[place]
    elif place in canvas.dots:
        number, is_faint = canvas.paint[place]
        plain = "." if is_faint else _PLAIN_MARKS[number % len(_PLAIN_MARKS)]
        character = plain if canvas.is_plain else chr(0x2800 + canvas.dots[place])
    else:
        return " "
    return _coloured(character, number, is_faint) if has_colour else character


def _coloured(text: str, number: int, is_faint: bool = False) -> str:
    return f"\x1b[{'2;' if is_faint else ''}{COLOURS[number % len(COLOURS)]}m{text}\x1b[0m"


def _axis(chart: Drawing, canvas: _Canvas, margin: int, is_plain: bool) -> list[str]:
    line, under = [" "] * canvas.columns, [" "] * (canvas.columns + 1)
    corner, flat, tick = ("+", "-", "+") if is_plain else ("└", "─", "┬")
    line = [flat] * canvas.columns
    free = 0
    name = chart.x_name
    for value, label in chart.x_scale.ticks(max(2, canvas.columns // 14)):
        column = canvas.cell(_along(chart.x_scale, value, canvas.width), 0)[0]
        line[column] = tick
        start = max(0, min(column + 1 - len(label) // 2, canvas.columns + 1 - len(label)))
        if start >= free:
            under[start : start + len(label)] = label
            free = start + len(label) + 1
    head = " " * (margin + 1)
    return [
        f"{head}{corner}{''.join(line)}",
        f"{head}{''.join(under)}",
        f"{head}{name:^{canvas.columns + 1}}",
    ]


def _legend(chart: Drawing, columns: int, marks: str, has_colour: bool, is_plain: bool) -> list[str]:
    """A line for each curve: its mark, its name, its last value, and its best one where that is known."""
    lines = []
    best_mark = "@" if is_plain else "★"
    for number, curve in enumerate(chart.curves):
        _, last = curve.last
        words = [f"last {short(last)}"]
        if curve.best is not None:
            words.append(f"best {short(curve.best[1])} {chart.x_text(curve.best[0])} {best_mark}")
        facts = ", ".join(words)
        mark = marks[number % len(marks)] if len(chart.curves) > 1 else ("-" if is_plain else "─")
        label = _fit(curve.label, max(8, columns - len(facts) - 4))
        head = f"{mark} {label}"
        facts = "  " + _fit(facts, columns - len(head) - 2) if columns - len(head) > 10 else ""
        lines.append((_coloured(head, number) if has_colour else head) + facts)
    return lines


def _fit(text: str, columns: int) -> str:
    text = " ".join(plain(text).split())
    return text if len(text) <= columns else text[: max(1, columns - 1)] + "…"
