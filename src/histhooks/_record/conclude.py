"""A process under ``histhooks run``: what it reports to its supervisor, and what the supervisor writes once it is gone.

Each session leaves a file in the folder that HISTHOOKS_RUN names, with its process and its store. A process that is
gone cannot say how it ended; its supervisor saw it, takes up the pen of that session where it stopped (no other writer
can come, the process was waited for), and adds one batch: exit code, signal, statuses, and the last lines of stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import ended, iso, now_us
from histhooks._base.secrets import mask_text
from histhooks._base.vocabulary import UNDECIDED, UNFINISHED, ending
from histhooks._host.process import judge
from histhooks._store.assembler import Assembler
from histhooks._store.entries import event_entry, state_entry
from histhooks._store.sessions import runs_of, session_of, where_stopped

if TYPE_CHECKING:
    from histhooks._store.store import Store

VARIABLE = "HISTHOOKS_RUN"
_ENDED = "ended-"  # what a process leaves there that saw another one end: `children`
_BEGUN = "begun-"  # what the bootstrap leaves in that folder, with what came of it: `_bootstrap/sitecustomize.py`


@dataclass(frozen=True, slots=True)
class Session:
    """A session that a supervised process began.

    Attributes
    ----------
    id : str
    pid : int
    store : Path
        The store or the spool that it wrote to last.
    rest : Path or None
        A second spool, with what its writer, which hung, left behind.
    """

    id: str
    pid: int
    store: Path
    rest: Path | None = None


def tell(session_id: str, store: Path, rest: Path | None = None) -> None:
    """Tell the supervisor, where there is one, about this process's session."""
    folder = os.environ.get(VARIABLE)
    if folder and os.path.isdir(folder):
        facts = {"id": session_id, "pid": os.getpid(), "store": str(store.absolute())}
        facts["rest"] = None if rest is None else str(rest.absolute())
        with contextlib.suppress(OSError):  # no room, or no descriptor: what the program records counts more
            Path(folder, session_id).write_text(json.dumps(facts), encoding="utf-8")


def tell_end(pid: int, exit_code: int | None, signal_number: int | None) -> bool:
    """Tell the supervisor how another process ended; False where there is none."""
    folder = os.environ.get(VARIABLE)
    if not folder or not os.path.isdir(folder):
        return False
    with contextlib.suppress(OSError):
        Path(folder, f"{_ENDED}{pid}").write_text(json.dumps([exit_code, signal_number]), encoding="utf-8")
    return True


def ends(folder: Path) -> dict[int, tuple[int | None, int | None]]:
    """Exit code or signal of the processes of which another one saw it, by their number."""
    found = {}
    for path in folder.glob(f"{_ENDED}*"):
        with contextlib.suppress(ValueError):  # the reporting process was killed meanwhile
            exit_code, signal_number = json.loads(path.read_text(encoding="utf-8"))
            found[int(path.name.removeprefix(_ENDED))] = exit_code, signal_number
    return found


def told(folder: Path) -> list[Session]:
    """The sessions that supervised processes reported, in the order in which they began."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((_BEGUN, _ENDED)):
            continue
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # it was killed while it reported
            continue
        rest = facts.get("rest")
        found.append(Session(facts["id"], facts["pid"], Path(facts["store"]), Path(rest) if rest else None))
    return found


def why_nothing(folder: Path) -> str:
    """Why no session was begun under a supervisor, as far as the Pythons that it started said."""
    words = {path.read_text(encoding="utf-8", errors="replace").strip() for path in folder.glob(f"{_BEGUN}*")}
    if not words:
        return (
            "no Python that it started reads PYTHONPATH, where recording begins: "
            "one with -I, -E or -S does not, and a command may start none"
        )
    reasons = sorted(words - {""})
    if "" in words or not reasons:
        return "no training of a framework that is recorded was seen (`histhooks doctor` lists them)"
    return "; ".join(reasons[:3])


def conclude(session: Session, exit_code: int | None, signal_number: int | None, stderr: str) -> None:
    """Write how a process ended that is gone.

    Parameters
    ----------
    session : Session
    exit_code, signal_number : int or None
        How it ended, where the supervisor saw it: one of the two, or none.
    stderr : str
        The last lines that it wrote there.
    """
    from histhooks._store.spools import merge
    from histhooks._store.store import Store

    store = Store(session.store, is_spool=session.store.stem == session.id)
    try:
        if session.rest is not None:
            merge(store, session.rest)  # first: what it says goes on from the same line of the ledger
        write_end(store, session.id, exit_code, signal_number, stderr)
    finally:
        store.close()


def write_end(
    store: Store, session_id: str, exit_code: int | None, signal_number: int | None, stderr: str = ""
) -> None:
    """Write how a process ended as its session would: it is gone, and was waited for."""
    with store.transaction(is_durable=True):  # others may settle the session just now
        found = entries(store, session_id, exit_code, signal_number, stderr)
        if found:
            store.write(_pen(store, session_id).build(found))


def entries(
    store: Store, session_id: str, exit_code: int | None, signal_number: int | None, stderr: str = ""
) -> list[tuple[Any, ...]]:
    """What there is to write of the end of a process; of what is known already, nothing."""
    row = session_of(store, session_id)
    if row is None:
        return []  # it ended before its first commit
    seen = exit_code is not None or signal_number is not None
    status = row["status"]
    is_alive = not seen and status == "running" and judge(row, now_us()) == "running"
    if is_alive:
        return []
    is_gone = seen and status == "killed" and row["signal"] is None  # is all that another session saw meanwhile
    facts: dict[str, Any] = {}
    if seen:
        facts = {"exit_code": exit_code}
        if signal_number is not None:
            facts["signal"] = row["signal"] or _name_of(signal_number)
    facts["status"] = ending(status, exit_code=exit_code, signal=signal_number, is_alive=is_alive, is_guess=is_gone)
    facts = {name: value for name, value in facts.items() if value != row[name]}
    if status == "running":
        facts["ended_at"] = iso(now_us())
    found: list[tuple[Any, ...]] = []
    for run in runs_of(store, session_id):
        became = run["status"]
        is_open = became == "running" or (is_gone and became == "killed")
        if (is_open or became in UNDECIDED) and "status" in facts:
            # What was open when the process left without a word did not finish, whatever the exit code says.
            is_cut = is_open and facts["status"] == "finished"
            became = "interrupted" if is_cut else facts["status"]
            change = {"status": became} | (ended(run["started_at"], now_us()) if run["status"] == "running" else {})
            found.append(state_entry("run", run["id"], change))
        if became in UNFINISHED and run["parent_id"] is None and stderr.strip():
            title = "the last lines of stderr"
            found.append(event_entry(session_id, run["id"], "stderr", title, mask_text(stderr)))
    if facts:
        found.append(state_entry("session", session_id, {k: v for k, v in facts.items() if v is not None}))
    return found


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time ones have no name
        return f"SIG{number}"


def _pen(store: Store, session_id: str) -> Assembler:
    """What numbers the rows and chains the lines of a session, where that session stopped."""
    pen = Assembler(session_id, lambda run, text: None)
    seq, digest, ordinals = where_stopped(store, session_id)
    pen.resume(seq + 1, digest, ordinals)
    return pen
