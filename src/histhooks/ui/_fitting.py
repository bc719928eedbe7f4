"""How long a text is in a picture: SVG does not cut by itself, and the server has no font to measure."""

from __future__ import annotations

from histhooks.ui._pages import shown

_NARROW = frozenset("iljtfrI.,:;'|!()[]· ")
_BROAD = frozenset("mwMW@%—…×+=<>~")


def fit(text: str, room: float) -> str:
    """A text that fits into so many times the size of its letters, with … where it was cut."""
    whole, used = str(shown(text)).replace("\n", " "), 0.0
    for place, sign in enumerate(whole):
        used += _size(sign)
        if used > room:
            return f"{whole[: max(1, place - 1)].rstrip()}…"
    return whole


def fit_end(text: str, room: float) -> str:
    """The end of a name, which tells it from others, with … where it was cut."""
    whole, used = str(shown(text)).replace("\n", " "), _size("…")
    if length(whole) <= room:
        return whole
    for place in range(len(whole) - 1, 0, -1):
        used += _size(whole[place])
        if used > room:
            end = whole[min(place + 1, len(whole) - 1) :]
            return f"…{end.partition('.')[2] or end}"
    return whole


def length(text: str) -> float:
    """How long a text is, in sizes of its letters."""
    return sum(map(_size, text))


def _size(sign: str) -> float:
    return (
        0.36 if sign in _NARROW else 0.92 if sign in _BROAD else 1.05 if ord(sign) > 0x2E7F
        else 0.7 if sign.isupper() else 0.64 if sign.isdigit() else 0.6
    )  # fmt: skip
