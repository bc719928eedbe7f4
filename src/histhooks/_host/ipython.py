"""The IPython shell, if it runs this program."""

from __future__ import annotations

import sys
from typing import Any


def shell() -> Any:
    """IPython's shell that runs this program; None if there is none, or while IPython is being imported."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get is None else get()


def is_notebook() -> bool:
    """Whether this process serves a notebook."""
    return type(shell()).__name__ == "ZMQInteractiveShell"
