"""What happened near the moment from which a model is outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso
from histhooks.monitor._gathered import seconds_of

if TYPE_CHECKING:
    from histhooks._store.model_rows import Ask


def event_near(ask: Ask, model: str, at: str, window_s: float) -> str | None:
    """The event within one window of a moment that is nearest to it, in words; None if there is none.

    Parameters
    ----------
    ask : callable
    model : str
    at : str
        ISO 8601 UTC.
    window_s : float, seconds
    """
    moment = seconds_of(at)
    found = [(abs(time - moment), text) for time, text in [*_moves(ask, model), *_producers(ask, model)]
             if abs(time - moment) <= window_s]  # fmt: skip
    return min(found)[1] if found else None


def _moves(ask: Ask, model: str) -> list[tuple[float, str]]:
    rows = ask(
        "SELECT e.action, e.alias, e.time, v.number FROM model_events AS e JOIN model_versions AS v "
        "ON v.id = e.version_id WHERE v.model = ? AND e.action IN ('promote', 'rollback', 'deploy')",
        model,
    )
    return [(row["time"] / 1e6, _said(row)) for row in rows]


def _said(row: dict[str, Any]) -> str:
    how = "came back" if row["action"] == "rollback" else "went live"
    alias = f" as {row['alias']}" if row["alias"] else ""
    return f"version {row['number']} {how}{alias} ({iso(row['time'])[:16].replace('T', ' ')})"


def _producers(ask: Ask, model: str) -> list[tuple[float, str]]:
    """When another program, or another machine, sent its first rows; the very first one is no change."""
    rows = ask(
        "SELECT s.hostname, s.command, min(w.started_at) AS first FROM windows AS w JOIN sessions AS s "
        "ON s.id = w.session_id WHERE w.model = ? AND w.source = 'live' GROUP BY s.hostname, s.command ORDER BY first",
        model,
    )
    return [(seconds_of(row["first"]), f"the first rows of another server ({row['first'][:16].replace('T', ' ')})")
            for row in rows[1:]]  # fmt: skip
