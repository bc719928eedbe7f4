"""Copy the kept files of exported runs beside the new store."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

from histhooks._base import manifest
from histhooks._store.kept_files import Part, find, folder_of, has
from histhooks.errors import StoreError

_CHUNK = 1 << 20


def copy_kept(store: Path, part: Path, target: Path) -> int:
    """Copy the kept files of the runs of a store that is being made.

    Parameters
    ----------
    store : Path
        The store that is exported.
    part : Path
        The new store, complete, under the name that it has meanwhile.
    target : Path
        Its path to be, beside which the files go.

    Returns
    -------
    int
        How many there are.

    Raises
    ------
    StoreError
        If a file cannot be copied, or is not what it was.
    """
    count = 0
    for sha256 in sorted(_contents(part)):
        path = find(store, sha256)
        if path is None:
            continue
        count += 1
        if has(folder_of(target), sha256, path.stat().st_size):
            continue
        try:
            found = _copy(path, folder_of(target), part)
        except OSError as error:
            raise StoreError(f"the kept file {path} cannot be copied ({error.strerror}); export without it") from error
        if found != sha256:
            raise StoreError(f"the kept file {path} is not what was kept (SHA-256 {found[:12]}); `histhooks verify`")
    return count


def _copy(path: Path, folder: Path, like: Path) -> str:
    copy = Part(folder, like)
    try:
        with path.open("rb") as file:
            while data := file.read(_CHUNK):
                copy.write(data)
        return copy.commit()
    except BaseException:
        copy.discard()
        raise


def _contents(store: Path) -> set[str]:
    """The contents of the files of a store, those in folders included."""
    connection = sqlite3.connect(store)
    try:
        found = {sha256 for (sha256,) in connection.execute("SELECT sha256 FROM run_artifacts")}
        sql = "SELECT encoding, data FROM contents WHERE kind = ?"
        for encoding, data in connection.execute(sql, (manifest.KIND,)):
            text = zlib.decompress(data) if encoding == "zlib" else bytes(data)
            found |= {file.sha256 for file in manifest.files_of(text) if file.sha256 is not None}
        return found
    finally:
        connection.close()
