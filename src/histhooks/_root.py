"""Which process tells a person where it records to: the first of a family, so that workers add no lines of their own.

A process that records leaves its number in the environment, where each of its children finds it, forked or spawned.
Where the program itself records nothing and only its workers do, the first of them speaks: it holds a name among the
abstract sockets of Linux (unix(7)), which the system takes back when the process is gone.
"""

from __future__ import annotations

import os
import sys
from typing import Any

VARIABLE = "HISTHOOKS_ROOT"
_held: list[Any] = []


def claim(rank: int, world_size: int) -> bool:
    """Whether this process speaks; asked when it begins to record.

    Parameters
    ----------
    rank, world_size : int
        Its place in a distributed job, of which the first speaks, whoever started it.
    """
    if rank != 0 or _is_below_another():
        return False
    os.environ[VARIABLE] = str(os.getpid())
    return world_size > 1 or _is_first_worker()


def give_up() -> None:
    """This process records no more; what it starts from now on speaks for itself."""
    if os.environ.get(VARIABLE) == str(os.getpid()):
        del os.environ[VARIABLE]


def _is_below_another() -> bool:
    marked = os.environ.get(VARIABLE, "")
    if not marked.isdigit() or int(marked) == os.getpid():
        return False
    return os.path.exists(f"/proc/{marked}") or not os.path.exists("/proc/self")


def _is_first_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    parent = process.parent_process() if process is not None else None
    if parent is None or _held:
        return True
    import socket

    try:
        own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        own.bind(f"\0histhooks-{os.stat('/proc/self/ns/pid').st_ino}-{parent.pid}")
    except (OSError, AttributeError):  # held by another worker, or not Linux
        return False
    _held.append(own)
    return True
