"""Begin to watch, give windows to the writer in time, and end with the process."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from typing import Any

from histhooks._hooks.patching import Patches
from histhooks._host.guard import guarded
from histhooks._host.messages import warn_once
from histhooks._host.store_location import is_off, working_folder
from histhooks._record.engine import engine
from histhooks._store.entries import capture_entry
from histhooks._watch import calls, known, loading
from histhooks._watch.tally import Tally
from histhooks.errors import QueryError

VARIABLE = "HISTHOOKS_WATCH"
_EVERY_S = 60.0
_FIRST_S = 5.0
_DRAIN_S = 0.5


class _State:
    """What is watched in this process."""

    def __init__(self) -> None:
        self.is_on = False
        self.names: list[str] = []  # models that are watched; all where there is none
        self.tallies: dict[str, Tally] = {}
        self.files: dict[tuple[str, int, int], known.Version | None] = {}
        self.thread: threading.Thread | None = None
        self.wake = threading.Event()
        self.is_hooked = False


_state = _State()


def interval_s() -> float:
    """Seconds from one window to the next."""
    try:
        return max(0.1, float(os.environ.get("HISTHOOKS_WATCH_S") or _EVERY_S))
    except ValueError:
        return _EVERY_S


def from_environment() -> bool:
    """Begin to watch where HISTHOOKS_WATCH says so; whether it does."""
    word = os.environ.get(VARIABLE, "").strip()
    if word.lower() in ("", "0", "off", "no", "false") or is_off():
        return False
    begin("" if word.lower() in ("1", "on", "yes", "true") else word)
    return True


@guarded
def begin(names: str = "") -> None:
    """Watch each model that is loaded from here on, if its file is a version.

    Parameters
    ----------
    names : str
        `NAME@production`, or several with commas; empty for all models.
    """
    _state.is_on = True
    engine.settings.folder = engine.settings.folder or working_folder()
    _state.names = [one.strip().rpartition("@")[0] or one.strip() for one in names.split(",") if one.strip()]
    for name in filter(None, map(str.strip, names.split(","))):
        try:
            known.version_named(name)
        except QueryError as error:
            warn_once(f"watch/{name}", str(error))
    _hook_in()
    loading.install(_loaded)


def _hook_in() -> None:
    """Have windows written when the process flushes, and when it ends."""
    if _state.is_hooked:
        return
    _state.is_hooked = True
    calls.ready.append(_start)
    engine.before_flush.append(windows)
    guarded(_patches.wrap)(signal, "raise_signal", _around_raise, of_any_kind=True)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)


_patches = Patches()


def _around_raise(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A web server raises the signal that ended it again, by its default, once it has closed: no code runs after it."""
    guarded(engine.flush)(1.0)
    return original(*args, **kwargs)


def tally_for(version: known.Version) -> Tally:
    """The counts of a version in this process."""
    found = _state.tallies.get(version.id)
    if found is None:
        mine = Tally(version)
        found = _state.tallies.setdefault(version.id, mine)  # of threads that watch at once, one has the counts
        if found is mine and version.why:
            warn_once(f"watch/edges/{version.id}", f"{version.name}: {version.why}")
            engine.session.buffer.append(capture_entry(engine.session.id, None, "watch", "truncated", version.why))
    return found


def watch_now(model: Any, version: known.Version) -> bool:
    """Watch a model; False if it is none whose calls can be seen."""
    _hook_in()
    if not calls.watch(model, tally_for(version)):
        return False
    begin_session()
    return True


def _loaded(model: Any, source: str | bytes) -> None:
    """A model was loaded: watch it, if its file is a version."""
    if not _state.is_on:
        return
    version = _version_of(source)
    if version is None:
        return
    if not watch_now(model, version):
        kind = type(model).__name__
        warn_once(f"watch/class/{kind}", f"{version.name}: calls of a {kind} are not seen")


def _version_of(source: str | bytes) -> known.Version | None:
    if isinstance(source, bytes):
        sha256: str | None = hashlib.sha256(source).hexdigest()
        stamp = (str(sha256), 0, 0)
    else:
        try:
            found = os.stat(source)
        except OSError:
            return None
        stamp, sha256 = (source, found.st_size, found.st_mtime_ns), None
    if stamp not in _state.files:
        sha256 = sha256 or known.sha256_of(str(source))
        version = None if sha256 is None else _named(sha256)
        if version is None and _state.names and isinstance(source, str):
            names = ", ".join(_state.names)
            text = f"{source} is not watched: it is no version of {names} in {known.store_path()}"
            hint = f"histhooks promote {source} --model {_state.names[0]} --reason WHY"
            warn_once(f"watch/file/{source}", f"{text}; {hint}")
        _state.files[stamp] = version
    return _state.files[stamp]


def _named(sha256: str) -> known.Version | None:
    if not _state.names:
        return known.version_of(sha256, None)
    return next((one for name in _state.names if (one := known.version_of(sha256, name)) is not None), None)


# --- life -------------------------------------------------------------------------------------------------------------


@guarded
def begin_session() -> None:
    """Begin the session of this process, if it has none."""
    if not is_off():
        engine.start_soon()


@guarded
def _start() -> None:
    """With the first call that is watched here: begin a session, and the thread that counts."""
    begin_session()
    thread = _state.thread
    if thread is None or not thread.is_alive():
        _state.thread = threading.Thread(target=_run, args=(_state.wake,), name="histhooks-watch", daemon=True)
        _state.thread.start()


def _run(wake: threading.Event) -> None:
    is_given = bool(os.environ.get("HISTHOOKS_WATCH_S"))
    due = time.monotonic() + (interval_s() if is_given else _FIRST_S)
    while not wake.wait(_DRAIN_S):
        _drain()
        if time.monotonic() >= due:
            windows()
            due = time.monotonic() + interval_s()


@guarded
def _drain() -> None:
    for tally in list(_state.tallies.values()):
        tally.drain()


@guarded
def windows() -> None:
    """Give what was counted to the writer."""
    for tally in list(_state.tallies.values()):
        tally.drain()
        if tally.n_calls and engine.session.is_over:  # a call after the end begins another session
            begin_session()
        tally.window()


def _in_child() -> None:
    _state.thread, _state.wake = None, threading.Event()
    calls.forget()
    for tally in _state.tallies.values():
        tally.forget()


def stop() -> None:
    """Watch nothing any more."""
    if not _state.is_hooked and not _state.is_on:
        return
    windows()
    _state.wake.set()
    loading.uninstall()
    calls.stop()
    _patches.undo()
    _state.is_hooked = False
    calls.ready.clear()
    if windows in engine.before_flush:
        engine.before_flush.remove(windows)
    _state.is_on = False
    _state.tallies.clear()
    _state.files.clear()
    _state.thread, _state.wake = None, threading.Event()
