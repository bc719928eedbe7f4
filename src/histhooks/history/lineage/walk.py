"""Follow links from a root: up to what led to it, down to what came of it, never sideways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from histhooks.history.lineage.graph import Lineage, LineageFold, LineageLink
from histhooks.history.lineage.nodes import nodes_of
from histhooks.history.lineage.relations import DOWN, RELATIONS, UP

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_SHARE = 8  # of all nodes, what one group of neighbours may take


@dataclass(slots=True)
class _Known:
    """A node that was found: its kind, how far away it is, and which ways lead on from it."""

    kind: str
    level: int
    ways: frozenset[str]


def lineage_of(reader: Reader, kind: str, key: str, depth: int, limit: int) -> Lineage:
    """The lineage of a node.

    Parameters
    ----------
    reader : Reader
    kind, key : str
        The root, which is in the store.
    depth : int
        How many links to follow each way.
    limit : int
        Maximum number of nodes. A group of neighbours takes at most an eighth of them.
    """
    known = {key: _Known(kind, 0, frozenset((UP, DOWN)))}
    fresh = [key]
    for _ in range(depth):
        fresh = _further(reader, known, fresh, limit)
        if not fresh:
            break
    nodes = nodes_of(reader, {key: (each.kind, each.level) for key, each in known.items()})
    return Lineage(nodes[0], depth, tuple(nodes), _links(reader, known), _folds(reader, known))


def _further(reader: Reader, known: dict[str, _Known], fresh: Iterable[str], limit: int) -> list[str]:
    """The nodes one link further on."""
    found: dict[str, None] = {}
    most = max(1, limit // _SHARE)
    for relation in RELATIONS:
        near = [key for key in fresh if known[key].kind == relation.near and relation.way in known[key].ways]
        if not near:
            continue
        for row in relation.neighbours(reader, near, most):
            before = known[row.near]
            # A run inside another one is a part of it: what led to the part led to the whole.
            is_part = row.kind == "contains" and relation.way == DOWN
            ways = before.ways if is_part else frozenset((relation.way,))
            there = known.get(row.far)
            if there is None and len(known) < limit:
                step = 1 if relation.way == DOWN else -1
                known[row.far] = _Known(relation.far, before.level + step, ways)
                found[row.far] = None
            elif there is not None and not ways <= there.ways:
                there.ways |= ways
                found[row.far] = None
    return list(found)


def _links(reader: Reader, known: dict[str, _Known]) -> tuple[LineageLink, ...]:
    """All links between the nodes; each is seen from its later end."""
    keys = list(known)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for relation in RELATIONS:
        near = [key for key, each in known.items() if each.kind == relation.near]
        if relation.way == UP and near:
            for later, earlier, kind, detail in relation.among(reader, near, keys):
                found.setdefault((earlier, later), {})[kind] = detail
    links = []
    for (source, target), kinds in found.items():
        if len(kinds) > 1:  # "resumes" says more than "reads"
            kinds.pop("reads", None)
        links += [LineageLink(source, target, kind, detail) for kind, detail in kinds.items()]
    return tuple(links)


def _folds(reader: Reader, known: dict[str, _Known]) -> tuple[LineageFold, ...]:
    keys = list(known)
    counts: dict[tuple[str, str, str, str], int] = {}
    for relation in RELATIONS:
        near = [key for key, each in known.items() if each.kind == relation.near and relation.way in each.ways]
        if near:
            for key, kind, count in relation.beyond(reader, near, keys):
                group = (key, relation.way, kind, relation.far)
                counts[group] = counts.get(group, 0) + count
    return tuple(LineageFold(*group, count) for group, count in counts.items())
