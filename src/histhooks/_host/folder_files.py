"""The files of a folder, for its manifest: where each is, and what is left out of it.

Links to files count as the files that they lead to, as a copy of the folder would have them; links to folders are not
followed, since they may lead round in a circle. Empty folders leave nothing.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field

MOST_FILES = 100_000
MOST_BYTES = 256 << 30


@dataclass(slots=True)
class Folder:
    """What a folder holds.

    Attributes
    ----------
    files : dict of str to os.stat_result
        By path in the folder, with ``/`` between its parts.
    size_bytes : int
        Of all files.
    excess : str or None
        Why it is not recorded, if it holds too much; what is listed is a part then.
    """

    files: dict[str, os.stat_result] = field(default_factory=dict)
    size_bytes: int = 0
    excess: str | None = None
    _left_out: Counter[str] = field(default_factory=Counter)
    _examples: dict[str, str] = field(default_factory=dict)

    def leave_out(self, path: str, why: str) -> None:
        """Count what is no part of the manifest."""
        self._left_out[why] += 1
        self._examples.setdefault(why, path)

    @property
    def notes(self) -> list[str]:
        """What is left out and why, with an example of each."""
        return [
            f"{self._examples[why]}: {why}" + (f", and {count - 1} more" if count > 1 else "")
            for why, count in sorted(self._left_out.items())
        ]


def look(folder: str, without: str | None = None, most_files: int = MOST_FILES) -> Folder:
    """List the files of a folder; their content is not read.

    Parameters
    ----------
    folder : str
    without : str, optional
        A store: it and what lies beside it under its name is left out, since it changes while it records.
    most_files : int
        How many files are listed at most.

    Raises
    ------
    OSError
        If the folder itself cannot be read.
    """
    found = Folder()
    waiting = [("", os.scandir(folder))]
    while waiting:
        prefix, entries = waiting.pop()
        with entries:
            for entry in entries:
                path = prefix + entry.name
                if without is not None and os.path.abspath(entry.path).startswith(without):
                    found.leave_out(path, "it is the store that records this")
                elif entry.is_dir(follow_symlinks=False):
                    try:
                        waiting.append((f"{path}/", os.scandir(entry.path)))
                    except OSError as error:
                        found.leave_out(path, f"it cannot be read ({error.strerror})")
                else:
                    _add(found, path, entry)
                if len(found.files) > most_files or found.size_bytes > MOST_BYTES:
                    found.excess = f"it holds more than {most_files:,} files or {MOST_BYTES >> 30} GB"
                    for _, others in waiting:
                        others.close()
                    return found
    return found


def _add(found: Folder, path: str, entry: os.DirEntry[str]) -> None:
    try:
        known = os.stat(entry.path)  # of what a link leads to; on Windows the entry's own has no inode
    except OSError as error:
        why = "its link leads nowhere" if entry.is_symlink() else f"it cannot be read ({error.strerror})"
        found.leave_out(path, why)
        return
    if stat.S_ISDIR(known.st_mode):
        found.leave_out(path, "it is a link to a folder, which is not followed")
    elif not stat.S_ISREG(known.st_mode):
        found.leave_out(path, "it is no file (a pipe, a socket or a device)")
    else:
        found.files[path] = known
        found.size_bytes += known.st_size
