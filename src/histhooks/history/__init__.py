"""Read a history: read-only, safe beside writers, and without loading the recorder.

>>> import histhooks
>>> history = histhooks.History("histhooks.db")
>>> for run in history.runs(status="finished", limit=5):
...     print(run.name, run.duration_s, run.params.get("C"))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from histhooks.errors import QueryError
from histhooks.history._opening import Opened
from histhooks.history._reader import Reader
from histhooks.history._records import RunRecord, Runs
from histhooks.history._shown import Shown
from histhooks.history.curves.series import Series
from histhooks.history.query.run_query import build
from histhooks.history.query.selectors import find, select
from histhooks.history.query.sql_functions import register

if TYPE_CHECKING:
    from histhooks.history._table import RunTable
    from histhooks.history.compare.comparison import Comparison
    from histhooks.history.compare.differences import Differences
    from histhooks.history.query.search import Found

__all__ = ["Comparison", "Differences", "History", "RunRecord", "Series"]


class History(Shown, Reader):
    """The runs in one store.

    Several threads may use one `History`. Each thread has its own connection, which opens with its first query and
    closes when the thread ends. :meth:`close` closes the connections of all threads, and :meth:`refresh` applies to all
    of them. In a forked child, the store is opened again.

    Parameters
    ----------
    store : str or path, optional
        By default the store that this program records to, or that recording would use here. A query waits until
        everything that the program logged before it is in the store.

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
    """

    def _prepare(self, opened: Opened) -> None:
        super()._prepare(opened)
        register(self, opened.connection)

    def __repr__(self) -> str:
        return f"<History {str(self.path)!r}>"

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
        since: str | None = None,
        until: str | None = None,
        where: str | None = None,
        order_by: str = "started_at",
        reverse: bool = False,
        limit: int | None = None,
        offset: int = 0,
        is_nested: bool | None = None,
        with_inner: bool = False,
    ) -> list[RunRecord]:
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
        since, until : str, optional
            Bounds of the start time: a date, which includes the whole day, or an age such as ``"7d"``.
        where : str, optional
            A condition over columns, metrics, params, results and tags, as in docs/where.md:
            ``"val_loss < 0.3 and params.lr > 1e-4"``.
        order_by : str
            A column, metric or param. The largest value, or for a metric the best, comes first; a leading minus
            reverses this. Runs without a value come last.
        reverse : bool
            Reverse the order.
        limit : int, optional
            Maximum number of runs.
        offset : int
            Number of runs to skip first.
        is_nested : bool, optional
            True for runs inside others only, False for outer ones only.
        with_inner : bool
            Whether `where` also selects a run if one inside it matches.

        Returns
        -------
        list of RunRecord
            A notebook shows it as a table.

        Raises
        ------
        QueryError
            If the store has no such name, or a condition cannot be parsed; a caret marks the place.

        Examples
        --------
        >>> history.runs(where="val_loss < 0.3 and framework in (keras, torch)", order_by="val_loss", limit=3)
        """
        if (limit is not None and limit < 0) or offset < 0:
            raise QueryError(f"limit and offset are 0 or more, not {limit} and {offset}; without a limit come all runs")
        asked = build(
            self, project=project, framework=framework, status=status, kind=kind, tag=tag, group=group, job=job,
            since=since, until=until, where=where, order_by=order_by, reverse=reverse, is_nested=is_nested,
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
        **which: Any,
    ) -> RunTable:
        """The latest outer runs as rows of plain values. Running ones come first; a call site may share one row.

        Parameters
        ----------
        order_by, reverse : str, optional, and bool
            An order as in :meth:`runs`. With an order, each row is a single run.
        limit : int
            Number of rows, not counting runs inside others; 0 reads only the total.
        after : str, optional
            The `next_key` of a table with the same parameters. Gives the rows after its last one, even if runs were
            added since.
        is_folded : bool
            Whether runs of one call site are folded into one row.
        inner : int, optional
            Number of runs inside each run to list under it; None for all.
        is_complete : bool
            Whether to include preprocessing.
        **which
            Filters, as for :meth:`runs`: `project`, `since`, `where`, ...

        Returns
        -------
        RunTable
            `columns`, `rows`, `total` and `next_key`.

        Raises
        ------
        QueryError
            If the store has no such name, or a condition or a key cannot be parsed.

        Examples
        --------
        >>> table = history.table(where="val_loss < 0.3", limit=2)
        >>> [(row.values["name"], row.values["best"]) for row in table.rows], table.total
        """
        from histhooks.history._table import run_table

        return run_table(
            self, which, order_by=order_by, reverse=reverse, limit=limit, after=after, is_folded=is_folded,
            inner=inner, is_complete=is_complete,
        )  # fmt: skip

    def run(self, selector: str = "last") -> RunRecord:
        """One run.

        Parameters
        ----------
        selector : str
            An id, a part of one that no other id contains, a name, a batch job or a group (the latest run of it), or
            `last`: the outer run that this user started last in this project. `last~2` is the second before it.

        Returns
        -------
        RunRecord

        Raises
        ------
        QueryError
            If there is no such run, or several ids contain that part; the message names candidates.
        """
        return RunRecord(self, find(self, selector))

    def diff(self, a: str | RunRecord, b: str | RunRecord, *, tolerance: float = 0.0) -> Differences:
        """What differs between two runs, the most important parts first.

        Parameters
        ----------
        a, b : str or RunRecord
            Selectors as for :meth:`run`, or records, also of another history.
        tolerance : float
            Relative tolerance: closer metrics and results are equal.

        Returns
        -------
        Differences

        Examples
        --------
        >>> found = history.diff("last~1", "last")
        >>> found.differs, [change.key for change in found.part("params").changes]
        (True, ['C'])
        """
        from histhooks.history.compare.differences import differences

        runs = [run if isinstance(run, RunRecord) else self.run(run) for run in (a, b)]
        return differences(runs[0], runs[1], tolerance=tolerance)

    def select(self, *selectors: str) -> list[RunRecord]:
        """The runs of some selectors: all outer runs of a job or a group, else one run each as in :meth:`run`.

        Raises
        ------
        QueryError
            If a selector matches no run.
        """
        rows = {row["id"]: row for selector in selectors for row in select(self, selector)}
        return [RunRecord(self, row) for row in rows.values()]

    def compare(self, *runs: str | RunRecord) -> Comparison:
        """Compare runs: the columns in which they differ, and the best value of each metric.

        Parameters
        ----------
        *runs : str or RunRecord
            Selectors as for :meth:`select`, or records.

        Returns
        -------
        Comparison

        Raises
        ------
        QueryError
            If there are fewer than two runs.

        Examples
        --------
        >>> found = history.compare("last~2", "last~1", "last")
        >>> [(column.title, column.values, column.best) for column in found.columns if column.kind == "metric"]
        [('val_loss', (0.31, 0.27, 0.29), (1,))]
        """
        from histhooks.history.compare.comparison import compare

        return compare([each for run in runs for each in ([run] if isinstance(run, RunRecord) else self.select(run))])

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
        >>> for found in history.search("shapes do not fit"):
        ...     print(found.run.name, found.hits[0].text)
        """
        return self._search(text, limit, **which)[0]

    def _search(self, text: str, limit: int | None, **which: Any) -> tuple[list[Found], int]:
        from histhooks.history.query.search import search

        return search(self, text, build(self, **which), limit)


def __getattr__(name: str) -> Any:
    # Comparing is loaded on first use: most readers do not compare.
    if name == "Comparison":
        from histhooks.history.compare.comparison import Comparison

        return Comparison
    if name == "Differences":
        from histhooks.history.compare.differences import Differences

        return Differences
    raise AttributeError(f"module 'histhooks.history' has no attribute {name!r}")
