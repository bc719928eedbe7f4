"""Find the run that made a file, or read it, by the file's content."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from histhooks.history._reader import Reader

_CHUNK = 1 << 20
_ROWS = (
    "SELECT r.id, r.name, r.status, r.project, r.started_at, a.path, a.role, a.direction, a.step, a.time, a.sha256 "
    "FROM run_artifacts AS a JOIN runs AS r ON r.id = a.run_id WHERE "
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a file.

    Attributes
    ----------
    path : Path
    sha256 : str or None
        None if no file of its size was ever recorded, so that nobody had to read it.
    made, read : list of dict
        Runs that wrote and that read this content, the latest first, with the path at which they did.
    overwritten : list of dict
        Where nobody knows the content: runs that wrote other content to this path.
    """

    path: Path
    sha256: str | None
    made: list[dict[str, Any]]
    read: list[dict[str, Any]]
    overwritten: list[dict[str, Any]]


def whence(history: Reader, file: str | os.PathLike[str], progress: Callable[[int], object] | None = None) -> Origin:
    """Look for the runs that know the content of a file.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    path = Path(os.path.abspath(file))
    size = path.stat().st_size
    digest, rows = None, []
    if history.sql("SELECT 1 FROM artifacts WHERE size_bytes = ? LIMIT 1", size):
        digest = _sha256(path, progress)
        rows = history.sql(f"{_ROWS} a.sha256 = ? ORDER BY a.time DESC", digest)
    made = [row for row in rows if row["direction"] == "out"]
    other = [] if made else history.sql(f"{_ROWS} a.path = ? AND a.direction = 'out' ORDER BY a.time DESC", str(path))
    return Origin(path, digest, made, [row for row in rows if row["direction"] == "in"], other)


def _sha256(path: Path, progress: Callable[[int], object] | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
            if progress is not None:
                progress(len(data))
    return digest.hexdigest()
