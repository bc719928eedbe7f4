"""Which version a file is, and what its training recorded: asked of the store by plain SQL, once for each file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from histhooks._collect.window_counts import Edges, classes_of, edges_of
from histhooks._host.row_key import row_key
from histhooks._host.store_location import project_name
from histhooks._record.engine import engine
from histhooks._store import model_rows
from histhooks.errors import QueryError

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model, with what its rows are counted by.

    Attributes
    ----------
    id, model, sha256 : str
    number : int
    edges : tuple of Edges
    key : bytes
        Of the hashes of texts.
    is_classifier : bool or None
        None where the training does not say.
    classes : frozenset of str
        Whole numbers that the training had as its classes.
    why : str
        What cannot be counted, and why; else empty.
    """

    id: str
    model: str
    number: int
    sha256: str
    edges: tuple[Edges, ...]
    key: bytes
    is_classifier: bool | None
    classes: frozenset[str]
    why: str

    @property
    def name(self) -> str:
        """`NAME@3`."""
        return f"{self.model}@{self.number}"


def store_path() -> Path | None:
    """Where this process records to; None where it records nothing."""
    return engine.store_or_default()


def _ask(path: Path) -> Any:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10.0)
    connection.row_factory = sqlite3.Row

    def ask(sql: str, *values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(sql, values)]

    return connection, ask


def version_named(name: str) -> Version:
    """The version that `NAME@production`, `NAME@3` or `NAME` (its production) means.

    Raises
    ------
    QueryError
        If there is no store, no such model or no such version.
    """
    if not isinstance(name, str):
        raise QueryError(f"the name of a version is a text such as 'credit@production', not a {type(name).__name__}")
    model, sign, word = name.rpartition("@")
    model, word = (model, word) if sign else (name, "production")
    path = store_path()
    try:
        if path is None or not path.exists():
            raise QueryError(
                f"{name!r} is not watched: there is no store at {path}; set HISTHOOKS_STORE to the one that has it"
            )
        connection, ask = _ask(path)
        with closing(connection):
            versions = model_rows.versions_of(ask, model)
            if not versions:
                known = ", ".join(model_rows.models(ask)) or "none"
                raise QueryError(
                    f"no model is called {model!r} in {path}; there are: {known}; "
                    f"histhooks promote FILE --model {model} --reason WHY"
                )
            return _version(ask, _chosen(ask, model, versions, word))
    except (sqlite3.Error, OSError) as error:
        raise QueryError(f"{name!r} is not watched: {path} cannot be read ({error})") from error


def _chosen(ask: Any, model: str, versions: list[dict[str, Any]], word: str) -> dict[str, Any]:
    number, _, part = word.partition("·")
    if number.isdecimal():
        found = [one for one in versions if one["number"] == int(number) and one["id"].endswith(part)]
    elif word == "latest":
        found = versions[:1]
    else:
        live = model_rows.live_version(ask, model, word)
        found = [] if live is None else [live]
    if len(found) > 1:
        names = " or ".join(f"{model}@{number}·{one['id'][-4:]}" for one in found)
        raise QueryError(f"{len(found)} versions of {model} have the number {number}, of different stores: {names}")
    if not found:
        raise QueryError(
            f"{model} has no version {word}; it has {', '.join(str(one['number']) for one in versions)} "
            f"({', '.join(model_rows.aliases_of(ask, model)) or 'no alias'})"
        )
    return found[0]


def version_of(sha256: str, model: str | None) -> Version | None:
    """The version whose file has a content; None if there is none, or no store that can be read."""
    path = store_path()
    try:
        if path is None or not path.exists():
            return None
        connection, ask = _ask(path)
        with closing(connection):
            rows = model_rows.versions_with(ask, sha256)
            rows = [row for row in rows if model is None or row["model"] == model]
            return _version(ask, rows[0]) if rows else None
    except (sqlite3.Error, OSError):  # an older store has no such tables
        return None


def _version(ask: Any, row: dict[str, Any]) -> Version:
    trained = model_rows.trained_on(ask, row["run_id"])
    key = row_key(trained.project or project_name(), make=False)
    is_same = trained.key_id is not None and key.id == trained.key_id
    why = ""
    if row["run_id"] is None:
        why = "no run is known to have made it, so nothing says what it was trained on"
    elif not trained.columns:
        why = "its run recorded no counts of the columns of its training data (train it with HISTHOOKS_DATA=full)"
    elif not is_same and any("categories" in one["facts"] for one in trained.columns):
        why = f"texts are not counted: the key of their hashes, {trained.key_id}, is not here (histhooks key import)"
    target = ((trained.profile or {}).get("y") or {}).get("values") or {}
    is_classifier = any(name.startswith("classes") for name in target) if target else None
    edges = edges_of(trained.columns, trained.profile, is_same_key=is_same)
    return Version(
        row["id"], row["model"], row["number"], row["sha256"], edges, key.secret, is_classifier,
        classes_of(trained.profile), why,
    )  # fmt: skip


def sha256_of(path: str) -> str | None:
    """The content of a file; None if it is no file, or changes meanwhile."""
    try:
        with open(path, "rb") as file:
            before = os.fstat(file.fileno())
            found = hashlib.sha256()
            while data := file.read(_BLOCK):
                found.update(data)
            after = os.fstat(file.fileno())
    except OSError:
        return None
    is_same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return found.hexdigest() if is_same else None
