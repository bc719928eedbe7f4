"""How the target of a team stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Status:
    """How a target stands.

    Attributes
    ----------
    target : str
        Its address, without secrets.
    store_id, schema_version, created_at : str
    server_version : str
        Of PostgreSQL; empty for a folder or a bucket.
    sessions, runs, points : int
    size_bytes : int
        On the disk of the server, with indexes; of the files in a folder or a bucket.
    files : int
        In a folder or a bucket.
    faults : list of str
        Files in it that cannot be read, or do not follow on the others.
    pushes : int
        Receipts that were given.
    pushed_by : list of dict
        Each role that pushed: `role`, `pushes`, `last_at`, and `recorder_version` then.
    conflicts : list of dict
        Sessions that pushes were refused for.
    rights : str
        `open`, or `by-project` where a role reads only the projects that it was granted.
    readers : list of dict
        For the latter: each `project`, `*` for all, and the `role` that reads it.
    reads : list of str or None
        The projects that the role reads which asks; runs and pushes of others are not counted then. None for all.
    store : str or None
        The store that was compared with it.
    waiting : dict or None
        What of that store is not there yet: `sessions` and `lines`.

    Examples
    --------
    >>> from histhooks import team
    >>> team.Status("postgresql://db.example/ml").conflicts
    []
    """

    target: str
    store_id: str = ""
    schema_version: str = ""
    created_at: str = ""
    server_version: str = ""
    sessions: int = 0
    runs: int = 0
    points: int = 0
    size_bytes: int = 0
    files: int = 0
    faults: list[str] = field(default_factory=list)
    pushes: int = 0
    pushed_by: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    rights: str = "open"
    readers: list[dict[str, str]] = field(default_factory=list)
    reads: list[str] | None = None
    store: str | None = None
    waiting: dict[str, int] | None = None

    def as_json(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return asdict(self)
