"""Kept files of stores that are merged: copied by content, verified, and removed where a tombstone says so."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path

from histhooks._base import manifest
from histhooks._store.graves import LISTED, listed
from histhooks._store.kept_files import Part, find, folder_of, has, remove
from histhooks.team._merged import Merged

_CHUNK = 1 << 20
_HASH = 12


def files_of_sessions(connection: sqlite3.Connection, sessions: Iterable[str]) -> set[str]:
    """The SHA-256 of the files that some sessions recorded, and of those in folders."""
    sql = (
        "SELECT DISTINCT a.sha256 FROM runs AS r JOIN run_artifacts AS a ON a.run_id = r.id "
        f"WHERE r.session_id {LISTED.format('?')}"
    )
    found = {sha256 for (sha256,) in connection.execute(sql, (listed(sessions),))}
    sql = f"SELECT encoding, data FROM contents WHERE kind = ? AND sha256 {LISTED.format('?')}"
    for encoding, data in connection.execute(sql, (manifest.KIND, listed(found))).fetchall():
        found |= _in_manifest(encoding, data)
    return found


def _in_manifest(encoding: str, data: bytes) -> set[str]:
    text = zlib.decompress(data) if encoding == "zlib" else bytes(data)
    return {file.sha256 for file in manifest.files_of(text) if file.sha256 is not None}


def named_files(connection: sqlite3.Connection, schema: str = "main") -> set[str]:
    """The contents of the files, and of the files in folders, that a store names and nobody redacted."""
    found = {sha256 for (sha256,) in connection.execute(f"SELECT sha256 FROM {schema}.run_artifacts")}
    found |= {sha256 for (sha256,) in connection.execute(f"SELECT sha256 FROM {schema}.model_versions")}
    sql = f"SELECT encoding, data FROM {schema}.contents WHERE kind = ?"
    for encoding, data in connection.execute(sql, (manifest.KIND,)):
        found |= _in_manifest(encoding, data)
    sql = f"SELECT subject_id FROM {schema}.tombstones WHERE action = 'redact'"
    return found - {subject_id for (subject_id,) in connection.execute(sql)}


def copy_files(stores: Iterable[Path], wanted: set[str], target: Path, merged: Merged, *, is_dry: bool) -> None:
    """Copy kept files beside a store; one that is not what it was is left out, and named.

    Parameters
    ----------
    stores : iterable of Path
        Where copies are looked for.
    wanted : set of str
        Their contents.
    target : Path
        The store, whose folder they go to.
    merged : Merged
        Gets the numbers, and what was left out.
    is_dry : bool
        Whether to count only.
    """
    places = list(dict.fromkeys(stores))
    for sha256 in sorted(wanted):
        found = [path for path in (find(store, sha256) for store in places) if path is not None]
        if not found or has_it(target, sha256, found):
            continue
        faults = [fault for path in found if (fault := _copied(path, sha256, target, merged, is_dry=is_dry))]
        if len(faults) == len(found):
            merged.left_out.append({"what": f"the kept file {found[0]}", "why": faults[0]})


def has_it(target: Path, sha256: str, found: list[Path]) -> bool:
    """Whether a store has a content already, as long as one of some copies."""
    return any(has(folder_of(target), sha256, path.stat().st_size) for path in found)


def _copied(path: Path, sha256: str, target: Path, merged: Merged, *, is_dry: bool) -> str | None:
    """Copy one file; why it could not be."""
    if is_dry:
        merged.kept_files += 1
        merged.kept_bytes += path.stat().st_size
        return None
    if has_it(target, sha256, [path]):
        return None
    try:
        part = Part(folder_of(target), target if target.exists() else path)
        try:
            with path.open("rb") as file:
                while data := file.read(_CHUNK):
                    part.write(data)
            if part.digest != sha256:
                part.discard()
                return f"it is not what was kept (SHA-256 {part.digest[:_HASH]}); `histhooks verify` its store"
            part.commit()
        except BaseException:
            part.discard()
            raise
    except OSError as error:
        return f"it cannot be copied ({error.strerror})"
    merged.kept_files += 1
    merged.kept_bytes += part.size_bytes
    return None


def remove_files(store: Path, contents: Iterable[str]) -> None:
    """Remove the copies of contents that no run has any more."""
    remove(store, contents)
