"""What a run needs beside its code: files, packages, the machine. Looked at, never changed."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso
from histhooks._collect import environment as _environment
from histhooks.history.compare.causes import COMPUTING

if TYPE_CHECKING:
    from histhooks.history import RunRecord

HERE, CHANGED, GONE, ELSEWHERE, UNKNOWN = "here", "changed", "gone", "elsewhere", "not hashed"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that the program read.

    Attributes
    ----------
    path : str
        Where it was.
    sha256 : str or None
        Its content then; None if it was not hashed.
    size_bytes : int or None
    state : str
        `here`: the same content is there now; `elsewhere`: it is at `found`; `changed`; `gone`; `not hashed`.
    found : str or None
        Where the same content is now.
    """

    path: str
    sha256: str | None
    size_bytes: int | None
    state: str
    found: str | None


@dataclass(frozen=True, slots=True)
class PackageNeed:
    """A package that is not here as it was: its name, the version then, and now (None: not installed)."""

    name: str
    version: str | None
    here: str | None

    @property
    def is_computing(self) -> bool:
        """Whether its version decides what is computed."""
        return self.name.lower().replace("_", "-") in COMPUTING


def files_of(run: RunRecord, tracked: Mapping[str, Any]) -> list[DataFile]:
    """The files that the program read until the run ended, and where their content is now.

    Parameters
    ----------
    run : RunRecord
    tracked : mapping
        Files of the repository that are no code and differed from the commit, by absolute path: their facts.
    """
    session = run.session
    began = from_iso(session["started_at"])
    sql = (
        "SELECT path, sha256, size_bytes, mtime, function FROM file_reads WHERE session_id = ? AND time <= ? "
        "ORDER BY time, ordinal"
    )
    until = from_iso(run.ended_at) if run.ended_at is not None else 1 << 62
    found: dict[str, dict[str, Any]] = {}
    for row in run.history.sql(sql, session["id"], until):
        if (row["mtime"] or 0) >= began and row["path"] not in found:
            continue  # the program, or something beside it, wrote it itself
        before = found.get(row["path"])
        if before is None or (before["sha256"] is None and row["sha256"] is not None):
            found[row["path"]] = row
    for path, facts in tracked.items():
        if facts["state"] != "deleted":
            found.setdefault(path, {"sha256": facts.get("sha256"), "size_bytes": facts.get("size_bytes")})
    return [_looked_at(run, path, row) for path, row in found.items()]


def _looked_at(run: RunRecord, path: str, row: Mapping[str, Any]) -> DataFile:
    digest, size = row["sha256"], row["size_bytes"]
    is_there = os.path.isfile(path)
    if digest is None:
        return DataFile(path, None, size, UNKNOWN if is_there else GONE, path if is_there else None)
    if is_there and sha256_of(path, size) == digest:
        return DataFile(path, digest, size, HERE, path)
    other = next((place for place in _places(run, digest) if place != path and sha256_of(place, size) == digest), None)
    if other is not None:
        return DataFile(path, digest, size, ELSEWHERE, other)
    return DataFile(path, digest, size, CHANGED if is_there else GONE, None)


def _places(run: RunRecord, digest: str) -> Iterator[str]:
    """Paths under which this store knows a content, and that of its kept copy."""
    yield str(Path(f"{run.history.beside}.files") / digest[:2] / digest)
    for table in ("file_reads", "run_artifacts"):
        for row in run.history.sql(f"SELECT DISTINCT path FROM {table} WHERE sha256 = ? LIMIT 20", digest):
            yield row["path"]


def sha256_of(path: str, size: int | None = None) -> str | None:
    """The SHA-256 of a file; None if it cannot be read, or has another size."""
    digest = hashlib.sha256()
    try:
        if size is not None and os.path.getsize(path) != size:
            return None
        with open(path, "rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
    except OSError:
        return None
    return digest.hexdigest()


# --- packages and machine ---------------------------------------------------------------------------------------------


def packages_of(run: RunRecord, here: Mapping[str, str]) -> list[PackageNeed]:
    """Packages that are not here in the version that they had; those that compute numbers first."""
    present = {_normal(name): version for name, version in here.items()}
    found = [
        PackageNeed(name, version, present.get(_normal(name)))
        for name, version in run.packages.items()
        if present.get(_normal(name)) != version and _normal(name) != "histhooks"
    ]
    return sorted(found, key=lambda each: not each.is_computing)


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def installed() -> dict[str, str]:
    """The packages of this Python: version by name, of the one that is imported where there are several."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for each in distributions():
        if each.name:
            found.setdefault(each.name, each.version)
    return found


def this_python() -> str:
    """Implementation and version of this interpreter, as they are recorded."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def machine_of(run: RunRecord, interpreter: str | None = None) -> list[str]:
    """In what this machine, or the interpreter, is another one than that which recorded, in words."""
    then = run.environment
    if then is None:
        return ["the machine was not recorded"]
    details = then["details"]
    pairs: Iterable[tuple[str, Any, Any]] = (
        ("Python", then["python"], interpreter or this_python()),
        ("hardware", then["machine"], platform.machine()),
        ("CPU", then["cpu"], _environment.processor()[0]),
        ("CPUs", details.get("cpu_count"), os.cpu_count()),
    )
    return [f"{name}: {was} then, {now} here" for name, was, now in pairs if was is not None and was != now]


def variables_of(run: RunRecord) -> dict[str, str]:
    """Environment variables that were recorded, since they change what is computed."""
    then = run.environment
    found = then["details"].get("variables", {}) if then is not None else {}
    return {name: str(value) for name, value in found.items()}
