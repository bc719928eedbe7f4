"""Readable locations for the files of a run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks.history._run_rows import RunRows


def place(run: RunRows, path: str) -> str:
    """A path as seen from where the process ran."""
    folder = run.session["cwd"]
    return os.path.relpath(path, folder) if folder and path.startswith(folder.rstrip(os.sep) + os.sep) else path


def is_same_place(a: RunRows, one: object, b: RunRows, other: object) -> bool:
    """Whether two texts are the same but for the folders that the two processes ran in, which stand in them."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    folders = [run.session["cwd"] for run in (a, b)]
    if None in folders:
        return False
    if os.path.isabs(one) and os.path.isabs(other):
        return os.path.relpath(one, folders[0]) == os.path.relpath(other, folders[1])
    return one.replace(folders[0], ".") == other.replace(folders[1], ".")
