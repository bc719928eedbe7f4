"""Where in the program a call came from."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

# Types of the last constant of code that stands in the place of a function's own: it has that function's file and line.
fronts: set[type] = set()


def call_site(skip: tuple[str, ...] = ()) -> str | None:
    """The location of the call in the program: the nearest frame outside histhooks and the packages in ``skip``.

    Parameters
    ----------
    skip : tuple of str
        Import names of packages whose frames do not count, such as ``("sklearn", "joblib")``.

    Returns
    -------
    str or None
        `file:line`, the file relative to the working folder where it lies there.
    """
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__")  # exec() runs code in a mapping that may lack it, or hold anything
        is_skipped = isinstance(module, str) and module.partition(".")[0] in ("histhooks", "contextlib", *skip)
        if not is_skipped and not is_front(frame.f_code):
            return place(frame)
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def place(frame: FrameType) -> str:
    """What a frame runs, as `file:line`, the file relative to the working folder where it lies there."""
    return f"{_relative(frame.f_code.co_filename)}:{frame.f_lineno}"


def _relative(filename: str) -> str:
    if not os.path.isabs(filename):
        return filename
    try:
        return filename.removeprefix(os.getcwd().rstrip(os.sep) + os.sep)
    except OSError:  # the working folder is gone
        return filename


def is_front(code: CodeType) -> bool:
    """Whether code stands in the place of a function's own."""
    return bool(code.co_consts) and type(code.co_consts[-1]) in fronts
