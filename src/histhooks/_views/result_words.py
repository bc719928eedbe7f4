"""A result with many numbers, such as the importance of each feature, as lines and not as JSON."""

from __future__ import annotations

import math
from typing import Any

from histhooks._base.text import number, value_text

_FEWEST = 5  # of fewer numbers, the JSON is as short


def parts(value: Any) -> list[tuple[str, float]] | None:
    """The numbers of a result by name, in their order; None if it is something else."""
    if not isinstance(value, dict) or len(value) < _FEWEST:
        return None
    is_plain = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in value.values())
    try:
        found = [(str(name), float(one)) for name, one in value.items()] if is_plain else []
    except OverflowError:  # a whole number that no float holds
        return None
    return found if found and all(math.isfinite(one) for _, one in found) else None


def text(value: Any, most: int) -> str:
    """A result in one line of at most `most` characters."""
    found = parts(value)
    if found is None:
        return value_text(value, most)
    words: list[str] = []
    for place, (name, one) in enumerate(found):
        word = f"{name} {number(one)}"
        if sum(map(len, words)) + 2 * len(words) + len(word) > most - 12:
            return f"{', '.join(words)}, … {len(found) - place} more" if words else value_text(value, most)
        words.append(word)
    return ", ".join(words)
