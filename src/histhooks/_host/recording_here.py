"""Connect recording and reading in one process, without either importing the other."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any, Protocol

from histhooks._host.store_location import real_path


class Recording(Protocol):
    """The side that records."""

    def store_here(self) -> Path | None:
        """Where it records to; None if the program has not asked for a store of its own."""

    def store_or_default(self) -> Path | None:
        """Where it records to, or would; None if it is not to."""

    def keeps_models(self) -> bool:
        """Whether models that runs write are kept."""

    def catch_up(self) -> None:
        """Wait until what was logged before is written."""


class Reading(Protocol):
    """A store that is open for reading."""

    def let_go(self) -> None:
        """Close it; the next query opens it again."""

    def keep_away(self) -> None:
        """In a forked child: neither use nor close what is inherited."""


recording: Recording | None = None
_readings: weakref.WeakSet[Any] = weakref.WeakSet()
_is_watching = False


def store_here() -> Path | None:
    """The store that this process records to, or would."""
    return None if recording is None else recording.store_here()


def is_recorded_to(path: Path) -> bool:
    """Whether this process records to a store."""
    own = store_here()
    return own is not None and real_path(own) == real_path(path)


def catch_up(path: Path) -> None:
    """Before a store is asked: wait until what this process logged before is in it."""
    if recording is not None and is_recorded_to(path):
        recording.catch_up()


def opened(reading: Reading) -> None:
    """A store was opened for reading."""
    global _is_watching
    _readings.add(reading)
    if not _is_watching and hasattr(os, "register_at_fork"):
        _is_watching = True
        os.register_at_fork(before=let_go, after_in_child=keep_away)


def let_go() -> None:
    """Close the readers, before a fork and before recording ends: the last connection to close merges the log."""
    for reading in list(_readings):
        reading.let_go()


def keep_away() -> None:
    """In a forked child: what is inherited is neither used nor closed."""
    for reading in list(_readings):
        reading.keep_away()
