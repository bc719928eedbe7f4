"""Rows of model versions and of what became of them, as typed objects."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso
from histhooks._store.kept_files import find
from histhooks.history._artifacts import NO_COPY, Artifact
from histhooks.history._copies import look, was_asked

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history._records import RunRecord
    from histhooks.history._run_rows import RunRows

# What moves an alias, and what takes it away; `live_versions` of the schema says the same.
MOVES = ("promote", "rollback")
ENDS = ("demote", "retire")
_LEAST = 4  # digits that tell two versions of one number apart


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """One thing that was done to a version of a model. It is never changed.

    Attributes
    ----------
    version_id : str
    action : str
        `register`, `promote`, `rollback`, `demote`, `approve`, `reject`, `retire`, `deploy` or `note`.
    alias : str or None
        The name that moved, such as `production`.
    from_version_id : str or None
        The version that the alias pointed to before.
    reason : str or None
    run_id : str or None
        The run that made the version.
    checks : dict or None
        The verdict of the checks at that time: `code`, `worst`, counts by level, and the `findings`.
    author : str or None
        Who did it; None if the name was erased.
    at : str
        ISO 8601 UTC.
    time : int
        The same in microseconds.
    session_id : str
        The session that wrote it.
    """

    version_id: str
    action: str
    alias: str | None
    from_version_id: str | None
    reason: str | None
    run_id: str | None
    checks: dict[str, Any] | None
    author: str | None
    time: int
    session_id: str
    ordinal: int

    def __repr__(self) -> str:
        alias = f" {self.alias}" if self.alias else ""
        return f"<ModelEvent {self.action}{alias} {self.at[:19]}Z {self.reason!r}>"

    @property
    def at(self) -> str:
        """When, as ISO 8601 UTC."""
        return iso(self.time)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        names = ("version_id", "action", "alias", "from_version_id", "reason", "run_id", "checks", "author", "time")
        return {**{name: getattr(self, name) for name in names}, "at": self.at, "session_id": self.session_id}


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a model: a file by its content, and the run that made it.

    Attributes
    ----------
    id : str
        A UUIDv7, the same in every store.
    model : str
    number : int
        1-based, as the store gave it that the version was made in.
    label : str
        The number, and where versions of two stores have the same one a part of the id: `3·a1b2`.
    sha256 : str
    run_id : str or None
        The run that made the file; None if none is known.
    path : str or None
        Where the file was when it became a version.
    parent_id : str or None
        The version that it replaced then.
    signature : dict or None
        Its input and output, as far as the run recorded them.
    author : str or None
        Who made it a version; None if the name was erased.
    time : int
        When, in microseconds UTC; `at` is the same in ISO 8601.
    events : tuple of ModelEvent
        What was done to it, the oldest first.

    Examples
    --------
    >>> version = history.model("churn").versions[-1]
    >>> version.name, version.number, version.run.name, version.file["size_bytes"]
    ('churn@1', 1, 'train', 7)
    """

    id: str
    session_id: str
    model: str
    number: int
    label: str
    sha256: str
    run_id: str | None
    path: str | None
    parent_id: str | None
    signature: dict[str, Any] | None
    author: str | None
    time: int
    _reader: Reader = field(repr=False, compare=False)
    events: tuple[ModelEvent, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        return f"<ModelVersion {self.name} sha256 {self.sha256[:12]}>"

    @property
    def reader(self) -> Reader:
        """The store it is read from."""
        return self._reader

    @property
    def name(self) -> str:
        """As commands take it: `credit@3`."""
        return f"{self.model}@{self.label}"

    @property
    def at(self) -> str:
        """When it became a version, as ISO 8601 UTC."""
        return iso(self.time)

    @property
    def run(self) -> RunRecord | None:
        """The run that made it; None if none is known, or it is not in this store."""
        from histhooks.history._records import RunRecord

        rows = self._reader.sql("SELECT * FROM runs WHERE id = ?", self.run_id)
        return RunRecord(self._reader, rows[0]) if rows else None

    @property
    def file(self) -> VersionFile:
        """Its bytes: the kept copy, else those at a place where they were, verified before they are given."""
        rows = self._reader.sql("SELECT * FROM artifacts WHERE sha256 = ?", self.sha256)
        row = rows[0] if rows else {"sha256": self.sha256, "size_bytes": None, "format": None}
        shown = {"path": self.path or "", "role": "model", "direction": "out", "step": None, "time": self.time}
        file = VersionFile({**shown, **row, **NO_COPY}, self._reader)
        file.update(look(file.contents, self._reader, lambda: was_asked(self._reader, self.sha256)))
        return file

    @property
    def standing(self) -> ModelEvent | None:
        """The last event that approves, rejects or retires it; None if there is none."""
        return next((e for e in reversed(self.events) if e.action in ("approve", "reject", "retire")), None)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        names = ("id", "model", "number", "label", "sha256", "run_id", "path", "parent_id", "signature", "author",
                 "time")  # fmt: skip
        standing = self.standing
        return {
            **{name: getattr(self, name) for name in names}, "at": self.at, "session_id": self.session_id,
            "standing": standing.action if standing is not None else None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Live:
    """Which version an alias points to, or pointed to at some time.

    Attributes
    ----------
    model, alias : str
    version : ModelVersion
    event : ModelEvent
        What made it so.

    Examples
    --------
    >>> live = history.model("churn").live()
    >>> live.alias, live.number, live.reason, live.sha256 == live.version.sha256
    ('production', 1, 'first', True)
    """

    model: str
    alias: str
    version: ModelVersion
    event: ModelEvent

    def __repr__(self) -> str:
        return f"<Live {self.version.name} {self.alias} since {self.since[:19]}Z>"

    @property
    def number(self) -> int:
        """The number of the version."""
        return self.version.number

    @property
    def sha256(self) -> str:
        """The content of its file."""
        return self.version.sha256

    @property
    def run_id(self) -> str | None:
        """The run that made it."""
        return self.version.run_id

    @property
    def since(self) -> str:
        """Since when, as ISO 8601 UTC."""
        return self.event.at

    @property
    def author(self) -> str | None:
        """Who made it so."""
        return self.event.author

    @property
    def reason(self) -> str | None:
        """Why."""
        return self.event.reason

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values, with the data that the run was trained on."""
        version, event = self.version, self.event
        return {
            "model": self.model, "alias": self.alias, "number": version.number, "label": version.label,
            "version_id": version.id, "sha256": version.sha256, "run_id": version.run_id, "path": version.path,
            "since": event.at, "action": event.action, "author": event.author, "reason": event.reason,
            "from_version_id": event.from_version_id, "checks": event.checks, "data": data_of(version),
        }  # fmt: skip


class VersionFile(Artifact):
    """The file of a version: also looked for wherever a run wrote or read the same content."""

    __slots__ = ()

    @property
    def reader(self) -> Reader:
        """The store it is read from."""
        return self._reader

    def known_places(self) -> Iterator[str]:
        """Paths at which the content was, on whichever machine."""
        if self["path"]:
            yield self["path"]
        sql = "SELECT path FROM run_artifacts WHERE sha256 = ? GROUP BY path ORDER BY max(time) DESC"
        for row in self._reader.sql(sql, self["sha256"]):
            if row["path"] != self["path"]:
                yield row["path"]

    def places_of(self, hostname: str) -> set[str]:
        """Those of the paths at which a session of one machine saw the content."""
        sql = (
            "SELECT v.path AS path FROM model_versions AS v JOIN sessions AS s ON s.id = v.session_id "
            "WHERE v.sha256 = ?1 AND s.hostname = ?2 UNION SELECT a.path FROM run_artifacts AS a "
            "JOIN runs AS r ON r.id = a.run_id JOIN sessions AS s ON s.id = r.session_id "
            "WHERE a.sha256 = ?1 AND s.hostname = ?2"
        )
        return {row["path"] for row in self._reader.sql(sql, self["sha256"], hostname) if row["path"]}

    def _places(self) -> Iterator[str]:
        kept = find(self._reader.beside, self["sha256"])
        if kept is not None:
            yield str(kept)
        yield from (place for place in self.known_places() if os.path.isfile(place))


def data_of(version: ModelVersion) -> list[dict[str, Any]]:
    """The data of the run that made a version, by content."""
    sql = (
        "SELECT d.role, d.dataset_id, c.content_hash, c.n_rows FROM run_datasets AS d "
        "JOIN datasets AS c ON c.id = d.dataset_id WHERE d.run_id = ? ORDER BY d.ordinal"
    )
    return version._reader.sql(sql, version.run_id)


def read_versions(reader: Reader, model: str | None = None) -> dict[str, list[ModelVersion]]:
    """The versions of models with their events, by model: the lowest number first, the oldest of one number first."""
    where, values = ("WHERE v.model = ?", (model,)) if model is not None else ("", ())
    events: dict[str, list[ModelEvent]] = {}
    sql = (
        "SELECT e.* FROM model_events AS e JOIN model_versions AS v ON v.id = e.version_id "
        f"{where} ORDER BY e.time, e.session_id, e.ordinal"
    )
    for row in reader.sql(sql, *values):
        events.setdefault(row["version_id"], []).append(_event(row))
    found: dict[str, list[ModelVersion]] = {}
    sql = f"SELECT v.* FROM model_versions AS v {where} ORDER BY v.model, v.number, v.time, v.id"
    rows = reader.sql(sql, *values)
    labels = _labels(rows)
    names = ("id", "session_id", "model", "number", "sha256", "run_id", "path", "parent_id", "author", "time")
    for row in rows:
        told = json.loads(row["signature"]) if row["signature"] else None
        facts = {name: row[name] for name in names}
        version = ModelVersion(
            **facts, label=labels[row["id"]], signature=told, events=tuple(events.get(row["id"], ())), _reader=reader
        )
        found.setdefault(row["model"], []).append(version)
    return found


def versions_made(run: RunRows) -> list[ModelVersion]:
    """Versions of models that a run made."""
    models = run.history.sql("SELECT DISTINCT model FROM model_versions WHERE run_id = ? ORDER BY model", run.id)
    found = [version for row in models for version in read_versions(run.history, row["model"])[row["model"]]]
    return [version for version in found if version.run_id == run.id]


def _event(row: dict[str, Any]) -> ModelEvent:
    names = ("version_id", "action", "alias", "from_version_id", "reason", "run_id", "author", "time", "session_id",
             "ordinal")  # fmt: skip
    checks = json.loads(row["checks"]) if row["checks"] else None
    return ModelEvent(**{name: row[name] for name in names}, checks=checks)


def _labels(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The label of each version; the first of a number has the number alone."""
    seen: Counter[tuple[str, int]] = Counter()
    labels = {}
    for row in rows:
        key = (row["model"], row["number"])
        labels[row["id"]] = f"{row['number']}·{row['id'][-_LEAST:]}" if seen[key] else str(row["number"])
        seen[key] += 1
    return labels
