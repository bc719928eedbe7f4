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
