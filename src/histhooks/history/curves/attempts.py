"""The attempts of one training: a run, the runs that it resumed, and those that resumed it.

A link names the resumed run, or only the file that was loaded; then it is the run that wrote that file, by its hash. If
several runs resumed one, the latest of them is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from histhooks._base.clock import from_iso
from histhooks.history.curves.thinning import first_place

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_KINDS = "('resumes', 'continues')"
_FROM = f"SELECT other_run_id, sha256 FROM run_links WHERE run_id = ? AND kind IN {_KINDS} ORDER BY time"
_IS_HERE = "SELECT id FROM runs WHERE id = ?"
_WROTE = (
    "SELECT r.id FROM run_artifacts AS a JOIN runs AS r ON r.id = a.run_id "
    "WHERE a.sha256 = ? AND a.direction = 'out' AND r.id <> ? "
    "AND r.started_at <= (SELECT started_at FROM runs WHERE id = ?) ORDER BY r.started_at DESC LIMIT 1"
)
_ON = (
    "SELECT DISTINCT l.run_id, r.started_at FROM run_links AS l JOIN runs AS r ON r.id = l.run_id "
    f"WHERE l.kind IN {_KINDS} AND (l.other_run_id = ? OR (l.other_run_id IS NULL AND l.sha256 IN "
    "(SELECT sha256 FROM run_artifacts WHERE run_id = ? AND direction = 'out'))) ORDER BY r.started_at DESC"
)


def attempts_of(history: Reader, run_id: str) -> list[str]:
    """Ids of the attempts that a run is one of, the earliest first."""
    line = [run_id]
    while (earlier := _before(history, line[0])) and earlier not in line:
        line.insert(0, earlier)
    while (later := _after(history, line[-1])) and later not in line:
        line.append(later)
    return line


def _before(history: Reader, run_id: str) -> str | None:
    for other, sha256 in history.cursor(_FROM, run_id).fetchall():
        found = history.cursor(_IS_HERE, other).fetchone() if other else None
        if found is None and other is None and sha256:
            found = history.cursor(_WROTE, sha256, run_id, run_id).fetchone()
        if found is not None:
            return str(found[0])
    return None


def _after(history: Reader, run_id: str) -> str | None:
    candidates = [str(row[0]) for row in history.cursor(_ON, run_id, run_id).fetchall()]
    return next((other for other in candidates if _before(history, other) == run_id), None)


# --- one axis that goes on --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the points of a run move so that it begins where the run that it goes on from was left.

    Attributes
    ----------
    step, epoch : int
    seconds : float
        Of the time since the start: the time between the attempts is left out.
    """

    step: int = 0
    epoch: int = 0
    seconds: float = 0.0

    @property
    def is_none(self) -> bool:
        """Whether nothing moves."""
        return self == Shift()

    def along(self, x: str) -> float:
        """Along one axis; times of day are one axis already, and the order of arrival is that of one run."""
        return {"step": float(self.step), "epoch": float(self.epoch), "relative": self.seconds}.get(x, 0.0)


_LINKED = f"SELECT sha256 FROM run_links WHERE run_id = ? AND kind IN {_KINDS} AND sha256 IS NOT NULL ORDER BY time"
_WRITTEN = (
    "SELECT step, time FROM run_artifacts WHERE run_id = ? AND sha256 = ? AND direction = 'out' AND step IS NOT NULL "
    "ORDER BY time LIMIT 1"
)
_SERIES = (
    "SELECT series, start_time, count FROM metric_summaries WHERE run_id = ? AND count > 0 AND split IS NOT 'system'"
)
_LAST = "SELECT coalesce(step, n), epoch, time FROM points WHERE series = ? AND n = ?"
_EPOCH = (
    "SELECT epoch FROM points WHERE series = ? AND coalesce(step, n) <= ? AND epoch IS NOT NULL ORDER BY n DESC LIMIT 1"
)


def shift_of(history: Reader, run_id: str) -> Shift:
    """How far a run moves to go on from the one that it resumed, and that one from the one before it.

    A run that counts on, as most frameworks do, stays: only what is counted anew moves. The place where the earlier one
    was left is that of the file that was loaded, where its step is known, else its last point.
    """
    shift, line = Shift(), attempts_of(history, run_id)
    line = line[: line.index(run_id) + 1]
    for before, run in pairwise(line):
        own, old = first_place(history, run), first_place(history, before)
        left = _left(history, before, run)
        step = _moved(shift.step, own[0], old[0], left[0])
        shift = Shift(step, _moved(shift.epoch, own[1], old[1], left[1]), shift.seconds + left[2])
    return shift


def _moved(shift: int, begin: int | None, before: int | None, left: int | None) -> int:
    """The shift of a run behind one with a shift of its own."""
    if begin is None or before is None or left is None or begin > before:
        return shift  # counts on
    return shift + left + 1 - begin


def _left(history: Reader, run_id: str, later: str) -> tuple[int | None, int | None, float]:
    """The step and the epoch at which a run was left, and how many seconds it had trained then."""
    start = history.cursor("SELECT started_at FROM runs WHERE id = ?", run_id).fetchone()[0]
    series = history.cursor(_SERIES, run_id).fetchall()
    for (sha256,) in history.cursor(_LINKED, later).fetchall():
        row = history.cursor(_WRITTEN, run_id, sha256).fetchone()
        if row is not None:
            step, time = row
            epochs = [row[0] for key, *_ in series if (row := history.cursor(_EPOCH, key, step).fetchone())]
            return step, max(epochs, default=None), (time - from_iso(start)) / 1e6
    ends = [
        (step, epoch, began + time)
        for key, began, count in series
        for step, epoch, time in history.cursor(_LAST, key, count - 1)
    ]
    if not ends:
        return None, None, 0.0
    epochs = [epoch for _, epoch, _ in ends if epoch is not None]
    return (
        max(step for step, *_ in ends),
        max(epochs, default=None),
        (max(time for *_, time in ends) - from_iso(start)) / 1e6,
    )
