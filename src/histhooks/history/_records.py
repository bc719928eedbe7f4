"""One run of a history, read lazily, and a list of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, overload

from histhooks._base.ids import short_id
from histhooks.history._checked import Checked
from histhooks.history._dataframes import frame
from histhooks.history._marks import versions_of
from histhooks.history._requirements import requirements
from histhooks.history._run_lists import columns_of, rows_of_runs, text_of_runs
from histhooks.history._run_rows import RunRows
from histhooks.history._showing import Showing
from histhooks.history._shown import Shown
from histhooks.history._summaries import Summaries, Summary
from histhooks.history.curves.attempts import attempts_of
from histhooks.history.curves.following import Update, follow
from histhooks.history.curves.frames import frame_of
from histhooks.history.curves.series import Series, read_series
from histhooks.history.curves.thinning import epoch_at, find_series, thin

if TYPE_CHECKING:
    import pandas

    from histhooks.history.curves.window import Curve


class RunRecord(Shown, Showing, Checked, RunRows):
    """One run, read when asked. Columns of `runs` are attributes.

    Examples
    --------
    >>> run.name, run.kind, run.status, run.steps_done, run.duration_s < 60
    ('train', 'block', 'finished', None, True)
    >>> run.params, run.param_sources, run.chosen
    ({'lr': 0.01}, {'lr': 'user'}, {'lr': 0.01})
    >>> run.summaries["val_loss"].best, run.results, run.tags
    (0.25, {}, {'team': 'red'})
    >>> [note["body"] for note in run.notes], [event["kind"] for event in run.events]
    (['a first try'], [])
    >>> [(data["role"], data["n_rows"], data["n_columns"]) for data in run.datasets]
    [('train', 3, 2), ('test', 2, 2)]
    >>> [(file["role"], file["direction"], file["size_bytes"]) for file in run.artifacts]
    [('model', 'out', 7)]
    >>> run.splits, run.transforms, len(run.overlaps) > 0, run.file_reads
    ([], [], True, [])
    >>> run.optimizers, run.architecture, run.weights
    ([], None, [])
    >>> run.parent, len(run.children), len(run.attempts), run.links, run.linked_by, run.readers
    (None, 0, 1, [], [], [])
    >>> run.session["kind"], "python" in run.environment, "click" in run.packages
    ('script', True, True)
    >>> run.code["commit_hash"], run.code_diff, run.untracked, run.cells, len(run.sources)  # no git here
    (None, None, {}, [], 1)
    >>> run.seeds, run.unseeded, len(run.states_at_start), run.determinism
    ([], [], 1, {})
    >>> run.check_results, run.waivers, [version["name"] for version in run.versions]
    ([], [], ['churn@1'])
    >>> run.ledger["lines"] > 0, [row["collector"] for row in run.captures if row["status"] == "failed"]
    (True, [])
    """

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

        Examples
        --------
        >>> series = run.series("val_loss")
        >>> series.value.tolist(), series.epoch.tolist(), series.direction
        ([1.0, 0.5, 0.25], [0, 1, 2], -1)
        """
        return read_series(self._history, self.id, name, points)

    def curve(
        self,
        name: str,
        at_most: int = 2000,
        x: str = "step",
        start: float | None = None,
        stop: float | None = None,
        smooth: float = 0.0,
        *,
        is_log: bool = False,
    ) -> Curve:
        """A window of one metric without NumPy, thinned so that no extreme is lost, as plain values.

        Parameters
        ----------
        name : str
            The name of the metric in the framework.
        at_most : int
            Approximate number of points; a window that has no more gives all of them.
        x : str
            The axis of the window: `step`, `epoch`, `time` (seconds UTC), `relative` (seconds since the run's start) or
            `n` (order of arrival).
        start, stop : float, optional
            Only points at these places of the axis and between.
        smooth : float
            Weight of an exponential moving average, from 0 (none) up to 1. It runs over all points of the series, so
            that a smoothed value is the same in each window.
        is_log : bool
            Whether the logarithm is smoothed, as a logarithmic axis shows it.

        Returns
        -------
        Curve

        Raises
        ------
        QueryError
            If the run has no such metric, or an argument is out of range.

        Examples
        --------
        >>> run.curve("val_loss", smooth=0.5).smoothed
        [1.0, 0.6666666666666666, 0.42857142857142855]
        """
        from histhooks.history.curves.window import curve_of

        return curve_of(
            self._history, self.id, name, at_most, x=x, start=start, stop=stop, smooth=smooth, is_log=is_log
        )

    def outline(self, name: str, points: int = 96) -> list[float | None]:
        """The shape of a metric in about so many values, None if one is not finite; reads few rows.

        Examples
        --------
        >>> run.outline("val_loss", 96)
        [1.0, 0.5, 0.25]
        """
        found = find_series(self._history, self.id, name)
        kept = thin(self._history, found, points) if found.count else []
        return [point.value if isfinite(point.value) else None for point in kept]

    def epoch_at(self, name: str, step: int | None) -> int | None:
        """The 0-based epoch of a metric's point at a step; of a very long series known for extremes and ends only.

        Examples
        --------
        >>> run.epoch_at("val_loss", 2)
        2
        """
        return epoch_at(self._history, self.id, name, step)

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

        Examples
        --------
        >>> for update in run.follow(0.1, from_start=True):
        ...     print(update.run.status, len(update.points), update.is_over)
        finished 6 True
        """
        return follow(self, every_s, from_start=from_start)

    @property
    def attempts(self) -> Runs:
        """The runs of one training that was stopped and resumed, including this one, the earliest first.

        They follow from links of kind `resumes` and `continues`, to a run or to a file that was loaded.
        """
        rows = [self._rows("SELECT * FROM runs WHERE id = ?", i)[0] for i in attempts_of(self._history, self.id)]
        return Runs(RunRecord(self._history, row) for row in rows)

    @property
    def summaries(self) -> Summaries:
        """A summary of each metric, by name and in order: ``run.summaries["val_loss"].best``."""
        return Summaries((Summary(row, self) for row in super().summaries), self.row["main_metric"])

    @property
    def versions(self) -> list[dict[str, Any]]:
        """Versions of models that this run made, or runs inside it: `name`, `sha256`, `time`, `aliases` and so on."""
        return versions_of(self._history, [self.id]).get(self.id, [])

    @property
    def children(self) -> Runs:
        """The runs inside this one."""
        return Runs(super().children)

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

    def requirements(self) -> str:
        """Its packages as a requirements file for pip; a comment says what no index can give again, and why.

        Examples
        --------
        >>> run.requirements().splitlines()[0] == f"# Packages of run {run.id}"
        True
        """
        return requirements(self.packages, self.environment, self.id)

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

        Examples
        --------
        >>> run.to_pandas("val_*", index="epoch")["val_loss"].tolist()
        [1.0, 0.5, 0.25]
        """
        return frame_of(self, names, index)

    def as_json(self) -> dict[str, Any]:
        """The complete record except the points, as plain values; `docs/reference/show_json.md` lists the keys.

        Examples
        --------
        >>> record = run.as_json()
        >>> record["params"], [metric["name"] for metric in record["metrics"]]
        ({'lr': 0.01}, ['loss', 'val_loss'])
        """
        sql = "SELECT key, value, source, time FROM params WHERE run_id = ? ORDER BY ordinal"
        told = [{**row, "value": json.loads(row["value"])} for row in self._rows(sql, self.id)]
        code = self.code
        if code is not None:
            code = {**code, "diff": self.code_diff, "untracked": self.untracked, "sources": self.sources}
        return {
            **self.row, "status": self.status, "params": self.params, "params_told": told, "results": self.results,
            "metrics": self.summaries, "datasets": [data.whole() for data in self.datasets],
            "splits": [asdict(one) for one in self.splits], "transforms": [asdict(one) for one in self.transforms],
            "optimizers": self.optimizers, "weights": [asdict(one) for one in self.weights],
            "architecture": self.architecture, "seeds": self.seeds, "unseeded": self.unseeded,
            "rng_states": self.related("rng_states"),
            "determinism": self.determinism, "code": code, "cells": self.cells,
            "environment": self.environment, "packages": self.packages,
            "session": self.session, "artifacts": self.artifacts, "file_reads": self.file_reads,
            "links": self.links, "linked_by": self.linked_by,
            "versions": self.versions,
            "children": [{**c.row, "status": c.status} for c in self.children], "tags": self.related("tags"),
            "notes": self.notes, "events": self.events, "captures": self.captures,
        }  # fmt: skip


class Runs(Shown, list[RunRecord]):
    """A list of runs like any other, which a notebook shows as a table, and pandas takes as one.

    Examples
    --------
    >>> runs = history.runs(where="val_loss < 1", order_by="val_loss")
    >>> [(run.name, run.params["lr"]) for run in runs]
    [('train', 0.01), ('train', 0.1)]
    >>> table = runs.to_pandas()
    >>> table[["name", "status", "params.lr", "metrics.val_loss", "tags.team"]].values.tolist()
    [['train', 'finished', 0.01, 0.25, 'red'], ['train', 'finished', 0.1, 0.5, 'red']]
    >>> runs.rows()[0]["params.lr"]  # the same without pandas
    0.01
    """

    @overload
    def __getitem__(self, which: SupportsIndex, /) -> RunRecord: ...
    @overload
    def __getitem__(self, which: slice, /) -> Runs: ...
    def __getitem__(self, which: SupportsIndex | slice, /) -> RunRecord | Runs:
        found = super().__getitem__(which)
        return Runs(found) if isinstance(found, list) else found

    def __repr__(self) -> str:
        return text_of_runs(self)

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each run, with the same keys for all.

        Returns
        -------
        list of dict
            `id`, `name`, `project`, `group`, `kind`, `framework`, `model_class`, `status`, `started_at`, `ended_at`,
            `duration_s`, `epochs_done`, `steps_done`, `parent_id`, `error_type`; the ranking `metric` with its `best`
            and `last` value; then `metrics.NAME`, `params.KEY`, `results.KEY` and `tags.KEY`. A metric is its best
            value, or its last if it is unknown which direction is better, or the mean over folds. None if a run has no
            such thing.
        """
        return rows_of_runs(self)

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each run, as ``mlflow.search_runs`` gives it; the columns are those of :meth:`rows`.

        Returns
        -------
        pandas.DataFrame
            `started_at` and `ended_at` are times in UTC.

        Raises
        ------
        QueryError
            If pandas is not installed.
        """
        rows = self.rows()
        return frame(rows, columns_of(rows))
