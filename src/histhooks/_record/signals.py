"""SIGTERM and SIGHUP: what was recorded is committed, then the signal does what it would have done without us.

A handler is set only where the program has none. In C code Python's handler waits until the call returns, but the
interpreter writes the signal's number to a pipe at once (signal.set_wakeup_fd), so that the signal thread sees it,
commits and gives the signal back its default action. (C code that holds the interpreter's lock for long delays this
until it lets go, since no other thread can run before.) There is one such pipe in a process, and asyncio takes it for
handlers of its own, leaving none behind: so each run that begins looks again, and where the pipe is somebody else's the
signals keep their default action, which ends the process at once. Where the writer hangs, its rescue into a spool is
waited for too, so that the default action comes within a second and not within half of one.
A handler that the program set over this one decides alone: called from there, this one only commits.

Where gevent or eventlet has made greenlets of threads nothing is watched either: the thread would stop all of them.
A program that closes all descriptors, as daemons do, closes the pipe too; then its number is taken back from Python at
once, which would write the numbers of signals into the file that gets it next, and each run that begins looks again.

Windows has neither signal: what ends a process there (TerminateProcess) ends it at once, and nothing is watched.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple


class Do(NamedTuple):
    """What is done when a signal comes."""

    event: Callable[..., None]
    flush: Callable[[float], bool]
    finish: Callable[..., None]


# signal.getsignal() looks each answer up in two enums, which costs as much as all else that a run asks of signals.
_handler_of: Callable[[int], Any] = getattr(signal.getsignal, "__wrapped__", signal.getsignal)
_SIGNALS = (signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else ()
_GRACE_S = 0.45
_MARK = b"\xff"  # no signal has this number
_marks = 0
_installed: set[int] = set()
_pipe: tuple[int, int] | None = None
_place: tuple[int, int] | None = None  # of that pipe: a program may close all descriptors, and open others
_do: Do | None = None
_is_unseen = False
_once = threading.Lock()
_kept: Any = None  # a callback that the interpreter may still call


def install(do: Do) -> None:
    """Watch the signals that the program leaves to their default."""
    global _do
    _do = do
    renew()


def renew() -> None:
    """See to it that signals are watched where they can be; only the main thread may."""
    global _pipe
    if not _SIGNALS or _is_unseen or threading.current_thread() is not threading.main_thread() or is_green():
        return
    if _pipe is not None and not _is_whole():
        _pipe = None
    _pipe = _pipe or _watched_pipe()
    if _pipe is not None:
        before = signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)
        is_ours = before in (-1, _pipe[1]) or not _give_back(before)
        for number in _SIGNALS:
            found = _handler_of(number)
            if is_ours and found == signal.SIG_DFL:
                signal.signal(number, handle)
                _installed.add(number)
            elif not is_ours and found is handle:
                signal.signal(number, signal.SIG_DFL)


def _watched_pipe() -> tuple[int, int] | None:
    """A pipe that the signal thread reads; None if the system has no thread or no descriptor left."""
    global _place
    try:
        reading, writing = os.pipe()
    except OSError:
        return None
    os.set_blocking(writing, False)
    found = os.fstat(writing)
    _place = found.st_dev, found.st_ino
    try:
        threading.Thread(target=_watch, args=(reading,), name="histhooks-signals", daemon=True).start()
    except RuntimeError:
        os.close(reading)
        os.close(writing)
        return None
    return reading, writing


def _give_back(number: int) -> bool:
    """Give Python's signals back the descriptor that they were written to; False where the program has closed it."""
    try:
        signal.set_wakeup_fd(number)
    except (OSError, ValueError):
        if _pipe is not None:
            signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)
        return False
    return True


def is_green() -> bool:
    """Whether threads are greenlets (gevent, eventlet), of which one that waits in C stops all others."""
    return getattr(_thread.start_new_thread, "__module__", None) != "_thread"


def _is_whole() -> bool:
    """Whether the pipe is still the one made here: else Python would write signal numbers into another file."""
    try:
        found = os.fstat(_pipe[1]) if _pipe is not None else None
    except OSError:
        return False
    return found is not None and (found.st_dev, found.st_ino) == _place


@contextmanager
def unseen() -> Iterator[None]:
    """Have a host find the handlers it would find without histhooks; ours come back where it set none."""
    global _is_unseen
    ours, before = [], _is_unseen
    if threading.current_thread() is threading.main_thread():
        ours = [number for number in _installed if signal.getsignal(number) is handle]
    _is_unseen = True
    for number in ours:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        _is_unseen = before
        _take_back(ours)


def again() -> None:
    """Watch once more what a host has given back to its default."""
    if threading.current_thread() is threading.main_thread():
        _take_back(list(_installed))


def _take_back(numbers: list[int]) -> None:
    global _marks
    if _pipe is not None and _is_whole():
        # What came before this mark was the host's to handle, however late the watching thread reads of it.
        _marks += 1
        os.write(_pipe[1], _MARK)
    for number in numbers:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, handle)


def forget() -> None:
    """In a forked child: give back the default actions and the pipe."""
    global _pipe, _once, _is_unseen
    _once, _is_unseen = threading.Lock(), False
    for number in list(_installed):
        if signal.getsignal(number) is handle:
            signal.signal(number, signal.SIG_DFL)
    _installed.clear()
    if _pipe is not None:
        pipe, is_whole, before = _pipe, _is_whole(), -1
        _pipe = None
        if threading.current_thread() is threading.main_thread():
            before = signal.set_wakeup_fd(-1)
        if before not in (-1, pipe[1]):
            _give_back(before)
        if is_whole:
            os.close(pipe[0])
            os.close(pipe[1])


def handle(number: int, frame: FrameType | None) -> Any:
    """Python's handler, on the main thread."""
    if signal.getsignal(number) is not handle:
        # Somebody else's handler called us: it decides what becomes of the process.
        if _do is not None:
            _do.event("signal", f"{signal.Signals(number).name} was handled by the program", severity="warning")
            _do.flush(_GRACE_S)
        return
    # Not from here: this thread may have been interrupted inside a lock that the end of a session needs too.
    if _pipe is not None:
        time.sleep(_GRACE_S * 2)  # the watching thread ends the process meanwhile
    try:
        threading.Thread(target=_end, args=(number,), name="histhooks-signal", daemon=True).start()
    except RuntimeError:  # since Python 3.12 none can be started on the way out
        _end(number)
    time.sleep(_GRACE_S * 2)


def _watch(reading: int) -> None:
    pid, seen = os.getpid(), _marks
    while True:
        try:
            data = os.read(reading, 64)
        except OSError:
            data = b""
        if os.getpid() != pid:
            return
        if not data:
            _no_longer()
            return
        for number in data:
            if number == _MARK[0]:
                seen += 1
            elif seen == _marks and number in _installed and signal.getsignal(number) is handle:
                _end(number)


def _no_longer() -> None:
    """The program has closed the pipe: have the main thread, which alone may, take its number back from Python."""
    global _kept
    import ctypes

    _kept = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_take_number_back)
    ctypes.pythonapi.Py_AddPendingCall(_kept, None)


def _take_number_back(_: object) -> int:
    global _pipe
    if _pipe is not None and not _is_whole():
        before = signal.set_wakeup_fd(-1)
        number, _pipe = _pipe[1], None
        if before not in (-1, number):
            _give_back(before)
    return 0


def _end(number: int) -> None:
    if not _once.acquire(blocking=False):
        return
    name = signal.Signals(number).name
    if _do is not None:
        _do.finish("killed", signal=name, timeout_s=_GRACE_S)
    _default(number)


def _default(number: int) -> None:
    """Give a signal its default action and send it again; signal.signal() works on the main thread only."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, signal.SIG_DFL)
    else:
        import ctypes

        libc = ctypes.CDLL(None)
        libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        libc.signal(number, None)
    os.kill(os.getpid(), number)
