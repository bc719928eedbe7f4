"""One recorder a process: the buffer, the session and the writer thread, started with the first run.

After a fork the child starts clean (:mod:`histhooks._record.forks`).
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from histhooks._base.exceptions import in_words, message_of
from histhooks._base.ids import new_id
from histhooks._base.secrets import mask_text
from histhooks._base.vocabulary import status_of
from histhooks._host import announcer, closing, recording_here
from histhooks._host.descriptors import is_out_of_descriptors
from histhooks._host.failures import failures
from histhooks._host.ipython import is_notebook, shell
from histhooks._host.messages import prepare, warn_once
from histhooks._host.store_location import Settings, is_off, store_path
from histhooks._record.current import is_paused
from histhooks._record.forks import Forks
from histhooks._store.entries import ACTOR, after_entry, event_entry, forget_entry, ignore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from histhooks._record.cells import CellLine
    from histhooks._record.run import Run
    from histhooks._record.writer import Writer

_RESCUE_S = 0.35  # where a signal ends the process and the writer hangs


class _Object(weakref.ref[Any]):
    """An object of the program, with which a run ends."""

    __slots__ = ("run_id",)
    run_id: str


class Engine:
    """What the process records, and whether it does.

    Attributes
    ----------
    buffer : deque
        Entries for the writer; the only thing that training threads and the writer share.
    hook_errors : int
        Failures of ours that training never saw.
    dropped_points : int
        Points that neither the store nor a spool had room for.
    """

    def __init__(self) -> None:
        self.settings = Settings()
        # What other modules add: called when a run begins, and when the session ends.
        self.at_run_start: list[Callable[[Run], None]] = []
        self.at_session_end: list[Callable[[], None]] = []
        self.reset()

    def reset(self) -> None:
        """Begin anew, as in a forked child."""
        self.buffer: deque[tuple[Any, ...]] = deque()
        self.session_id = new_id()
        self.pid = os.getpid()
        self.writer: Writer | None = None
        self.speaks = True
        self.is_test = False
        self.cell_line: CellLine | None = None
        self.place = (0, 1)  # rank and number of processes when the session began: a group may be gone soon after
        self.live: dict[str, Run] = {}
        self._objects: dict[str, _Object] = {}  # with which a run ends, by the run
        self._gone: deque[_Object] = deque()
        self.n_runs = 0
        self.n_unfinished: dict[str, int] = {}
        self.hook_errors = 0
        self.dropped_points = 0
        failures.overhead_s = 0.0
        self.exit_code: int | None = None
        self.ended = False
        self.is_late = False  # the writer could not be started
        self.is_exiting = False  # the interpreter's last callbacks run, and ours has been among them
        self.actor: str | None = None
        self.known_states: set[str] = set()
        self.known_contents: set[str] = set()  # that the writer has, of this session
        self.determinism: dict[str, Any] = {}
        self._lock = threading.Lock()

    def is_recording(self) -> bool:
        """Whether a fit that begins now leaves a run; another rank than 0 leaves a session without runs."""
        if is_off() or is_paused.get() or (self.writer is not None and self.writer.has_failed and not self.ended):
            return False
        if rank() == 0:
            return True
        self.start()
        return False

    def start(self) -> None:
        """Start the writer thread, once.

        Raises
        ------
        RuntimeError
            Where the system has no thread left.
        """
        if self.pid != os.getpid():
            forks.in_child()  # forked by C code, which calls nobody before it
        if self.writer is not None and not self.ended:
            from histhooks._record import signals

            signals.renew()
            return
        with self._lock:
            if self.ended:
                self.ended = False
                self.session_id = new_id()
                self.writer = None
                self.n_runs, self.n_unfinished, self.hook_errors, self.dropped_points = 0, {}, 0, 0
                self.known_states, self.known_contents, self.determinism = set(), set(), {}
            if self.writer is None:
                from histhooks._record import children as _children
                from histhooks._record import signals
                from histhooks._record.cells import CellLine
                from histhooks._record.writer import Writer

                self.place = (rank(), world())
                self.is_test = _is_test()
                self.speaks = announcer.claim(*self.place)
                failures.overhead_s = 0.0  # installing is paid before a session begins
                prepare()
                forks.wait_for_writer()
                self.writer = Writer(self)
                if self.speaks and self.cell_line is None and is_notebook():
                    self.cell_line = CellLine(lambda: self.writer.place.shown() if self.writer is not None else "")
                try:
                    _register()
                    signals.install(self)
                    closing.watch(forks)
                    _children.watch(self.store_or_default)
                    _start(self.writer)
                except BaseException:
                    self.writer = None  # the next run tries again
                    raise

    def tell_of_store(self, named: str) -> None:
        """Say so where a store is named that comes too late: a session has one, and it has begun in another."""
        writer = self.writer
        if writer is not None and not self.ended and os.path.realpath(named) != os.path.realpath(writer.path):
            warn_once(f"store/{named}", f"{named} comes too late: this process records to {writer.path} to its end; "
                      "name the store before the first run")  # fmt: skip

    def run_started(self, run: Run) -> None:
        """Keep a run as long as it is open."""
        self.n_runs += 1
        self.live[str(run.id)] = run

    def run_ended(self, run: Run) -> None:
        """Let go of a run."""
        self.live.pop(str(run.id), None)
        self._objects.pop(str(run.id), None)
        self._start_late()
        if run.status in ("failed", "killed", "interrupted"):
            self.n_unfinished[run.status] = self.n_unfinished.get(run.status, 0) + 1
        if self.writer is not None:
            self.buffer.append(forget_entry(run.id))
        if self.cell_line is not None:
            self.cell_line.run_ended(run)
        if self.is_exiting and not self.live:
            self.finish()  # nobody else comes to do it

    def end_with(self, thing: Any, run: Run) -> None:
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
        """Record that something happened, in a run or in the session."""
        text = None if body is None else mask_text(str(body))
        entry = event_entry(
            self.session_id, run_id, kind, mask_text(str(title)), text, severity=severity, step=step, count=count
        )
        (put or self.buffer.append)(entry)

    def failed(self, where: str, error: BaseException) -> None:
        """Count a failure of ours, keep it as an event, and warn once."""
        self.hook_errors += 1
        if self.hook_errors <= 100:
            self.event("hook_error", mask_text(f"{where}: {in_words(error)[:10_000]}")[:500], severity="error")
        text = mask_text(message_of(error)[:10_000])[:300]
        warn_once(f"hook/{where}", f"a hook failed and training went on: {where}: {text} (told once)")

    def author(self) -> Any:
        """Who acts in this process; as long as nobody knows, `ACTOR`, for which the writer puts the session's."""
        return ACTOR if self.actor is None else self.actor

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything recorded so far is committed.

        Returns
        -------
        bool
            False where it was not within ``timeout_s`` seconds.
        """
        writer = self.writer
        if writer is None or self.ended or self.pid != os.getpid():
            return True
        self.end_gone()
        if writer.ident is None:  # it writes at the end
            return False
        done = threading.Event()
        self.buffer.append(after_entry(done.set))
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

    def catch_up(self) -> None:
        """Wait until what was logged before is written, for who reads it in this process."""
        if self.writer is not None and (self.buffer or not self.writer.is_idle):
            self.flush()

    def finish(self, status: str | None = None, *, signal: str | None = None, timeout_s: float = 10.0) -> None:
        """End the session: settle open runs, write what is left, and say so."""
        self._start_late()
        writer = self.writer
        if writer is None or self.pid != os.getpid():
            return
        if self.ended:
            if signal is not None and not writer.done.is_set():
                # A signal while the process ends, as from multiprocessing's pools: what is being written counts.
                writer.finish(str(status), signal, None)
                if not writer.done.wait(timeout_s):
                    writer.rescue(_RESCUE_S)
            return
        self.ended = True
        recording_here.let_go()
        error = uncaught()
        status = status or ("ended" if error is None else status_of(error))
        if signal is None:
            for end in self.at_session_end:
                end()
        self.end_gone()
        for run in list(self.live.values()):
            if error is not None and status != "killed":
                run.end(error=error)
            else:
                run.end(status)
            if signal is not None:
                run._append = ignore  # its thread goes on for a moment, and does nothing wrong
        writer.finish(
            status, signal, _exit_code_of(error) if status == "failed" and error is not None else self.exit_code
        )
        if writer.ident is None:
            writer.run()
        is_written = writer.done.wait(timeout_s) and not writer.has_failed
        is_written = is_written or writer.rescue(3.0 if signal is None else _RESCUE_S)
        if not is_written and signal is None:  # a signal leaves no time for stderr, which may hang too
            warn_once("rescue", f"what was recorded last is lost: {writer.path} hangs, and no spool was there in time")
        announcer.give_up()
        closing.unwatch()
        from histhooks._record import children as _children

        if not self.is_exiting:  # children may still be waited for
            _children.unwatch()


def _start(writer: Writer) -> None:
    try:
        writer.start()
    except RuntimeError:
        if threading.main_thread().is_alive():
            raise
        # Since Python 3.12 no thread begins on the way out (atexit callbacks): finish() writes on this one.


def uncaught() -> BaseException | None:
    """The exception that ended the main program, where the interpreter told (sys.last_value); None in a console."""
    if hasattr(sys, "ps1") or sys.flags.interactive or shell() is not None:
        return None
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


def _exit_code_of(error: BaseException) -> int:
    code = error.code if isinstance(error, SystemExit) else 1
    return code if isinstance(code, int) else 1


def _is_started_by_multiprocessing() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _is_test() -> bool:
    """Whether pytest runs this; asked on the program's thread, since a short test is over before another one looks."""
    return "pytest" in sys.modules and ("PYTEST_CURRENT_TEST" in os.environ or "PYTEST_VERSION" in os.environ)


def _distributed() -> Any:
    """torch.distributed, where it is up."""
    distributed = sys.modules.get("torch.distributed")
    try:
        is_up = distributed is not None and distributed.is_available() and distributed.is_initialized()
    except (RuntimeError, ValueError, AttributeError):
        return None
    return distributed if is_up else None


def rank() -> int:
    """Rank among the processes of a distributed job: torch.distributed where it is up, else RANK with WORLD_SIZE."""
    distributed = _distributed()
    if distributed is not None:
        return int(distributed.get_rank())
    try:
        return int(os.environ["RANK"]) if world() > 1 else 0
    except (KeyError, ValueError):
        return 0


def world() -> int:
    """How many processes a distributed job has; 1 where this is none."""
    distributed = _distributed()
    if distributed is not None:
        return int(distributed.get_world_size())
    try:
        return int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ else 1
    except (KeyError, ValueError):
        return 1


engine = Engine()
failures.report = engine.failed
failures.open_runs = lambda: engine.live.values()
forks = Forks(engine)
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
    engine.finish()
    if type(uncaught()) is KeyboardInterrupt:
        # The interpreter ends by SIGINT then, and forgets it where anybody runs a string meanwhile, as dataclasses do
        # (`unhandled_keyboard_interrupt` in pythonrun.c).
        try:
            exec("raise KeyboardInterrupt")
        except KeyboardInterrupt:
            pass
