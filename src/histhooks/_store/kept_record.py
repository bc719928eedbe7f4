"""Which contents a history says were kept, and which of their copies are not beside it."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

from histhooks._base import manifest
from histhooks._base.ids import short_id
from histhooks._store.kept_files import elsewhere, find, say_elsewhere
from histhooks._store.parts import exports


def missing(store: Path) -> set[str]:
    """Contents whose copies should lie beside a store, and do not.

    None has to lie beside a part of a history, nor beside what is no store.
    """
    if not store.exists() or not store.stat().st_size:
        return set()
    with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return set() if exports(connection) else absent(connection, store)
        except sqlite3.Error:
            return set()


def note_absent(store: Path, known: set[str]) -> None:
    """Note which copies did not come to a store with its rows, but for those that are known to be missing."""
    if new := missing(store) - known:
        say_elsewhere(store, new)


def absent(connection: sqlite3.Connection, store: Path) -> set[str]:
    """Contents that were kept, and whose copies are not beside a store, unless it knows that they never came."""
    found = {sha256 for sha256 in wanted(connection) if find(store, sha256) is None}
    return found - elsewhere(store) if found else found


def wanted(connection: sqlite3.Connection) -> dict[str, str]:
    """The contents that runs had copied and nobody redacted, by their SHA-256: in words, where each was."""
    redacted = {row[0] for row in connection.execute("SELECT subject_id FROM tombstones WHERE action = 'redact'")}
    sql = "SELECT sha256, encoding, data FROM contents WHERE kind = ?"
    folders = {key: _files_of(encoding, data) for key, encoding, data in connection.execute(sql, (manifest.KIND,))}
    sql = (
        "SELECT e.run_id, json_extract(e.body, '$.sha256') AS sha256, min(a.path) FROM events AS e "
        "LEFT JOIN run_artifacts AS a ON a.run_id = e.run_id AND a.sha256 = json_extract(e.body, '$.sha256') "
        "WHERE e.kind = 'kept' AND json_valid(e.body) GROUP BY e.id"
    )
    found: dict[str, str] = {}
    for run_id, sha256, path in connection.execute(sql):
        if sha256 not in folders:
            found[str(sha256)] = _words(path, run_id)
        for file in folders.get(sha256, ()):
            if file.sha256 is not None:
                found[file.sha256] = _words(f"{path}/{file.path}", run_id)
    for model, number, sha256, path in _kept_versions(connection):
        if sha256 not in folders:
            found.setdefault(sha256, f"{path or 'the file'} of {model}@{number}")
        for file in folders.get(sha256, ()):
            if file.sha256 is not None:
                found.setdefault(file.sha256, f"{path}/{file.path} of {model}@{number}")
    return {sha256: name for sha256, name in found.items() if sha256 not in redacted}


def _kept_versions(connection: sqlite3.Connection) -> list[tuple[str, int, str, str | None]]:
    """Versions of models that are kept beside the store; an older store has none."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'model_versions'").fetchone():
        return []
    return connection.execute("SELECT model, number, sha256, path FROM model_versions WHERE kept = 1").fetchall()


def _files_of(encoding: str, data: bytes) -> list[manifest.File]:
    return manifest.files_of(zlib.decompress(data) if encoding == "zlib" else bytes(data))


def _words(path: str | None, run_id: str) -> str:
    return f"{path or 'a file'} of run {short_id(run_id)}"
