"""Follow a run while it trains: new records since the last look, its progress, and its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from histhooks._base.clock import from_iso
from histhooks._base.vocabulary import RUNNING
from histhooks.errors import QueryError
from histhooks.history._progress import LATEST, Progress, lately, progress_of, rate_of
from histhooks.history._run_rows import RunRows
from histhooks.history.curves.thinning import Point, first_place

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

Run = TypeVar("Run", bound=RunRows)

_ANYWAY_S = 2.0
_POINTS = "SELECT n, coalesce(step, n), epoch, time, value, special FROM points WHERE series = ? AND n >= ? ORDER BY n"


@dataclass(frozen=True, slots=True)
class Update(Generic[Run]):
    """The new records of a run since the last look.

    Attributes
    ----------
    run : RunRecord
        Its current state.
    points : list of (str, Point)
        New points with the name of their metric, in the order of their times.
    events : list of dict
        New rows of `events`: of the run, and warnings and errors of its process.
    children : int
        Runs inside it.
    progress : Progress
    """

    run: Run
    points: list[tuple[str, Point]]
    events: list[dict[str, Any]]
    children: int
    progress: Progress

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.run.status != RUNNING


@dataclass(slots=True)
class Follower(Generic[Run]):
    """Looks at one run repeatedly.

    Parameters
    ----------
    run : RunRecord
    from_start : bool
        Whether the first look gives all records, or only new ones.
    """

    run: Run
    from_start: bool = False
    _seen: dict[str, int] = field(default_factory=dict)
    _events: set[str] = field(default_factory=set)
    _steps: list[tuple[int, int]] = field(default_factory=list)
    _version: tuple[Any, ...] = ()
    _looked_s: float = 0.0
    _is_first: bool = True
    _epoch_mark: tuple[int, float] = (0, 0.0)

    @property
    def history(self) -> Reader:
        """The store that is looked at."""
        return self.run.history

    def look(self) -> Update[Run] | None:
        """The new records; None if nothing was written.

        Raises
        ------
        QueryError
            If the run is no longer there.
        """
        version = self._state()
        # A process that was killed writes nothing: look from time to time anyway.
        is_due = time.monotonic() - self._looked_s >= _ANYWAY_S
        if version == self._version and not is_due:
            return None
        self._version, self._looked_s = version, time.monotonic()
        self.history.refresh()
        rows = self.history.sql("SELECT * FROM runs WHERE id = ?", self.run.id)
        if not rows:
            raise QueryError(f"run {self.run.id} is no longer in {self.history.place}: somebody deleted it")
        run = type(self.run)(self.history, rows[0])
        # The run first: where it has ended, all its points are there.
        points, events = self._points(run), self._new_events(run)
        children = int(self.history.cursor("SELECT count(*) FROM runs WHERE parent_id = ?", run.id).fetchone()[0])
        if self._is_first and not self.from_start:
            points, events = [], []
        self._is_first = False
        return Update(run, points, events, children, self._progress(run))

    def _state(self) -> tuple[Any, ...]:
        """Changes with every commit to the store or to a spool of it."""
        from histhooks._store.spools import waiting

        if self.history.is_there:
            last = "(SELECT max(seq) FROM ledger WHERE session_id = s.id)"
            sql = f"SELECT s.heartbeat_at, s.status, {last} FROM sessions AS s WHERE s.id = ?"
            return tuple(self.history.cursor(sql, self.run.row["session_id"]).fetchone() or ())
        (version,) = self.history.cursor("PRAGMA data_version").fetchone()
        files = [self.history.path, self.history.path.with_name(self.history.path.name + "-wal")]
        found: list[Any] = [version]
        for path in [*files, *waiting(self.history.path)]:
            try:
                stat = path.stat()
            except OSError:
                continue
            found.append((path.name, stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    def _points(self, run: RunRows) -> list[tuple[str, Point]]:
        sql = "SELECT series, name, split, start_time, count FROM metric_summaries WHERE run_id = ? ORDER BY series"
        found: list[tuple[str, Point]] = []
        for key, name, split, start, count in self.history.cursor(sql, run.id).fetchall():
            seen = self._seen.get(name, 0)
            if self._is_first and not self.from_start:
                # Only as many as the rate needs.
                seen = max(seen, count - LATEST)
            if count <= seen:
                continue
            for n, step, epoch, moment, value, special in self.history.cursor(_POINTS, key, seen):
                point = Point(n, step, epoch, start + moment, float(special) if value is None else value)
                found.append((name, point))
                seen = n + 1
                if split != "system":
                    self._steps.append((point.time, step))
            self._seen[name] = seen
        found.sort(key=lambda pair: pair[1].time)
        return found

    def _new_events(self, run: RunRows) -> list[dict[str, Any]]:
        sql = (
            "SELECT id, run_id, time, step, kind, severity, title, body, count FROM events WHERE run_id = ? "
            "OR (session_id = ? AND run_id IS NULL AND severity IN ('warning', 'error') AND time >= ?) ORDER BY time"
        )
        rows = self.history.sql(sql, run.id, run.row["session_id"], from_iso(run.started_at))
        fresh = [row for row in rows if row["id"] not in self._events]
        self._events |= {row["id"] for row in fresh}
        return fresh

    def _progress(self, run: RunRows) -> Progress:
        self._steps = lately(self._steps)
        summaries = [row for row in run.summaries if row["split"] != "system"]
        found = progress_of(run, summaries, {} if run.epochs_planned else run.params, rate_of(self._steps))
        if not found.epochs_planned:
            return found
        last = max((s["last_epoch"] for s in summaries if s["last_epoch"] is not None), default=None)
        left = self._left_by_epochs(run, found.epochs_done or 0, found.epochs_planned, last, found.elapsed_s)
        return replace(found, left_s=None if run.status != RUNNING else left)

    def _left_by_epochs(
        self, run: RunRows, done: int, planned: int, last_epoch: int | None, elapsed: float
    ) -> float | None:
        """Seconds to go, as long as the epochs of this run took until the last of them ended."""
        if done != self._epoch_mark[0]:
            self._epoch_mark = (done, elapsed)
        first = first_place(self.history, run.id)[1] or 0
        # A run that was gone on from another may count the epochs of both, and took time for its own.
        counts_both = last_epoch is not None and done > last_epoch + 1 - first
        own = done - first if counts_both else done
        if own <= 0:
            return None
        return max(0.0, self._epoch_mark[1] * (1 + (planned - done) / own) - elapsed)


def follow(run: Run, every_s: float = 0.5, *, from_start: bool = False) -> Iterator[Update[Run]]:
    """Look at a run until it ends; see :meth:`RunRecord.follow`."""
    follower = Follower(run, from_start)
    while True:
        begin = time.monotonic()
        update = follower.look()
        if update is not None:
            yield update
            if update.is_over:
                return
        # If a look takes long, as through large spools, it is not taken as often.
        time.sleep(max(every_s, 4 * (time.monotonic() - begin)))
