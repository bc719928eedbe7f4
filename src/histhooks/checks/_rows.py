"""What checks find in many runs, as numbers beside the rows of a table."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from histhooks.checks._inner import with_inner
from histhooks.checks._types import INFO

if TYPE_CHECKING:
    from histhooks.history import History
    from histhooks.history._records import RunRecord
    from histhooks.history._table_rows import TableRow


def risks_in(run: RunRecord) -> Counter[str]:
    """How many checks found something in a run and in the trainings inside it, by the worst level: `fail` or `warn`."""
    from histhooks.checks import risks

    found: Counter[str] = Counter()
    for each in with_inner(run):
        verdict = risks(each)
        worst = {one.id: one for one in sorted(verdict.findings, key=lambda one: one.rank)} if verdict else {}
        found += Counter(one.level for one in worst.values() if one.level != INFO)
    return found


def add_risks(
    history: History,
    rows: Sequence[TableRow],
    ask: Callable[[RunRecord], Counter[str]] = risks_in,
    most_s: float | None = None,
) -> list[TableRow]:
    """Check the runs of rows, and put what was found into their values in place of what was kept.

    Parameters
    ----------
    history : History
    rows : sequence of TableRow
    ask : callable
        How one run is checked.
    most_s : float, optional
        After how many seconds no further row is begun; the first one always is.

    Returns
    -------
    list of TableRow
        Those that were not checked.
    """
    until = None if most_s is None else time.monotonic() + most_s
    for place, row in enumerate(rows):
        if place and until is not None and time.monotonic() > until:
            return list(rows[place:])
        found = sum((ask(history.run(run_id)) for run_id in row.ids), Counter[str]())
        row.values["risks"] = dict(found)
    return []
