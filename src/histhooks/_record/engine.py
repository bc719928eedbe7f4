"""One recorder a process: the buffer, the session and the writer thread, started with the first run.

After a fork the child starts clean (:mod:`histhooks._record.forks`).
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from histhooks._base.vocabulary import ENDED, FAILED, FINISHED, status_of
from histhooks._host import announcer, closing, recording_here
from histhooks._host.descriptors import is_out_of_descriptors
from histhooks._host.failures import failures
from histhooks._host.ipython import is_notebook, shell
from histhooks._host.messages import prepare, warn_of_target, warn_once
from histhooks._host.store_location import Settings, is_off, keeps_models, real_path, store_path
from histhooks._record import pushing
from histhooks._record.forks import Forks
from histhooks._record.ranks import rank, world
from histhooks._record.run import is_paused
from histhooks._record.session import Phase, Session
from histhooks._store.entries import after_entry, forget_entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from histhooks._record.cells import CellLine
    from histhooks._record.run import Run
    from histhooks._record.session import Recorded
    from histhooks._record.writer import Writer

_RESCUE_S = 0.35  # where a signal ends the process and the writer hangs


class Engine:
    """What the process records, and whether it does.

    Attributes
    ----------
    session : Session
        What is recorded, before its first run too; the last one, once that has ended.
    writer : Writer or None
        What writes it, from the first run on.
    """

    def __init__(self) -> None:
        self.settings = Settings()
        # What other modules add: called when a run begins, while it ends, and when the session ends.
        self.at_run_start: list[Callable[[Run], None]] = []
        self.at_run_end: list[Callable[[Recorded], None]] = []
        self.at_session_end: list[Callable[[], None]] = []
        # Before all that is recorded is waited for, and before any end of the session, a signal's too.
        self.before_flush: list[Callable[[], None]] = []
        self.reset()

    def reset(self) -> None:
        """Begin anew, as in a forked child."""
        self.session = Session()
        self.session.run_ends, self.session.run_ended = self._run_ends, self._run_ended
        self.writer: Writer | None = None
        self.cell_line: CellLine | None = None
        failures.overhead_s = 0.0
        self.is_late = False  # the writer could not be started
        self.is_exiting = False  # the interpreter's exit callbacks run, and that of this module has run
        self._lock = threading.Lock()

    def is_recording(self) -> bool:
        """Whether a fit that begins now leaves a run; only rank 0 has runs."""
        return self._is_on() and rank() == 0

    def ensure_session(self) -> bool:
        """Begin the session of another rank than 0, which has no run that could; gives what `is_recording` does."""
        if not self._is_on():
            return False
        if rank() == 0:
            return True
        self.start()
        return False

    def _is_on(self) -> bool:
        return not is_off() and not is_paused.get() and self.session.phase is not Phase.STOPPED

    def start(self) -> None:
        """Start the writer thread, once.

        Raises
        ------
        RuntimeError
            Where the system has no thread left.
        """
        if self.session.pid != os.getpid():
            forks.in_child()  # forked by C code, which calls nobody before it
        if self.writer is not None and not self.session.is_over:
            from histhooks._record import signals

            signals.renew()
            return
        with self._lock:
            if self.session.is_over:
                self.session, self.writer = Session(self.session), None
            if self.writer is None:
                from histhooks._record import children as _children
                from histhooks._record import program_end, signals
                from histhooks._record.cells import CellLine
                from histhooks._record.writer import Writer

                session = self.session
                session.rank, session.world = rank(), world()
                session.is_test = _is_test()
                session.speaks = announcer.claim(session.rank, session.world)
                failures.overhead_s = 0.0  # installing is paid before a session begins
                prepare()
                forks.wait_for_writer()
                path = real_path(store_path(self.settings.store, self.settings.folder))
                warn_of_target(path)
                session.advance("begin")
                try:
                    self.writer = Writer(session, path)
                    if session.speaks and self.cell_line is None and is_notebook():
                        self.cell_line = CellLine(
                            lambda: self.writer.destination.shown() if self.writer is not None else ""
                        )
                    program_end.watch()
                    _register()
                    signals.install(signals.Do(self._event, self.flush, self.finish))
                    closing.watch(forks)
                    _children.watch(self.store_or_default)
                    _start(self.writer)
                    pushing.begin(session, path, self.settings.folder)
                except BaseException:
                    self.writer = None  # the next run tries again
                    session.advance("take_back")
                    raise

    def tell_of_store(self, named: str) -> None:
        """Say so where a store is named that comes too late: a session has one, and it has begun in another."""
        writer = self.writer
        if writer is not None and not self.session.is_over and os.path.realpath(named) != os.path.realpath(writer.path):
            warn_once(f"store/{named}", f"{named} is not used: this process already records to {writer.path}; "
                      "name the store before the first run")  # fmt: skip

    def _run_ends(self, run: Recorded) -> None:
        for end in self.at_run_end:
            end(run)

    def _run_ended(self, run: Recorded) -> None:
        self._start_late()
        if self.writer is not None:
            self.session.buffer.append(forget_entry(run.id))
        if self.cell_line is not None:
            self.cell_line.run_ended(run)
        if self.is_exiting and not self.session.live:
            self.finish()  # nobody else comes to do it

    def start_soon(self) -> None:
        """Start the writer, or where files cannot be opened just now, keep what comes and try again later."""
        try:
            self.start()
        except OSError as error:
            if not is_out_of_descriptors(error):
                raise
            self.is_late = True

    def _start_late(self) -> None:
        if self.is_late and self.writer is None:
            self.start_soon()

    def failed(self, where: str, error: BaseException) -> None:
        """Count an internal failure in the current session."""
        self.session.failed(where, error)

    def _event(self, kind: str, title: str, *, severity: str) -> None:
        self.session.event(kind, title, severity=severity)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything recorded so far is committed.

        Returns
        -------
        bool
            False where it was not within ``timeout_s`` seconds.
        """
        writer = self.writer
        if writer is None or self.session.is_over or self.session.pid != os.getpid():
            return True
        for function in self.before_flush:
            function()
        self.session.end_gone()
        files = sys.modules.get("histhooks._record.file_work")  # where nothing loaded it, nothing waits
        if files is not None and not files.work.wait(timeout_s):
            return False
        if writer.ident is None:  # it writes at the end
            return False
        done = threading.Event()
        self.session.buffer.append(after_entry(done.set))
        writer.wake.set()
        deadline = time.monotonic() + timeout_s
        while not done.wait(min(1.0, max(0.0, deadline - time.monotonic()))):
            if writer.done.is_set() or time.monotonic() > deadline:
                return done.is_set()
        return True

    def store_here(self) -> Path | None:
        """Where this process records to, or would, where `autolog()` said so."""
        if self.writer is not None:
            return self.writer.path
        if self.settings.store is None and self.settings.folder is None:
            return None
        return store_path(self.settings.store, self.settings.folder)

    def store_or_default(self) -> Path | None:
        """Where this process records to, or would; None where it is not to."""
        return None if is_off() else self.store_here() or store_path(self.settings.store, self.settings.folder)

    def keeps_models(self) -> bool:
        """Whether models that runs write are kept."""
        return keeps_models(self.settings)

    def catch_up(self) -> None:
        """Wait until what was logged before is written, for readers in this process."""
        if self.writer is not None and (self.session.buffer or not self.writer.is_idle):
            self.flush()

    def finish(self, status: str | None = None, *, signal: str | None = None, timeout_s: float = 10.0) -> None:
        """End the session: settle open runs, write what is left, and say so."""
        self._start_late()
        session, writer = self.session, self.writer
        if writer is None or session.pid != os.getpid():
            return
        for function in () if session.is_over else self.before_flush:
            function()
        if not session.advance("end"):
            if signal is not None and not writer.done.is_set():
                # A signal while the process ends, as from multiprocessing's pools: what is being written counts.
                writer.finish(str(status), signal, None)
                if not writer.done.wait(timeout_s):
                    writer.rescue(_RESCUE_S)
            return
        from histhooks._record import children as _children
        from histhooks._record import program_end

        recording_here.let_go()
        error = None if signal is not None else uncaught()
        status = status or (status_of(error) if error is not None else FINISHED if _is_done() else ENDED)
        if signal is None:
            for end in self.at_session_end:
                end()
        session.end_gone()
        for run in list(session.live.values()):
            if error is not None and status != "killed":
                run.end(error=error)
            else:
                run.end(ENDED if status == FINISHED and not program_end.is_complete(run) else status)
            if signal is not None:
                run.close()  # its thread goes on for a moment, and does nothing wrong
        session.ended_as = status
        writer.finish(status, signal, _exit_code_of(error) if status == "failed" and error is not None else None)
        if writer.ident is None:
            writer.run()
        is_written = writer.done.wait(timeout_s) and session.phase is not Phase.FAILED
        is_written = is_written or writer.rescue(3.0 if signal is None else _RESCUE_S)
        if not is_written and signal is None:  # a signal leaves no time for stderr, which may hang too
            warn_once("rescue", f"what was recorded last is lost: {writer.path} hangs, and no spool was there in time")
        pushing.end(session, writer.path, self.settings.folder)
        announcer.give_up()
        closing.unwatch()
        if not self.is_exiting:  # children may still be waited for
            _children.unwatch()
            program_end.unwatch()


def _start(writer: Writer) -> None:
    try:
        writer.start()
    except RuntimeError:
        if threading.main_thread().is_alive():
            raise
        # Since Python 3.12 no thread begins on the way out (atexit callbacks): finish() writes on this one.


def uncaught() -> BaseException | None:
    """The exception that ended the main program, as the interpreter keeps it (sys.last_value); None in a console.

    SystemExit with another code than 0 is one, where `program_end` has seen it.
    """
    from histhooks._record import program_end

    if hasattr(sys, "ps1") or sys.flags.interactive or shell() is not None:
        return None
    code = program_end.code()
    if code is not program_end.UNSEEN:
        end = SystemExit(code)
        return end if status_of(end) == FAILED else None
    error = getattr(sys, "last_value", None)
    if error is None and _is_started_by_multiprocessing():
        # BaseProcess._bootstrap runs finalizers while the exception is on its way, and keeps it to itself; the way of
        # torch.multiprocessing.spawn is to send its words to the parent, and then sys.exit(1).
        error = sys.exc_info()[1]
        if isinstance(error, SystemExit) and error.code not in (None, 0) and error.__context__ is not None:
            error = error.__context__
        elif isinstance(error, SystemExit) and error.code in (None, 0):
            error = None
    return error if isinstance(error, BaseException) else None


def _is_done() -> bool:
    """Whether the program came to its end, or gave 0 to ``sys.exit``."""
    from histhooks._record import program_end

    return program_end.code() is not program_end.UNSEEN and uncaught() is None


def _exit_code_of(error: BaseException) -> int:
    code = error.code if isinstance(error, SystemExit) else 1
    return code if isinstance(code, int) else 1


def _is_started_by_multiprocessing() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _is_test() -> bool:
    """Whether pytest runs this; asked on the program's thread, since a short test is over before another one looks."""
    return "pytest" in sys.modules and ("PYTEST_CURRENT_TEST" in os.environ or "PYTEST_VERSION" in os.environ)


engine = Engine()
failures.report = engine.failed
failures.open_runs = lambda: engine.session.live.values()
forks = Forks(lambda: engine.session, lambda: engine.writer, engine.flush, engine.reset)
forks.watch()
recording_here.recording = engine
_is_registered = False


def _register() -> None:
    global _is_registered
    engine.is_exiting = engine.is_exiting or not threading.main_thread().is_alive()
    if not _is_registered:
        _is_registered = True
        atexit.register(_at_exit)
    if _is_started_by_multiprocessing():
        # What multiprocessing forks leaves by os._exit, after finalizers of its own (multiprocessing/popen_fork.py).
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=0)


def _at_exit() -> None:
    engine.is_exiting = True
    session, writer = engine.session, engine.writer
    is_open = writer is not None and not session.is_over
    engine.finish()
    if writer is not None and is_open and session.ended_as == FINISHED:
        from histhooks._record import closing_line

        if closing_line.wants(session):
            closing_line.print_for(session, writer.path)
    if type(uncaught()) is KeyboardInterrupt:
        # The interpreter ends by SIGINT then, and forgets it where anybody runs a string meanwhile, as dataclasses do
        # (`unhandled_keyboard_interrupt` in pythonrun.c).
        try:
            exec("raise KeyboardInterrupt")
        except KeyboardInterrupt:
            pass
