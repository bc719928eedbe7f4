"""At the end of a process whose writer hangs: another thread puts what is not written into a spool."""

from __future__ import annotations

import _thread
import sqlite3
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks._host.messages import warn_once
from histhooks._record.session import Phase
from histhooks._store.connection import Unwritable
from histhooks._store.entries import is_later, is_state, points_in

if TYPE_CHECKING:
    from histhooks._record.destination import Destination
    from histhooks._record.session_states import SessionStates
    from histhooks._store.assembler import Assembler
    from histhooks._store.batch import Batch
    from histhooks._store.store import Store

_STEP_S = 0.5
_PART = 10_000  # entries of a transaction in a spool that takes what is left


@dataclass(slots=True)
class Flight:
    """What the writer has taken out of the buffer, and has not let go of."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)
    batch: Batch | None = None  # made of them


class Rescue:
    """One attempt, whoever asks for it.

    Parameters
    ----------
    states : SessionStates
        Of the session that the writer writes; once it is abandoned, the writer leaves.
    destination : Destination
        Where the writer writes.
    assembler : Assembler
        Goes on with the ledger where the writer stopped.
    flight : Flight
        What the writer holds.
    done : threading.Event
        Set when the writer has ended.
    """

    def __init__(
        self,
        states: SessionStates,
        destination: Destination,
        assembler: Assembler,
        flight: Flight,
        done: threading.Event,
    ) -> None:
        self._session, self._states = states.session, states
        self._destination, self._assembler = destination, assembler
        self._flight = flight
        self._done = done
        self._is_over = threading.Event()

    def run(self, patience_s: float) -> bool:
        """Make the attempt, or wait for the one that is being made.

        Parameters
        ----------
        patience_s : float, seconds

        Returns
        -------
        bool
            Whether it came to an end in that time.
        """
        is_begun = self._assembler.previous is not None or self._flight.batch is not None
        if self._session.phase is Phase.FAILED and not is_begun:
            return True  # there is no session to end
        if self._session.advance("abandon"):
            try:
                # No Thread: a signal may have interrupted the main thread inside a lock that starting one takes.
                _thread.start_new_thread(self._attempt, (patience_s,))
            except RuntimeError:  # since Python 3.12 none can be started on the way out
                self._attempt(patience_s)
        return self._session.phase is Phase.ENDED or self._is_over.wait(patience_s)

    def _attempt(self, patience_s: float) -> None:
        try:
            # Who is slow and does not hang comes to its next step by then, and ends there.
            is_ended = self._done.wait(min(_STEP_S, patience_s / 4))
            if self._session.phase is Phase.ENDED:
                return
            spool = self._destination.refuge()
            self._leave_in(spool)
            spool.close()
            if not is_ended:
                path = self._destination.path
                warn_once("hangs", f"the writer hangs, on {path} or on what is below it; the rest is in a spool")
        except Exception as error:
            warn_once("rescue", f"what was recorded last is lost: {type(error).__name__}: {error}")
        finally:
            self._is_over.set()

    def _leave_in(self, spool: Store) -> None:
        """Write what is not written yet; in parts, so that one that comes too late costs no other."""
        batch, entries, buffer = self._flight.batch, list(self._flight.entries), self._session.buffer
        if batch is not None:
            spool.apply(batch, self._session.id)
            self._assembler.done(batch)
            entries = []
        is_begun = any(is_state(entry, "session") and "started_at" in entry[3] for entry in (*entries, *buffer))
        if self._session.id not in self._assembler.subjects and not is_begun:
            entries.insert(0, self._states.first())
        while True:
            while buffer and len(entries) < _PART:
                entries.append(buffer.popleft())
            if not entries:
                break
            self._leave([entry for entry in entries if not is_later(entry)], spool)
            entries = []
        self._leave([self._states.last(self._states.cost_s())], spool)

    def _leave(self, entries: list[tuple[Any, ...]], spool: Store) -> None:
        """Write entries; those at which the writer may have stopped are left out."""
        try:
            batch = self._assembler.build(entries)
            spool.apply(batch, self._session.id)
        except (sqlite3.OperationalError, Unwritable):
            raise
        except Exception:
            if len(entries) > 1:
                middle = len(entries) // 2
                self._leave(entries[:middle], spool)
                self._leave(entries[middle:], spool)
            else:
                self._session.dropped_points += len(points_in(entries[0]))
            return
        self._assembler.done(batch)
