"""What a session says of itself: its first state and its last one, and the line that it prints with each."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso, now_us
from histhooks._collect import survey
from histhooks._host.failures import failures
from histhooks._host.ipython import is_notebook
from histhooks._host.messages import be_still, say
from histhooks._host.mounts import is_network
from histhooks._host.store_location import keep_out_of_git
from histhooks._store.entries import state_entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from histhooks._record.session import Session
    from histhooks._store.assembler import Assembler
    from histhooks._store.store import Store

_LONG_S = 300.0  # from when on the closing line has the cost as a share too
_LOG_S = 1e-6  # one log() of four scalars, as `python -m benchmarks log` measures it; timing each would double it


class SessionStates:
    """The first and the last state of one session.

    Parameters
    ----------
    session : Session
    assembler : Assembler
        Has the ledger's last line.

    Attributes
    ----------
    session : Session
    stopping : threading.Event
        Set when the session is to end.
    n_logs : int
        Calls of ``log()`` that were written, which the cost counts.
    began : int
        Microseconds UTC.
    """

    def __init__(self, session: Session, assembler: Assembler) -> None:
        self.session, self._assembler = session, assembler
        self.stopping = threading.Event()
        self.n_logs = 0
        self.began = now_us()
        self._clock = time.perf_counter()
        self._final: dict[str, Any] = {}
        self._print: Callable[[str], None] = say

    def end(self, status: str, signal: str | None, exit_code: int | None) -> None:
        """Note how the session ends."""
        self._final = {"status": status, "ended_at": iso(now_us()), "signal": signal, "exit_code": exit_code}
        self.stopping.set()

    @property
    def is_by_signal(self) -> bool:
        """Whether a signal ends the session, and leaves little time."""
        return bool(self._final.get("signal"))

    def first(self) -> tuple[Any, ...]:
        """The entry with which a session begins."""
        facts, personal, details = survey.session_facts(
            self.session.rank, self.session.world, is_test=self.session.is_test
        )
        facts = {**facts, "status": "running", "started_at": iso(self.began), "details": details}
        facts = {key: value for key, value in facts.items() if value is not None}
        return state_entry("session", self.session.id, facts, personal)

    def last(self, cost_s: float) -> tuple[Any, ...]:
        """The entry with which it ends."""
        final = {key: value for key, value in self._final.items() if value is not None}
        final |= {"hook_errors": self.session.hook_errors, "overhead_s": round(cost_s, 6)}
        if self.session.dropped_points:
            final["dropped_points"] = self.session.dropped_points
        if self._assembler.previous is not None:
            final["ledger_head"] = self._assembler.previous
        return state_entry("session", self.session.id, final)

    def cost_s(self) -> float:
        """Seconds that recording took from the program's threads so far."""
        return failures.overhead_s + self.n_logs * _LOG_S

    def print_first(self, store: Store, path: Path, *, is_new: bool) -> None:
        """Print where the session records, if this process is the one that prints; git learns of a new store."""
        self._print = say if self.session.speaks else be_still
        if store.is_spool and is_network(path):
            self._print(f"recording to {store.path}, since {path} is on a network; `histhooks sync` brings it home")
        elif store.is_spool:
            self._print(f"recording to {store.path} until {path} can be written")
        else:
            if not is_notebook():  # where a line below the cell says it
                self._print(f"recording to {path}")
            if is_new:
                keep_out_of_git(path)

    def print_last(self, where: str, cost_s: float, not_captured: list[str]) -> None:
        """Print what was recorded, where it is and what it cost."""
        session = self.session
        unfinished = ", ".join(f"{count} {status}" for status, count in sorted(session.n_unfinished.copy().items()))
        runs = f"{session.n_runs} run{'' if session.n_runs == 1 else 's'}" + (f" ({unfinished})" if unfinished else "")
        took_s = time.perf_counter() - self._clock  # a share says something only beside the fixed price of the start
        cost = f"{cost_s:.2f} s" + (f" ({cost_s / took_s * 100:.1f} %)" if took_s >= _LONG_S else "")
        missing = f" · not captured: {', '.join(not_captured)}" if not_captured else ""
        head = self._assembler.head()
        last = "show last"
        if session.watched:
            rows = ", ".join(f"{n:,} row{'' if n == 1 else 's'} of {name}" for name, n in session.watched.items())
            runs = rows if not session.n_runs else f"{runs}, {rows}"
            last = f"monitor {next(iter(session.watched)).partition('@')[0]}" if not session.n_runs else last
        elif os.environ.get("HISTHOOKS_WATCH") and not session.n_runs:
            runs, last = "nothing was predicted", "models"  # as by a server that leaves the work to its children
        self._print(f"{runs} → {where} · cost {cost}{missing} · head {head} · histhooks {last}")
