"""The manifest of a folder: its files by relative path, size and SHA-256. Its own SHA-256 is the id of the folder.

The text is the JSON array ``["histhooks-folder-1", [[path, size, sha256], ...]]`` without spaces, in ASCII. Paths are
relative to the folder, with ``/`` between their parts, and sorted by code points. docs/guide/artifacts.md has the
same in a few lines of the standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import NamedTuple

FORMAT = "folder"  # in `artifacts.format`
KIND = "manifest"  # in `contents.kind`
_FORM = "histhooks-folder-1"


class File(NamedTuple):
    """A file in a folder.

    Attributes
    ----------
    path : str
        Relative, with ``/``.
    size_bytes : int
    sha256 : str or None
        None if its content could not be read, or changed meanwhile.
    """

    path: str
    size_bytes: int
    sha256: str | None


def text_of(files: list[File]) -> bytes:
    """The manifest of some files, in any order."""
    return json.dumps([_FORM, sorted(files)], separators=(",", ":")).encode("ascii")


def id_of(text: bytes) -> str:
    """The id of the folder that a manifest is of."""
    return hashlib.sha256(text).hexdigest()


def files_of(text: bytes) -> list[File]:
    """The files that a manifest lists; none if it is no manifest, or names a place outside its folder."""
    try:
        form, rows = json.loads(text)
        files = [File(*row) for row in rows] if form == _FORM else []
        return files if all(_is_inside(file.path) for file in files) else []
    except (ValueError, TypeError, AttributeError):
        return []


def _is_inside(path: str) -> bool:
    if os.sep == "\\" and ("\\" in path or ":" in path):  # elsewhere both may stand in a file's name
        return False
    return "\0" not in path and not any(part in ("", ".", "..") for part in path.split("/"))
