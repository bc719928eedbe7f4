"""What is known of the nodes of a lineage, read for all of them at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso
from histhooks.history._ranking import outcomes_of
from histhooks.history.lineage.graph import DATA, FILE, RUN, VERSION, LineageNode
from histhooks.history.query.hashes import LIVE_AS, VERSION_NAME

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_RUNS = (
    "SELECT r.id, r.session_id, r.name, r.status, r.started_at, r.kind, r.framework, r.model_class, r.project, "
    "r.main_metric FROM json_each(?) AS j CROSS JOIN runs AS r ON r.id = j.value"
)
# The latest path that a content was written to, else read from.
_FILES = (
    "SELECT j.value AS id, a.path, a.role, a.direction, a.time, f.size_bytes, f.format FROM json_each(?) AS j "
    "LEFT JOIN artifacts AS f ON f.sha256 = j.value LEFT JOIN (SELECT *, row_number() OVER (PARTITION BY sha256 "
    "ORDER BY direction = 'out' DESC, time DESC) AS place FROM run_artifacts WHERE sha256 IN "
    "(SELECT value FROM json_each(?))) AS a ON a.sha256 = j.value AND a.place = 1"
)
_READ = (
    "SELECT sha256, path, size_bytes, time FROM (SELECT *, row_number() OVER (PARTITION BY sha256 ORDER BY time DESC) "
    "AS place FROM file_reads WHERE sha256 IN (SELECT value FROM json_each(?))) WHERE place = 1"
)
_DATA = (
    "SELECT d.id, d.kind, d.n_rows, d.n_columns, d.size_bytes, x.name, x.role FROM json_each(?) AS j CROSS JOIN "
    "datasets AS d ON d.id = j.value LEFT JOIN (SELECT dataset_id, name, role, row_number() OVER (PARTITION BY "
    "dataset_id ORDER BY name IS NULL, time DESC) AS place FROM run_datasets WHERE dataset_id IN "
    "(SELECT value FROM json_each(?))) AS x ON x.dataset_id = d.id AND x.place = 1"
)
_VERSIONS = (
    f"SELECT v.id, {VERSION_NAME} AS name, v.model, v.number, v.sha256, v.time, v.path, {LIVE_AS} AS aliases "
    "FROM json_each(?) AS j CROSS JOIN model_versions AS v ON v.id = j.value"
)


def nodes_of(reader: Reader, wanted: Mapping[str, tuple[str, int]]) -> list[LineageNode]:
    """The nodes of some ids, each with its kind and level, in their order; the root first, then by distance."""
    found: dict[str, dict[str, Any]] = {}
    readers: dict[str, Callable[[Reader, Sequence[str]], dict[str, dict[str, Any]]]] = {
        RUN: _runs, FILE: _files, DATA: _data, VERSION: _versions,
    }  # fmt: skip
    for kind, read in readers.items():
        ids = [key for key, (each, _) in wanted.items() if each == kind]
        if ids:
            found |= read(reader, ids)
    nodes = [
        LineageNode(key, kind, level=level, **found.get(key, {"name": key[:12]}))
        for key, (kind, level) in wanted.items()
    ]
    return sorted(nodes, key=lambda node: abs(node.level))


def _runs(reader: Reader, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = reader.sql(_RUNS, json.dumps(ids))
    best = outcomes_of(reader, {row["id"]: row["main_metric"] for row in rows})
    found = {}
    for row in rows:
        facts: dict[str, Any] = {name: row[name] for name in ("kind", "framework", "model_class", "project")}
        outcome = best.get(row["id"])
        value = None if outcome is None else outcome.last if outcome.best is None else outcome.best
        facts |= {"metric": None if outcome is None else outcome.name, "best": value}
        found[row["id"]] = {
            "name": row["name"], "status": reader.settled(row["session_id"], row["status"]), "at": row["started_at"],
            "facts": facts,
        }  # fmt: skip
    return found


def _files(reader: Reader, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    told = json.dumps(ids)
    rows = {row["id"]: row for row in reader.sql(_FILES, told, told)}
    reads = {row["sha256"]: row for row in reader.sql(_READ, told)}
    versions: dict[str, str] = {}
    if any(row["path"] is None and key not in reads for key, row in rows.items()):
        sql = "SELECT sha256, path FROM model_versions WHERE sha256 IN (SELECT value FROM json_each(?)) ORDER BY time"
        versions = {row["sha256"]: row["path"] for row in reader.sql(sql, told) if row["path"]}
    found = {}
    for key, row in rows.items():
        read = reads.get(key, {})
        path = row["path"] or read.get("path") or versions.get(key)
        size = row["size_bytes"] if row["size_bytes"] is not None else read.get("size_bytes")
        found[key] = {
            "name": _last_part(path) or key[:12],
            "at": iso(row["time"]) if row["direction"] == "out" else None,
            "facts": {"path": path, "role": row["role"], "size_bytes": size, "format": row["format"]},
        }
    return found


def _last_part(path: str | None) -> str:
    return os.path.basename((path or "").replace("\\", "/").rstrip("/"))


def _data(reader: Reader, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    told = json.dumps(ids)
    found = {}
    for row in reader.sql(_DATA, told, told):
        facts = {name: row[name] for name in ("kind", "n_rows", "n_columns", "size_bytes")}
        found[row["id"]] = {"name": row["name"] or row["role"] or row["kind"], "facts": facts}
    return found


def _versions(reader: Reader, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for row in reader.sql(_VERSIONS, json.dumps(ids)):
        facts = {name: row[name] for name in ("model", "number", "sha256")}
        facts["aliases"] = [each["alias"] for each in json.loads(row["aliases"])]
        found[row["id"]] = {"name": row["name"], "at": iso(row["time"]), "facts": facts}
    return found
