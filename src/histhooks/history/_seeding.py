"""Whether seeds are missing: only where a generator was used without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord

UNSEEDED = "no seed was set"
UNUSED = "no generator was used"


def why_none(run: RunRecord) -> str:
    """What to say of a run without seeds.

    Returns
    -------
    str
        That no seed was set, where a global generator of its process moved all the same; that none was used, where all
        stood at the end as at the beginning; empty where nobody looked at the end.
    """
    sql = "SELECT library, device, count(DISTINCT digest) FROM rng_states WHERE session_id = ? GROUP BY library, device"
    session = run.row["session_id"]
    counts = [count for _, _, count in run.history.cursor(sql, session)]
    if any(count > 1 for count in counts):
        return UNSEEDED
    (ended,) = run.history.cursor("SELECT ended_at FROM sessions WHERE id = ?", session).fetchone() or (None,)
    return UNUSED if ended is not None else ""
