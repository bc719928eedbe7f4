"""Place a lineage in columns, so that each link leads to the right and few of them cross.

The steps are those of Sugiyama, Tagawa and Toda (Methods for visual understanding of hierarchical system structures,
IEEE Trans. SMC 11, 1981): columns, a place in each for links that pass it, an order in each column, then heights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

WIDTH, HEIGHT = 184, 48  # of a node
_ACROSS, _DOWN = 56, 14  # between columns and between nodes
_MARGIN = 12
_PASSING = 10  # height of the place where a link passes a column
_SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Placed:
    """Where everything is, in pixels.

    Attributes
    ----------
    places : dict
        Left and top of each node.
    columns : dict
        The column of each node, the leftmost 0.
    paths : dict
        The path of each link in the words of SVG, and the point in its middle.
    width, height : int
    """

    places: dict[str, tuple[int, int]]
    columns: dict[str, int]
    paths: dict[tuple[str, str], tuple[str, int, int]]
    width: int
    height: int


def placed(root: str, nodes: Sequence[str], links: Iterable[tuple[str, str]]) -> Placed:
    """Place nodes and links; a link that closes a circle leads back."""
    pairs = list(dict.fromkeys((a, b) for a, b in links if a != b))
    forward = _without_circles(root, nodes, pairs)
    columns = _columns(root, nodes, list(dict.fromkeys(forward.values())))
    chains = {pair: _chain(pair, columns) for pair in forward.values()}
    passing = {key: column for chain in chains.values() for key, column in chain}
    layers: dict[int, list[str]] = {}
    for key, column in (columns | passing).items():
        layers.setdefault(column, []).append(key)
    numbers = {column: place for place, column in enumerate(sorted(layers))}
    order = [layers[column] for column in numbers]
    stops = {(a, b): [a, *(key for key, _ in chain), b] for (a, b), chain in chains.items()}
    before, after = _neighbours(pair for keys in stops.values() for pair in pairwise(keys))
    _ordered(order, before, after)
    sizes = dict.fromkeys(passing, _PASSING) | dict.fromkeys(nodes, HEIGHT)
    tops = _heights(order, before, after, sizes)
    lowest = min(tops.values())
    spots = {
        key: (_MARGIN + numbers[column] * (WIDTH + _ACROSS), tops[key] - lowest + _MARGIN)
        for key, column in (columns | passing).items()
    }
    paths = {}
    for pair in pairs:
        points = _anchors([(*spots[key], sizes[key]) for key in stops[forward[pair]]])
        paths[pair] = _path(points if forward[pair] == pair else points[::-1])
    height = max(top + sizes[key] for key, (_, top) in spots.items()) + _MARGIN
    return Placed(
        {key: (spots[key][0], round(spots[key][1])) for key in nodes}, {key: numbers[columns[key]] for key in nodes},
        paths, 2 * _MARGIN + len(order) * (WIDTH + _ACROSS) - _ACROSS, round(height),
    )  # fmt: skip


def _without_circles(
    root: str, nodes: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, str]]:
    """For each link the way it has in the columns: those that close a circle are turned round."""
    after: dict[str, list[str]] = {}
    for a, b in pairs:
        after.setdefault(a, []).append(b)
    state: dict[str, int] = {}  # 1 on the way, 2 done
    turned: set[tuple[str, str]] = set()
    for start in [root, *nodes]:
        stack = [(start, iter(after.get(start, ())))] if start not in state else []
        state.setdefault(start, 1)
        while stack:
            key, rest = stack[-1]
            for other in rest:
                if state.get(other) == 1:
                    turned.add((key, other))
                elif other not in state:
                    state[other] = 1
                    stack.append((other, iter(after.get(other, ()))))
                    break
            else:
                state[key] = 2
                stack.pop()
    return {(a, b): (b, a) if (a, b) in turned else (a, b) for a, b in pairs}


def _columns(root: str, nodes: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The column of each node: what came of the root as far left as it can be, the others as far right."""
    before, after = _neighbours(pairs)
    order = _sorted(nodes, before, after)
    columns = {root: 0}
    for key in order:
        places = [columns[other] for other in before.get(key, ()) if other in columns]
        if key != root and places:
            columns[key] = 1 + max(places)
    for key in reversed(order):
        if key not in columns:
            columns[key] = min((columns[other] for other in after.get(key, ()) if other in columns), default=1) - 1
    return columns


def _sorted(nodes: Sequence[str], before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> list[str]:
    """Each node after all that lead to it."""
    waiting = {key: len(before.get(key, ())) for key in nodes}
    ready, out = [key for key in nodes if not waiting[key]], []
    while ready:
        key = ready.pop(0)
        out.append(key)
        for other in after.get(key, ()):
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    return out


def _neighbours(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for a, b in pairs:
        before.setdefault(b, []).append(a)
        after.setdefault(a, []).append(b)
    return before, after


def _chain(pair: tuple[str, str], columns: Mapping[str, int]) -> list[tuple[str, int]]:
    """A place for a link in each column that it passes."""
    a, b = pair
    return [(f"{a}\n{b}\n{column}", column) for column in range(columns[a] + 1, columns[b])]


def _ordered(order: list[list[str]], before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> None:
    """Sort each column by where its neighbours are, back and forth."""
    for sweep in range(_SWEEPS):
        side, layers = (before, order) if sweep % 2 == 0 else (after, order[::-1])
        for near, layer in pairwise(layers):
            place = {key: number for number, key in enumerate(near)}
            wish = {}
            for number, key in enumerate(layer):
                known = [place[other] for other in side.get(key, ()) if other in place]
                wish[key] = sum(known) / len(known) if known else number * len(near) / max(1, len(layer))
            layer.sort(key=wish.__getitem__)


def _heights(
    order: Sequence[Sequence[str]], before: Mapping[str, list[str]], after: Mapping[str, list[str]],
    sizes: Mapping[str, int],
) -> dict[str, float]:  # fmt: skip
    """The top of each node: near the middle of its neighbours, in the order of its column, without overlap."""
    tops: dict[str, float] = {}
    for layer in order:
        top = -(sum(sizes[key] + _DOWN for key in layer) - _DOWN) / 2
        for key in layer:
            tops[key] = top
            top += sizes[key] + _DOWN
    for sweep in range(2 * _SWEEPS):
        side, layers = (before, order) if sweep % 2 == 0 else (after, order[::-1])
        for layer in layers:
            wish = []
            for key in layer:
                known = [tops[other] + sizes[other] / 2 for other in side.get(key, ())]
                wish.append(sum(known) / len(known) - sizes[key] / 2 if known else tops[key])
            for key, top in zip(layer, _apart(wish, [sizes[key] for key in layer]), strict=True):
                tops[key] = top
    return tops


def _apart(wish: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Tops in this order that do not overlap, as near to what is wished as squares go (pool adjacent violators)."""
    offsets, total = [], 0.0
    for each in sizes:
        offsets.append(total)
        total += each + _DOWN
    blocks: list[tuple[float, int]] = []  # the mean of a block, and how many are in it
    for top, offset in zip(wish, offsets, strict=True):
        mean, count = top - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, n = blocks.pop()
            mean, count = (mean * count + other * n) / (count + n), count + n
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _anchors(stops: Sequence[tuple[int, float, int]]) -> list[tuple[float, float]]:
    """Where a link leaves a node, comes to each place that it passes and leaves it, and comes to a node."""
    points: list[tuple[float, float]] = []
    for left, top, size in stops:
        points += [(left, top + size / 2), (left + WIDTH, top + size / 2)]
    return points[1:-1]


def _path(points: Sequence[tuple[float, float]]) -> tuple[str, int, int]:
    """A smooth line, which is straight where it passes a column; and its middle."""
    (x, y), *rest = points
    words = [f"M{x:.0f} {y:.0f}"]
    for number, (right, height) in enumerate(rest):
        if number % 2:
            words.append(f"H{right:.0f}")
        else:
            bend = (right - x) / 2
            words.append(f"C{x + bend:.0f} {y:.0f} {right - bend:.0f} {height:.0f} {right:.0f} {height:.0f}")
        x, y = right, height
    number = len(points) // 2 - (len(points) // 2) % 2  # a straight part, if there is one
    first, last = (points[number - 1], points[number]) if len(points) > 2 else (points[0], points[1])
    return "".join(words), round((first[0] + last[0]) / 2), round((first[1] + last[1]) / 2)
