"""Have what was recorded pushed to a team, by a process of its own: this one never opens a socket, and never waits.

Where a target is named (HISTHOOKS_TEAM, or `team` in pyproject.toml), the first process of a program starts one
detached process, at its end (`end`), or with its first session (`live`). That process is
:mod:`histhooks.team._unattended`. It is in a session of its own, so that neither Ctrl-C nor the end of a terminal
reaches it, has no stream or descriptor of the program, and is no child of it, for which the program could wait or which
it would have to reap. Where the system ends all processes of a job with the job,
``histhooks run`` waits for it instead (:mod:`histhooks.cli._run_push`). What fails waits for the next push.

The target is not in the arguments of that process, where everybody could read its password, but found there anew.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from histhooks._host import own_children
from histhooks._host.guard import guarded
from histhooks._host.messages import say
from histhooks._host.store_location import is_off, table_of, user_folder, working_folder

if TYPE_CHECKING:
    from pathlib import Path

    from histhooks._record.session import Session

TEAM, PUSH = "HISTHOOKS_TEAM", "HISTHOOKS_PUSH"
MODES = ("end", "live", "off")
_NO = ("0", "no", "false")
_SHELL = "/bin/sh"
_MOST_WORDS = 150  # characters of an error
# -I and -S leave out what the program's own folders and customizations would bring in.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from histhooks.team import _unattended; "
    "_unattended.main(*sys.argv[2:5])"
)


def target(folder: str | None = None) -> str:
    """The target as it is named, with a password if it has one; empty where none is."""
    from pathlib import Path

    named = os.environ.get(TEAM) or table_of(Path(folder or working_folder()), "team")[1]
    return named if isinstance(named, str) else ""


def mode(folder: str | None = None) -> str:
    """When this program's history is pushed: `end`, `live`, or `off` where no target is named."""
    if is_off() or not target(folder):
        return "off"
    word = _said(folder).lower()
    return word if word in MODES else "off" if word in _NO else "end"


def _said(folder: str | None) -> str:
    """The word that says when, as it was written; `end` where none does."""
    from pathlib import Path

    told = os.environ.get(PUSH) or table_of(Path(folder or working_folder()), "push")[1] or "end"
    return str(told).strip()


def unknown_word(folder: str | None = None) -> str:
    """A line about a word of HISTHOOKS_PUSH that is none of its words; empty otherwise."""
    word = _said(folder)
    return "" if word.lower() in (*MODES, *_NO) else f"{PUSH} is {word!r}, not end, live or off: pushed at the end"


@guarded
def begin(session: Session, store: Path, folder: str | None) -> None:
    """A session has begun: with `live`, start the process that sends what it records meanwhile.

    Parameters
    ----------
    session : Session
    store : Path
    folder : str or None
        That the program began in.
    """
    if _is_first(session) and mode(folder) == "live":
        start(store, "live", folder)


@guarded
def end(session: Session, store: Path, folder: str | None) -> None:
    """A session has ended and is on disk: start the process that sends it, and say what an earlier one could not send.

    Parameters
    ----------
    session : Session
    store : Path
    folder : str or None
        That the program began in.
    """
    if not session.n_runs or not _is_first(session) or os.environ.get("HISTHOOKS_RUN") or mode(folder) == "off":
        return
    start(store, "end", folder)
    if session.speaks:
        for line in filter(None, (unknown_word(folder), not_pushed(store, folder))):
            say(line)


def _is_first(session: Session) -> bool:
    """Whether this is the first process of a program, and none of a test."""
    if session.rank or session.is_test or session.pid != os.getpid():
        return False
    process = sys.modules.get("multiprocessing.process")
    return process is None or process.parent_process() is None


def start(store: Path, when: str, folder: str | None, *, is_child: bool = False) -> int | None:
    """Start the process that pushes; gives its number if it is a child, and None where it cannot be started.

    Parameters
    ----------
    store : Path
    when : str
        `end` to send what is there, `live` to go on until no session records, `now` to send it beside others that do.
    folder : str or None
        In which the target is named.
    is_child : bool
        Whether the caller waits for it, and reaps it.
    """
    import json

    from histhooks._record.closing_line import library_path

    if not os.path.basename(sys.executable or "").lower().startswith(("python", "pypy")):
        return None  # another program that has Python in it
    variables = {name: value for name, value in os.environ.items() if name != "HISTHOOKS_RUN"} | {"HISTHOOKS": "off"}
    try:
        where = (os.path.abspath(store), folder or working_folder(), when)  # fails in a folder that was removed
        words = [sys.executable, "-I", "-S", "-W", "ignore", "-c", _CODE, json.dumps(library_path()), *where]
        if not hasattr(os, "posix_spawn"):
            return _start_on_windows(words, variables)
        is_orphan = not is_child and os.access(_SHELL, os.X_OK)
        # A shell that ends at once leaves the process to init: os.wait() of the program does not wait for it.
        words = [_SHELL, "-c", '"$@" &', "sh", *words] if is_orphan else words
        nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        with own_children.starting():
            started = os.posix_spawn(words[0], words, variables, file_actions=nothing, setsid=True)
            if is_orphan:
                own_children.add(started)
    except (OSError, ValueError, NotImplementedError, RuntimeError):
        return None
    if not is_orphan:
        return started
    own_children.wait(started)
    return None


def _start_on_windows(words: list[str], variables: dict[str, str]) -> int:
    import subprocess

    flags = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    none = subprocess.DEVNULL
    return subprocess.Popen(words, env=variables, stdin=none, stdout=none, stderr=none, creationflags=flags).pid


# --- how the last one went --------------------------------------------------------------------------------------------


def report_of(store: Path, folder: str | None = None) -> Path | None:
    """Where the process that pushes a store to the target says how it went; None for an account without a home."""
    import hashlib

    state = user_folder("XDG_STATE_HOME", ".local/state")
    key = f"{os.path.realpath(store)}\0{target(folder)}"
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return None if state is None else state / "push" / f"{name}.json"


def last_report(store: Path, folder: str | None = None) -> dict[str, Any]:
    """How the last push of a store to the target that is named now went; empty where none was tried.

    Returns
    -------
    dict
        `target`, `at` (seconds since 1970), `pushed_at` (when it last succeeded, or None), `error` (None if it did) and
        `next_at`.
    """
    import json

    path = report_of(store, folder)
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def not_pushed(store: Path, folder: str | None = None) -> str:
    """A line about what an earlier push could not send; empty if the last one succeeded."""
    import time

    found = last_report(store, folder)
    if not found.get("error"):
        return ""
    since = found.get("failing_since") or found.get("at") or 0
    clock = time.strftime("%Y-%m-%d %H:%M", time.localtime(since))
    where = f" to {found['target']}" if found.get("target") else ""
    error = str(found["error"]).removeprefix(str(found.get("target"))).strip()  # which most of them begin with
    error = error if len(error) <= _MOST_WORDS else f"{error[:_MOST_WORDS]}…"
    return f"not pushed{where} since {clock}: {error} · histhooks push"
