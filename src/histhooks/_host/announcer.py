"""Choose the process that prints where it records: the first of a process tree, so that workers print nothing.

A recording process binds an abstract socket of Linux (unix(7)) whose name contains its process id. The system releases
the name when the process is gone. A process that starts recording checks whether one of its ancestors holds such a
name, up to the nearest ``histhooks run``. If only the workers of a program record, the first of them binds a name for
all of them. The environment stays as it is; systems without such sockets use a variable instead.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "HISTHOOKS_ROOT"  # `run-` and the number of a supervisor, above which nobody counts
_MOST = 64
_held: dict[int, tuple[int, int]] = {}  # descriptors of such names, with device and inode


def claim(rank: int, world_size: int) -> bool:
    """Whether this process speaks; asked when it begins to record.

    Parameters
    ----------
    rank, world_size : int
        Its place in a distributed job, of which the first speaks, whoever started it.
    """
    if rank != 0 or _is_below_another():
        return False
    if not _has_names():
        os.environ[VARIABLE] = str(os.getpid())
    _hold(f"root-{os.getpid()}")
    return world_size > 1 or _is_first_worker()


def give_up() -> None:
    """This process records no more; what it starts from now on speaks for itself."""
    if os.environ.get(VARIABLE) == str(os.getpid()):
        del os.environ[VARIABLE]
    after_fork()


def after_fork() -> None:
    """Let go of the names; in a forked child those of its parent, which would outlive it there."""
    while _held:
        number, place = _held.popitem()
        try:
            found = os.fstat(number)
            if (found.st_dev, found.st_ino) == place:  # else the program closed it, and the number is another file's
                os.close(number)
        except OSError:
            continue


def _is_below_another() -> bool:
    marked = os.environ.get(VARIABLE, "")
    if marked.isdigit():
        return int(marked) != os.getpid() and (os.path.exists(f"/proc/{marked}") or not os.path.exists("/proc/self"))
    return _has_names() and any(_is_held(f"root-{pid}") for pid in _ancestors(marked.removeprefix("run-")))


def _ancestors(last: str) -> list[int]:
    """The processes above this one, below the one with the number ``last``."""
    found: list[int] = []
    pid = os.getppid()
    while pid > 1 and str(pid) != last and len(found) < _MOST:
        found.append(pid)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found


def _is_first_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    parent = process.parent_process() if process is not None else None
    return parent is None or not _has_names() or _hold(f"of-{parent.pid}")


def _has_names() -> bool:
    return sys.platform == "linux" and os.path.exists("/proc/self/ns/pid")


def _address(name: str) -> str:
    return f"\0histhooks-{os.stat('/proc/self/ns/pid').st_ino}-{name}"


def _hold(name: str) -> bool:
    """Hold a name; False if another process does."""
    if not _has_names():
        return False
    import _socket  # not `socket`, which gevent replaces by one that waits

    try:
        own = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        own.bind(_address(name))
        number = own.detach()
        found = os.fstat(number)
    except OSError:
        return False
    _held[number] = found.st_dev, found.st_ino
    return True


def _is_held(name: str) -> bool:
    import _socket

    try:
        asking = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            asking.connect(_address(name))
        finally:
            asking.close()
    except OSError:
        return False
    return True
