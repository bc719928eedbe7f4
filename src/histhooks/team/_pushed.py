"""What a push did, or would do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Pushed:
    """What was pushed, or would be.

    Attributes
    ----------
    store : Path
        The store that was read.
    target : str
        Where it went, without secrets.
    sessions, runs, points : int
        How many of each the target has more than before.
    lines, rows : int
        Ledger lines that were sent, and the rows that they cover.
    forks : list of dict
        Sessions of which store and target say different things: `session_id`, `what` differs, `seq` of the ledger line,
        `digests` in the target and in the store. Nothing of these was written.
    left_out : list of dict
        What else was not written: `what`, and `why`.
    deleted_runs, redacted : int
        Runs and values that the target had, and that a tombstone of the store removed.
    kept_files : int
        Kept files that were copied into the target: a folder, a bucket or a file. A database takes none.
    receipt : dict or None
        The last receipt that the target gave: `seq` and `digest`.

    Examples
    --------
    >>> from histhooks import team
    >>> done = team.push("histhooks.db", to="new.db", dry_run=True)
    >>> done.ok, done.runs
    (True, 2)
    """

    store: Path
    target: str
    sessions: int = 0
    runs: int = 0
    points: int = 0
    lines: int = 0
    rows: int = 0
    forks: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    deleted_runs: int = 0
    redacted: int = 0
    kept_files: int = 0
    receipt: dict[str, Any] | None = None

    @property
    def ok(self) -> bool:
        """Whether all of it is there."""
        return not self.forks and not self.left_out

    def as_json(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {"ok": self.ok, **asdict(self)}
