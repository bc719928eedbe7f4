"""Base of records that can be checked, and what earlier checks left in a store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from histhooks.checks import Verdict
    from histhooks.history._reader import Reader
    from histhooks.history._table_rows import TableRow


def count_waivers(history: Reader) -> int:
    """How many waivers there are: with another one, checks say something else."""
    return int(history.cursor("SELECT count(*) FROM waivers").fetchone()[0])


class Checked:
    """A run that can be checked; :mod:`histhooks.checks` has the rules, and is loaded when one is asked."""

    if TYPE_CHECKING:
        _history: Reader
        id: str
        row: dict[str, Any]

    def check(
        self,
        only: Iterable[str] | None = None,
        skip: Iterable[str] | None = None,
        against: Checked | None = None,
        *,
        fail_on: str | None = None,
    ) -> Verdict:
        """What could be wrong with this run, from its record alone; nothing is written.

        Parameters
        ----------
        only, skip : iterable of str, optional
            Checks to ask, or to leave out; `leak` means all of that family.
        against : RunRecord, optional
            A run to compare with.
        fail_on : str, optional
            `warn` or `fail` (the default): the level from which on `code` of the verdict is 1.

        Returns
        -------
        Verdict
            Findings, the worst first; which checks passed; which cannot tell, and why.

        Raises
        ------
        QueryError
            If no check has one of these names.

        Examples
        --------
        >>> verdict = run.check(only=["leak.rows"])
        >>> verdict.findings, verdict.passed
        ((), ('leak.rows',))
        """
        from histhooks.checks import check

        return check(self, only, skip, against, fail_on=fail_on)  # type: ignore[arg-type]  # both are records

    @property
    def check_results(self) -> list[dict[str, Any]]:
        """The last saved result of each check of this run; empty if none was saved."""
        sql = (
            "SELECT check_id, version, level, value, threshold, evidence, session_id, time FROM latest_checks "
            "WHERE run_id = ? ORDER BY time, check_id"
        )
        rows = self._history.sql(sql, self.id)
        return [{**row, "evidence": json.loads(row["evidence"] or "{}")} for row in rows]

    @property
    def waivers(self) -> list[dict[str, Any]]:
        """Checks that are waived for this run, oldest first: `check_id`, `reason`, `until`, `author`, `time`.

        Those of a version of a model count for the run that made it, and for the runs inside it.
        """
        sql = (
            "WITH RECURSIVE up (id) AS (SELECT id FROM runs WHERE id = ?1 UNION "
            "SELECT r.parent_id FROM runs AS r JOIN up ON r.id = up.id WHERE r.parent_id IS NOT NULL) "
            "SELECT check_id, reason, until, author, time FROM waivers "
            "WHERE run_id = ?1 OR version_id IN (SELECT v.id FROM model_versions AS v JOIN up ON v.run_id = up.id) "
            "ORDER BY time"
        )
        return self._history.sql(sql, self.id)


class Checking:
    """A history whose runs can be checked."""

    if TYPE_CHECKING:

        def run(self, selector: str = "last") -> Checked: ...

    def _check_rows(self, rows: Sequence[TableRow]) -> None:
        """Check the runs of a table."""
        from histhooks.checks import add_risks

        add_risks(self, rows)  # type: ignore[arg-type]  # a History is one, whose import closed a circle

    def check(
        self,
        run: str | Checked = "last",
        only: Iterable[str] | None = None,
        skip: Iterable[str] | None = None,
        against: str | Checked | None = None,
        *,
        fail_on: str | None = None,
    ) -> Verdict:
        """What could be wrong with a run, from its record alone; nothing is written.

        Parameters
        ----------
        run : str or RunRecord
            A selector as for :meth:`run`, or a record.
        only, skip : iterable of str, optional
            Checks to ask, or to leave out; `leak` means all of that family.
        against : str or RunRecord, optional
            A run to compare with.
        fail_on : str, optional
            `warn` or `fail` (the default): the level from which on `code` of the verdict is 1.

        Returns
        -------
        Verdict

        Raises
        ------
        QueryError
            If there is no such run or check.

        Examples
        --------
        >>> verdict = history.check("last", only=["leak.rows"])
        >>> [(finding.level, finding.id, finding.says) for finding in verdict.findings]
        []
        """
        record = run if isinstance(run, Checked) else self.run(run)
        other = self.run(against) if isinstance(against, str) else against
        return record.check(only, skip, other, fail_on=fail_on)
