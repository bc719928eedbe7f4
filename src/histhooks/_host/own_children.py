"""The processes that histhooks starts and waits for itself: no child of the program's own.

A program that waits for any child (``os.wait()``, ``os.waitpid(-1, …)``), as a server with workers does, would be given
git, which it has not started, and histhooks would never know git's exit code. The stand-ins of these functions
(:mod:`histhooks._record.children`) ask here whose the child was, and wait on. What stays visible: SIGCHLD comes for
such a process as for any other, and while one runs, a look without waiting (``WNOHANG``) says that there are children.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

_PATIENCE_S = 1.0
_TURN_S = 0.002
# Held from before a process starts until its number is known; again by a signal handler of the same thread.
_lock = threading.RLock()
_taken = threading.Condition(_lock)
_began_by: dict[int, int] = {}  # the number of a process, and of that which started it
_statuses: dict[int, int] = {}  # of those that the program was given first, as os.waitpid() writes them
_waiting: set[object] = set()  # calls of the program that wait for any child


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Around the start of a process and the call of `add`: what the program is given meanwhile is judged after it."""
    lock = _lock  # which a fork may put another for
    is_held = lock.acquire(timeout=_PATIENCE_S)  # a fork by C code may have copied it while it was held
    try:
        yield
    finally:
        if is_held:
            lock.release()


def add(pid: int) -> None:
    """A process was started, and :func:`wait` or :func:`forget` follows."""
    _statuses.pop(pid, None)  # of an earlier one of that number
    _began_by[pid] = os.getpid()


def forget(pid: int) -> None:
    """Nobody waits for a process any more."""
    _began_by.pop(pid, None)
    _statuses.pop(pid, None)


def forget_all() -> None:
    """In a forked child: it has none, and another thread of the parent may have held the lock."""
    global _lock, _taken
    _lock = threading.RLock()
    _taken = threading.Condition(_lock)
    _waiting.clear()
    _began_by.clear()
    _statuses.clear()


def wait(pid: int, timeout_s: float | None = None) -> int | None:
    """Wait for such a process to end, as nobody else does.

    Parameters
    ----------
    pid : int
    timeout_s : float, optional
        Without end if not given.

    Returns
    -------
    int or None
        Its exit code, negative for a signal; None if it has not ended. 0 where something else than these functions of
        ``os`` took it, as a program does that ignores SIGCHLD.
    """
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return _code_of_taken(pid)
        if found:
            forget(pid)
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() > until:
            return None
        time.sleep(_TURN_S)


def _code_of_taken(pid: int) -> int:
    """The program was given it: by a call that may not have come back yet."""
    until = time.monotonic() + _PATIENCE_S
    with starting():
        while pid not in _statuses and _waiting and (left := until - time.monotonic()) > 0:
            _taken.wait(left)
        status = _statuses.get(pid, 0)
        forget(pid)
    return os.waitstatus_to_exitcode(status)


@contextlib.contextmanager
def waiting_for_any() -> Iterator[None]:
    """Around a call of the program that waits for any child, and the look at what it was given."""
    call = object()
    _waiting.add(call)
    try:
        yield
    finally:
        _waiting.discard(call)


def is_own(result: Any) -> bool:
    """Whether what a function of ``os`` gave is about such a process; if so, its end is kept for :func:`wait`.

    Parameters
    ----------
    result : tuple or waitid_result
        As ``os.wait*`` give it.
    """
    if not _began_by and _lock.acquire(blocking=False):  # none runs, and none is being started
        _lock.release()
        return False
    is_tuple = not hasattr(result, "si_pid")
    pid = result[0] if is_tuple else result.si_pid
    with starting():
        if _began_by.get(pid) != os.getpid():
            return False
        status = result[1] if is_tuple else _status_of(result)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):  # it may only have been stopped
            _began_by.pop(pid, None)  # the number may be another's from here on
            _statuses[pid] = status
            with contextlib.suppress(RuntimeError):  # the lock could not be had
                _taken.notify_all()
    return True


def _status_of(result: Any) -> int:
    """What ``os.waitpid`` would have said where ``os.waitid`` was asked."""
    if result.si_code == os.CLD_EXITED:
        return int(result.si_status << 8)
    return int(result.si_status) if result.si_code in (os.CLD_KILLED, os.CLD_DUMPED) else 0x7F
