"""The words that name a folder or a bucket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from histhooks.errors import TeamError

FOLDER = "folder:"
# The package that fsspec reads each of them with; None where fsspec itself does.
DRIVERS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "sftp": "paramiko", "memory": None}
BUCKETS = tuple(f"{scheme}://" for scheme in DRIVERS)


@dataclass(frozen=True, slots=True)
class Box:
    """A folder or a bucket.

    Attributes
    ----------
    root : str
        The path of the folder, absolute, or the address of the bucket; it may hold a password.
    shown : str
        The address without secrets.
    is_folder : bool
    """

    root: str
    shown: str
    is_folder: bool

    def __repr__(self) -> str:
        return f"<Box {self.shown}>"


def is_box(word: str | os.PathLike[str] | None) -> bool:
    """Whether a word is the address of a folder or a bucket."""
    return isinstance(word, str) and word.startswith((FOLDER, *BUCKETS))


def box_of(text: str, shown: str, start: Path | None = None) -> Box:
    """The folder or bucket that a word names.

    Parameters
    ----------
    text : str
    shown : str
        The same without secrets.
    start : Path, optional
        Where relative paths begin, by default the working folder.

    Raises
    ------
    TeamError
        If it names none.
    """
    if text.startswith(FOLDER):
        rest = text.removeprefix(FOLDER)
        rest = rest[2:] if rest.startswith("///") else rest  # folder:///shared/runs, as other addresses are written
        if not rest or rest.startswith("//") or "\0" in rest:
            raise TeamError(f"{shown!r} names no folder; write folder:/shared/runs")
        path = os.path.abspath(os.path.join(start or Path.cwd(), os.path.expanduser(rest)))
        return Box(path, f"{FOLDER}{path}", is_folder=True)
    scheme, _, rest = text.partition("://")
    if not rest.strip("/"):
        raise TeamError(f"{shown!r} names no place in it; write {scheme}://NAME/FOLDER")
    return Box(text.rstrip("/"), shown.rstrip("/"), is_folder=False)
