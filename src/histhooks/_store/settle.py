"""Mark sessions whose process is gone, and end their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._base.clock import ended, from_iso, iso, now_us
from histhooks._base.vocabulary import LOST, RUNNING
from histhooks._host.process import judge
from histhooks._store.entries import state_entry
from histhooks._store.sessions import open_runs, open_sessions, status_of
from histhooks._store.spools import waiting

if TYPE_CHECKING:
    from histhooks._store.store import Store


def dead_sessions(store: Store, own_session_id: str) -> list[tuple[Any, ...]]:
    """States for the sessions, and their runs, that say they are running and are not.

    Parameters
    ----------
    store : Store
    own_session_id : str
        The session that judges.

    Returns
    -------
    list of tuple
        Entries for a batch.
    """
    entries: list[tuple[Any, ...]] = []
    now = now_us()
    # A session that went on in a spool says itself how it ended, once that comes home.
    elsewhere = {path.name.partition(".")[0] for path in waiting(store.path)}
    for row in open_sessions(store, own_session_id):
        if row["id"] in elsewhere:
            continue
        status = judge(row, now)
        if status == RUNNING:
            continue
        end = from_iso(row["heartbeat_at"]) if row["heartbeat_at"] else now
        for run_id, started_at in open_runs(store, row["id"]):
            entries.append(state_entry("run", run_id, {"status": status, **ended(started_at, end)}))
        entries.append(state_entry("session", row["id"], {"status": status, "ended_at": iso(end)}))
    return entries


def revived(store: Store, session_id: str) -> list[tuple[Any, ...]]:
    """States for a session that somebody gave up as lost while it lives."""
    if status_of(store, session_id) != LOST:
        return []
    facts = {"status": RUNNING, "ended_at": None}
    again = {**facts, "duration_s": None}
    entries: list[tuple[Any, ...]] = [state_entry("run", i, dict(again)) for i, _ in open_runs(store, session_id)]
    return [*entries, state_entry("session", session_id, facts)]
