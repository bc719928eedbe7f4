"""Format values for people: in the terminal, in notebooks, in reports."""

from __future__ import annotations

import json
import re
from datetime import datetime
from math import isfinite
from typing import Any

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_is_whole = False


def number(value: Any) -> str:
    """A number as people read it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def seconds(value: float | None) -> str:
    """A duration as people read it."""
    if value is None:
        return "–"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    return f"{minutes} min {rest:02} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def size(value: int | None) -> str:
    """A size as people read it."""
    if value is None:
        return "–"
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def when(text: str | None) -> str:
    """A time in the person's own zone, short."""
    if not text:
        return "–"
    moment = datetime.fromisoformat(text).astimezone()
    today = datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M")


def plain(text: str) -> str:
    """A recorded text without what a terminal would obey: control characters but for ends of lines and tabs."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def finite(value: Any) -> Any:
    """A value as JSON can hold it: JSON has no nan and no infinity, so they become words."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def cut_nothing() -> None:
    """Have :func:`value_text` leave values whole in this process: a program reads them."""
    global _is_whole
    _is_whole = True


def value_text(value: Any, width: int = 60) -> str:
    """A param as people read it."""
    if isinstance(value, dict) and len(value) <= 2 and next(iter(value), "").startswith("$"):
        inner = next(iter(value.values()))
        if isinstance(inner, str):
            return inner.rpartition(".")[2] + ("()" if "$object" in value else "")
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= width or _is_whole else text[: width - 1] + "…"


def is_flat(low: float, high: float) -> bool:
    """Whether a curve between two values is drawn as a level line: what they differ in is rounding, not training."""
    return high / 2 - low / 2 <= 5e-10 * max(abs(low), abs(high))
