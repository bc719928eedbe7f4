"""The calls that a loop began in, by which an exception is known to have left it."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any

# Frames of these stand below functions of the program that have nothing to do with each other.
_OUTER = ("concurrent", "contextlib", "functools", "histhooks", "joblib", "multiprocessing", "threading", "torch")
_DEEPEST = 200

Frames = frozenset[tuple[int, CodeType]]


def running() -> Frames:
    """The calls of the program that are running in this thread; a frame keeps its identity as long as it runs."""
    found = set()
    frame: Any = sys._getframe(1)
    for _ in range(_DEEPEST):
        if frame is None:
            break
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _OUTER:
            found.add((id(frame), frame.f_code))
        frame = frame.f_back
    return frozenset(found)


def passed_through(error: BaseException, frames: Frames) -> bool:
    """Whether an exception came through one of some calls."""
    trace = error.__traceback__
    while trace is not None:
        if (id(trace.tb_frame), trace.tb_frame.f_code) in frames:
            return True
        trace = trace.tb_next
    return False
