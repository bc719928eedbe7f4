"""Findings of checks beside the rows of a table: of those that are shown, in the time that a page has."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.vocabulary import RUNNING
from histhooks.checks import add_risks, risks_in
from histhooks.history._checked import count_waivers

if TYPE_CHECKING:
    from histhooks.history import RunRecord
    from histhooks.history._table import TableRow
    from histhooks.ui._pages import Ask

_MOST_S = 3.0  # that a page waits; what is not checked then is checked when it is asked for again
_FRESH_S, _LIVE_S = 300.0, 5.0  # what other runs say of a run may change
_MOST = 20_000

_kept: OrderedDict[tuple[Any, ...], tuple[float, Counter[str]]] = OrderedDict()
_lock = threading.Lock()


class Checks:
    """The checks of one page."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._state = (ask.place.shown, ask.stores.identity, count_waivers(ask.history))

    def of(self, run: RunRecord) -> Counter[str]:
        """How many checks found something in a run; remembered for some minutes, of a running one for seconds."""
        key = (*self._state, run.id, run.status, run.row["ended_at"])
        now = time.monotonic()
        with _lock:
            until, found = _kept.get(key, (0.0, Counter()))
        if now < until:
            return found
        found = risks_in(run)
        with _lock:
            _kept[key] = (time.monotonic() + (_LIVE_S if run.status == RUNNING else _FRESH_S), found)
            _kept.move_to_end(key)
            while len(_kept) > _MOST:
                _kept.popitem(last=False)
        return found

    def add_to(self, rows: Sequence[TableRow]) -> int:
        """Check the runs of some rows, and give how many rows are left for the next time."""
        return len(add_risks(self._ask.history, rows, self.of, _MOST_S))

    def by_id(self, run_id: str) -> Counter[str]:
        """The same by the id of a run."""
        return self.of(self._ask.history.run(run_id))
