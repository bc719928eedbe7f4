"""Files that the program reads and writes: which they are, who opened each, and in which run.

What Python opens is seen by an audit hook (https://docs.python.org/3/library/audit_events.html, event `open`), which
needs no function of a library; what a library opens in C is seen at the functions that :mod:`.file_readers` names.
Which opened files count, and which reader opened each, :mod:`histhooks._collect.opened_files` tells, and
:mod:`.file_records` what becomes of them.

An audit hook can never be removed, so it is added once, and does nothing unless :func:`install` has said so. It is
inert in a forked child and in a process of multiprocessing until a run begins there: workers that load data would each
record the same images. A read belongs to the run that is open where it happens, else to the session. A write is
recorded in a run only, unless an integration recorded the file.

Bounds: 300 reads of a session, 100 of one function, 1,000 files that are looked at; 100 writes. Beyond them nothing is
kept, and `captures` says so.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from histhooks._collect import opened_files
from histhooks._collect.opened_files import CODE, SYSTEM
from histhooks._host.guard import guarded
from histhooks._host.store_location import data_mode, is_off
from histhooks._record import engine as _engine
from histhooks._record import file_readers
from histhooks._record.file_records import MOST_OF_ONE, records, stamp_at
from histhooks._record.run import Run, current, is_paused

if TYPE_CHECKING:
    from histhooks._collect.hash_queue import Stamp

_MOST_LOOKS = 1000
_AGAIN = 50  # times that a file that is opened again is looked at
_LONGEST = 4096  # characters of a path
_WRITES = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_is_on = False
_is_hooked = False


class _Seen:
    """A path that was opened: how often it is still looked at, and in which run and how it was when it was kept."""

    __slots__ = ("kept", "left")

    def __init__(self) -> None:
        self.left = _AGAIN
        self.kept: tuple[str | None, Stamp | None] | None = None


class _State:
    """What is known of one process."""

    def __init__(self) -> None:
        self.is_child = self.has_run = False  # forked of a process that records; a run began here
        self.seen: dict[str, _Seen] = {}  # by the path as it was given
        self.writes: dict[str, str] = {}  # the run in which a path was looked at last when it was written
        self.n_looks = 0
        self.busy: set[int] = set()  # threads that are in here


_state = _State()


# --- the audit hook ---------------------------------------------------------------------------------------------------


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _is_on:
        return
    if event == "open":
        path, _, flags = args
        if path.__class__ is not str:
            path = _text_of(path)
            if path is None:
                return
        if path.endswith(CODE) or path.startswith(SYSTEM):
            return
        if flags.__class__ is int and flags & _WRITES:
            if _engine.engine.session.live:
                _enter(_wrote, path, sys._getframe(1))
            return
        seen = _state.seen.get(path)
        if seen is not None and seen.left <= 0:
            return
        _enter(_opened, path, sys._getframe(1))
    elif event == "urllib.Request" and args[0].__class__ is str:
        _enter(_requested, args[0], sys._getframe(1))


def _text_of(path: Any) -> str | None:
    """A path that is not a text already; None for a descriptor."""
    if isinstance(path, (bytes, os.PathLike)):
        try:
            return os.fsdecode(path)
        except (TypeError, ValueError):
            return None
    return str(path) if isinstance(path, str) else None


def _enter(function: Callable[..., None], *args: Any) -> None:
    """Look at a file, unless this thread does so already or is out of stack."""
    thread = threading.get_ident()
    busy = _state.busy
    if thread in busy or _state.n_looks >= _MOST_LOOKS or not _is_for_us():
        return
    if records.queue is not None and thread == records.queue.thread_id:
        return
    busy.add(thread)
    try:
        function(*args)
    except RecursionError:  # no room for us here, but perhaps for the program
        pass
    finally:
        busy.discard(thread)


def _is_for_us() -> bool:
    is_worker = not _state.has_run and (_state.is_child or _is_worker())
    return not (is_worker or is_off() or is_paused.get() or data_mode() == "off")


def _is_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


@guarded
def _opened(path: str, frame: Any) -> None:
    state, run, stamp = _state, _run_here(), stamp_at(path)
    scope = (None if run is None else run.id, stamp)
    seen = state.seen.get(path)
    if seen is not None:
        seen.left -= 1
    if stamp is None or (seen is not None and seen.kept == scope):
        return
    who = opened_files.opener(frame)
    if who is None:
        return
    if seen is None:
        state.n_looks += 1
        seen = state.seen[path] = _Seen()
    place = os.path.abspath(path)
    if opened_files.is_installed(place) or _is_store(place) or not (who.function or _is_data(who, place)):
        return
    seen.kept = scope
    records.read(place, stamp, who.function or "open", who.location, run)


@guarded
def _requested(address: str, frame: Any) -> None:
    who = opened_files.opener(frame)
    if who is not None and who.function is not None:
        records.read(address, None, who.function, who.location, _run_here())


@guarded
def _wrote(path: str, frame: Any) -> None:
    run = _run_here()
    if run is None or run.id is None:
        return
    before = _state.writes.get(path)
    if before == run.id:
        return  # such as a log that is opened for each line
    _state.writes[path] = run.id
    _state.n_looks += before is None
    place = os.path.abspath(path)
    if opened_files.is_installed(place) or _is_store(place):
        return
    who = opened_files.opener(frame)
    if who is not None and (who.is_writer or (who.is_of_program and not opened_files.is_hidden(place))):
        records.wrote(place, run)


def _is_data(who: opened_files.Opener, place: str) -> bool:
    """Whether a file that no known function opened is one of the program's own."""
    if who.is_of_program:
        return not opened_files.is_hidden(place)
    return who.location is not None and not opened_files.is_apart(place)


def _is_store(place: str) -> bool:
    writer = _engine.engine.writer
    return writer is not None and place.startswith(str(writer.path))


def _run_here() -> Run | None:
    """The run that a read belongs to: the current one, else a loop that goes on."""
    run = current.get()
    if run is None:
        live = reversed(list(_engine.engine.session.live.values()))
        run = next((one for one in live if one.kind == "loop" and isinstance(one, Run)), None)
    is_open = run is not None and run.is_recorded and run.owner is None and run.status == "running"
    return run if is_open else None


# --- what the functions of libraries are given ------------------------------------------------------------------------


@guarded
def note_read(source: Any, function: str) -> None:
    """A function of a library is about to read files by itself.

    Parameters
    ----------
    source : str, path, or list of these
        What it was given: a file, a folder, a pattern or an address; anything else is not looked at.
    function : str
        What the program calls it, unless another reader called it.
    """
    if not _is_on or not _is_for_us():
        return
    who = opened_files.opener(opened_files.calling(sys._getframe(1)))
    if who is None:
        return
    run = _run_here()
    for one in source[:MOST_OF_ONE] if isinstance(source, (list, tuple)) else [source]:
        path = _text_of(one) if isinstance(one, (str, os.PathLike)) else None
        if path is None or len(path) > _LONGEST:
            continue
        is_address = "://" in path
        stamp = None if is_address else stamp_at(path)
        if stamp is not None or is_address or _is_several(path):
            place = path if is_address else os.path.abspath(path)
            records.read(place, stamp, who.function or function, who.location, run)


def _is_several(path: str) -> bool:
    """Whether a path names several files: a folder or a pattern. Nobody looks into it."""
    return any(sign in path for sign in "*?[") or os.path.isdir(path)


@guarded
def note_written(target: Any) -> None:
    """A function of a library is about to write a file by itself."""
    run = _run_here() if _is_on and _is_for_us() else None
    path = _text_of(target) if isinstance(target, (str, os.PathLike)) else None
    if run is not None and path is not None and "://" not in path:
        records.wrote(os.path.abspath(path), run)


# --- life -------------------------------------------------------------------------------------------------------------


def install() -> None:
    """Begin to see files."""
    global _is_on, _is_hooked
    file_readers.install(file_readers.Notes(note_read, note_written))
    _is_on = True
    if not _is_hooked:
        _is_hooked = True
        sys.addaudithook(_audit)


def uninstall() -> None:
    """See no more files. The audit hook stays, and does nothing."""
    global _is_on
    file_readers.uninstall()
    _is_on = False


@guarded
def at_run_start(run: Run) -> None:
    """From the first run on, files are hashed."""
    if _is_on:
        _state.has_run = True
        records.begin()


@guarded
def at_session_end() -> None:
    """Look at each file anew in a session that follows."""
    global _state
    _state = _State()


def _in_child() -> None:
    global _state
    _state = _State()
    _state.is_child = True
    records.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
_engine.engine.at_run_start.append(at_run_start)
_engine.engine.at_session_end.append(at_session_end)
