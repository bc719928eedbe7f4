"""Find the runs that made a file, or read it, by the file's content; and what a hash that a screen shows is of."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base import manifest
from histhooks._host.folder_files import look
from histhooks.errors import QueryError
from histhooks.history.query.hashes import HASHES, LIVE_AS, READ_BEFORE, VERSION_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from histhooks.history._reader import Reader

_CHUNK = 1 << 20
_RUN = "{0}.id, {0}.name, {0}.status, {0}.project, {0}.started_at, "
_ROWS = (
    f"SELECT {_RUN.format('r')} a.path, a.role, a.direction, a.step, a.time, a.sha256 "
    "FROM run_artifacts AS a JOIN runs AS r ON r.id = a.run_id WHERE "
)
# The same columns of what programs read: by a run, or by its session before it began.
_READS = (
    "SELECT {} f.path, f.function AS role, 'in' AS direction, NULL AS step, f.time, f.sha256, "
    "f.location, {} AS is_before FROM file_reads AS f {} WHERE "
)
_READ_BY = _READS.format(_RUN.format("r"), "0", "JOIN runs AS r ON r.id = f.run_id")
_READ_FOR = _READS.format(_RUN.format("o"), "1", READ_BEFORE)
_HASH = re.compile(r"[0-9a-fA-F]{6,64}")
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a file.

    Attributes
    ----------
    path : Path
    sha256 : str or None
        None if no file of its size was ever recorded, so that nobody had to read it.
    made, read : list of dict
        Runs that wrote and that read this content, the latest first, with the path at which they did. `location` and
        `is_before` are there for what the program read by itself: where in the program, and whether before the run.
    overwritten : list of dict
        Where nobody made the content: runs that wrote other content to this path.
    reread : list of dict
        Where nobody knows the content: runs that read other content from this path.
    versions : list of dict
        Versions of models that have this content: `name`, `time`, and `aliases` that point to it now.
    """

    path: Path
    sha256: str | None
    made: list[dict[str, Any]]
    read: list[dict[str, Any]]
    overwritten: list[dict[str, Any]]
    reread: list[dict[str, Any]]
    versions: list[dict[str, Any]]


def whence(history: Reader, file: str | os.PathLike[str], progress: Callable[[int], object] | None = None) -> Origin:
    """Look for the runs that know the content of a file, or of a folder, or had the file in a folder.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    path = Path(os.path.abspath(file))
    digest, made, read = None, [], []
    listed = [] if path.is_dir() else _listed(history, path.stat().st_size)
    if path.is_dir():
        digest = manifest.id_of(manifest_of(path, history.beside))
    elif listed or _is_size_known(history, path.stat().st_size):
        digest = _sha256(path, progress)
    if digest is not None:
        rows = history.sql(f"{_ROWS} a.sha256 = ? ORDER BY a.time DESC", digest)
        for folder, inside in listed:
            rows += _inside(history, folder, inside) if inside.sha256 == digest else []
        made = [row for row in rows if row["direction"] == "out"]
        read = _once([*(row for row in rows if row["direction"] == "in"), *_reads(history, "f.sha256 = ?", digest)])
    other = [] if made else history.sql(f"{_ROWS} a.path = ? AND a.direction = 'out' ORDER BY a.time DESC", str(path))
    versions = [] if digest is None else versions_with(history, digest)
    is_known = bool(made or read or versions)
    reread = [] if is_known else _once(_reads(history, "f.path = ? AND f.sha256 IS NOT NULL", str(path)))
    return Origin(path, digest, made, read, other, reread, versions)


def versions_with(history: Reader, sha256: str) -> list[dict[str, Any]]:
    """Versions of models that have a content, with the aliases that point to them now."""
    sql = (
        f"SELECT {VERSION_NAME} AS name, v.id AS version_id, v.time, {LIVE_AS} AS aliases "
        "FROM model_versions AS v WHERE v.sha256 = ? ORDER BY v.time DESC"
    )
    return [{**row, "aliases": json.loads(row["aliases"])} for row in history.sql(sql, sha256)]


def content_of(file: str | os.PathLike[str], store: Path, known: str | None = None) -> tuple[str, int, str | None]:
    """The SHA-256 of a file or a folder, its size, and its format by its name.

    Parameters
    ----------
    file : str or path
    store : Path
        What lies beside it is no part of a folder.
    known : str, optional
        The SHA-256, if it was just computed.

    Raises
    ------
    OSError
        If it cannot be read.
    QueryError
        If a folder holds too much.
    """
    path = Path(os.path.abspath(file))
    if path.is_dir():
        found = look(str(path), str(store.absolute()))
        return known or manifest.id_of(manifest_of(path, store)), found.size_bytes, manifest.FORMAT
    suffix = path.suffix.lstrip(".").lower() or None
    return known or _sha256(path, None), path.stat().st_size, suffix


def manifest_of(folder: str | os.PathLike[str], store: Path) -> bytes:
    """The manifest of a folder, as a run would record it.

    Raises
    ------
    OSError
        If it cannot be read.
    QueryError
        If it holds too much.
    """
    place = Path(os.path.abspath(folder))
    found = look(str(place), str(store.absolute()))
    if found.excess is not None:
        raise QueryError(f"{folder}: {found.excess}")
    files = [manifest.File(path, known.st_size, _sha256(place / path, None)) for path, known in found.files.items()]
    return manifest.text_of(files)


def _listed(history: Reader, size: int) -> list[tuple[str, manifest.File]]:
    """The files of that size in recorded folders, each with the id of its folder."""
    rows = history.sql("SELECT sha256, encoding, data FROM contents WHERE kind = ?", manifest.KIND)
    found: list[tuple[str, manifest.File]] = []
    for row in rows:
        text = zlib.decompress(row["data"]) if row["encoding"] == "zlib" else row["data"]
        found += [(row["sha256"], file) for file in manifest.files_of(text) if file.size_bytes == size]
    return found


def _inside(history: Reader, folder: str, file: manifest.File) -> list[dict[str, Any]]:
    """The runs that had the file in a folder."""
    rows = history.sql(f"{_ROWS} a.sha256 = ? ORDER BY a.time DESC", folder)
    return [{**row, "path": f"{row['path']}/{file.path}", "sha256": file.sha256} for row in rows]


def _is_size_known(history: Reader, size: int) -> bool:
    tables = ("artifacts", "file_reads")
    return any(history.sql(f"SELECT 1 FROM {table} WHERE size_bytes = ? LIMIT 1", size) for table in tables)


def _reads(history: Reader, condition: str, value: str) -> list[dict[str, Any]]:
    """What programs read, the latest run first."""
    rows = [row for sql in (_READ_BY, _READ_FOR) for row in history.sql(f"{sql} {condition}", value)]
    return sorted(rows, key=lambda row: (row["started_at"], row["time"]), reverse=True)


def _once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each run once, for each content: what an integration recorded comes first."""
    return list({(row["id"], row["sha256"]): row for row in reversed(rows)}.values())[::-1]


@dataclass(frozen=True, slots=True)
class Known:
    """What a hash is of.

    Attributes
    ----------
    hash : str or None
        The whole of it; None if nobody knows it.
    versions : list of dict
        Versions of models, if it is the hash of a file.
    uses : list of dict
        The runs that it stands in, the latest first: `id`, `name`, `status`, `started_at` of the run, `what` it is
        (`file`, `data`, `weights`), its `role`, `path`, `way` (`out`: made by the run) and `time`.
    """

    hash: str | None
    uses: list[dict[str, Any]]
    versions: list[dict[str, Any]] = field(default_factory=list)


def is_hash(text: str) -> bool:
    """Whether a text may be a hash or the beginning of one: 6 hexadecimal digits or more."""
    return _HASH.fullmatch(text) is not None


def whose(history: Reader, text: str) -> Known:
    """Look for the runs that a hash stands in.

    Parameters
    ----------
    history : Reader
    text : str
        A hash of a file, of data or of weights; 6 digits or more of its beginning, if no other begins so.

    Raises
    ------
    QueryError
        If several hashes begin so.
    """
    low, high = text.lower(), f"{text.lower()}g"  # which follows all that begin so
    sql = f"SELECT DISTINCT h.hash FROM {HASHES} AS h WHERE h.hash >= ? AND h.hash < ? ORDER BY h.hash"
    found = [row["hash"] for row in history.sql(sql, low, high)]
    if len(found) > 1:
        named = ", ".join(each[: max(12, len(text) + 4)] for each in found[:_MOST_NAMED])
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise QueryError(f"{len(found)} hashes begin with {text}: {named}{more}; write more of it")
    if not found:
        return Known(None, [])
    sql = (
        f"SELECT {_RUN.format('r')} h.what, h.role, h.path, h.way, h.time FROM {HASHES} AS h "
        "JOIN runs AS r ON r.id = h.run_id WHERE h.hash = ? ORDER BY r.started_at DESC, h.time DESC"
    )
    rows = history.sql(sql, found[0])
    uses = list({(row["id"], row["what"], row["way"], row["role"]): row for row in rows}.values())
    return Known(found[0], uses, versions_with(history, found[0]))


def _sha256(path: Path, progress: Callable[[int], object] | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
            if progress is not None:
                progress(len(data))
    return digest.hexdigest()
