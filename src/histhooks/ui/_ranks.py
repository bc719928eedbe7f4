"""How the values of runs on one axis go with those on another, by their ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from histhooks.ui._axes import Axis

_LEAST_RUNS = 8
_MOST_GROUPS, _IN_GROUP = 8, 5  # groups of numbers, and how many runs each should have


@dataclass(frozen=True, slots=True)
class Going:
    """How an axis goes with another one.

    Attributes
    ----------
    word : str
    share : float
        How much of the variance of the ranks on the other axis lies between groups of runs that are alike on this one,
        from 0 to 1, less what groups without meaning would have (epsilon squared). It sees an optimum in the middle.
    rho : float or None
        Spearman's correlation of the ranks, from -1 to 1; None of categories.
    count : int
        Runs that have both values.
    """

    word: str
    share: float
    rho: float | None
    count: int


def going_with(axes: Sequence[Axis], last: Axis) -> list[Going]:
    """How some axes go with the last one, the strongest first; those of which too few runs are known are left out."""
    found = [each for axis in axes if axis is not last and (each := _going(axis, last)) is not None]
    return sorted(found, key=lambda each: -each.share)


def _going(axis: Axis, last: Axis) -> Going | None:
    pairs = []
    for place in range(len(axis.values)):
        a, b = axis.share(place), last.share(place)
        if a is not None and b is not None:
            pairs.append((a, b))
    if len(pairs) < _LEAST_RUNS or last.scale is None:
        return None
    first, second = [a for a, _ in pairs], ranks([b for _, b in pairs])
    groups: Sequence[float] = first
    if axis.scale is not None and len(set(first)) > _MOST_GROUPS:
        count = max(2, min(_MOST_GROUPS, len(first) // _IN_GROUP))
        groups = [int(rank * count / len(first)) for rank in ranks(first)]
    share = explained(groups, second)
    if share is None:
        return None
    rho = _correlation(ranks(first), second) if axis.scale is not None else None
    return Going(axis.word, share, rho, len(pairs))


def ranks(values: Sequence[float]) -> list[float]:
    """The place of each value among all, equal ones with their mean."""
    order = sorted(range(len(values)), key=values.__getitem__)
    out = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for place in order[begin:end]:
            out[place] = (begin + end - 1) / 2
        begin = end
    return out


def _correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    mean_a, mean_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    both = math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = math.fsum((x - mean_a) ** 2 for x in a) * math.fsum((y - mean_b) ** 2 for y in b)
    return both / math.sqrt(spread) if spread else None


def explained(groups: Sequence[float], values: Sequence[float]) -> float | None:
    """The share of the variance that lies between groups (epsilon squared); None if there is one group, or no room.

    Kelley, An unbiased correlation ratio measure, PNAS 21 (1935).
    """
    members: dict[float, list[float]] = {}
    for group, value in zip(groups, values, strict=True):
        members.setdefault(group, []).append(value)
    mean = math.fsum(values) / len(values)
    total = math.fsum((value - mean) ** 2 for value in values)
    free = len(values) - len(members)
    if not total or len(members) < 2 or free < 1:
        return None
    within = 0.0
    for found in members.values():
        middle = math.fsum(found) / len(found)
        within += math.fsum((value - middle) ** 2 for value in found)
    return max(0.0, 1 - within / total * (len(values) - 1) / free)
