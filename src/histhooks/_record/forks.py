"""What is done around a fork: the parent's connection is closed before it, and the child starts clean.

A fork waits for what is being written, so that what was logged before it is in the file whoever leaves first, and in
whatever way (``os._exit``); it waits a second at most, and no longer at all while the store cannot be written. It
waits for a line that a thread of ours prints too, since the child would get the lock of stderr as it is then. Both
sides open the store again when they next write; a child that writes nothing never does. Programs that are started by
``subprocess`` pay nothing: no code of histhooks runs there.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from histhooks._host import announcer, closing, inherited_files, messages, recording_here

if TYPE_CHECKING:
    from histhooks._record.session import Session
    from histhooks._record.writer import Writer

_FLUSH_S = 1.0
_LOCK_S = 2.0
_LEAVE_S = 0.5
_held: dict[int, list[Any]] = {}  # by the thread that forks
_kept: list[object] = []  # what is under way in the parent has finalizers that are none of the child's business


class Forks:
    """Callbacks for ``os.register_at_fork``.

    Parameters
    ----------
    session, writer : callable
        Give what the process records, and what writes it.
    flush : callable
        Waits some seconds until all is written; False if it is not.
    begin_anew : callable
        Has the process record something of its own.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        writer: Callable[[], Writer | None],
        flush: Callable[[float], bool],
        begin_anew: Callable[[], None],
    ) -> None:
        self._session, self._writer = session, writer
        self._flush, self._begin_anew = flush, begin_anew
        self._is_patient = True
        self._waits = False

    def watch(self) -> None:
        """Have a forked child call us."""
        if hasattr(os, "register_at_fork"):  # Windows has no fork
            os.register_at_fork(after_in_child=self.in_child)

    def wait_for_writer(self) -> None:
        """Have each fork wait for what is being written; called once this process writes, and has logging.

        Whoever registers last is called first: logging takes a lock before a fork, which the writer needs to speak.
        """
        if not self._waits and hasattr(os, "register_at_fork"):
            self._waits = True
            os.register_at_fork(before=self._before, after_in_parent=self._in_parent)

    def _before(self) -> None:
        session, writer = self._session(), self._writer()
        if threading.current_thread() is writer:
            return
        if writer is not None and session.pid == os.getpid():
            if session.buffer and not writer.done.is_set():
                # What was logged is on disk before anybody can leave by os._exit().
                self._is_patient = self._flush(_FLUSH_S if self._is_patient else 0.0)
            # Locks of SQLite and of modules that are being imported must not be copied while another thread holds them.
            self._stand_still(writer, lambda: True)
        self._hold(messages.speech.now)  # last, since the writer speaks while it holds the others

    def _stand_still(self, writer: Writer, is_to_close: Callable[[], bool]) -> None:
        self._hold(writer.importing)
        if self._hold(writer.lock) and is_to_close():
            writer.destination.let_go()

    def _hold(self, lock: Any) -> bool:
        is_held = lock.acquire(timeout=_LOCK_S)
        if is_held:
            _held.setdefault(threading.get_ident(), []).append(lock)
        return bool(is_held)

    def _in_parent(self) -> None:
        for lock in reversed(_held.pop(threading.get_ident(), [])):
            lock.release()

    # --- closing of descriptors (`closing`) ------------------------------------------------------------------------

    def may_hold(self, low: int, high: int) -> bool:
        """Whether descriptors that are to be closed may be the writer's, or become so meanwhile."""
        writer = self._writer()
        if writer is None or writer.done.is_set() or self._session().pid != os.getpid() or _held:
            return False
        if threading.current_thread().name.startswith("histhooks-"):
            return False
        if high - low != 1:
            return True
        if low < 0:
            return False
        try:
            found = os.fstat(low)
        except OSError:
            return True  # it is not open, and SQLite may be given it now
        is_busy = writer.lock.locked() or writer.importing.locked()
        return writer.destination.holds(low, high) or (is_busy and writer.destination.is_at(low, found))

    @contextmanager
    def away(self, low: int, high: int) -> Iterator[None]:
        """The writer stands still, and has none of these descriptors, as long as the block goes on."""
        writer = self._writer()
        if writer is not None:
            self._stand_still(writer, lambda: writer.destination.holds(low, high))
        try:
            yield
        finally:
            self._in_parent()

    def leave(self) -> None:
        """The program leaves by ``os._exit``: what was recorded is written first, if that takes a moment only."""
        if not threading.current_thread().name.startswith("histhooks-"):
            self._flush(_LEAVE_S)

    def _event(self, kind: str, title: str, *, severity: str) -> None:
        self._session().event(kind, title, severity=severity)

    def in_child(self) -> None:
        """Begin anew; what is inherited is neither used nor closed."""
        session, writer = self._session(), self._writer()
        closing.unwatch()
        _held.clear()
        inherited_files.see()
        recording_here.keep_away()
        if writer is not None:
            writer.destination.keep_away()
            _kept.append(writer)
        messages.after_fork()
        announcer.after_fork()
        self._is_patient = True
        self._begin_anew()
        for run in session.live.values():
            run.inherit(session.pid, self._event)
        if writer is not None:
            from histhooks._record import signals

            signals.forget()
        if data_looks := sys.modules.get("histhooks._record.data_looks"):
            data_looks.forget()
        if children := sys.modules.get("histhooks._record.children"):
            children.forget()
        if program_end := sys.modules.get("histhooks._record.program_end"):
            program_end.forget()
