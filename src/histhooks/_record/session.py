"""What a process records from its first run to its end: the ids, the counters, the runs that are open, the buffer.

=================  ===========  ==================================================================================
a session is       until        which is when
=================  ===========  ==================================================================================
``NEW``            ``begin``    the first run begins; ``take_back`` undoes it, if the writer cannot be started
``RECORDING``      ``end``      the process ends, or a signal ends it: no run begins in this session any more
``RECORDING``      ``stop``     the writer gives up
``STOPPED``        ``end``      as above; until then nothing is recorded
``ENDING``         ``written``  the writer has written the last line
``ENDING``         ``stop``     the writer gives up
``ENDING``         ``abandon``  the writer hangs, and another thread writes what is left
``FAILED``         ``abandon``  the same, for a writer that has given up
``ABANDONED``      ``written``  the writer was slow, and came to its end after all
``ENDED``
=================  ===========  ==================================================================================
"""

from __future__ import annotations

import enum
import os
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

from histhooks._base.exceptions import in_words, message_of
from histhooks._base.ids import new_id
from histhooks._base.secrets import mask_text
from histhooks._base.vocabulary import STOPPED
from histhooks._host.messages import warn_once
from histhooks._record.outlet import Outlet
from histhooks._store.entries import ACTOR, event_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from histhooks._record.program_settings import Pending

# What other modules do between two batches; called by the writer, each in turn.
between: list[Callable[[], None]] = []
_MOST_ERRORS = 100  # that are kept as events


class Phase(enum.Enum):
    """Where a session is in its life."""

    NEW = "new"
    RECORDING = "recording"
    STOPPED = "stopped"
    ENDING = "ending"
    FAILED = "failed"
    ABANDONED = "abandoned"
    ENDED = "ended"


Event = Literal["begin", "take_back", "end", "stop", "written", "abandon"]
TRANSITIONS: dict[Event, dict[Phase, Phase]] = {
    "begin": {Phase.NEW: Phase.RECORDING},
    "take_back": {Phase.RECORDING: Phase.NEW},
    "end": {Phase.RECORDING: Phase.ENDING, Phase.STOPPED: Phase.FAILED},
    "stop": {Phase.RECORDING: Phase.STOPPED, Phase.ENDING: Phase.FAILED},
    "written": {Phase.ENDING: Phase.ENDED, Phase.ABANDONED: Phase.ENDED},
    "abandon": {Phase.ENDING: Phase.ABANDONED, Phase.FAILED: Phase.ABANDONED},
}
_OPEN = frozenset({Phase.NEW, Phase.RECORDING, Phase.STOPPED})


class _Object(weakref.ref[Any]):
    """An object of the program, with which a run ends."""

    __slots__ = ("run_id",)
    run_id: str


class Recorded(Outlet):
    """What a session knows of a run, which is a :class:`histhooks._record.run.Run`."""

    id: str | None
    name: str
    kind: str
    status: str
    parent_id: str | None
    framework: str | None
    pending: Pending | None = None  # settings of the program, of an top-level run
    tokens: list[Any]  # of the blocks that it was entered with, and that go on
    thread_id: int
    is_midway: Callable[[], bool] | None = None  # of a loop of the program: whether it is inside a step or a call
    states_at_start: dict[tuple[str, str | None], str]  # of generators, by library and device, as digests

    def end(self, status: str = "finished", error: BaseException | None = None, **facts: Any) -> None:
        """Close the run."""
        raise NotImplementedError

    def inherit(self, owner: int, tell: Callable[..., None]) -> None:
        """In a forked child: stay the run of its parent."""
        raise NotImplementedError


class Session:
    """One session of this process. A second one is a new object.

    Parameters
    ----------
    before : Session, optional
        The session of this process that has ended. What nobody has written of it is handed on.

    Attributes
    ----------
    phase : Phase
        Changed by :meth:`advance` only.
    buffer : deque
        Entries for the writer; the only thing that training threads and the writer share.
    live : dict
        The runs that are open, by their ids.
    watched : dict of str to int
        Rows that versions of models predicted here, by the name of the version.
    hook_errors : int
        Internal failures that training never saw.
    dropped_points : int
        Points that neither the store nor a spool had room for.
    ended_as : str or None
        Its status, once it has ended.
    rank, world : int
        Rank and number of processes when the session began: a group may be gone soon after.
    known_states, known_contents : set of str
        What the writer has of this session.
    run_ends : callable
        Called with each run that ends, while rows can still be added to it.
    run_ended : callable
        Called with each run that has ended, once it is no longer among those that are open.
    """

    def __init__(self, before: Session | None = None) -> None:
        self.id = new_id()
        self.pid = os.getpid()
        self.buffer: deque[tuple[Any, ...]] = deque()
        self.live: dict[str, Recorded] = {}
        self.n_runs = 0
        self.n_unfinished: dict[str, int] = {}
        self.watched: dict[str, int] = {}
        self.hook_errors = 0
        self.dropped_points = 0
        self.rank, self.world = 0, 1
        self.is_test = False
        self.speaks = True
        self.actor: str | None = None
        self.known_states: set[str] = set()
        self.known_contents: set[str] = set()
        self.determinism: dict[str, Any] = {}
        self.phase = Phase.NEW
        self.ended_as: str | None = None
        self._advancing = threading.RLock()  # a signal may come while its own thread holds it
        self.run_ends: Callable[[Recorded], None] = lambda run: None
        self.run_ended: Callable[[Recorded], None] = lambda run: None
        self._objects: dict[str, _Object] = {}  # with which a run ends, by the run
        self._gone: deque[_Object] = deque()
        self._next: Session | None = None
        if before is not None:
            self.actor, self.run_ends, self.run_ended = before.actor, before.run_ends, before.run_ended
            before._next = self
            while before.buffer:
                self.buffer.append(before.buffer.popleft())

    # --- life -----------------------------------------------------------------------------------------------------

    def advance(self, event: Event) -> bool:
        """Go on to the phase that an event leads to.

        Returns
        -------
        bool
            False if the event leads nowhere from this phase, such as a second end; nothing has changed then.
        """
        with self._advancing:
            after = TRANSITIONS[event].get(self.phase)
            if after is None:
                return False
            self.phase = after
            return True

    @property
    def is_over(self) -> bool:
        """Whether its end has begun, so that what comes now needs another session."""
        return self.phase not in _OPEN

    # --- runs -----------------------------------------------------------------------------------------------------

    def begin(self, run: Recorded) -> None:
        """Keep a run as long as it is open."""
        self.n_runs += 1
        self.live[str(run.id)] = run

    def let_go(self, run: Recorded) -> None:
        """Let go of a run that has ended."""
        self.live.pop(str(run.id), None)
        self._objects.pop(str(run.id), None)
        if run.status in STOPPED:
            self.n_unfinished[run.status] = self.n_unfinished.get(run.status, 0) + 1
        self.run_ended(run)

    def end_with(self, thing: Any, run: Recorded) -> None:
        """End a run soon after an object of the program is gone.

        Not at once: Python loses a Ctrl-C that comes while it runs what is called back for something that is gone.
        """
        found = _Object(thing, self._gone.append)  # which runs no line of Python
        found.run_id = str(run.id)
        self._objects[found.run_id] = found

    def end_gone(self) -> None:
        """End the runs whose object is gone."""
        while self._gone:
            run = self.live.get(self._gone.popleft().run_id)
            if run is not None:
                run.end()

    # --- events ---------------------------------------------------------------------------------------------------

    def event(
        self,
        kind: str,
        title: str,
        body: str | None = None,
        *,
        severity: str = "info",
        step: int | None = None,
        run_id: str | None = None,
        count: int = 1,
        put: Callable[[Any], None] | None = None,
    ) -> None:
        """Record that something happened, in a run or in the session; the session of today, if this one is over."""
        session = self
        while session._next is not None:
            session = session._next
        text = None if body is None else mask_text(str(body))
        entry = event_entry(
            session.id, run_id, kind, mask_text(str(title)), text, severity=severity, step=step, count=count
        )
        (put or session.buffer.append)(entry)

    def failed(self, where: str, error: BaseException) -> None:
        """Count an internal failure, keep it as an event, and warn once."""
        self.hook_errors += 1
        if self.hook_errors <= _MOST_ERRORS:
            self.event("hook_error", mask_text(f"{where}: {in_words(error)[:10_000]}")[:500], severity="error")
        text = mask_text(message_of(error)[:10_000])[:300]
        warn_once(f"hook/{where}", f"a hook failed and training went on: {where}: {text}; reported once")

    def author(self) -> Any:
        """Who acts in this process; as long as nobody knows, `ACTOR`, for which the writer puts the session's."""
        return ACTOR if self.actor is None else self.actor
