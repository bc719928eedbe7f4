"""Identify a process, and check whether it is still alive.

Linux has both in /proc (proc(5)): the boot id, the PID namespace, and field 22 of `stat`, the start time of a process
in clock ticks since boot, which no later process with the same number can share.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histhooks._base.clock import from_iso
from histhooks._base.vocabulary import RUNNING, ending

STALE_US = 5 * 60 * 1_000_000
_CLOCK_US = 2_000_000  # the time of the start is known to a second


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The identity of a process, unique over time and hosts.

    Attributes
    ----------
    hostname : str
    boot_id, pid_namespace, process_started : str or None
        None if the system does not provide it.
    pid : int
    """

    hostname: str
    boot_id: str | None
    pid: int
    pid_namespace: str | None
    process_started: str | None


def identity() -> ProcessIdentity:
    """The identity of this process."""
    pid = os.getpid()
    return ProcessIdentity(socket.gethostname(), _boot_id(), pid, _namespace(), _started(pid))


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil

        return str(int(psutil.boot_time()))


def booted_us() -> int | None:
    """When this machine was started, in microseconds UTC; None if the system does not say."""
    try:
        text = Path("/proc/stat").read_text(encoding="ascii", errors="replace")
        return int(text.partition("\nbtime ")[2].split()[0]) * 1_000_000
    except (OSError, IndexError, ValueError):
        return None


def _namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a living process started; None if there is none, or only its entry in the process table."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _started_elsewhere(pid)
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]


def _started_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def judge(row: Mapping[str, Any], now_us: int) -> str:
    """What became of a session that says it is running.

    Parameters
    ----------
    row : mapping
        A row of `sessions`.
    now_us : int, microseconds UTC

    Returns
    -------
    str
        `running`; `killed` where its process is provably gone; `lost` where nothing can be seen of its process and its
        heartbeat is 5 minutes old.
    """
    return ending(RUNNING, is_alive=_is_alive(row, now_us))


def _is_alive(row: Mapping[str, Any], now_us: int) -> bool | None:
    """Whether the process of a session lives; None if nothing is seen of it, and its heartbeat is old."""
    here, seen = identity(), row.get("heartbeat_at") or row.get("started_at")
    if row.get("hostname") == here.hostname:
        if row.get("boot_id") and row["boot_id"] != here.boot_id:
            if not _is_of_a_namesake(seen):
                return False
        elif row.get("pid_namespace") == here.pid_namespace and row.get("pid"):
            started = _started(int(row["pid"]))
            return started is not None and started == row.get("process_started")
    return True if seen and now_us - from_iso(seen) <= STALE_US else None


def _is_of_a_namesake(seen: str | None) -> bool:
    """Whether what was seen under another boot, since this machine was started, is of another machine of its name."""
    booted = booted_us()
    return booted is not None and seen is not None and from_iso(seen) > booted + _CLOCK_US
