"""Read a history: read-only, safe beside writers, and without loading the recorder.

>>> import histhooks
>>> history = histhooks.History("histhooks.db")
>>> for run in history.runs(status="finished", limit=5):
...     print(run.name, run.duration_s, run.params.get("C"))
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from histhooks._base.other_names import HISTORY, unknown
from histhooks.errors import QueryError
from histhooks.history._artifacts import Artifact, Artifacts
from histhooks.history._changes import Changes, Changing
from histhooks.history._checked import Checking
from histhooks.history._chosen import Chosen
from histhooks.history._models import Model, Modelled
from histhooks.history._opening import Opened
from histhooks.history._records import RunRecord, Runs
from histhooks.history._showing import Showing
from histhooks.history._shown import Shown
from histhooks.history._summaries import Summaries, Summary
from histhooks.history._timelines import Timelines
from histhooks.history._traced import Traced
from histhooks.history._version_rows import Live, ModelEvent, ModelVersion
from histhooks.history.curves.series import Series
from histhooks.history.query.run_query import build
from histhooks.history.query.sql_functions import register

if TYPE_CHECKING:
    from histhooks.history._table import RunTable
    from histhooks.history.compare.agreement import Agreement
    from histhooks.history.compare.comparison import Comparison
    from histhooks.history.compare.differences import Differences
    from histhooks.history.compare.timeline import Timeline, TimelineRow
    from histhooks.history.curves.window import Curve
    from histhooks.history.data.comparison import DataComparison
    from histhooks.history.lineage.content import Content, ContentUse
    from histhooks.history.lineage.graph import Lineage, LineageFold, LineageLink, LineageNode
    from histhooks.history.query.search import Found

__all__ = [
    "Agreement",
    "Artifact",
    "Artifacts",
    "Changes",
    "Comparison",
    "Content",
    "ContentUse",
    "Curve",
    "DataComparison",
    "Differences",
    "History",
    "Lineage",
    "LineageFold",
    "LineageLink",
    "LineageNode",
    "Live",
    "Model",
    "ModelEvent",
    "ModelVersion",
    "RunRecord",
    "Runs",
    "Series",
    "Summaries",
    "Summary",
    "Timeline",
    "TimelineRow",
]


class History(Shown, Chosen, Checking, Timelines, Changing, Modelled, Traced, Showing):
    """The runs in one store.

    Several threads may use one `History`. Each thread has its own connection, which opens with its first query and
    closes when the thread ends. :meth:`close` closes the connections of all threads, and :meth:`refresh` applies to all
    of them. In a forked child, the store is opened again.

    Parameters
    ----------
    store : str or path, optional
        By default the store that this program records to, or that recording would use here. A query waits until
        everything that the program logged before it is in the store. The target of a team may be named too: a
        database, `postgresql://…`, is asked where it is; a folder or a bucket, `folder:…`, `s3://…`, is read through a
        copy in your cache folder.

    Attributes
    ----------
    tell : callable
        Called with a line of text if a selector could mean several runs, to say which one was taken. By default, it
        does nothing.
    spools : list of Path
        Spools that wait beside the store. Their content is read as if it were already merged.

    Raises
    ------
    StoreError
        If there is no store, or this version cannot read it.

    Examples
    --------
    >>> with histhooks.History("histhooks.db") as history:
    ...     history.run("last").name
    'train'
    """

    def _prepare(self, opened: Opened) -> None:
        super()._prepare(opened)
        register(self, opened.connection)

    def __repr__(self) -> str:
        return f"<History {self.place!r}>"

    if not TYPE_CHECKING:  # a type checker has words of its own

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(unknown("a history", name, HISTORY))

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def runs(
        self,
        *,
        project: str | None = None,
        framework: str | None = None,
        status: str | None = None,
        kind: str | None = None,
        tag: str | Iterable[str] | Mapping[str, Any] | None = None,
        group: str | None = None,
        job: str | None = None,
        who: str | None = None,
        since: str | None = None,
        until: str | None = None,
        where: str | None = None,
        order_by: str = "started_at",
        reverse: bool = False,
        limit: int | None = None,
        offset: int = 0,
        is_nested: bool | None = None,
        with_inner: bool = False,
    ) -> Runs:
        """Runs, the latest first.

        The parameters down to `where` are filters; :meth:`table` and :meth:`search` accept the same ones.

        Parameters
        ----------
        project, framework, status, kind, group : str, optional
            Exact matches; `status` is the status now.
        tag : str, iterable of str or mapping, optional
            ``"team=red"``, ``"team"`` for any value, several of them, or ``{"team": "red"}``.
        job : str, optional
            Id of a batch job or of a job array, or of one task of an array as ``"4711_3"``.
        who : str, optional
            The actor of the session, as ``"ann@example.com"``, or what stands before the `@`: ``"ann"``.
        since, until : str, optional
            Bounds of the start time: a date, which includes the whole day, or an age such as ``"7d"``.
        where : str, optional
            A condition over columns, metrics, params, results and tags, as in docs/reference/where.md:
            ``"val_loss < 0.3 and params.lr > 1e-4"``.
        order_by : str
            A column, metric or param. The largest value, or for a metric the best, comes first. As in SQL, `"NAME asc"`
            puts the smallest value first and `"NAME desc"` or `"-NAME"` the largest, also of a metric. Runs without a
            value come last. `"NAME, OTHER"` orders runs with the same value of the first by the second.
        reverse : bool
            Reverse the order.
        limit : int, optional
            Maximum number of runs.
        offset : int
            Number of runs to skip first.
        is_nested : bool, optional
            True for nested runs only, False for outer ones only.
        with_inner : bool
            Whether `where` also selects a run if one inside it matches.

        Returns
        -------
        Runs
            A list of RunRecord, which a notebook shows as a table; :meth:`Runs.to_pandas` gives a DataFrame.

        Raises
        ------
        QueryError
            If the store has no such name, or a condition cannot be parsed; a caret marks the place.

        Examples
        --------
        >>> runs = history.runs(where="val_loss < 1 and tags.team = red", order_by="val_loss", limit=3)
        >>> [run.params["lr"] for run in runs]
        [0.01, 0.1]
        >>> runs.to_pandas()["metrics.val_loss"].tolist()
        [0.25, 0.5]
        """
        if (limit is not None and limit < 0) or offset < 0:
            raise QueryError(f"limit and offset are 0 or more, not {limit} and {offset}; without a limit come all runs")
        asked = build(
            self, project=project, framework=framework, status=status, kind=kind, tag=tag, group=group, job=job,
            who=who, since=since, until=until, where=where, order_by=order_by, reverse=reverse, is_nested=is_nested,
            with_inner=with_inner,
        )  # fmt: skip
        sql, values = asked.select("r.*", limit, offset)
        return Runs(RunRecord(self, row) for row in self.sql(sql, *values))

    def table(
        self,
        *,
        order_by: str | None = None,
        reverse: bool = False,
        limit: int = 20,
        after: str | None = None,
        is_folded: bool = True,
        inner: int | None = 0,
        is_complete: bool = False,
        group_by: str | Sequence[str] | None = None,
        columns: str | Sequence[str] = (),
        check: bool = False,
        **which: Any,
    ) -> RunTable:
        """The latest top-level runs as rows of plain values. Running ones come first; a call site may share one row.

        Parameters
        ----------
        order_by : str, optional
            An order as in :meth:`runs`. With an order, each row is a single run.
        reverse : bool
            Reverse the order.
        limit : int
            Number of rows, not counting nested runs; 0 reads only the total.
        after : str, optional
            The `next_key` of a table with the same parameters. Gives the rows after its last one, even if runs were
            added since.
        is_folded : bool
            Whether runs of one call site are folded into one row.
        inner : int, optional
            Number of runs inside each run to list under it; None for all.
        is_complete : bool
            Whether to include preprocessing.
        group_by : str or sequence of str, optional
            Names as in `where`. Runs with the same values of all of them are one group, with their number, how many
            failed, and the best, the mean and the standard deviation of the metric that they are sorted by, else of the
            one that ranks most of them. The group with the best run comes first, or the order is `count`, or a name.
        columns : str or sequence of str, optional
            Names as in `where`, such as `params.lr`, `val_loss.last` or `val_loss.at_120`. Each row has the values of
            its run under these names in ``row.values["columns"]``; of several runs in one row, those of the newest.
        check : bool
            Whether each run of the rows is checked now, which takes some milliseconds a run: ``row.values["risks"]``
            then has how many checks found something, in place of what `histhooks check --save` kept.
        **which
            Filters, as for :meth:`runs`: `project`, `since`, `where`, ...

        Returns
        -------
        RunTable
            `columns`, `rows`, `total` and `next_key`; with `group_by`, `groups` in place of rows.

        Raises
        ------
        QueryError
            If the store has no such name, a condition or a key cannot be parsed, or columns are asked of groups.

        Examples
        --------
        >>> table = history.table(where="val_loss < 1", limit=2)
        >>> [(row.values["name"], row.values["best"]) for row in table.rows], table.total
        ([('train', 0.25), ('train', 0.5)], 2)
        >>> history.table(columns=["params.lr", "val_loss.first"], is_folded=False).rows[0].values["columns"]
        {'params.lr': 0.01, 'val_loss.first': 1.0}
        >>> best = history.table(group_by="tags.team").groups[0]
        >>> best.values, best.metric, best.best
        ({'tags.team': 'red'}, 'val_loss', 0.25)
        """
        from histhooks.history._table import run_table

        found = run_table(
            self, which, order_by=order_by, reverse=reverse, limit=limit, after=after, is_folded=is_folded,
            inner=inner, is_complete=is_complete, group_by=group_by, columns=columns,
        )  # fmt: skip
        if check:
            self._check_rows(found.rows)
        return found

    def count(self, *, is_complete: bool = False, **which: Any) -> int:
        """How many top-level runs there are, as :meth:`table` counts them.

        Parameters
        ----------
        is_complete : bool
            Whether to include preprocessing.
        **which
            Filters, as for :meth:`runs`: `project`, `since`, `where`, ...

        Examples
        --------
        >>> history.count(where="val_loss < 1"), history.count() == history.table().total
        (2, True)
        """
        return self.table(limit=0, is_complete=is_complete, **which).total

    def search(self, text: str, *, limit: int | None = 20, **which: Any) -> list[Found]:
        """Runs that contain all words of a text, the newest first.

        Parameters
        ----------
        text : str
            Words to find in names, params, results, tags, notes, errors and tracebacks, names of files, metrics,
            events and commands, ignoring case.
        limit : int, optional
            Maximum number of runs.
        **which
            Filters, as for :meth:`runs`: `project`, `since`, `where`, ...

        Returns
        -------
        list of Found
            Each with its `run` and its `hits`.

        Examples
        --------
        >>> for found in history.search("first try", limit=1):
        ...     print(found.run.name, found.hits[0].what, found.hits[0].text)
        train note a first try
        """
        return self._search(text, limit, **which)[0]

    def _search(self, text: str, limit: int | None, **which: Any) -> tuple[list[Found], int]:
        from histhooks.history.query.search import search

        return search(self, text, build(self, **which), limit)


# Comparing is loaded on first use: most readers do not compare.
_LATE = {
    "Agreement": "histhooks.history.compare.agreement",
    "Comparison": "histhooks.history.compare.comparison",
    "Content": "histhooks.history.lineage.content",
    "ContentUse": "histhooks.history.lineage.content",
    "Curve": "histhooks.history.curves.window",
    "DataComparison": "histhooks.history.data.comparison",
    "Differences": "histhooks.history.compare.differences",
    "Lineage": "histhooks.history.lineage.graph",
    "LineageFold": "histhooks.history.lineage.graph",
    "LineageLink": "histhooks.history.lineage.graph",
    "LineageNode": "histhooks.history.lineage.graph",
    "Timeline": "histhooks.history.compare.timeline",
    "TimelineRow": "histhooks.history.compare.timeline",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'histhooks.history' has no attribute {name!r}")
