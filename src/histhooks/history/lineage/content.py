"""One content by its id or hash, and the runs that touched it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso
from histhooks.errors import QueryError
from histhooks.history.data.dataset import dataset_with_id
from histhooks.history.lineage.graph import DATA, FILE
from histhooks.history.lineage.nodes import nodes_of
from histhooks.history.lineage.relations import in_order
from histhooks.history.lineage.roots import by_hash
from histhooks.history.query.hashes import VERSION_NAME

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

CODE, SESSION = "code", "session"
_LEAST = 6  # characters of a part of an id
_MOST_NAMED = 5
_COLUMNS = "o.run_id, r.name, r.session_id, r.status, r.started_at, r.parent_id"
_READ = (
    "SELECT f.run_id, 'read' AS how, f.function AS detail, f.path, NULL AS step, f.time FROM file_reads AS f "
    "WHERE f.sha256 = ?1 AND f.run_id IS NOT NULL UNION ALL "
    "SELECT r.id, 'read before it began', f.function, f.path, NULL, f.time FROM file_reads AS f "
    "JOIN runs AS r ON r.session_id = f.session_id AND r.parent_id IS NULL AND hh_micros(r.started_at) >= f.time "
    "WHERE f.sha256 = ?1 AND f.run_id IS NULL"
)
_OF = "SELECT r.id AS run_id, '{}' AS how, '' AS detail, NULL AS path, NULL AS step, NULL AS time FROM runs AS r"
# What touched a content: run_id, how, detail, path, step, time.
_USES = {
    DATA: "SELECT run_id, 'used' AS how, role AS detail, source AS path, NULL AS step, time FROM run_datasets "
    "WHERE dataset_id = ?1",
    FILE: "SELECT run_id, CASE direction WHEN 'out' THEN 'wrote' ELSE 'read' END AS how, role AS detail, path, step, "
    f"time FROM run_artifacts WHERE sha256 = ?1 UNION ALL {_READ}",
    CODE: f"{_OF.format('ran')} WHERE r.session_id IN (SELECT id FROM sessions WHERE code_version_id = ?1)",
    SESSION: f"{_OF.format('inside')} WHERE r.session_id = ?1",
}


@dataclass(frozen=True, slots=True)
class ContentUse:
    """A run that touched a content.

    Attributes
    ----------
    run_id, name, status : str
    started_at : str
        ISO 8601 UTC.
    parent_id : str or None
        The run that it is part of.
    how : str
        `wrote`, `read`, `read before it began`, `used` (data), `ran` (code) or `inside` (a session).
    detail : str
        Roles of the data or of the file, or the function that read it.
    path : str or None
        Of a file, where it was; of data, where it came from.
    step : int or None
        0-based step at which a file was written last.
    """

    run_id: str
    name: str
    status: str
    started_at: str
    parent_id: str | None
    how: str
    detail: str
    path: str | None
    step: int | None


@dataclass(frozen=True, slots=True)
class Content:
    """Data, a file, code or a session, and the runs that touched it.

    Attributes
    ----------
    kind : str
        `data`, `file`, `code` or `session`.
    id : str
        Of a file its SHA-256.
    name : str
    facts : dict
        The columns of its row; of a file `path`, `role`, `size_bytes`, `format`, and `versions` of models that are
        this file; of data also its `digests`.
    uses : tuple of ContentUse
        The latest run first; one that read it and wrote it stands twice.
    n_runs : int
        How many runs touched it; `uses` may be cut.

    Examples
    --------
    >>> found = history.content(run.artifacts[0]["sha256"])
    >>> found.kind, found.name, found.n_runs, found.facts["versions"]
    ('file', 'model.pt', 2, ['churn@1'])
    >>> [(use.how, use.detail) for use in found.uses]
    [('wrote', 'model'), ('wrote', 'model')]
    >>> sorted(found.as_json())
    ['facts', 'id', 'kind', 'n_runs', 'name', 'uses']
    """

    kind: str
    id: str
    name: str
    facts: dict[str, Any]
    uses: tuple[ContentUse, ...]
    n_runs: int

    def __repr__(self) -> str:
        return f"<Content {self.kind} {self.name!r} {self.id[:8]} of {self.n_runs:,} runs>"

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**asdict(self), "uses": [asdict(use) for use in self.uses]}


def content(reader: Reader, text: str, kind: str | None, limit: int) -> Content:
    """A content by its id or hash, or by the beginning of one.

    Raises
    ------
    QueryError
        If there is none, or several begin so.
    """
    what, key = found_by(reader, text, kind)
    name, facts = _FACTS[what](reader, key)
    uses, count = _uses(reader, what, key, limit)
    return Content(what, key, name, facts, uses, count)


def found_by(reader: Reader, text: str, kind: str | None = None) -> tuple[str, str]:
    """Kind and id of a content; errors as for :func:`content`."""
    found = by_hash(reader, text, kind) if kind in (None, DATA, FILE) else None
    if found is None or found[0] not in (DATA, FILE):
        found = _by_id(reader, text.lower(), kind)
    if found is None:
        raise QueryError(f"there is no {kind or 'file, data, code or session'} {text!r} in {reader.place}")
    return found


def _by_id(reader: Reader, text: str, kind: str | None) -> tuple[str, str] | None:
    sql = (
        "SELECT * FROM (SELECT 'code' AS kind, id FROM code_versions WHERE id >= ?1 AND id < ?1 || 'g' "
        "UNION ALL SELECT 'session', id FROM sessions WHERE id = ?1 OR (length(?1) >= 6 AND instr(id, ?1) > 0)) "
        "WHERE kind = coalesce(?2, kind) ORDER BY id = ?1 DESC LIMIT 20"
    )
    rows = reader.sql(sql, text, kind) if len(text) >= _LEAST else []
    if not rows or rows[0]["id"] == text or len(rows) == 1:
        return (rows[0]["kind"], rows[0]["id"]) if rows else None
    named = ", ".join(f"{row['kind']} {row['id']}" for row in rows[:_MOST_NAMED])
    raise QueryError(f"{len(rows)} contents have {text!r} in their ids: {named}; write more of it")


def _uses(reader: Reader, kind: str, key: str, limit: int) -> tuple[tuple[ContentUse, ...], int]:
    (count,) = reader.cursor(f"SELECT count(DISTINCT run_id) FROM ({_USES[kind]})", key).fetchone()
    sql = (
        f"SELECT {_COLUMNS}, o.how, g.detail, o.path, o.step FROM (SELECT run_id, how, "
        f"coalesce(group_concat(DISTINCT detail), '') AS detail FROM ({_USES[kind]}) GROUP BY run_id, how) AS g "
        "JOIN (SELECT *, row_number() OVER (PARTITION BY run_id, how ORDER BY time DESC) AS place "
        f"FROM ({_USES[kind]})) AS o ON o.run_id = g.run_id AND o.how = g.how AND o.place = 1 "
        "JOIN runs AS r ON r.id = o.run_id ORDER BY r.started_at DESC, r.id DESC, o.time DESC LIMIT ?2"
    )
    found = []
    for row in reader.sql(sql, key, limit):
        status = reader.settled(row.pop("session_id"), row.pop("status"))
        found.append(ContentUse(**{**row, "detail": in_order(row["detail"])}, status=status))
    return tuple(found), int(count)


def _data(reader: Reader, key: str) -> tuple[str, dict[str, Any]]:
    (node,) = nodes_of(reader, {key: (DATA, 0)})
    found = dataset_with_id(reader, key)
    facts = {name: value for name, value in (found or {}).items() if name not in ("id", "role", "name", "source")}
    digests = [asdict(digest) for digest in found.digests] if found is not None else []
    return node.name, {**facts, "digests": digests}


def _file(reader: Reader, key: str) -> tuple[str, dict[str, Any]]:
    (node,) = nodes_of(reader, {key: (FILE, 0)})
    sql = f"SELECT {VERSION_NAME} AS name FROM model_versions AS v WHERE v.sha256 = ? ORDER BY v.time DESC"
    return node.name, {**node.facts, "versions": [row["name"] for row in reader.sql(sql, key)], "written_at": node.at}


def _code(reader: Reader, key: str) -> tuple[str, dict[str, Any]]:
    (row,) = reader.sql("SELECT * FROM code_versions WHERE id = ?", key)
    commit = (row["commit_hash"] or "")[:10]
    return row["entry_script"] or commit or key[:12], _without_id(row)


def _session(reader: Reader, key: str) -> tuple[str, dict[str, Any]]:
    (row,) = reader.sql("SELECT * FROM sessions WHERE id = ?", key)
    row["status"] = reader.settled(key, row["status"])
    sql = (
        "SELECT count(*) AS lines, coalesce(sum(n_rows), 0) AS rows, max(time) AS time FROM ledger WHERE session_id = ?"
    )
    (told,) = reader.sql(sql, key)
    ledger = {"lines": told["lines"], "rows": told["rows"], "at": None if told["time"] is None else iso(told["time"])}
    return row["command"] or row["kind"], {**_without_id(row), "ledger": ledger}


def _without_id(row: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in row.items() if name != "id"}
    if found.get("details"):
        found["details"] = json.loads(found["details"])
    return found


_FACTS = {DATA: _data, FILE: _file, CODE: _code, SESSION: _session}
KINDS: Sequence[str] = tuple(_FACTS)
