"""A lineage as short texts, for the terminal and the pages; and as the lines of a tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from histhooks._base.text import number, size
from histhooks.history.lineage.graph import DATA, FILE, RUN, VERSION

if TYPE_CHECKING:
    from histhooks.history.lineage.graph import Lineage, LineageFold, LineageLink, LineageNode

# What stands before the earlier node of a link, seen from the later one; and before the later one.
_VERBS = {
    "data": ("data", "used by"),
    "reads": ("read", "read by"),
    "writes": ("written by", "wrote"),
    "contains": ("inside", "contains"),
    "transforms": ("transformed by", "transformed the data of"),
    "version": ("the file", "version"),
    "resumes": ("resumes", "resumed by"),
    "continues": ("continues", "continued by"),
    "fine-tunes": ("fine-tunes", "fine-tuned by"),
    "reproduces": ("reproduces", "reproduced by"),
    "uses": ("uses", "used by"),
}
_NOUNS = {
    RUN: ("run", "runs"),
    FILE: ("file", "files"),
    DATA: ("data set", "data sets"),
    VERSION: ("version", "versions"),
}


def verb(kind: str, *, is_up: bool) -> str:
    """What stands before a neighbour: one that led to the node, or one that came of it."""
    pair = _VERBS.get(kind, (kind, kind))
    return pair[0] if is_up else pair[1]


def facts(node: LineageNode) -> list[str]:
    """What is known of a node beside its name, the most important first."""
    told = node.facts
    if node.kind == RUN:
        score = f"{told['metric']} {number(told['best'])}" if told["metric"] and told["best"] is not None else ""
        words = [node.status or "", score, (told["model_class"] or "").rpartition(".")[2]]
    elif node.kind == FILE:
        words = [told["role"] if told["role"] not in (None, "file") else "", _size(told["size_bytes"])]
    elif node.kind == DATA:
        columns = f" × {told['n_columns']:,}" if told["n_columns"] is not None else ""
        words = [f"{told['n_rows']:,}{columns}" if told["n_rows"] is not None else "", told["kind"]]
    else:
        words = [", ".join(told["aliases"])]
    return [word for word in words if word]


def _size(value: int | None) -> str:
    return "" if value is None else size(value)


def count(n: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{n:,} {_NOUNS[what][n != 1]}"


def fold(found: LineageFold) -> str:
    """What is not shown of the neighbours of a node."""
    return " ".join(filter(None, fold_words(found)))


def fold_words(found: LineageFold) -> tuple[str, str]:
    """The same as the verb, which may be empty, and the count."""
    word = verb(found.kind, is_up=found.way == "up")
    rest = f"{found.count:,} more {_NOUNS[found.what][found.count != 1]}"
    return "" if word == found.what else word, rest


def summary(found: Lineage) -> str:
    """How much led to it and how much came of it."""
    parts = []
    for is_up, words in ((True, "led to it"), (False, "came of it")):
        nodes = [node for node in found.nodes if (node.level < 0 if is_up else node.level > 0)]
        counts = {what: sum(node.kind == what for node in nodes) for what in (RUN, FILE, DATA, VERSION)}
        told = ", ".join(count(n, what) for what, n in counts.items() if n)
        parts.append(f"{told} {words}" if told else f"nothing {words}")
    return "; ".join(parts)


def role(link: LineageLink, nodes: Mapping[str, LineageNode]) -> str:
    """The role of a link, where neither end has it already."""
    ends = nodes[link.source], nodes[link.target]
    told = {"", "file", *(end.name for end in ends), *(end.facts.get("role") for end in ends)}
    return "" if link.detail in told else link.detail


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tree.

    Attributes
    ----------
    ends : tuple of bool
        For each step from the root to it, whether it is the last one there.
    verb : str
    node : LineageNode or None
        None of a line that counts what is left out.
    text : str
        The count; of a node its role.
    is_repeated : bool
        Whether what belongs below it stands at an earlier line of the same node.
    """

    ends: tuple[bool, ...]
    verb: str
    node: LineageNode | None
    text: str = ""
    is_repeated: bool = False


def tree(found: Lineage, *, is_up: bool) -> list[Line]:
    """One side of a lineage as a tree; what has several ways to it is shown with all below it once."""
    nodes = {node.id: node for node in found.nodes}
    below: dict[str, list[tuple[str, LineageLink]]] = {}
    for link in found.links:
        here, there = (link.target, link.source) if is_up else (link.source, link.target)
        below.setdefault(here, []).append((there, link))
    folds: dict[str, list[LineageFold]] = {}
    for each in found.folds:
        if (each.way == "up") == is_up:
            folds.setdefault(each.of, []).append(each)
    lines: list[Line] = []
    seen = {found.root.id}
    # A path is as long as a chain of runs, which may be longer than Python recurses.
    waiting: list[tuple[tuple[bool, ...], tuple[str, LineageLink] | LineageFold]] = []

    def push(key: str, ends: tuple[bool, ...]) -> None:
        items: list[tuple[str, LineageLink] | LineageFold] = [*_by_time(below.get(key, ()), nodes), *folds.get(key, ())]
        for place, item in reversed(list(enumerate(items))):
            waiting.append(((*ends, place == len(items) - 1), item))

    push(found.root.id, ())
    while waiting:
        ends, item = waiting.pop()
        if not isinstance(item, tuple):
            lines.append(Line(ends, "", None, fold(item)))
            continue
        key, link = item
        is_repeated = key in seen and bool(below.get(key) or folds.get(key))
        lines.append(Line(ends, verb(link.kind, is_up=is_up), nodes[key], role(link, nodes), is_repeated))
        if key not in seen:
            seen.add(key)
            push(key, ends)
    return lines


def _by_time(found: Iterable[tuple[str, LineageLink]], nodes: dict[str, LineageNode]) -> list[tuple[str, LineageLink]]:
    """Data first, then the latest, which is what a person looks for."""
    dated = sorted(found, key=lambda pair: nodes[pair[0]].at or "", reverse=True)
    return sorted(dated, key=lambda pair: nodes[pair[0]].kind != DATA)
