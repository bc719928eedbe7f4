"""Scales: the position of a value between the smallest and the largest, and round values for ticks."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_DURATIONS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis.

    Attributes
    ----------
    low, high : float
        What it spans; `low` is less than `high`.
    is_log : bool
    kind : str
        `number`; `whole`, a count that has no fractions; `duration`, in seconds; or `time`, in seconds since 1970.
    is_exact : bool
        Whether its ends were asked for, so that there is no free room beyond them.
    """

    low: float
    high: float
    is_log: bool = False
    kind: str = "number"
    is_exact: bool = False

    def share(self, value: float) -> float:
        """Where a value stands, 0 at the least and 1 at the greatest."""
        if self.is_log:
            low, high = math.log10(self.low), math.log10(self.high)
            return (math.log10(value) - low) / (high - low)
        # Halved first: the span of very great values is no float.
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)

    def spans(self, value: float) -> bool:
        """Whether a value lies on it."""
        return self.low <= value <= self.high

    def padded(self, margin: float) -> Scale:
        """The same with free room at both ends, as a share of what it spans."""
        if self.is_exact:
            return self
        return scale_of((self.low, self.high), is_log=self.is_log, kind=self.kind, margin=margin)

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """About so many round values inside, each with its label."""
        count = max(2, count)
        if self.is_log:
            found = _log_ticks(self.low, self.high, count)
            if len(found) >= 2:
                return [(value, short(value)) for value in found]
            # Less than a decade: round values as on any other scale, but for what a logarithm has no place for.
            kind = "whole" if self.kind == "whole" else "number"
            found = [
                v for v, _ in Scale(self.low, self.high, kind=kind).ticks(count) if self.low <= v <= self.high and v > 0
            ]
            return [(value, short(value)) for value in found or [self.low, self.high]]
        if self.kind == "time":
            return _time_ticks(self.low, self.high, count)
        if self.kind == "duration" and self.high - self.low > 2:
            step = _duration_step(self.high - self.low, count)
            return [(value, duration(value, step)) for value in _multiples(self.low, self.high, step)]
        step = _round_step(self.high / count - self.low / count)
        if self.kind == "whole":
            step = max(1.0, step)
        values = _multiples(self.low, self.high, step)
        unit = " s" if self.kind == "duration" else ""
        return [(value, label + unit) for value, label in zip(values, _labels(values, step), strict=True)]


def scale_of(values: Iterable[float], *, is_log: bool = False, kind: str = "number", margin: float = 0.0) -> Scale:
    """The scale that spans finite values; what a log scale has no place for is left out.

    Parameters
    ----------
    values : iterable of float
    is_log : bool
    kind : str
    margin : float
        Free room at both ends, as a share of the span.
    """
    known = [v for v in values if math.isfinite(v) and (v > 0 or not is_log)]
    low, high = (min(known), max(known)) if known else (1.0, 10.0) if is_log else (0.0, 1.0)
    if low == high and kind not in ("number", "whole"):
        low, high = low, high + 1
    elif low == high:
        low, high = (low / 2, high * 2) if is_log else (low - (abs(low) / 10 or 1), high + (abs(high) / 10 or 1))
    elif margin and is_log:
        factor = (high / low) ** margin
        low, high = low / factor, high * factor
    elif margin:
        room = (high / 2 - low / 2) * 2 * margin
        low, high = low - room, high + room
    low, high = max(low, -sys.float_info.max), min(high, sys.float_info.max)
    return Scale(max(low, 5e-324) if is_log else low, high, is_log, kind)


def short(value: float) -> str:
    """A number for a person, in few characters."""
    if not math.isfinite(value):
        return str(value)
    if value and (abs(value) >= 1e6 or abs(value) < 1e-4):
        mantissa, _, power = f"{value:.3g}".partition("e")
        return f"{mantissa}e{int(power)}" if power else f"{value:.4g}"
    return f"{value:.4g}" if value != int(value) or abs(value) < 1e4 else f"{value:,.0f}"


def whole(value: float) -> str:
    """A step or an epoch, in full."""
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def duration(seconds: float, step: float = 1) -> str:
    """Seconds as a person reads them; no finer than the step between ticks."""
    if step < 1 and seconds < 60:
        return f"{seconds:.3g} s"
    seconds = round(seconds)
    if step < 60 and seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if step < 60:
        return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    if minutes < 60 and step < 3600:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes // 60} h {minutes % 60:02}"


def _round_step(rough: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is no less."""
    if rough <= 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    if power == 0:
        return rough
    steps = (step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999999)
    return min(next(steps), sys.float_info.max)


def _duration_step(span: float, count: int) -> float:
    rough = span / count
    return next((step for step in _DURATIONS if step >= rough), 86400 * math.ceil(rough / 86400))


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, min(last, first + 100) + 1)]


def _labels(values: list[float], step: float) -> list[str]:
    """Labels with as many decimals as the step needs, all alike."""
    if not values:
        return []
    greatest = max(abs(v) for v in values)
    if greatest >= 1e9 or (greatest >= 1e6 and step < 1) or 0 < greatest < 1e-3:
        labels = [short(v) if v else "0" for v in values]
        for digits in range(4, 10):
            if len({*labels}) == len(labels):
                break
            labels = [f"{v:.{digits}g}".replace("e+0", "e").replace("e+", "e") if v else "0" for v in values]
        return labels
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{v:,.{decimals}f}" if v else f"{0:.{decimals}f}" for v in values]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = math.log10(high) - math.log10(low)
    leads = (1, 2, 5) if decades * 3 <= count * 1.5 else (1,)
    every = max(1, math.ceil(decades / count))
    powers = range(max(first - first % every, -307), min(last, 307) + 1, every)
    return [lead * 10.0**power for power in powers for lead in leads if low <= lead * 10.0**power <= high]


def _time_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    step = _duration_step(high - low, count)
    moved = datetime.fromtimestamp(low).astimezone().utcoffset()
    zone = moved.total_seconds() if moved is not None else 0.0
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86400 else "%d %b"
    values = [value - zone for value in _multiples(low + zone, high + zone, step)]
    return [(value, datetime.fromtimestamp(value).strftime(form)) for value in values]
