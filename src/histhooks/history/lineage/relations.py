"""How runs, files, data and versions are linked, as SQL that asks for the neighbours of many nodes at once.

Each relation takes a JSON array of ids and gives `near` (one of them), `far` (its neighbour), `kind` and `detail` of
the link, `weight` (what is shown first where there are many) and `time`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, NamedTuple

from histhooks.history.lineage.graph import DATA, FILE, RUN, VERSION

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

UP, DOWN = "up", "down"


class Row(NamedTuple):
    """A neighbour of a node, and how many the node has by this relation."""

    near: str
    far: str
    kind: str
    detail: str
    place: int
    total: int


@dataclass(frozen=True, slots=True)
class Relation:
    """One way to come from nodes of one kind to those of another."""

    near: str
    far: str
    way: str
    sql: str

    def neighbours(self, reader: Reader, ids: Sequence[str], most: int) -> Iterator[Row]:
        """The neighbours of some nodes, of each at most so many: those that lead on first, then the latest."""
        sql = (
            "SELECT near, far, kind, detail, place, total FROM (SELECT *, row_number() OVER "
            "(PARTITION BY near ORDER BY weight DESC, time DESC, far) AS place, count(*) OVER (PARTITION BY near) "
            "AS total FROM (SELECT near, far, kind, coalesce(group_concat(DISTINCT detail), '') AS detail, "
            f"max(weight) AS weight, max(time) AS time FROM ({self.sql}) WHERE far IS NOT NULL "
            "GROUP BY near, far, kind)) WHERE place <= ?"
        )
        for row in reader.cursor(sql, dumps(ids), most).fetchall():
            near, far, kind, detail, place, total = row
            yield Row(near, far, kind, in_order(detail), place, total)

    def beyond(self, reader: Reader, ids: Sequence[str], known: Sequence[str]) -> Iterator[tuple[str, str, int]]:
        """Node, kind and number of the neighbours that are not known."""
        sql = (
            f"SELECT near, kind, count(DISTINCT far) FROM ({self.sql}) "
            "WHERE far IS NOT NULL AND far NOT IN (SELECT value FROM json_each(?)) GROUP BY near, kind ORDER BY 1, 2"
        )
        yield from reader.cursor(sql, dumps(ids), dumps(known)).fetchall()

    def among(self, reader: Reader, ids: Sequence[str], known: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
        """Near, far, kind and detail of the links to nodes that are known."""
        sql = (
            f"SELECT near, far, kind, coalesce(group_concat(DISTINCT detail), '') FROM ({self.sql}) "
            "WHERE far IN (SELECT value FROM json_each(?)) GROUP BY near, far, kind ORDER BY min(time), 1, 2, 3"
        )
        for near, far, kind, detail in reader.cursor(sql, dumps(ids), dumps(known)).fetchall():
            yield near, far, kind, in_order(detail)


def in_order(detail: str) -> str:
    """Details of a link, in an order that no database decides."""
    return ",".join(sorted(detail.split(",")))


# What a run wrote itself before it read it is no input of it.
_OWN = (
    "NOT EXISTS (SELECT 1 FROM run_artifacts AS w WHERE w.sha256 = {0}.sha256 AND w.run_id = {1} "
    "AND w.direction = 'out' AND w.time <= {0}.time)"
)
_WRITTEN = (
    "CASE WHEN EXISTS (SELECT 1 FROM run_artifacts AS w WHERE w.sha256 = {0}.sha256 AND w.direction = 'out') "
    "THEN 1 ELSE 0 END"
)
# The id of a run once for itself, once for the session in whose name a program read files before.
_FOR_RUN = (
    "FROM (SELECT r.id, r.session_id, hh_micros(r.started_at) AS began, r.parent_id FROM json_each(?1) AS j "
    "CROSS JOIN runs AS r ON r.id = j.value) AS n CROSS JOIN file_reads AS f"
)
_READS = f"""
SELECT j.value AS near, a.sha256 AS far, 'reads' AS kind, a.role AS detail, {_WRITTEN.format("a")} AS weight,
  a.time AS time FROM json_each(?1) AS j CROSS JOIN run_artifacts AS a ON a.run_id = j.value AND a.direction = 'in'
  WHERE {_OWN.format("a", "a.run_id")}
UNION ALL
SELECT n.id, f.sha256, 'reads', NULL, {_WRITTEN.format("f")}, f.time {_FOR_RUN}
  ON coalesce(f.run_id, f.session_id) = n.id WHERE f.sha256 IS NOT NULL AND {_OWN.format("f", "n.id")}
UNION ALL
SELECT n.id, f.sha256, 'reads', NULL, {_WRITTEN.format("f")}, f.time {_FOR_RUN}
  ON coalesce(f.run_id, f.session_id) = n.session_id
  WHERE f.run_id IS NULL AND f.sha256 IS NOT NULL AND f.time <= n.began AND n.parent_id IS NULL
UNION ALL
SELECT l.run_id, l.sha256, l.kind, NULL, 2, l.time
  FROM json_each(?1) AS j CROSS JOIN run_links AS l ON l.run_id = j.value AND l.sha256 IS NOT NULL
"""
_IS_OUTER = "(SELECT CASE WHEN r.parent_id IS NULL THEN 1 ELSE 0 END FROM runs AS r WHERE r.id = {0})"
_READERS = f"""
SELECT a.sha256 AS near, a.run_id AS far, 'reads' AS kind, a.role AS detail, {_IS_OUTER.format("a.run_id")} AS weight,
  a.time AS time FROM json_each(?1) AS j CROSS JOIN run_artifacts AS a ON a.sha256 = j.value AND a.direction = 'in'
  WHERE {_OWN.format("a", "a.run_id")}
UNION ALL
SELECT f.sha256, f.run_id, 'reads', NULL, {_IS_OUTER.format("f.run_id")}, f.time
  FROM json_each(?1) AS j CROSS JOIN file_reads AS f ON f.sha256 = j.value AND f.run_id IS NOT NULL
  WHERE {_OWN.format("f", "f.run_id")}
UNION ALL
SELECT f.sha256, o.id, 'reads', NULL, 1, f.time
  FROM json_each(?1) AS j CROSS JOIN file_reads AS f ON f.sha256 = j.value AND f.run_id IS NULL
  JOIN runs AS o ON o.session_id = f.session_id AND o.parent_id IS NULL AND hh_micros(o.started_at) >= f.time
UNION ALL
SELECT l.sha256, l.run_id, l.kind, NULL, 2, l.time
  FROM run_links AS l WHERE l.sha256 IN (SELECT value FROM json_each(?1))
"""
_CHANGES_DATA = (
    "FROM transforms AS t JOIN runs AS o ON o.id = t.transform_run_id "
    "WHERE t.transform_run_id <> t.run_id AND t.{} IN (SELECT value FROM json_each(?))"
)


def _columns(near: str, far: str, kind: str, time: str, detail: str = "NULL", weight: str = "0") -> str:
    return (
        f"SELECT {near} AS near, {far} AS far, {kind} AS kind, {detail} AS detail, {weight} AS weight, {time} AS time "
    )


_NEAR = "FROM json_each(?) AS j CROSS JOIN"
_IN = "IN (SELECT value FROM json_each(?))"
_LINK = "run_links AS l ON l.{} = j.value JOIN runs AS o ON o.id = l.other_run_id"
_LEADS_ON = (
    "CASE WHEN EXISTS (SELECT 1 FROM model_versions AS v WHERE v.sha256 = a.sha256) THEN 2 ELSE 0 END + CASE WHEN "
    "EXISTS (SELECT 1 FROM run_artifacts AS o WHERE o.sha256 = a.sha256 AND o.direction = 'in' "
    "AND o.run_id <> a.run_id) THEN 1 ELSE 0 END"
)

RELATIONS: tuple[Relation, ...] = (
    Relation(RUN, DATA, UP, _columns("j.value", "x.dataset_id", "'data'", "x.time", "x.role")
             + f"{_NEAR} run_datasets AS x ON x.run_id = j.value"),
    Relation(RUN, FILE, UP, _READS),
    Relation(RUN, RUN, UP, _columns("l.run_id", "l.other_run_id", "l.kind", "l.time")
             + f"{_NEAR} {_LINK.format('run_id')}"),
    Relation(RUN, RUN, UP, _columns("r.id", "o.id", "'contains'", "0")
             + f"{_NEAR} runs AS r ON r.id = j.value JOIN runs AS o ON o.id = r.parent_id"),
    Relation(RUN, RUN, UP, _columns("t.run_id", "o.id", "'transforms'", "t.time", "t.class_name")
             + _CHANGES_DATA.format("run_id")),
    Relation(FILE, RUN, UP, _columns("a.sha256", "a.run_id", "'writes'", "a.time", "a.role")
             + f"{_NEAR} run_artifacts AS a ON a.sha256 = j.value AND a.direction = 'out'"),
    Relation(VERSION, FILE, UP, _columns("v.id", "v.sha256", "'version'", "v.time")
             + f"{_NEAR} model_versions AS v ON v.id = j.value"),
    Relation(RUN, FILE, DOWN, _columns("a.run_id", "a.sha256", "'writes'", "a.time", "a.role", _LEADS_ON)
             + f"{_NEAR} run_artifacts AS a ON a.run_id = j.value AND a.direction = 'out'"),
    Relation(RUN, RUN, DOWN, _columns("l.other_run_id", "l.run_id", "l.kind", "l.time")
             + f"{_NEAR} {_LINK.format('other_run_id')}"),
    Relation(RUN, RUN, DOWN, _columns("r.parent_id", "r.id", "'contains'", "r.started_at")
             + f"{_NEAR} runs AS r ON r.parent_id = j.value"),
    Relation(RUN, RUN, DOWN, _columns("o.id", "t.run_id", "'transforms'", "t.time", "t.class_name")
             + _CHANGES_DATA.format("transform_run_id")),
    Relation(FILE, RUN, DOWN, _READERS),
    Relation(FILE, VERSION, DOWN, _columns("v.sha256", "v.id", "'version'", "v.time")
             + f"FROM model_versions AS v WHERE v.sha256 {_IN}"),
    Relation(DATA, RUN, DOWN, _columns("x.dataset_id", "x.run_id", "'data'", "x.time", "x.role",
                                       "CASE WHEN r.parent_id IS NULL THEN 1 ELSE 0 END")
             + f"FROM run_datasets AS x JOIN runs AS r ON r.id = x.run_id WHERE x.dataset_id {_IN}"),
)  # fmt: skip
