"""How long a run took and how far it came where its process is gone and nobody wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histhooks._time import from_iso

if TYPE_CHECKING:
    from histhooks.history import RunRecord

_OPEN = ("running", "killed", "lost")  # nobody but its process could tell, and it did not


def duration_s(run: RunRecord) -> float | None:
    """Seconds: as recorded, else from its start to the last that was seen of it; None while it runs."""
    told: float | None = run.row["duration_s"]
    if told is not None or run.status not in _OPEN[1:]:
        return told
    end = run.row["ended_at"] or run.session["ended_at"] or run.session["heartbeat_at"]
    return max(0.0, (from_iso(end) - from_iso(run.row["started_at"])) / 1e6) if end else None


def steps_done(run: RunRecord) -> int | None:
    """Steps as recorded; where the process could not tell the last of them, at least as many as its metrics have."""
    told: int | None = run.row["steps_done"]
    if run.status not in _OPEN:
        return told
    steps = [row["last_step"] for row in run.summaries if row["split"] != "system" and row["last_step"] is not None]
    return max([told or 0, *(step + 1 for step in steps)]) or told
