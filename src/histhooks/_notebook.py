"""Cells of a notebook: their sources in the order in which they ran, never their outputs.

IPython keeps the source of each cell that it runs in a list that only grows (``InteractiveShell.history_manager``,
`input_hist_raw`), the running one included, so that another thread can read what is new.
"""

from __future__ import annotations

import sys
from typing import Any

from histhooks._ids import new_id
from histhooks._secrets import mask_text
from histhooks._time import now_us


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
