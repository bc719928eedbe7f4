"""What the writer does beside writing: it shows that it lives, samples the machine, and looks after other sessions.

Each method is one chore. The writer calls them between two batches, and a failure of one stops nothing.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from histhooks._collect.machine_use import Sampler
from histhooks._record import children
from histhooks._record.cells import Cells
from histhooks._record.destination import PATIENCE_AT_END_S
from histhooks._record.session import between
from histhooks._store import settle
from histhooks._store.spools import merge_waiting

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from histhooks._record.destination import Destination
    from histhooks._record.gathering import Gathering
    from histhooks._record.session_states import SessionStates
    from histhooks._store.store import Store

    Entries = list[tuple[Any, ...]]

_HEARTBEAT_S = 15.0
_SOON_S = 0.5


class Chores:
    """The chores of one session.

    Parameters
    ----------
    states : SessionStates
        The session, and whether it is ending.
    destination : Destination
        Where it is written.
    gathering : Gathering
        Is asked whether there is more to gather.
    lock : lock
        Held while SQLite is used.
    importing : lock
        Held while something may be imported.
    write : callable
        Writes entries.
    write_found : callable
        Writes the entries that a function finds in the store, in one transaction with the look, and calls a second
        function once they are written.
    """

    def __init__(
        self,
        states: SessionStates,
        destination: Destination,
        gathering: Gathering,
        lock: threading.Lock,
        importing: threading.Lock,
        write: Callable[[Entries], None],
        write_found: Callable[[Callable[[Store], Entries], Callable[[], None]], None],
    ) -> None:
        self._session, self._states, self._destination, self._gathering = states.session, states, destination, gathering
        self._lock, self._importing = lock, importing
        self._write, self._write_found = write, write_found
        self._beat = 0.0
        self._cells = Cells()
        self._sampler = Sampler()

    def heartbeat(self) -> None:
        """Show that the session lives: what somebody gave up as lost runs again."""
        now = time.monotonic()
        if now - self._beat < _HEARTBEAT_S or self._destination.store is None:
            return
        self._beat = now
        with self._lock:
            entries = settle.revived(self._destination.store, self._session.id)
        self._write(entries)

    def look_around(self) -> None:
        """Record cells that ran and use of the machine; from here, so that no run can be forgotten in between."""
        if not self._importing.acquire(blocking=False):
            return
        for run in list(self._session.live.values()):
            if run.pending is not None:
                run.pending.settle(run.put, run.id, is_end=False)
        has_more = self._gathering.has_more and not self._states.stopping.is_set()
        try:
            entries = self._cells.entries(self._session.id)
            sample = self._sampler.sample()
        finally:
            self._importing.release()
        if has_more:
            self._gathering.more()
        if sample:
            now = time.time_ns()
            entries += [
                (run, sample, None, None, now) for run in list(self._session.live.values()) if run.parent_id is None
            ]
        if entries:
            self._write(entries)

    def look_after_others(self) -> None:
        """Bring home what spools hold, and settle sessions that died."""
        store = self._destination.store
        if store is not None and not store.is_spool:
            with self._lock:
                began = time.monotonic()
                merge_waiting(store, lambda: time.monotonic() - began > self._time_to_spare())
            self._write_found(partial(settle.dead_sessions, own_session_id=self._session.id), lambda: None)

    def _time_to_spare(self) -> float:
        """Seconds for bringing spools home: one of a million points takes one, and what is logged waits for it."""
        if self._states.is_by_signal:
            return 0.0
        return PATIENCE_AT_END_S if self._states.stopping.is_set() else _SOON_S if self._session.buffer else 3600.0

    def look_after_children(self) -> None:
        """Record how children ended that this process has waited for."""
        if children.has_seen():
            self._write_found(children.entries, children.written)

    def others(self) -> None:
        """What other modules do between two batches."""
        for chore in between:
            chore()

    def close(self) -> None:
        """Look at no more cells."""
        self._cells.close()
