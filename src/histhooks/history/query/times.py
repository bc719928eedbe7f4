"""Moments and spans as people write them: `2026-11-01`, `7d`, `2 days ago`, `yesterday`, `90s`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "mo": 2_629_800.0, "y": 31_557_600.0}
_WORDS = {"sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "day": "d", "week": "w", "month": "mo",
          "year": "y"}  # fmt: skip
_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]+)")
_FORM = "%Y-%m-%dT%H:%M:%S.%f"
EXAMPLES = "2026-11-01, 2026-11-01T09:30, 7d, 2 days ago, yesterday"


def span_s(text: str) -> float | None:
    """Seconds of a span such as `90s`, `10m`, `1.5h`, `7d`, `2 weeks`; None if it is none."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        return None
    word = found[2]
    unit = _UNITS.get(word) or _UNITS.get(_WORDS.get(word.removesuffix("s"), ""))
    return None if unit is None else float(found[1]) * unit


def moment(text: str, now: datetime | None = None) -> tuple[str, str] | None:
    """When it begins and ends, as the columns `…_at` say it.

    Parameters
    ----------
    text : str
        A date, a date and a time, an age, `now`, `today` or `yesterday`; in the local time zone if it names none.
    now : datetime, optional
        The moment to count from.

    Returns
    -------
    tuple of two str, or None
        None if unknown. A day ends a day after it begins, a minute a minute after, an age at once.
    """
    now = (now or datetime.now(UTC)).astimezone()
    words = text.strip().lower()
    days = {"today": 0, "yesterday": 1}.get(words)
    try:
        if days is not None:
            begin = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
            return _iso(begin), _iso(begin + timedelta(days=1))
        if words == "now":
            return _iso(now), _iso(now)
        age = span_s(words.removesuffix("ago").strip())
        if age is not None:
            return _iso(now - timedelta(seconds=age)), _iso(now - timedelta(seconds=age))
        return _date(text.strip())
    except (ValueError, OverflowError):
        return None


def _date(text: str) -> tuple[str, str]:
    if re.fullmatch(r"\d{4}-\d{2}", text):
        begin = datetime.fromisoformat(f"{text}-01").astimezone()
        end = (begin.replace(tzinfo=None) + timedelta(days=31)).replace(day=1).astimezone()
        return _iso(begin), _iso(end)
    begin = datetime.fromisoformat(text)
    begin = begin if begin.tzinfo is not None else begin.astimezone()
    length = len(re.split(r"[Zz+]|(?<=:\d\d)-", text)[0])
    step = timedelta(days=1) if length <= 10 else timedelta(minutes=1) if length <= 16 else timedelta(seconds=1)
    return _iso(begin), _iso(begin + step)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).strftime(_FORM).rjust(26, "0") + "Z"
