"""What the session runs on, gathered in a thread of its own beside the writer.

Beside a busy program each file that is read costs a turn of the interpreter's lock, 5 ms, which adds up to seconds, and
what was logged meanwhile must not wait for it.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from histhooks._collect import code, origin, survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from histhooks._record.session import Session

_LOOK_S, _HURRY_S = 2.0, 0.5  # at the end, for what is still being gathered, and for what others answered by then
_SIGNAL_S = 0.1  # for each of the two, where a signal ends the process


class Gathering:
    """The survey of a session, and the thread that makes it.

    Parameters
    ----------
    session : Session
        Gets what is found.
    importing : lock
        Held while something may be imported.
    attempt : callable
        Calls a function whose failures stop nothing.

    Attributes
    ----------
    cost_s : float, seconds
        Of the thread's time.
    """

    def __init__(
        self, session: Session, importing: threading.Lock, attempt: Callable[[Callable[[], None]], None]
    ) -> None:
        self._session, self._importing, self._attempt = session, importing, attempt
        self.cost_s = 0.0
        self._look = survey.Look(session.id, code.entry_file(), session.buffer.extend, importing)
        self.thread = threading.Thread(target=self._gather_soon, name="histhooks-gather", daemon=True)
        self._may: Literal["yes", "no", "not yet"] = "not yet"
        self.decided = threading.Event()

    def let(self, may: Literal["yes", "no"]) -> None:
        """Say whether the thread, which waits for it, may begin; the first word counts."""
        if self._may == "not yet":
            self._may = may
            self.decided.set()

    def told(self, first: tuple[Any, ...]) -> None:
        """Take from the first state of the session what could not be read of the process."""
        self._look.told(origin.untold(first[4]))

    def not_captured(self) -> list[str]:
        """Names of what was to be gathered and was not."""
        return self._look.not_captured()

    def _gather_soon(self) -> None:
        self.decided.wait()
        if self._may == "yes":
            self._gather()

    def gather_here(self) -> None:
        """Gather on this thread, in the time that an end has."""
        self._look.inquiry.within(_LOOK_S)
        self._gather()

    def _gather(self) -> None:
        begin = time.thread_time()
        for gather, names in self._look.parts:
            try:
                with self._importing:
                    gather()
            except Exception as error:
                self._session.failed("gather", error)
                self._look.failed(names, error)
            self.cost_s = time.thread_time() - begin

    def end(self, *, is_signal: bool) -> None:
        """Give what is still being gathered a short time; the process waits for it."""
        if self.thread.is_alive():
            self.thread.join(_SIGNAL_S if is_signal else _LOOK_S)
        if self.thread.is_alive():
            self._look.inquiry.hurry()  # what others have answered by now is known
            self.thread.join(_SIGNAL_S if is_signal else _HURRY_S)
        elif not is_signal:
            self._attempt(self._late_sources)
        self._session.buffer.extend(self._look.close())

    @property
    def has_more(self) -> bool:
        """Whether sources may have come since the last look, which is over."""
        return self._look.has_more and not self.thread.is_alive()

    def more(self) -> None:
        """Gather sources that came since, in another thread."""
        late = partial(self._attempt, self._late_sources)
        thread = threading.Thread(target=late, name="histhooks-gather", daemon=True)
        try:
            thread.start()
            self.thread = thread
        except RuntimeError:  # on the way out, where `end` looks once more
            pass

    def _late_sources(self) -> None:
        """What the program imported, or ran, after the look around."""
        with self._importing:
            entries = self._look.late()
        self._session.buffer.extend(entries)
