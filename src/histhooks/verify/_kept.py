"""Kept files: each copy in ``<store>.files/`` is what its name says, and each that a run had made is there."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base import manifest
from histhooks._base.ids import short_id
from histhooks._host.store_location import real_path
from histhooks._store.kept_files import digest_of, folder_of, kept_in, spool_folders

if TYPE_CHECKING:
    from histhooks.verify._report import Report

_HASH = 12


def check_kept(
    wanted: dict[str, str], store: Path, report: Report, progress: Callable[[int, int], None] | None
) -> None:
    """Add what is wrong with the kept files of a store to its report. Reads all of them.

    Parameters
    ----------
    wanted : dict of str to str
        What :func:`wanted` gives.
    store : Path
    report : Report
    progress : callable, optional
        Called with the number of files that are done, and their total.
    """
    folders = [folder_of(real_path(store)), *spool_folders(real_path(store))]
    files = {path.name: path for folder in reversed(folders) for path in kept_in(folder)}
    is_part = any(part["kind"] == "export" for part in report.parts_of)
    for number, (sha256, path) in enumerate(sorted(files.items()), start=1):
        try:
            with path.open("rb") as file:
                found = digest_of(file)
                report.kept_bytes += file.tell()
            report.kept_files += 1
            why = None if found == sha256 else f"its SHA-256 is {found[:_HASH]}"
        except OSError as error:
            why = f"it cannot be read ({error.strerror})"
        if why is not None:
            name = wanted.get(sha256, "of a run that is not here")
            report.file_problem(f"the kept copy {path} ({name}) is not what was kept: {why}")
        if progress is not None:
            progress(number, len(files))
    for sha256, name in sorted(wanted.items(), key=lambda pair: pair[1]):
        if sha256 in files:
            continue
        if is_part:
            report.kept_elsewhere += 1
        else:
            report.file_problem(f"missing: the kept copy {sha256[:_HASH]}, {name}, is no longer in {folders[0]}")


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
