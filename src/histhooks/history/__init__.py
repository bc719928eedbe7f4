"""Reading a history: read-only, safe beside writers, and without a word of how it was written.

>>> import histhooks
>>> history = histhooks.History("histhooks.db")
>>> for run in history.runs(status="finished", limit=5):
...     print(run.name, run.duration_s, run.params.get("C"))
"""

from __future__ import annotations

import os
import sqlite3
from functools import cached_property
from typing import Any

from histhooks._process import judge
from histhooks._time import now_us
from histhooks.errors import QueryError
from histhooks.history._opening import locate, open_store
from histhooks.history._records import RunRecord
from histhooks.history._selectors import find
from histhooks.history._series import Series

__all__ = ["History", "RunRecord", "Series"]

_ORDERS = ("started_at", "ended_at", "duration_s", "name", "status", "project")


class History:
    """The runs in one store.

    Parameters
    ----------
    store : str or path, optional
        By default the store that recording would use here.

    Attributes
    ----------
    spools : list of Path
        Spools that wait beside the store; what is in them is read as if it had come home already.

    Raises
    ------
    StoreError
        Where there is none, or it is not one this version can read.
    """

    def __init__(self, store: str | os.PathLike[str] | None = None) -> None:
        self.path = locate(store)
        self._opened = open_store(self.path)
        self.spools = self._opened.spools
        self._connection = self._opened.connection
        self._connection.row_factory = sqlite3.Row

    def __repr__(self) -> str:
        return f"<History {str(self.path)!r}>"

    def _repr_html_(self) -> str:
        from histhooks.history._notebook import history_html

        return history_html(self)

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store."""
        self._opened.close()

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a query of one's own; nothing can be written.

        Parameters
        ----------
        query : str
        *values : object
            For the question marks in it.

        Returns
        -------
        list of dict

        Raises
        ------
        QueryError
            Where SQLite refuses it.
        """
        try:
            return [dict(row) for row in self._connection.execute(query, values)]
        except sqlite3.Error as error:
            raise QueryError(f"SQLite refuses the query: {error}") from error

    def cursor(self, query: str, *values: Any) -> sqlite3.Cursor:
        """Rows of a query as plain tuples, one at a time; otherwise as :meth:`sql`."""
        cursor = self._connection.cursor()
        cursor.row_factory = None
        try:
            return cursor.execute(query, values)
        except sqlite3.Error as error:
            raise QueryError(f"SQLite refuses the query: {error}") from error

    def runs(
        self,
        *,
        project: str | None = None,
        framework: str | None = None,
        status: str | None = None,
        kind: str | None = None,
        order_by: str = "started_at",
        limit: int | None = None,
        is_nested: bool | None = None,
    ) -> list[RunRecord]:
        """Runs, the latest first.

        Parameters
        ----------
        project, framework, status, kind : str, optional
            Which runs.
        order_by : str
            A column, descending.
        limit : int, optional
            How many at most.
        is_nested : bool, optional
            True for runs inside others only, False for outer ones only.

        Returns
        -------
        list of RunRecord

        Raises
        ------
        QueryError
            Where `order_by` names no such column.
        """
        if order_by not in _ORDERS:
            raise QueryError(f"cannot order by {order_by!r}; choose one of {', '.join(_ORDERS)}")
        wanted = {"project": project, "framework": framework, "kind": kind}
        given = {column: value for column, value in wanted.items() if value is not None}
        clauses = [f"{column} = ?" for column in given]
        if is_nested is not None:
            clauses.append("parent_id IS NOT NULL" if is_nested else "parent_id IS NULL")
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        rows = self.sql(f"SELECT * FROM runs{where} ORDER BY {order_by} DESC, id DESC", *given.values())
        found: list[RunRecord] = []
        for row in rows:
            run = RunRecord(self, row)
            if status is None or run.status == status:
                found.append(run)
            if limit is not None and len(found) == limit:
                break
        return found

    def run(self, selector: str = "last") -> RunRecord:
        """One run.

        Parameters
        ----------
        selector : str
            Its id, a part of one that no other id has, its name (the latest of them), `last` or `last~2`.

        Returns
        -------
        RunRecord

        Raises
        ------
        QueryError
            Where there is none, or several ids have that part; the message names candidates.
        """
        return RunRecord(self, find(self, selector))

    @cached_property
    def _judged(self) -> dict[str, str]:
        now = now_us()
        rows = self.sql("SELECT * FROM sessions WHERE status = 'running'")
        return {row["id"]: judge(row, now) for row in rows}

    def settled(self, session_id: str, status: str) -> str:
        """The status as it is now: what says it is running and is not, was killed or is lost."""
        return self._judged.get(session_id, status) if status == "running" else status
