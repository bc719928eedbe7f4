"""Where the entries of one run go, and what leads them elsewhere.

==============  =================================================================================================
entries are     that is
==============  =================================================================================================
``OPEN``        put into the buffer of the session
``SLOWED``      the same, and whoever puts them waits a moment, since the writer does not keep up
``ENDS_ONLY``   dropped and counted, but for how the run ends: the writer has given up
``RELAYED``     put into the buffer of another process's run, which sends them there
``LATE``        refused: the run has ended
``NOT_OURS``    dropped, with one warning: this is a forked child, and the run is its parent's
``CLOSED``      dropped without a word: nothing is recorded here, or a signal ends the process
==============  =================================================================================================
"""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Any, Literal

from histhooks._store.entries import ignore

if TYPE_CHECKING:
    from collections.abc import Callable


class Way(enum.Enum):
    """Where entries go."""

    OPEN = "open"
    SLOWED = "slowed"
    ENDS_ONLY = "ends only"
    RELAYED = "relayed"
    LATE = "late"
    NOT_OURS = "not ours"
    CLOSED = "closed"


Change = Literal["slow", "release", "keep_ends", "relay", "end", "reopen", "inherit", "close"]
_RECORDED = (Way.OPEN, Way.SLOWED, Way.ENDS_ONLY)
CHANGES: dict[Change, dict[Way, Way]] = {
    "slow": {Way.OPEN: Way.SLOWED},
    "release": {Way.SLOWED: Way.OPEN},
    "keep_ends": {Way.OPEN: Way.ENDS_ONLY, Way.SLOWED: Way.ENDS_ONLY},
    "relay": {Way.CLOSED: Way.RELAYED},
    "end": dict.fromkeys((*_RECORDED, Way.RELAYED), Way.LATE),
    "reopen": dict.fromkeys((Way.LATE, Way.SLOWED, Way.ENDS_ONLY), Way.OPEN),
    "inherit": dict.fromkeys((*_RECORDED, Way.LATE), Way.NOT_OURS),
    "close": dict.fromkeys((*_RECORDED, Way.RELAYED, Way.LATE), Way.CLOSED),
}


def late(entry: Any) -> None:
    """Takes what comes after the end of a run; no method, by which each run would hold itself until it is collected."""
    raise RuntimeError("the run has ended")


class Outlet:
    """The way out of a run.

    Parameters
    ----------
    put : callable, optional
        Takes the entries; without one nothing is recorded.

    Attributes
    ----------
    put : callable
        What the way leads to, which a point costs nothing else to reach: an attribute and not a method.
    way : Way
        Changed by :meth:`lead` only.
    """

    put: Callable[[Any], None]

    def __init__(self, put: Callable[[Any], None] | None) -> None:
        self.way = Way.CLOSED if put is None else Way.OPEN
        self.put = ignore if put is None else put
        self._changing = threading.Lock()  # held while the way, and what decides it, are changed together

    def lead(self, change: Change, put: Callable[[Any], None]) -> bool:
        """Lead entries elsewhere.

        Returns
        -------
        bool
            False if a change leads nowhere from here, such as a release of a run that has ended.
        """
        with self._changing:
            return self._lead(change, put)

    def _lead(self, change: Change, put: Callable[[Any], None]) -> bool:
        """The same, while `_changing` is held."""
        after = CHANGES[change].get(self.way)
        if after is None:
            return False
        self.way, self.put = after, put
        return True

    def close(self) -> None:
        """Drop what comes from now on: a signal ends the process, and its thread goes on for a moment."""
        self.lead("close", ignore)
