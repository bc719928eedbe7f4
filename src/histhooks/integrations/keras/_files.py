"""Files that models were loaded from, until a run that goes on from one takes it down."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

from histhooks._run import Run

# Path, size and time of change.
_read: weakref.WeakKeyDictionary[Any, tuple[str, int, int]] = weakref.WeakKeyDictionary()


def place_of(path: Any) -> str | None:
    """The absolute path of a file that is there; None for anything else, as a folder or an address."""
    if not isinstance(path, (str, os.PathLike)) or not Path(path).is_file():
        return None
    return os.path.abspath(path)


def note_read(model: Any, path: Any) -> None:
    """A model was loaded from a file, whole or its weights."""
    place = place_of(path)
    if place is not None:
        known = os.stat(place)
        _read[model] = (place, known.st_size, known.st_mtime_ns)


def log_read(run: Run, model: Any) -> None:
    """Record the file that a model came from, unless it was written again since; once."""
    place, *before = _read.pop(model, ("",))
    if place and place_of(place) is not None:
        known = os.stat(place)
        if [known.st_size, known.st_mtime_ns] == before:
            run.log_artifact(place, role="model", direction="in")
