"""Versions of models and the training data of each, as a process that predicts asks for them: without reading code.

Each function takes what asks the store: a callable of a query and its values, which gives rows as mappings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

Ask: TypeAlias = Callable[..., list[dict[str, Any]]]

_VERSION = "id, model, number, sha256, run_id, path"


class Trained(NamedTuple):
    """The training data of a version, as far as it was recorded.

    Attributes
    ----------
    columns : list of dict
        `position`, `name` and `facts` of each column, in their order.
    profile : object
        That of the data, parsed.
    n_rows : int or None
    key_id : str or None
        The key of its hashes.
    project : str or None
        Of the run.
    """

    columns: list[dict[str, Any]]
    profile: Any
    n_rows: int | None
    key_id: str | None
    project: str | None


NOTHING = Trained([], None, None, None, None)


def versions_of(ask: Ask, model: str) -> list[dict[str, Any]]:
    """The versions of a model, the newest first."""
    return ask(f"SELECT {_VERSION} FROM model_versions WHERE model = ? ORDER BY number DESC, time DESC", model)


def versions_with(ask: Ask, sha256: str) -> list[dict[str, Any]]:
    """The versions whose file has a content, the newest first."""
    return ask(f"SELECT {_VERSION} FROM model_versions WHERE sha256 = ? ORDER BY time DESC", sha256)


def live_version(ask: Ask, model: str, alias: str) -> dict[str, Any] | None:
    """The version that an alias points to."""
    columns = ", ".join(f"v.{name}" for name in _VERSION.split(", "))
    sql = f"SELECT {columns} FROM live_versions AS l JOIN model_versions AS v ON v.id = l.version_id "
    found = ask(sql + "WHERE l.model = ? AND l.alias = ?", model, alias)
    return found[0] if found else None


def aliases_of(ask: Ask, model: str) -> list[str]:
    """The aliases of a model that point to a version."""
    sql = "SELECT alias FROM live_versions WHERE model = ? ORDER BY alias"
    return [row["alias"] for row in ask(sql, model)]


def models(ask: Ask) -> list[str]:
    """The names of all models."""
    return [row["model"] for row in ask("SELECT DISTINCT model FROM model_versions ORDER BY model")]


def trained_on(ask: Ask, run_id: str | None) -> Trained:
    """What the run of a version was trained on, and what was counted of it."""
    if run_id is None:
        return NOTHING
    rows = ask(
        "SELECT d.id AS dataset_id, d.n_rows, d.profile, d.coverage FROM run_datasets AS x "
        "JOIN datasets AS d ON d.id = x.dataset_id WHERE x.run_id = ? AND x.role = 'train' ORDER BY x.ordinal LIMIT 1",
        run_id,
    )
    runs = ask("SELECT project, session_id FROM runs WHERE id = ?", run_id)
    if not rows or not runs:
        return NOTHING
    row: Mapping[str, Any] = {**rows[0], **runs[0]}
    place = _place(ask, run_id, row)
    profile = json.loads(row["profile"] or "null")
    if place is None:
        return Trained([], profile, row["n_rows"], None, row["project"])
    columns = ask(
        "SELECT position, name, facts FROM dataset_columns WHERE run_id = ? AND dataset_id = ? ORDER BY position",
        *place,
    )
    known = {one["position"]: {**one, "facts": json.loads(one["facts"])} for one in columns}
    return Trained(list(known.values()), profile, row["n_rows"], _key_id(ask, *place), row["project"])


def _place(ask: Ask, run_id: str, row: Mapping[str, Any]) -> tuple[str, str] | None:
    """The run and the fingerprint under which the columns of some data were recorded: once for each content."""
    dataset_id = row["dataset_id"]
    if ask("SELECT 1 FROM dataset_columns WHERE run_id = ? AND dataset_id = ? LIMIT 1", run_id, dataset_id):
        return run_id, dataset_id
    if row["coverage"] == "all":
        found = ask(
            "SELECT c.run_id FROM dataset_columns AS c JOIN runs AS r ON r.id = c.run_id WHERE c.dataset_id = ? "
            "ORDER BY r.session_id = ? DESC, c.time DESC LIMIT 1",
            dataset_id,
            row["session_id"],
        )
        if found:
            return found[0]["run_id"], dataset_id
    found = ask(
        "SELECT c.run_id, c.dataset_id FROM dataset_digests AS d JOIN dataset_digests AS o "
        "ON o.algorithm = d.algorithm AND o.digest = d.digest AND o.part = 'all' AND o.coverage = 'all' "
        "JOIN dataset_columns AS c ON c.run_id = o.run_id AND c.dataset_id = o.dataset_id "
        "WHERE d.dataset_id = ? AND d.part = 'all' AND d.coverage = 'all' AND d.digest IS NOT NULL "
        "AND (d.run_id = ? OR ? = 1) ORDER BY c.time DESC LIMIT 1",
        dataset_id,
        run_id,
        row["coverage"] == "all",
    )
    return (found[0]["run_id"], found[0]["dataset_id"]) if found else None


def _key_id(ask: Ask, run_id: str, dataset_id: str) -> str | None:
    found = ask(
        "SELECT key_id FROM dataset_sketches WHERE run_id = ? AND dataset_id = ? AND key_id IS NOT NULL "
        "UNION ALL SELECT key_id FROM dataset_digests WHERE run_id = ? AND dataset_id = ? AND key_id IS NOT NULL "
        "LIMIT 1",
        *(run_id, dataset_id) * 2,
    )
    return str(found[0]["key_id"]) if found else None
