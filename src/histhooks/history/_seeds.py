"""The seeds of a run: those the program set, those among its params, and whether one is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
        stood at the end as at the beginning; empty if nobody looked at the end.
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


def seed_calls(run: RunRows) -> list[dict[str, Any]]:
    """Seeds that were set by a call or by the environment; the others are among the params."""
    return [row for row in run.seeds if row["location"] or row["library"] == "python"]


def set_by_program(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The seeds that the program set itself, not those that a package set in turn; all if it set none itself."""
    return [row for row in rows if "-packages/" not in (row["location"] or "")] or list(rows)
