"""How a child process ended, if this process saw it: a session knows neither its own exit code nor what killed it.

=========================================  =============================================================================
what waits for a child                     where its end is seen
=========================================  =============================================================================
``os.wait*``, ``multiprocessing`` (fork,   the functions of ``os``, which stand-ins call as long as this process records
spawn), asyncio                            or may record
``subprocess.Popen``                       ``Popen._handle_exitstatus``, since it keeps a function of ``os`` of its own
``multiprocessing`` with a fork server     ``popen_forkserver.Popen.poll``: the server waits, and answers by a pipe
=========================================  =============================================================================

Under ``histhooks run`` a file in its folder goes to the supervisor, which writes it once all is over. Else the writer
of this session does, where the child recorded to the same store; a process that has no session does at its own end.
A session says which number belongs to it: it keeps the number of its parent process (of multiprocessing, where that
started it). A child whose parent only launches, and has not called ``autolog()``, was seen by nobody.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import new_id
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches
from histhooks._host import inherited_files, own_children
from histhooks._host.closing import StandIn, put_back, stand_in
from histhooks._host.guard import guarded
from histhooks._host.process import identity
from histhooks._record import conclude
from histhooks._store.sessions import children_of

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path
    from types import ModuleType

    from histhooks._store.store import Store

_NAMES = ("waitpid", "wait", "wait3", "wait4", "waitid")
_MOST = 10_000  # that wait to be written
_FORKSERVER = "multiprocessing.popen_forkserver"
_DIED = 255  # what `popen_forkserver` gives if the server did not know
_began = new_id()[:13]
_patches = Patches()
_seen: deque[tuple[int, int | None, int | None]] = deque(maxlen=_MOST)
_is_wanted = _is_registered = False
_n_taken = 0
_store_of: Callable[[], Path | None] | None = None


class _Waits(StandIn):
    """A function of ``os`` that waits for a child."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _names_one(self.__wrapped__.__name__, args, kwargs):
            result = self.__wrapped__(*args, **kwargs)
        else:
            with own_children.waiting_for_any():
                while (result := self.__wrapped__(*args, **kwargs)) is not None and _is_own(result, args):
                    pass
        if result is not None:  # of waitid(), where no child has ended
            _take(result)
        return result


def watch(store_of: Callable[[], Path | None], *, stays: bool = False) -> None:
    """See how children end, from now on; until the session has ended, or `stays` until `unwatch`."""
    global _is_wanted, _is_registered, _store_of
    _store_of, _is_wanted = store_of, _is_wanted or stays
    if not _is_registered:
        _is_registered = True
        atexit.register(_at_exit)
    if not hasattr(os, "WIFEXITED"):
        return  # Windows, whose children are known by handles
    for name in _NAMES:
        stand_in(name, _Waits)
    if not _patches and hasattr(os, "fork"):
        subprocess = sys.modules.get("subprocess")
        if subprocess is not None:  # one that comes later keeps our stand-in
            with contextlib.suppress(TypeError, AttributeError):  # somebody has put something else there
                _patches.wrap(subprocess.Popen, "_handle_exitstatus", _status)
        if _FORKSERVER in sys.modules:
            _forkserver(sys.modules[_FORKSERVER])
        elif "wrapt" in sys.modules:  # else to wait for a module would cost its import
            when_imported(_FORKSERVER, _forkserver)


def unwatch(*, is_all: bool = False) -> None:
    """Put the functions back, where nobody has asked for more than a session of this process."""
    global _is_wanted
    _is_wanted = _is_wanted and not is_all
    if _is_wanted:
        return
    for name in _NAMES:
        put_back(name, _Waits)
    no_longer(_FORKSERVER)
    _patches.undo()


def forget() -> None:
    """In a forked child: it has no children yet."""
    _seen.clear()
    own_children.forget_all()


def has_seen() -> bool:
    """Whether a child has ended of which nothing is written yet."""
    return bool(_seen)


def entries(store: Store) -> list[tuple[Any, ...]]:
    """What to write of the children whose end was seen, where they recorded to this store."""
    found = []
    for session_id, code, number in _sessions(store.connection):
        found += conclude.entries(store, session_id, code, number)
    return found


def written() -> None:
    """What `entries` gave is in the store."""
    for _ in range(min(_n_taken, len(_seen))):
        _seen.popleft()


def _at_exit() -> None:
    """Where no session is there to write it: this process has none, or a child ended after it."""
    if not _seen or _store_of is None:
        return
    import sqlite3

    from histhooks.errors import HisthooksError

    with contextlib.suppress(sqlite3.Error, HisthooksError, OSError, ValueError):
        path = _store_of()
        if path is not None and path.is_file() and not inherited_files.holds(path):
            _conclude(path)


def _conclude(path: Path) -> None:
    import sqlite3

    from histhooks._store.store import Store

    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as reading:
        found = list(_sessions(reading))
    if not found:
        return  # not to be opened for what concerns nobody
    store = Store(path)
    try:
        for session_id, code, number in found:
            conclude.write_end(store, session_id, code, number)
    finally:
        store.close()


def _sessions(connection: sqlite3.Connection) -> list[tuple[str, int | None, int | None]]:
    """The sessions of the children that were seen to end, with exit code and signal."""
    global _n_taken
    _n_taken = len(_seen)
    seen = {pid: (code, number) for pid, code, number in list(_seen)}
    rows = children_of(connection, identity(), _began)
    latest = {pid: str(session_id) for pid, session_id in rows}  # after exec() a number may have had several
    return [(session_id, *seen[pid]) for pid, session_id in latest.items() if pid in seen]


def _names_one(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of ``os`` waits for one child, and not for any."""
    which = args[0] if args else kwargs.get("pid")
    if name == "waitid":
        return which in (os.P_PID, getattr(os, "P_PIDFD", os.P_PID))
    return name in ("waitpid", "wait4") and isinstance(which, int) and which > 0


@guarded
def _is_own(result: Any, args: tuple[Any, ...]) -> bool:
    """Whether a call that waits for any child was given a process that histhooks started for itself."""
    if not own_children.is_own(result):
        return False
    if hasattr(result, "si_pid") and args[2] & os.WNOWAIT:  # it is still there, and would be given again
        with contextlib.suppress(ChildProcessError):
            os.waitpid(result.si_pid, 0)
    return True


@guarded
def _take(result: Any) -> None:
    """What a function of ``os`` gave."""
    if isinstance(result, tuple) and len(result) in (2, 3):
        pid, status = result[:2]
        if pid > 0 and os.WIFEXITED(status):
            _saw(pid, os.WEXITSTATUS(status), None)
        elif pid > 0 and os.WIFSIGNALED(status):
            _saw(pid, None, os.WTERMSIG(status))
    elif getattr(result, "si_code", None) == os.CLD_EXITED:
        _saw(result.si_pid, result.si_status, None)
    elif getattr(result, "si_code", None) in (os.CLD_KILLED, os.CLD_DUMPED):
        _saw(result.si_pid, None, result.si_status)


def _status(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    yield
    process = args[0]
    _returned(process.pid, process.returncode)


def _polled(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    known = getattr(args[0], "returncode", None)
    code = yield
    if known is None and code != _DIED:
        _returned(args[0].pid, code)


def _forkserver(module: ModuleType) -> None:
    with contextlib.suppress(TypeError, AttributeError):
        _patches.wrap(module.Popen, "poll", _polled)


def _returned(pid: Any, code: Any) -> None:
    if isinstance(code, int):
        _saw(pid, *((code, None) if code >= 0 else (None, -code)))


def _saw(pid: int, code: int | None, number: int | None) -> None:
    if not conclude.tell_end(pid, code, number):
        _seen.append((pid, code, number))
