"""Cells of a notebook, or of any other shell of IPython: their sources in the order in which they ran, no output.

IPython calls ``pre_run_cell`` with the source of each cell (IPython/core/events.py). What ran before stands in
``InteractiveShell.history_manager`` (`input_hist_raw`), the running one included.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from html import escape
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._base.secrets import mask_text
from histhooks._host.guard import guarded
from histhooks._host.ipython import shell, show
from histhooks._host.messages import is_quiet, say
from histhooks._store.entries import event_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from histhooks._record.session import Recorded

_NAMED = 3


class Cells:
    """The cells that ran, with the time at which each began; to be made on the program's thread.

    A cell that began before a run ended is part of that run's code. Of those that ran before recording began, and of
    the one that runs now, the time is that of the beginning of the session.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, str, str]] = deque()
        self._events: Any = None
        self._hook: Any = None
        found = shell()
        ran = getattr(getattr(found, "history_manager", None), "input_hist_raw", None)
        if ran is None:
            return
        now = now_us()
        self._seen.extend((now, f"In [{number}]", str(text)) for number, text in enumerate(ran) if number)
        self._events, self._hook = found.events, guarded(self._begins)
        self._events.register("pre_run_cell", self._hook)

    def _begins(self, info: Any) -> None:
        # What a front end asks in silence, such as the names of variables, is no cell of the program.
        if not info.silent and info.raw_cell:
            # The place it will have there; `execution_count` is raised before this since IPython 9.
            number = len(shell().history_manager.input_hist_raw) if info.store_history else None
            self._seen.append((now_us(), f"In [{number}]" if number else "In [ ]", str(info.raw_cell)))

    def close(self) -> None:
        """See no more of them."""
        if self._events is not None:
            with contextlib.suppress(ValueError):  # the program took all hooks out
                self._events.unregister("pre_run_cell", self._hook)
            self._events = None

    def entries(self, session_id: str) -> list[tuple[Any, ...]]:
        """Those seen since the last call, as events of kind `cell` for a batch."""
        out = []
        while self._seen:
            time, title, text = self._seen.popleft()
            out.append(event_entry(session_id, None, "cell", title, mask_text(text), time=time))
        return out


class CellLine:
    """After each cell in which runs ended, display which: one dim line.

    Parameters
    ----------
    where : callable
        Gives the file that they are recorded in.
    """

    def __init__(self, where: Callable[[], str]) -> None:
        self._where = where
        self._count = 0
        self._named: list[str] = []
        self._is_over = False
        self._lock = threading.Lock()
        events = shell().events
        events.register("pre_run_cell", guarded(self._began))
        events.register("post_run_cell", guarded(self._ended))

    def run_ended(self, run: Recorded) -> None:
        """Keep a run for the line; one that ends with its cell, or after it, is printed at once."""
        if run.parent_id is not None:
            return
        with self._lock:
            self._count += 1
            if self._count <= _NAMED:
                self._named.append(f"{run.kind} {run.name}" + ("" if run.status == "finished" else f" {run.status}"))
        if self._is_over:
            self._tell()

    def _began(self, info: Any) -> None:
        self._is_over = False

    def _ended(self, result: Any) -> None:
        self._is_over = True
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            (count, named), self._count, self._named = (self._count, self._named), 0, []
        if count:
            rest = ", …" if count > len(named) else ""
            runs = f"{count} run{'' if count == 1 else 's'} ({', '.join(named)}{rest})"
            _display(f"{runs} → {self._where()}")


def _display(text: str) -> None:
    """A line below the cell; on stderr, which many notebooks paint red, only where nothing can be displayed."""
    if is_quiet():
        return
    html = f"<div style='opacity:.6;font-size:85%'>histhooks: {escape(text)}</div>"
    if not show(f"histhooks: {text}", html):
        say(text, is_dim=True)
