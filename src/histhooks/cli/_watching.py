"""Verbs that go on until they are ended: a signal ends the pause at once, and lets what is under way finish."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Ending:
    """Whether SIGINT or SIGTERM came; a second one ends the process as usual."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Ending:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._event.set()
        self._restore()

    def wait(self, seconds: float) -> bool:
        """Wait; whether a signal ended it."""
        return self._event.wait(seconds)
