"""What led to something and what came of it: a graph that the server draws, and the same as lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.text import when
from histhooks._views import lineage_words as words_of
from histhooks.errors import QueryError
from histhooks.history.lineage.graph import DATA, FILE, RUN, VERSION
from histhooks.history.lineage.roots import by_hash, root_of
from histhooks.history.lineage.walk import lineage_of
from histhooks.ui import _content
from histhooks.ui._fitting import fit
from histhooks.ui._layers import HEIGHT, WIDTH, placed
from histhooks.ui._run_head import head_of, moved_to, run_of
from histhooks.ui._state import LineageState, of_query

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.history import Lineage, LineageLink, LineageNode
    from histhooks.ui._pages import Ask

DEPTHS = (1, 2, 3, 4, 6, 8, 12, 20)
_MOST_NODES = 200
_MOST_DEPTH = 100
_NAME_EM, _FACTS_EM, _DOT_EM = 10.6, 12.6, 1.6  # room of the two lines of a node, in the size of their letters
_TITLES = {RUN: "run", FILE: "file", DATA: "data", VERSION: "version"}
# Kinds of links whose ends say what they are.
_PLAIN = ("data", "reads", "writes", "version")


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or a count of those that are left out, as it is drawn."""

    id: str
    kind: str
    x: int
    y: int
    column: int
    href: str
    name: str
    facts: str
    title: str
    status: str
    is_root: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """A link as it is drawn."""

    source: str
    target: str
    kind: str
    path: str
    x: int
    y: int
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All that the template draws."""

    boxes: list[Box]
    edges: list[Edge]
    width: int
    height: int
    box_width: int = WIDTH
    box_height: int = HEIGHT


def of_run(ask: Ask) -> Response:
    """The lineage of a run, among its parts."""
    run = run_of(ask)
    if (moved := moved_to(ask, run)) is not None:
        return moved
    state = LineageState.parse(ask.query)
    found = lineage_of(ask.history, RUN, run.id, _depth(state), _MOST_NODES)
    return ask.page("lineage.html", **head_of(ask, run, "lineage", state=state), **_body(ask, found, state))


def of_run_json(ask: Ask) -> Response:
    """`histhooks lineage RUN --json`."""
    found = lineage_of(ask.history, RUN, run_of(ask).id, _depth(LineageState.parse(ask.query)), _MOST_NODES)
    return ask.json(found.as_json())


def page(ask: Ask) -> Response:
    """The lineage of anything; of the latest run if nothing is named."""
    state = LineageState.parse(ask.query)
    root = _root(ask, state)
    if root is None:
        return ask.page("lineage.html", title="Lineage", run=None, state=state, drawing=None, depths=DEPTHS, depth=0)
    found = lineage_of(ask.history, *root, _depth(state), _MOST_NODES)
    return ask.page(
        "lineage.html", title=f"Lineage of {found.root.name}", run=None, state=state, **_body(ask, found, state)
    )


def as_json(ask: Ask) -> Response:
    """`histhooks lineage --json`."""
    state = LineageState.parse(ask.query)
    root = _root(ask, state)
    if root is None:
        raise QueryError(f"there is no run in {ask.history.place} yet")
    return ask.json(lineage_of(ask.history, *root, _depth(state), _MOST_NODES).as_json())


def _root(ask: Ask, state: LineageState) -> tuple[str, str] | None:
    """What is asked for; nothing on the machine of the server is opened for it."""
    history = ask.history
    if state.of:
        return root_of(history, state.of, has_files=False)
    if state.run:
        return RUN, history.run(state.run).id
    if state.version:
        return VERSION, history.version(state.version).id
    for kind, text in ((DATA, state.data), (FILE, state.file)):
        if text:
            found = by_hash(history, text, kind)
            if found is None:
                raise QueryError(f"there is no {_TITLES[kind]} in {history.place} whose hash begins with {text}")
            return found
    return (RUN, history.run("last").id) if history.runs(limit=1) else None


def _depth(state: LineageState) -> int:
    if state.depth != round(state.depth) or not 0 <= state.depth <= _MOST_DEPTH:
        raise QueryError(f"depth is a number of links from 0 to {_MOST_DEPTH}, not {state.depth:g}")
    return round(state.depth)


def _body(ask: Ask, found: Lineage, state: LineageState) -> dict[str, Any]:
    depths = sorted({*DEPTHS, found.depth})
    root = found.root
    json_of = f"runs/{root.id}/lineage.json" if root.kind == RUN else "lineage.json"
    query = of_query({"depth": "" if found.depth == LineageState().depth else str(found.depth)})
    if root.kind != RUN:
        query = "&".join(filter(None, [of_query({root.kind: _word(root)}), query]))
    return {
        "found": found, "drawing": draw(ask, found, state), "depths": depths, "depth": found.depth,
        "summary": words_of.summary(found), "json_link": ask.link(json_of, query), "facts": words_of.facts(root),
        "root_link": target(ask, root), "kind": _TITLES[root.kind], "n_nodes": len(found.nodes),
        "n_more": sum(fold.count for fold in found.folds),
        "sides": [
            (title, _items(ask, words_of.tree(found, is_up=is_up), state))
            for title, is_up in (("Led to it", True), ("Came of it", False))
        ],
    }  # fmt: skip


def _word(node: LineageNode) -> str:
    return node.name if node.kind == VERSION else node.id


def target(ask: Ask, node: LineageNode) -> str:
    """The page of a node."""
    if node.kind == RUN:
        return ask.link(f"runs/{node.id}")
    if node.kind == VERSION:
        return ask.link("models", of_query({"name": node.facts["model"]}))
    return _content.link(ask, node.kind, node.id)


def centred(ask: Ask, node: LineageNode, depth: float = LineageState().depth) -> str:
    """The lineage of a node."""
    words = of_query({"depth": "" if depth == LineageState().depth else f"{depth:.0f}"})
    if node.kind == RUN:
        return ask.link(f"runs/{node.id}/lineage", words)
    return ask.link("lineage", "&".join(filter(None, [of_query({node.kind: _word(node)}), words])))


# --- the picture ------------------------------------------------------------------------------------------------------


def draw(ask: Ask, found: Lineage, state: LineageState) -> Drawing:
    """The graph with the place of everything."""
    nodes = {node.id: node for node in found.nodes}
    folds = {f"fold {number}": fold for number, fold in enumerate(found.folds)}
    pairs = [(link.source, link.target) for link in found.links]
    pairs += [(key, fold.of) if fold.way == "up" else (fold.of, key) for key, fold in folds.items()]
    spot = placed(found.root.id, [*nodes, *folds], pairs)
    boxes = [_box(ask, node, *spot.places[node.id], spot.columns[node.id], found) for node in found.nodes]
    for key, fold in folds.items():
        x, y = spot.places[key]
        near = nodes[fold.of]
        word, count = words_of.fold_words(fold)
        title = f"{word or fold.kind} {count}: the lineage of {str(near.name)[:120]}"
        boxes.append(
            Box(key, "fold", x, y, spot.columns[key], centred(ask, near, state.depth), count,
                fit(word or f"of {near.name}", _FACTS_EM), title, "", False)
        )  # fmt: skip
    boxes.sort(key=lambda box: (box.column, box.y))
    edges = _edges(found.links, nodes, spot.paths)
    for key, fold in folds.items():
        pair = (key, fold.of) if fold.way == "up" else (fold.of, key)
        path, x, y = spot.paths[pair]
        edges.append(Edge(*pair, "fold", path, x, y, "", words_of.fold(fold)))
    return Drawing(boxes, edges, spot.width, spot.height)


def _box(ask: Ask, node: LineageNode, x: int, y: int, column: int, found: Lineage) -> Box:
    facts = words_of.facts(node)
    at = f", {when(node.at)}" if node.at else ""
    said = facts[1:] if node.kind == RUN and len(facts) > 1 else facts
    return Box(
        id=node.id, kind=node.kind, x=x, y=y, column=column, href=target(ask, node),
        name=fit(node.name, _NAME_EM - (_DOT_EM if node.status else 0.0)),
        facts=fit(" · ".join(said) or node.short, _FACTS_EM),
        title=", ".join([f"{_TITLES[node.kind]} {node.name[:200]} ({node.short})", *facts]) + at,
        status=node.status or "", is_root=node.id == found.root.id,
    )  # fmt: skip


def _edges(
    links: Sequence[LineageLink],
    nodes: Mapping[str, LineageNode],
    paths: Mapping[tuple[str, str], tuple[str, int, int]],
) -> list[Edge]:
    """A line for each pair of nodes, which says all of their links."""
    kinds: dict[tuple[str, str], list[LineageLink]] = {}
    for link in links:
        if link.source != link.target:
            kinds.setdefault((link.source, link.target), []).append(link)
    edges = []
    for pair, found in kinds.items():
        path, x, y = paths[pair]
        source, end = nodes[pair[0]], nodes[pair[1]]
        said = ", ".join(f"{words_of.verb(link.kind, is_up=False)}" for link in found)
        label = ", ".join(link.kind for link in found if link.kind not in _PLAIN)
        edges.append(
            Edge(*pair, found[0].kind, path, x, y, label, f"{str(source.name)[:80]}: {said} {str(end.name)[:80]}")
        )
    return edges


# --- the lists --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the lists."""

    depth: int
    opens: int
    closes: int
    verb: str
    node: LineageNode | None
    href: str
    facts: list[str]
    text: str
    is_repeated: bool


def _items(ask: Ask, lines: Sequence[words_of.Line], state: LineageState) -> list[Item]:
    """The lines of a tree, each with the lists that begin before it and end behind it."""
    depths = [min(len(line.ends), 12) for line in lines]
    items = []
    for line, depth, before, after in zip(lines, depths, [0, *depths], [*depths[1:], 0], strict=False):
        facts = words_of.facts(line.node) if line.node is not None else []
        if line.node is not None and line.node.kind == RUN:
            facts = facts[1:]
        href = target(ask, line.node) if line.node is not None else ""
        items.append(
            Item(depth, max(0, depth - before), max(0, depth - after), line.verb, line.node, href, facts, line.text,
                 line.is_repeated)
        )  # fmt: skip
    return items
