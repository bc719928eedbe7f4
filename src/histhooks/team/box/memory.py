"""What a machine knows of the files in a box: it spares reading them again, and is asked for no file that changed."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from histhooks.errors import TeamError
from histhooks.team import _cache
from histhooks.team.box.address import Box


class Memory:
    """Files in a box by name, each with its state when it was last read or written.

    Parameters
    ----------
    box : Box
    """

    def __init__(self, box: Box) -> None:
        self.folder: Path | None = None
        self._files: dict[str, list[str]] = {}
        self._beats: dict[str, str] = {}
        self._is_changed = False
        with contextlib.suppress(TeamError, OSError, ValueError, TypeError, KeyError):
            self.folder = _cache.folder()  # without one everything is read again
            self._path = self.folder / f"{_cache.name_of(box.shown, 'folder', box.root)}.json"
            found = json.loads(self._path.read_text(encoding="utf-8"))
            self._files, self._beats = dict(found["files"]), dict(found["beats"])

    def digest(self, name: str, state: str) -> str | None:
        """The digest of the last line in a file; None of one that is not known, or was written since."""
        known = self._files.get(name)
        return known[1] if known is not None and known[0] == state else None

    def keep(self, name: str, state: str, digest: str) -> None:
        """Remember the last line in a file."""
        self._files[name] = [state, digest]
        self._is_changed = True

    def beat(self, name: str) -> str:
        """The last sign of life of a session that is in the box; empty if it is not known."""
        return self._beats.get(name, "")

    def keep_beat(self, name: str, at: str) -> None:
        """Remember a sign of life."""
        self._beats[name] = at
        self._is_changed = True

    def save(self) -> None:
        """Keep what was learned for the next push."""
        if not self._is_changed or self.folder is None:
            return
        part = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps({"files": self._files, "beats": self._beats}), encoding="utf-8")
            os.replace(part, self._path)
        self._is_changed = False
