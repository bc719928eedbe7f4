"""Check whether the process has file descriptors left (``ulimit -n``)."""

from __future__ import annotations

import contextlib
import errno
import os

_WANTED = 6  # a store with its log, its index and a folder, and two that somebody else may take meanwhile
_NONE_LEFT = (errno.EMFILE, errno.ENFILE)


def is_out_of_descriptors(error: BaseException | None = None) -> bool:
    """Whether files cannot be opened for want of descriptors, or whether that is what an exception says."""
    if isinstance(error, OSError) and error.errno in _NONE_LEFT:
        return True
    taken: list[int] = []
    try:
        while len(taken) < _WANTED:
            taken.append(os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))
    except OSError as found:
        return found.errno in _NONE_LEFT
    finally:
        for number in taken:
            with contextlib.suppress(OSError):  # the program has closed all descriptors meanwhile
                os.close(number)
    return False
