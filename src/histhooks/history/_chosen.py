"""Runs that are chosen by id, name or `last`: one, some, and how they compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from histhooks.history._reader import Reader
from histhooks.history._records import RunRecord, Runs
from histhooks.history.query.selectors import find, select

if TYPE_CHECKING:
    from histhooks.history.compare.agreement import Agreement
    from histhooks.history.compare.comparison import Comparison
    from histhooks.history.compare.differences import Differences
    from histhooks.history.data.comparison import DataComparison


class Chosen(Reader):
    """The part of a :class:`histhooks.History` that takes runs by name."""

    def run(self, selector: str = "last") -> RunRecord:
        """One run.

        Parameters
        ----------
        selector : str
            An id, a part of one that no other id contains, a name, a batch job or a group (the latest run of it), or
            `last`: the top-level run that this user started last in this project. `last~2` is the second before it.

        Returns
        -------
        RunRecord

        Raises
        ------
        QueryError
            If there is no such run, or several ids contain that part; the message names candidates.

        Examples
        --------
        >>> history.run("last").params, history.run("last~1").params
        ({'lr': 0.01}, {'lr': 0.1})
        """
        return RunRecord(self, find(self, selector))

    def diff(
        self, a: str | RunRecord, b: str | RunRecord, *, tolerance: float = 0.0, without: Sequence[str] = ()
    ) -> Differences:
        """What differs between two runs, the most important parts first.

        Parameters
        ----------
        a, b : str or RunRecord
            Selectors as for :meth:`run`, or records, also of another history.
        tolerance : float
            Relative tolerance: closer metrics and results are equal.
        without : sequence of str
            What is left out and does not count: keys, parts, both (`params.lr`), or patterns of them.

        Returns
        -------
        Differences

        Examples
        --------
        >>> found = history.diff("last~1", "last")
        >>> found.differs
        True
        >>> [(change.key, change.a, change.b) for change in found.part("params").changes]
        [('lr', 0.1, 0.01)]
        >>> found.to_pandas()[["part", "key", "a", "b"]].values.tolist()[0]
        ['params', 'lr', 0.1, 0.01]
        """
        from histhooks.history.compare.differences import differences
        from histhooks.history.compare.leaving_out import fewer_changes

        runs = [run if isinstance(run, RunRecord) else self.run(run) for run in (a, b)]
        found = differences(runs[0], runs[1], tolerance=tolerance)
        return fewer_changes(found, without) if without else found

    def agreement(self, a: str | RunRecord, b: str | RunRecord, *, tolerance: float = 1e-5) -> Agreement:
        """How far two runs agree, point by point: `level`, and the `first` point that differs.

        Parameters
        ----------
        a, b : str or RunRecord
            Selectors as for :meth:`run`, or records, also of another history.
        tolerance : float
            Relative tolerance of the level `curve`.

        Returns
        -------
        Agreement

        Examples
        --------
        >>> found = history.agreement("last~1", "last")
        >>> found.level, found.n_equal, found.n_points
        ('differs', 4, 6)
        """
        from histhooks.history.compare.agreement import agreement

        runs = [run if isinstance(run, RunRecord) else self.run(run) for run in (a, b)]
        return agreement(runs[0], runs[1], tolerance=tolerance)

    def select(self, *selectors: str) -> Runs:
        """The runs of some selectors: all top-level runs of a job or a group, else one run each as in :meth:`run`.

        Raises
        ------
        QueryError
            If a selector matches no run.

        Examples
        --------
        >>> [run.params["lr"] for run in history.select("last~1", "last")]
        [0.1, 0.01]
        """
        rows = {row["id"]: row for selector in selectors for row in select(self, selector)}
        return Runs(RunRecord(self, row) for row in rows.values())

    def compare(self, *runs: str | RunRecord, without: Sequence[str] = ()) -> Comparison:
        """Compare runs: the columns in which they differ, and the best value of each metric.

        Parameters
        ----------
        *runs : str or RunRecord
            Selectors as for :meth:`select`, or records.
        without : sequence of str
            Columns that are left out: names, titles, kinds, or patterns of them.

        Returns
        -------
        Comparison

        Raises
        ------
        QueryError
            If there are fewer than two runs.

        Examples
        --------
        >>> found = history.compare("last~1", "last")
        >>> [(column.title, column.values, column.best) for column in found.columns if column.kind == "metric"]
        [('loss', (0.25, 0.125), (1,)), ('val_loss', (0.5, 0.25), (1,))]
        >>> found.to_pandas()[["params.lr", "val_loss"]].values.tolist()
        [[0.1, 0.5], [0.01, 0.25]]
        """
        from histhooks.history.compare.comparison import compare
        from histhooks.history.compare.leaving_out import fewer_columns

        listed = [each for run in runs for each in ([run] if isinstance(run, RunRecord) else self.select(run))]
        return fewer_columns(compare(listed), without) if without else compare(listed)

    def compare_data(
        self, a: str | RunRecord, b: str | RunRecord, *, role: str | None = None, against: str | None = None
    ) -> DataComparison:
        """Compare the data of two runs by content: features, target, rows in any order, order, shared rows, columns.

        Parameters
        ----------
        a, b : str or RunRecord
            Selectors as for :meth:`run`, records of this history, or ids of data sets.
        role : str, optional
            The data of each run to compare: `train` by default, or the first that it has.
        against : str, optional
            The data of `b`, if it is of another role: ``role="train", against="test"``.

        Returns
        -------
        DataComparison

        Raises
        ------
        QueryError
            If there is no such run or data set, or the run has no data of that role.

        Examples
        --------
        >>> found = history.compare_data("last~1", "last")
        >>> found.is_same, found.is_reordered
        (True, False)
        """
        from histhooks.history.data.comparison import compare_data
        from histhooks.history.data.sides import side_of

        first = side_of(self, a, role)
        return compare_data(self, first, side_of(self, b, against or role or first.data["role"]))
