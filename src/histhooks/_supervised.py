"""A process under ``histhooks run``: what it tells its supervisor, and what the supervisor writes once it is gone.

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

from histhooks._batch import Assembler
from histhooks._ids import new_id
from histhooks._process import judge
from histhooks._secrets import mask_text
from histhooks._time import ended, iso, now_us

if TYPE_CHECKING:
    from histhooks._store import Store

VARIABLE = "HISTHOOKS_RUN"
_BEGUN = "begun-"  # what the bootstrap leaves in that folder, with what came of it: `_bootstrap/sitecustomize.py`
_UNDECIDED = ("running", "ended", "lost")
_UNFINISHED = ("failed", "interrupted", "killed", "lost", "ended")


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


def told(folder: Path) -> list[Session]:
    """The sessions that supervised processes told of, in the order in which they began."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(_BEGUN):
            continue
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # it was killed as it told
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
    from histhooks._spool import merge
    from histhooks._store import Store

    store = Store(session.store, is_spool=session.store.stem == session.id)
    try:
        if session.rest is not None:
            merge(store, session.rest)  # first: what it says goes on from the same line of the ledger
        entries = _entries(store, session, exit_code, signal_number, stderr)
        if entries:
            batch = _pen(store, session.id).build(entries)
            store.apply(batch, session.id)
    finally:
        store.close()


def _entries(
    store: Store, session: Session, exit_code: int | None, signal_number: int | None, stderr: str
) -> list[tuple[Any, ...]]:
    rows = _rows(store, "SELECT * FROM sessions WHERE id = ?", session.id)
    if not rows:
        return []  # it ended before its first commit
    (row,) = rows
    seen = exit_code is not None or signal_number is not None
    if not seen and row["status"] == "running" and judge(row, now_us()) == "running":
        return []
    status = row["status"]
    facts: dict[str, Any] = {}
    if seen:
        facts = {"exit_code": exit_code}
        if signal_number is not None:
            facts["signal"] = row["signal"] or signal.Signals(signal_number).name
        if status in _UNDECIDED:
            facts["status"] = "killed" if signal_number is not None else "failed" if exit_code else "finished"
    elif status == "running":
        facts = {"status": "killed"}
    if status == "running":
        facts["ended_at"] = iso(now_us())
    entries: list[tuple[Any, ...]] = []
    for run in _rows(store, "SELECT id, status, parent_id, started_at FROM runs WHERE session_id = ?", session.id):
        became = run["status"]
        if became in _UNDECIDED and "status" in facts:
            # What was open when the process left without a word did not finish, whatever the exit code says.
            is_cut = became == "running" and facts["status"] == "finished"
            became = "interrupted" if is_cut else facts["status"]
            change = {"status": became} | (ended(run["started_at"], now_us()) if run["status"] == "running" else {})
            entries.append(("state", "run", run["id"], change, None))
        if became in _UNFINISHED and run["parent_id"] is None and stderr.strip():
            event = {"id": new_id(), "session_id": session.id, "run_id": run["id"], "time": now_us(), "step": None}
            event |= {"kind": "stderr", "severity": "info", "title": "the last lines of stderr", "count": 1}
            entries.append(("row", "events", run["id"], {**event, "body": mask_text(stderr)}))
    if facts:
        entries.append(("state", "session", session.id, {k: v for k, v in facts.items() if v is not None}, None))
    return entries


def _pen(store: Store, session_id: str) -> Assembler:
    """What numbers the rows and chains the lines of a session, where that session stopped."""
    pen = Assembler(session_id, lambda run, text: None)
    sql = "SELECT seq, digest FROM ledger WHERE session_id = ? ORDER BY seq DESC LIMIT 1"
    ((seq, digest),) = store.connection.execute(sql, (session_id,)).fetchall()
    sql = "SELECT scope, table_name, max(last) + 1 FROM ledger_parts WHERE session_id = ? GROUP BY scope, table_name"
    ordinals = {(scope, table): number for scope, table, number in store.connection.execute(sql, (session_id,))}
    pen.resume(seq + 1, digest, ordinals)
    return pen


def _rows(store: Store, sql: str, *values: Any) -> list[dict[str, Any]]:
    cursor = store.connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
