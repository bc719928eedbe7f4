"""The seeds of a run: those the program set, those among its params, and whether one is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso
from histhooks._base.vocabulary import BY_HISTHOOKS
from histhooks.history._row_types import IS_SET

if TYPE_CHECKING:
    from histhooks.history._run_rows import RunRows

UNSEEDED = "no seed was set"
UNUSED = "no generator was used"
# Calls that make a generator of their own, and leave the global one as it is.
_OWN = (
    "default_rng",
    "RandomState",
    "SeedSequence",
    "Random",
    "Generator",
    "MT19937",
    "PCG64",
    "PCG64DXSM",
    "Philox",
    "SFC64",
)
_EARLY = ("process_start", "import", "first_seen")


def why_none(run: RunRows) -> str:
    """What to say of a run without seeds.

    Returns
    -------
    str
        That no seed was set, where a generator was made without one, or a global one of its process moved all the same;
        that none was used, where all stood at the end as at the beginning; empty if nobody looked at the end.
    """
    sql = (
        "SELECT count(DISTINCT digest), max(point IN ('process_start', 'import', 'first_seen')) FROM rng_states "
        "WHERE session_id = ? GROUP BY library, device"
    )
    session = run.row["session_id"]
    found = run.history.cursor(sql, session).fetchall()
    if any(count > 1 for count, _ in found) or _has_entropy(run, session):
        return UNSEEDED
    if not all(is_early for _, is_early in found):
        return ""  # recorded before 1.2: nobody knows what torch drew before the first run
    (ended,) = run.history.cursor("SELECT ended_at FROM sessions WHERE id = ?", session).fetchone() or (None,)
    return UNUSED if ended is not None else ""


def _has_entropy(run: RunRows, session: str) -> bool:
    sql = f"SELECT 1 FROM seeds WHERE session_id = ? AND NOT {IS_SET} AND location NOT LIKE '%-packages/%' LIMIT 1"
    return run.history.cursor(sql, session).fetchone() is not None


def param_seeds(run: RunRows) -> dict[str, Any]:
    """Seeds among the params: `seed` of XGBoost, `random_state` of scikit-learn, and what ends so."""
    found = {key: value for key, value in run.params.items() if value is not None}
    return {key: value for key, value in found.items() if re.search(r"(^|[._])(random_state|seed)$", key)}


def seed_calls(run: RunRows) -> list[dict[str, Any]]:
    """Seeds that were set by a call or by the environment; the others are among the params."""
    rows = [row for row in run.seeds if row["location"] or row["library"] == "python"]
    return [row for row in rows if row["location"] != BY_HISTHOOKS]


def set_by_program(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The seeds that the program set itself, not those that a package set in turn; all if it set none itself."""
    return [row for row in rows if "-packages/" not in (row["location"] or "")] or list(rows)


def draws_without_seed(run: RunRows) -> list[str] | None:
    """Libraries whose global generator moved in a run, or in its session before the first run, without a seed.

    What draws between two runs, or in another run, is not counted. Of `random` only what the run itself drew counts:
    the import of many a package draws from it.

    Returns
    -------
    list of str or None
        None if the record does not have where the generators stood before and after.
    """
    session, until = run.row["session_id"], run.row["ended_at"]
    end = from_iso(until) + 1_000_000 if until else 1 << 62  # what belongs to the end is noted just after it
    sql = (
        "SELECT library, device, point, digest, run_id FROM rng_states WHERE session_id = ? AND time <= ? "
        "ORDER BY time, ordinal"
    )
    rows = run.history.sql(sql, session, end)
    early = {(row["library"], row["device"]): row["digest"] for row in reversed(rows) if row["point"] in _EARLY}
    if not early:
        return None
    first = {(row["library"], row["device"]): row["digest"] for row in reversed(rows) if row["point"] == "run_start"}
    moved = [row["library"] for row in rows if row["run_id"] == run.id and row["point"] == "run_end"]
    moved += [key[0] for key, digest in early.items() if key[0] != "random" and first.get(key, digest) != digest]
    sql = f"SELECT DISTINCT library, call FROM seeds WHERE session_id = ? AND time <= ? AND {IS_SET}"
    seeded = {row["library"] for row in run.history.sql(sql, session, end) if row["call"] not in _OWN}
    return list(dict.fromkeys(library for library in moved if library not in seeded))


def seeds_inside(run: RunRows) -> list[dict[str, Any]]:
    """Seeds that were set while the run was under way, in order; of a loop those of its session between its ends."""
    sql = f"SELECT library, call, value, location FROM seeds WHERE run_id = ? AND {IS_SET} ORDER BY ordinal"
    found = run.history.sql(sql, run.id)
    begin, end = run.row["started_at"], run.row["ended_at"]
    if run.row["kind"] != "loop" or not begin or not end:
        return found
    sql = (
        "SELECT library, call, value, location FROM seeds WHERE session_id = ? AND run_id IS NULL AND time >= ? "
        f"AND time <= ? AND {IS_SET} ORDER BY ordinal"
    )
    return found + run.history.sql(sql, run.row["session_id"], from_iso(begin), from_iso(end))
