"""One run of a history, read lazily, and a list of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any, Self

from histhooks._base.ids import short_id
from histhooks.history._run_rows import RunRows
from histhooks.history._shown import Shown
from histhooks.history.curves.attempts import attempts_of
from histhooks.history.curves.following import Update, follow
from histhooks.history.curves.frames import frame_of
from histhooks.history.curves.series import Series, read_series
from histhooks.history.curves.thinning import find_series, thin

if TYPE_CHECKING:
    import pandas

_MOST_POINTS = 20_000  # what one look may read


class RunRecord(Shown, RunRows):
    """One run, read when asked. Columns of `runs` are attributes."""

    def __repr__(self) -> str:
        return f"<RunRecord {short_id(self.id)} {self.name!r} {self.kind} {self.status}>"

    def series(self, name: str, points: int | None = None) -> Series:
        """One metric as NumPy arrays: a million points in well under a second.

        Parameters
        ----------
        name : str
            The name of the metric in the framework.
        points : int, optional
            Approximate number of points to thin it to; all of them by default. Each part keeps its smallest and largest
            point, with their steps, and non-finite points; the series keeps its first and last point.

        Returns
        -------
        Series

        Raises
        ------
        QueryError
            If the run has no such metric, or NumPy is not installed.
        """
        return read_series(self._history, self.id, name, points)

    def outline(self, name: str, points: int = 96) -> list[float | None]:
        """The shape of a metric in about so many values, None if one is not finite; reads few rows."""
        found = find_series(self._history, self.id, name)
        kept = thin(self._history, found, points) if found.count else []
        return [point.value if isfinite(point.value) else None for point in kept]

    def epoch_at(self, name: str, step: int | None) -> int | None:
        """The 0-based epoch of a metric's point at a step; of a very long series known for extremes and ends only."""
        found = find_series(self._history, self.id, name)
        if found.count > _MOST_POINTS:
            kept = thin(self._history, found, 96)
            return next((point.epoch for point in kept if point.step == step), None)
        sql = (
            "SELECT epoch FROM metrics WHERE run_id = ? AND name = ? AND step = ? AND epoch IS NOT NULL "
            "ORDER BY n LIMIT 1"
        )
        rows = self._rows(sql, self.id, name, step)
        return rows[0]["epoch"] if rows else None

    def follow(self, every_s: float = 0.5, *, from_start: bool = False) -> Iterator[Update[Self]]:
        """Yield updates while the run trains; the last one when it has ended.

        Parameters
        ----------
        every_s : float, seconds
            Time between two looks. If nothing was written, a look costs some microseconds.
        from_start : bool
            Whether the first update has every earlier point and event; by default it has only new ones.

        Yields
        ------
        Update
            The current state of the run, new points and events, and its progress.
        """
        return follow(self, every_s, from_start=from_start)

    @property
    def attempts(self) -> list[Self]:
        """The runs of one training that was stopped and resumed, including this one, the earliest first.

        They follow from links of kind `resumes` and `continues`, to a run or to a file that was loaded.
        """
        rows = [self._rows("SELECT * FROM runs WHERE id = ?", i)[0] for i in attempts_of(self._history, self.id)]
        return [type(self)(self._history, row) for row in rows]

    @property
    def code_diff(self) -> str | None:
        """The recorded differences from the commit, as a patch; None if there are none, or none were recorded."""
        from histhooks.history.compare.code import diff_of

        return diff_of(self._history, self.code)

    @property
    def untracked(self) -> dict[str, str]:
        """Text of the code files that git did not know, by path from the repository's root."""
        from histhooks.history.compare.code import untracked_of

        return untracked_of(self._history, self.code)

    @property
    def sources(self) -> dict[str, str]:
        """Text of code that ran and that git does not have, by name: other files, `-c`, standard input, archives."""
        from histhooks.history.compare.code import sources_of

        return sources_of(self._history, self)

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The notebook cells that began before the run ended, in order: `title` and `source` of each."""
        from histhooks.history.compare.code import cells_of

        return cells_of(self)

    def to_pandas(self, *names: str, index: str = "step") -> pandas.DataFrame:
        """Points as a DataFrame: a row per step, a column per metric.

        Parameters
        ----------
        *names : str
            Metrics, or patterns of names such as ``val_*``; all of them by default. Samples of the machine, of split
            `system`, count steps of their own.
        index : str
            The index of the rows: `step`, `epoch` (points without one are left out) or `time`.

        Returns
        -------
        pandas.DataFrame
            If a metric has several points in a row, the last one is taken. nan means no point, or a value of nan;
            :meth:`series` distinguishes the two, and keeps epoch and time of each point.
        """
        return frame_of(self, names, index)

    def as_json(self) -> dict[str, Any]:
        """The complete record except the points, as plain values; `docs/show_json.md` lists the keys."""
        sql = "SELECT key, value, source, time FROM params WHERE run_id = ? ORDER BY ordinal"
        told = [{**row, "value": json.loads(row["value"])} for row in self._rows(sql, self.id)]
        code = self.code
        if code is not None:
            code = {**code, "diff": self.code_diff, "untracked": self.untracked, "sources": self.sources}
        return {
            **self.row, "status": self.status, "params": self.params, "params_told": told, "results": self.results,
            "metrics": self.summaries, "datasets": self.datasets, "optimizers": self.optimizers,
            "architecture": self.architecture, "seeds": self.seeds, "rng_states": self.related("rng_states"),
            "determinism": self.determinism, "code": code, "cells": self.cells,
            "environment": self.environment, "packages": self.packages,
            "session": self.session, "artifacts": self.artifacts, "links": self.links, "linked_by": self.linked_by,
            "children": [{**c.row, "status": c.status} for c in self.children], "tags": self.related("tags"),
            "notes": self.notes, "events": self.events, "captures": self.captures,
        }  # fmt: skip


class Runs(Shown, list[RunRecord]):
    """A list of runs like any other, which a notebook shows as a table."""
