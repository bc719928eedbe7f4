"""The bytes of what becomes a version: look whether they are there, and keep a copy beside the store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base import manifest
from histhooks._base.values import dumps
from histhooks._collect.survey import content_row
from histhooks._store.entries import Entry, content_entry
from histhooks._store.kept_files import Part, folder_of, has
from histhooks.errors import QueryError, Refused, StoreError
from histhooks.history import _copies as copies
from histhooks.history._artifacts import NO_COPY
from histhooks.history._version_rows import VersionFile

if TYPE_CHECKING:
    from pathlib import Path

    from histhooks.curate._session import CommandSession
    from histhooks.history import Artifact
    from histhooks.history._named_versions import Meant
    from histhooks.history._reader import Reader

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A file or a folder that becomes a version.

    Attributes
    ----------
    file : VersionFile
    manifest : bytes
        Of a folder that no run recorded; empty otherwise.
    """

    file: VersionFile
    manifest: bytes = b""

    def problem(self) -> str | None:
        """Why its bytes cannot be had now; None if they can."""
        try:
            for each in self.file.files:
                each.open().close()
        except StoreError as error:
            return str(error)
        return None

    def content_entries(self, session: CommandSession) -> list[Entry]:
        """What the store does not have of it yet."""
        file = self.file
        entries: list[Entry] = []
        if not session.rows("SELECT 1 FROM artifacts WHERE sha256 = ?", file["sha256"]):
            row = {"sha256": file["sha256"], "size_bytes": file["size_bytes"], "format": file["format"]}
            entries.append(content_entry("artifacts", row))
        sql = "SELECT 1 FROM contents WHERE sha256 = ?"
        if self.manifest and not session.rows(sql, file["sha256"]):
            entries.append(content_entry("contents", content_row(file["sha256"], manifest.KIND, self.manifest)))
        return entries

    def signature(self, run_id: str | None) -> str | None:
        """Input and output of the model as JSON, by the data that its run was trained on; None if it has none."""
        run = self.file.reader.sql("SELECT 1 FROM runs WHERE id = ?", run_id)
        sql = (
            "SELECT c.schema FROM run_datasets AS d JOIN datasets AS c ON c.id = d.dataset_id "
            "WHERE d.run_id = ? AND d.role = 'train' ORDER BY d.ordinal LIMIT 1"
        )
        rows = self.file.reader.sql(sql, run_id) if run else []
        schema = json.loads(rows[0]["schema"] or "{}") if rows else {}
        told = {name: _without_rows(schema[key]) for name, key in (("input", "X"), ("output", "y")) if schema.get(key)}
        return dumps(told) if told else None


def _without_rows(schema: Any) -> Any:
    """What a part of some data looks like, whatever number of rows it has."""
    if not isinstance(schema, dict) or not schema.get("shape"):
        return schema
    return {**{key: value for key, value in schema.items() if key != "shape"}, "shape": [None, *schema["shape"][1:]]}


def source_of(reader: Reader, meant: Meant) -> Source:
    """The bytes that are meant; they are read when asked."""
    shown: dict[str, Any] = {"path": meant.path or "", "role": "model", "direction": "out", "step": None, "time": 0}
    row = {"sha256": meant.sha256, "size_bytes": meant.size_bytes, "format": meant.format}
    file = VersionFile({**shown, **row, **NO_COPY}, reader)
    text = b""
    if meant.format == manifest.FORMAT and not file.is_folder:
        assert meant.path is not None
        from histhooks.history.query.whence import manifest_of

        text = reader.remembered["manifest", meant.sha256] = manifest_of(meant.path, reader.beside)
    contents = [each["sha256"] for each in file.files]
    file.update(copies.look(contents, reader, lambda: copies.was_asked(reader, meant.sha256)))
    return Source(file, text)


def keep_bytes(source: Source, store: Path) -> bool:
    """Keep a copy of each file beside the store, verified; whether any is new.

    Raises
    ------
    Refused
        If the bytes are gone, are not what was recorded, or there is no room for them.
    """
    is_new = False
    for file in source.file.files:
        if file["sha256"] is None:
            raise Refused(f"{file['path']} cannot be kept: it could not be read when its folder was recorded")
        if has(folder_of(store), file["sha256"], file["size_bytes"]):
            continue
        is_new = True
        try:
            _copy(file, store)
        except StoreError as error:
            raise Refused(f"{error}; nothing was changed") from error
        except OSError as error:
            raise Refused(f"{folder_of(store)} cannot be written ({error.strerror}); nothing was changed") from error
    return is_new


def _copy(file: Artifact, store: Path) -> None:
    part = Part(folder_of(store), store)
    try:
        with file.open() as stream:
            while data := stream.read(_CHUNK):
                part.write(data)
        found = part.digest
        if found != file["sha256"]:
            raise QueryError(f"{file['path']} was written while it was copied; try again")
        part.commit()
    except BaseException:
        part.discard()
        raise
