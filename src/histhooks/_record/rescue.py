"""At the end of a process whose writer hangs: another thread puts what is not written into a spool."""

from __future__ import annotations

import _thread
import threading
from typing import TYPE_CHECKING

from histhooks._host.messages import warn_once
from histhooks._record.session import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from histhooks._record.destination import Place
    from histhooks._record.session import Session
    from histhooks._store.store import Store

_STEP_S = 0.5


class Rescue:
    """One attempt, whoever asks for it.

    Parameters
    ----------
    session : Session
        What the writer writes; once it is abandoned, the writer leaves.
    place : Place
        Where the writer writes.
    done : threading.Event
        Set when the writer has ended.
    """

    def __init__(self, session: Session, place: Place, done: threading.Event) -> None:
        self._session = session
        self._place = place
        self._done = done
        self._is_over = threading.Event()

    def run(self, leave_in: Callable[[Store], None], patience_s: float) -> bool:
        """Make the attempt, or wait for the one that is being made.

        Parameters
        ----------
        leave_in : callable
            Writes what is not written into a spool.
        patience_s : float, seconds

        Returns
        -------
        bool
            Whether it came to an end in that time.
        """
        if self._session.advance("abandon"):
            arguments = (leave_in, patience_s)
            try:
                # No Thread: a signal may have interrupted the main thread inside a lock that starting one takes.
                _thread.start_new_thread(self._attempt, arguments)
            except RuntimeError:  # since Python 3.12 none can be started on the way out
                self._attempt(*arguments)
        return self._session.phase is Phase.ENDED or self._is_over.wait(patience_s)

    def _attempt(self, leave_in: Callable[[Store], None], patience_s: float) -> None:
        try:
            # Who is slow and does not hang comes to its next step by then, and ends there.
            is_ended = self._done.wait(min(_STEP_S, patience_s / 4))
            if self._session.phase is Phase.ENDED:
                return
            spool = self._place.refuge()
            leave_in(spool)
            spool.close()
            if not is_ended:
                path = self._place.path
                warn_once("hangs", f"the writer hangs, on {path} or on what is below it; the rest is in a spool")
        except Exception as error:
            warn_once("rescue", f"what was recorded last is lost: {type(error).__name__}: {error}")
        finally:
            self._is_over.set()
