"""Sample the use of the machine in the writer thread, as metrics of split `system`.

The samples are CPU (percent of one core) and memory of the process, of the machine, and of each GPU if the extra `gpu`
is installed.
HISTHOOKS_SYSTEM_S sets the seconds between samples, 10 by default; 0 switches it off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

_EVERY_S = 10.0


def interval() -> float:
    """Seconds between samples; 0 for none."""
    try:
        return max(0.0, float(os.environ.get("HISTHOOKS_SYSTEM_S") or _EVERY_S))
    except ValueError:
        return _EVERY_S


class Sampler:
    """Reads the use of the machine, no more often than asked."""

    def __init__(self) -> None:
        self.every_s = interval()
        self._next = time.monotonic() + self.every_s
        self._process: Any = None
        self._gpus: list[Callable[[], dict[str, float]]] = []

    def sample(self) -> dict[str, float]:
        """The next sample where it is due, else nothing."""
        if not self.every_s or time.monotonic() < self._next:
            return {}
        self._next = time.monotonic() + self.every_s
        import psutil

        if self._process is None:
            self._process = psutil.Process()
            self._gpus = _gpus()
            self._process.cpu_percent(None)  # counts from here on
            psutil.cpu_percent(None)
            self._next = time.monotonic() + min(1.0, self.every_s)
            return {}
        memory = psutil.virtual_memory()
        out = {
            "system/cpu_percent": float(self._process.cpu_percent(None)),
            "system/memory_bytes": float(self._process.memory_info().rss),
            "system/machine_cpu_percent": float(psutil.cpu_percent(None)),
            "system/machine_memory_percent": float(memory.percent),
        }
        for read in self._gpus:
            out |= read()
        return out


def _gpus() -> list[Callable[[], dict[str, float]]]:
    """A reader for each GPU; none where NVIDIA's library or its Python face is missing."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []

    def reader(number: int, handle: Any) -> Callable[[], dict[str, float]]:
        def read() -> dict[str, float]:
            try:
                use, memory = pynvml.nvmlDeviceGetUtilizationRates(handle), pynvml.nvmlDeviceGetMemoryInfo(handle)
            except pynvml.NVMLError:
                return {}
            return {
                f"system/gpu{number}_percent": float(use.gpu),
                f"system/gpu{number}_memory_bytes": float(memory.used),
            }

        return read

    return [reader(number, handle) for number, handle in enumerate(handles)]
