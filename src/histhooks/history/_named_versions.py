"""What a person names: a version as NAME@3 or NAME@production; or a file, a hash or a run that has one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from histhooks.errors import QueryError
from histhooks.history._artifacts import Artifact, by_hash
from histhooks.history._models import is_version_name, model_of, version_by_hash, version_named
from histhooks.history.query.selectors import find
from histhooks.history.query.whence import is_hash, whence

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history._records import RunRecord
    from histhooks.history._version_rows import ModelVersion


@dataclass(frozen=True, slots=True)
class Meant:
    """A file that a person names, by its content.

    Attributes
    ----------
    what : str
        `version`, `file`, `hash` or `run`: how it was named.
    sha256 : str
    size_bytes : int or None
    format : str or None
        `folder` for a folder.
    path : str or None
        Where it is, or was last.
    run_id : str or None
        The run that made it; None if none is known.
    version : ModelVersion or None
        If it was named as one.
    """

    what: str
    sha256: str
    size_bytes: int | None
    format: str | None
    path: str | None
    run_id: str | None
    version: ModelVersion | None = None


def meant(reader: Reader, text: str) -> Meant:
    """What a person names: a version (`NAME@3`, `NAME@production`), a FILE, a SHA256 or a RUN, tried in this order.

    Raises
    ------
    QueryError
        If it is none of these, or could be several.
    """
    if is_version_name(reader, text):
        version = version_named(reader, text)
        file = version.file
        return Meant("version", version.sha256, file["size_bytes"], file["format"], version.path, version.run_id,
                     version)  # fmt: skip
    if os.path.exists(text):
        return _of_file(reader, text)
    if is_hash(text):
        found = by_hash(reader, text.lower())
        if found is not None:
            return _of_artifact("hash", found, made_by(reader, found["sha256"]))
        bought = version_by_hash(reader, text.lower())  # that no run made
        if bought is not None:
            return _of_artifact("hash", bought.file, bought.run_id)
    try:
        row = find(reader, text)
    except QueryError as error:
        name, sign, _ = text.rpartition("@")
        if sign and name:
            model_of(reader, name)  # says which models there are
        raise QueryError(f"{text!r} is no file here and no version of a model, and {error}") from error
    return _of_run(reader, row["id"])


def made_by(reader: Reader, sha256: str, path: str | None = None) -> str | None:
    """The run that made a content: the latest that wrote it to that path, else the latest that wrote it."""
    sql = (
        "SELECT run_id FROM run_artifacts WHERE sha256 = ? AND direction = 'out' ORDER BY path IS ? DESC, time DESC, "
        "run_id DESC LIMIT 1"
    )
    rows = reader.sql(sql, sha256, path)
    return str(rows[0]["run_id"]) if rows else None


def _of_file(reader: Reader, text: str) -> Meant:
    from histhooks.history.query.whence import content_of

    path = os.path.abspath(text)
    try:
        found = whence(reader, text)
        sha256, size, form = content_of(text, reader.beside, found.sha256)
    except OSError as error:
        raise QueryError(f"{text} cannot be read ({error.strerror})") from error
    at_path = [row for row in found.made if row["path"] == path]
    run = (at_path or found.made)[:1]
    return Meant("file", sha256, size, form, path, run[0]["id"] if run else None)


def _of_run(reader: Reader, run_id: str) -> Meant:
    from histhooks.history._records import RunRecord

    run = RunRecord(reader, reader.sql("SELECT * FROM runs WHERE id = ?", run_id)[0])
    own, error = _main_file(run)
    if own is None:
        inner = [(_main_file(child)[0], child.id) for child in reversed(run.children) if child.kind != "preprocess"]
        found = [(file, child_id) for file, child_id in inner if file is not None and file["role"] != "file"]
        if not found:
            raise error or QueryError(f"run {run.name!r} wrote no model")
        own, run_id = max(found, key=lambda pair: pair[0]["time"])
    return _of_artifact("run", own, run_id)


def _main_file(run: RunRecord) -> tuple[Artifact | None, QueryError | None]:
    try:
        found = run.artifacts.find()
    except QueryError as error:
        return None, QueryError(f"{error}; name one: FILE, or its SHA-256 (`histhooks restore {run.id[-8:]}`)")
    if found["direction"] == "in":
        return None, QueryError(f"run {run.name!r} only read {found['path']}; name the file itself")
    return found, None


def _of_artifact(what: str, file: Artifact, run_id: str | None) -> Meant:
    return Meant(what, file["sha256"], file["size_bytes"], file["format"], file["path"], run_id)
