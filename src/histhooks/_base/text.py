"""Format values for people: in the terminal, in notebooks, in reports."""

from __future__ import annotations

import json
import re
from datetime import datetime
from math import isfinite
from typing import Any

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_is_whole = False
_TABLE = 8  # numbers by name, from which on their size matters more than their place
_LONG_FLOAT = 12  # characters; a longer one was computed, or has digits that nobody reads


def number(value: Any) -> str:
    """A number as people read it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def counted(n: int, word: str) -> str:
    """A count with its word: `1 step`, `2,000 steps`."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


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


def value_text(value: Any, width: int = 60, *, is_exact: bool = False) -> str:
    """A param or a result as people read it: in Python's words, objects by their class, floats rounded.

    >>> value_text([["scale", {"$object": "sklearn.preprocessing._data.StandardScaler"}], None, 0.7863749999999999])
    '[["scale", StandardScaler()], None, 0.786375]'
    """
    text = value if isinstance(value, str) else word_of(value, is_exact=is_exact)
    return text if len(text) <= width or _is_whole else text[: width - 1] + "…"


def word_of(value: Any, *, is_exact: bool = False) -> str:
    """A value inside others: texts in quotes, and nothing cut."""
    if isinstance(value, float):
        text = repr(value)
        return text if is_exact or len(text) <= _LONG_FLOAT else f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(word_of(each, is_exact=is_exact) for each in value)}]"
    if not isinstance(value, dict):
        return str(value) if value is None or isinstance(value, (bool, int)) else json.dumps(
            value, default=str, ensure_ascii=False
        )  # fmt: skip
    if len(value) <= 3 and next(iter(value), "").startswith("$"):
        return _encoded(value, is_exact=is_exact)
    inside = (f"{json.dumps(key, ensure_ascii=False)}: {word_of(v, is_exact=is_exact)}" for key, v in value.items())
    return f"{{{', '.join(inside)}}}"


def _encoded(value: dict[str, Any], *, is_exact: bool) -> str:
    """What JSON has no word for (:mod:`histhooks._base.jsonable`)."""
    (kind, inner), *rest = value.items()
    if kind == "$cut" and isinstance(inner, dict):
        if "text" in inner:
            return f"{inner['text']}… ({inner.get('characters')} characters)"
        if "items" in inner:
            return f"{word_of(inner['items'], is_exact=is_exact)[:-1]}, … of {inner.get('count')}]"
        return "…"
    if kind == "$array" and isinstance(inner, dict):
        shape = " × ".join(map(str, inner.get("shape") or ())) or "scalar"
        return f"array({', '.join(filter(None, [shape, inner.get('dtype')]))})"
    if kind == "$bytes":
        return f"{inner} bytes"
    if kind == "$unread":
        return f"unreadable ({inner})"
    if kind == "$dict":
        return word_of(inner, is_exact=is_exact)
    name = str(inner).rpartition(".")[2]
    given = dict(rest)
    words = [word_of(each, is_exact=is_exact) for each in given.get("args") or ()]
    words += [f"{key}={word_of(each, is_exact=is_exact)}" for key, each in (given.get("keywords") or {}).items()]
    return f"{name}({', '.join(words)})" if words or kind == "$object" else name


def is_flat(low: float, high: float) -> bool:
    """Whether a curve between two values is drawn as a level line: what they differ in is rounding, not training."""
    return high / 2 - low / 2 <= 5e-10 * max(abs(low), abs(high))


def largest_first(value: Any) -> Any:
    """Order many numbers that have names, such as coefficients, by their size; any other value stays as it is.

    Examples
    --------
    >>> list(largest_first({f"x{n}": n - 6.0 for n in range(10)}))[:3]
    ['x0', 'x1', 'x2']
    >>> list(largest_first({"C": 1, "l1_ratio": 2}))
    ['C', 'l1_ratio']
    """
    if not isinstance(value, dict) or not value:
        return value
    if all(isinstance(each, dict) for each in value.values()):
        return {key: largest_first(each) for key, each in value.items()}
    is_table = len(value) >= _TABLE and all(type(each) in (int, float) and isfinite(each) for each in value.values())
    return dict(sorted(value.items(), key=lambda item: -abs(item[1]))) if is_table else value
