"""What a merge did, or would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Merged:
    """What was merged, or would be.

    Attributes
    ----------
    path : Path
        The store that was written.
    sources : list of dict
        The files that were read: `path`, and `sessions`, `runs` and `points` that each has; spools of a store are files
        of their own.
    sessions, runs, points : int
        How many of each the store has more than before.
    forks : list of dict
        Sessions of which the files say different things: `session_id`, `what` differs, `seq` of the ledger line,
        `digests`, and the `files`. Nothing of these was written.
    left_out : list of dict
        What else was not written: `what`, and `why`.
    deleted_runs : int
        Runs that are not taken in, or no longer there, since one of the stores deleted them.
    redacted : int
        Values and texts that are not taken in, or no longer there, since one of the stores redacted them.
    kept_files, kept_bytes : int
        Kept files that were copied, and their size.
    is_part : bool
        Whether the store holds a part of a history: one of the files does, or something was left out.
    notice : str or None
        Why traces of what was removed may be left in free pages of the file, and what to do.

    Examples
    --------
    >>> from histhooks import team
    >>> done = team.merge("histhooks.db", into="whole.db", dry_run=True)
    >>> done.sources[0]["path"], done.forks, done.is_part
    ('histhooks.db', [], False)
    """

    path: Path
    sources: list[dict[str, Any]] = field(default_factory=list)
    sessions: int = 0
    runs: int = 0
    points: int = 0
    forks: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    deleted_runs: int = 0
    redacted: int = 0
    kept_files: int = 0
    kept_bytes: int = 0
    is_part: bool = False
    notice: str | None = None

    @property
    def ok(self) -> bool:
        """Whether all of it is there."""
        return not self.forks and not self.left_out
