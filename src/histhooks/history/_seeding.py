"""Seeds among the params, and whether seeds are missing: only if a generator was used without one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from histhooks.history._run_rows import RunRows

UNSEEDED = "no seed was set"
UNUSED = "no generator was used"


def why_none(run: RunRows) -> str:
    """What to say of a run without seeds.

    Returns
    -------
    str
        That no seed was set, where a global generator of its process moved all the same; that none was used, where all
        stood at the end as at the beginning; empty where nobody looked at the end.
    """
    sql = (
        "SELECT count(DISTINCT digest), max(point = 'process_start') FROM rng_states WHERE session_id = ? "
        "GROUP BY library, device"
    )
    session = run.row["session_id"]
    found = run.history.cursor(sql, session).fetchall()
    if any(count > 1 for count, _ in found):
        return UNSEEDED
    if not all(is_early for _, is_early in found):
        return ""  # of a library that came later (torch): nobody knows what drew before the first run
    (ended,) = run.history.cursor("SELECT ended_at FROM sessions WHERE id = ?", session).fetchone() or (None,)
    return UNUSED if ended is not None else ""


def param_seeds(run: RunRows) -> dict[str, Any]:
    """Seeds among the params: `seed` of XGBoost, `random_state` of scikit-learn, and what ends so."""
    found = {key: value for key, value in run.params.items() if value is not None}
    return {key: value for key, value in found.items() if re.search(r"(^|[._])(random_state|seed)$", key)}
