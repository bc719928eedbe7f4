"""Where something comes from and what came of it, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from histhooks._base.ids import short_id
from histhooks.errors import QueryError

RUN, FILE, DATA, VERSION = "run", "file", "data", "version"


def short_name(kind: str, key: str) -> str:
    """How a node is called where there is little room: a run by the end of its id, content by the beginning."""
    return short_id(key) if kind in (RUN, VERSION) else key[:8]


@dataclass(frozen=True, slots=True)
class LineageNode:
    """A run, a file, data, or a version of a model.

    Attributes
    ----------
    id : str
        Of a run or a version its UUID, of a file its SHA-256, of data its id.
    kind : str
        `run`, `file`, `data` or `version`.
    name : str
        Of a file the last part of its path; of a version as `churn@3`.
    level : int
        How many links away from the root; below 0 for what led to it.
    status : str or None
        Of a run.
    at : str or None
        When a run started, or a version was made, in ISO 8601 UTC; of a file, when a run last wrote it.
    facts : dict
        Of a run `kind`, `framework`, `model_class`, `project`, `metric`, `best`; of a file `path`, `role`,
        `size_bytes`, `format`; of data `kind`, `n_rows`, `n_columns`, `size_bytes`; of a version `model`, `number`,
        `sha256`, `aliases`.
    """

    id: str
    kind: str
    name: str
    level: int
    status: str | None = None
    at: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The part of its id that a screen shows."""
        return short_name(self.kind, self.id)


@dataclass(frozen=True, slots=True)
class LineageLink:
    """How two nodes are linked, from what was there first to what came of it.

    Attributes
    ----------
    source, target : str
        Ids of nodes.
    kind : str
        `data` (a run used it), `reads` (a run read a file), `writes` (a run wrote a file), `contains` (a run has
        another one inside), `transforms` (a run fitted a transformer that the data of another one came out of),
        `version` (a file is a version of a model), and links between runs: `resumes`, `continues`, `fine-tunes`,
        `reproduces`, `uses`.
    detail : str
        The role of the data or of the file; empty for others.
    """

    source: str
    target: str
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LineageFold:
    """Neighbours of a node that are not among the nodes, with their count.

    Attributes
    ----------
    of : str
        Id of the node.
    way : str
        `up` for what led to it, `down` for what came of it.
    kind : str
        The kind of the links.
    what : str
        What they are: `run`, `file`, `data` or `version`.
    count : int
    """

    of: str
    way: str
    kind: str
    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """What led to something and what came of it: a graph in which each link leads from earlier to later.

    Attributes
    ----------
    root : LineageNode
    depth : int
        How many links were followed each way.
    nodes : tuple of LineageNode
        The root first, then by distance.
    links : tuple of LineageLink
        All links between the nodes.
    folds : tuple of LineageFold
        What lies beyond the depth, and what is left out of a large group.

    Examples
    --------
    >>> found = history.lineage("last", depth=2)
    >>> [(node.name, node.level) for node in found.nodes]
    [('train', 0), ('test', -1), ('train', -1), ('model.pt', 1), ('churn@1', 2)]
    >>> sorted((link.kind, link.detail) for link in found.links)
    [('data', 'test'), ('data', 'train'), ('version', ''), ('writes', 'model')]
    >>> found.root.name, found.node(found.nodes[-1].id).name, found.as_json()["folds"]
    ('train', 'churn@1', [])
    """

    root: LineageNode
    depth: int
    nodes: tuple[LineageNode, ...]
    links: tuple[LineageLink, ...]
    folds: tuple[LineageFold, ...]

    def __repr__(self) -> str:
        led = sum(node.level < 0 for node in self.nodes)
        came = sum(node.level > 0 for node in self.nodes)
        return f"<Lineage of {self.root.kind} {self.root.name!r}: {led} led to it, {came} came of it>"

    def node(self, key: str) -> LineageNode:
        """A node by its id.

        Raises
        ------
        QueryError
            If no node has it.
        """
        for node in self.nodes:
            if node.id == key:
                return node
        raise QueryError(f"{key!r} is not in the lineage of {self.root.name!r}")

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "root": self.root.id, "depth": self.depth, "nodes": [asdict(node) for node in self.nodes],
            "links": [asdict(link) for link in self.links], "folds": [asdict(fold) for fold in self.folds],
        }  # fmt: skip
