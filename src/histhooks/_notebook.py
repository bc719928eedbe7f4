"""Cells of a notebook: their sources in the order in which they ran, never their outputs.

IPython keeps the source of each cell that it runs in a list that only grows (``InteractiveShell.history_manager``,
`input_hist_raw`), the running one included, so that another thread can read what is new.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from histhooks._ids import new_id
from histhooks._messages import say
from histhooks._secrets import mask_text
from histhooks._time import now_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from histhooks._run import Run

_NAMED = 3


def shell() -> Any:
    """IPython's shell that runs this program; None where there is none, or while IPython is being imported."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get is None else get()


def is_notebook() -> bool:
    """Whether this process serves a notebook."""
    return type(shell()).__name__ == "ZMQInteractiveShell"


class Cells:
    """Reads the cells that ran since the last reading."""

    def __init__(self) -> None:
        self._next = 1  # IPython counts from 1

    def entries(self, session_id: str) -> list[tuple[Any, ...]]:
        """Events of kind `cell`, as entries for a batch."""
        if not is_notebook():
            return []
        ran = shell().history_manager.input_hist_raw
        out = []
        for number in range(self._next, len(ran)):
            row = {"id": new_id(), "session_id": session_id, "run_id": None, "time": now_us(), "step": None}
            row |= {"kind": "cell", "severity": "info", "title": f"In [{number}]", "count": 1}
            out.append(("row", "events", session_id, {**row, "body": mask_text(str(ran[number]))}))
        self._next = max(self._next, len(ran))
        return out


class CellLine:
    """After each cell in which runs ended, tells which: one dim line.

    Parameters
    ----------
    where : callable
        Gives the file that they are recorded in.
    """

    def __init__(self, where: Callable[[], str]) -> None:
        from histhooks._guard import guarded

        self._where = where
        self._count = 0
        self._named: list[str] = []
        self._is_over = False
        self._lock = threading.Lock()
        events = shell().events
        events.register("pre_run_cell", guarded(self._began))
        events.register("post_run_cell", guarded(self._ended))

    def run_ended(self, run: Run) -> None:
        """Keep a run for the line; one that ends with its cell, or after it, is told at once."""
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
            say(f"{runs} → {self._where()}", is_dim=True)
