"""A store that is open for reading: queries, and which sessions are alive. All reading code takes one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histhooks._base.clock import now_us
from histhooks._base.vocabulary import RUNNING
from histhooks._host.process import judge
from histhooks.errors import QueryError
from histhooks.history._held import Held
from histhooks.history._opening import Opened, locate


class Reader:
    """A store that is read. :class:`histhooks.History` adds the questions that people ask.

    Several threads may use one: each has a connection of its own, opened with its first question and closed when the
    thread ends. A forked child opens its own.

    Parameters
    ----------
    store : str or path, optional
        By default the store that this program records to, or that recording would use here.

    Attributes
    ----------
    path : Path
    tell : callable
        Called with a line of text if a selector could mean several runs.
    spools : list of Path
        Spools that are read as if they were merged already.
    remembered : dict
        Cached results of this thread, by a key of the caller; dropped when the store is opened again.

    Raises
    ------
    StoreError
        If there is no store, or this version cannot read it.
    """

    def __init__(self, store: str | os.PathLike[str] | None = None) -> None:
        self.path = locate(store)
        self.tell: Callable[[str], None] = _silent
        self._age = 0
        self._judged: tuple[int, dict[str, str]] = (-1, {})
        self._held = Held(self.path, self._prepare)

    @property
    def _connection(self) -> sqlite3.Connection:
        with self._held.asked() as connection:
            return connection

    @property
    def spools(self) -> list[Path]:
        """Spools that are read as if they were merged already."""
        return self._held.opened.spools

    @property
    def remembered(self) -> dict[tuple[Any, ...], Any]:
        """What was computed in this thread, by a key of the caller."""
        return self._held.opened.remembered

    def _prepare(self, opened: Opened) -> None:
        opened.connection.row_factory = sqlite3.Row

    def close(self) -> None:
        """Close the store, for all threads; a question that one of them asks just now is waited for."""
        self._held.close()

    def refresh(self) -> None:
        """See new records: check again which sessions still run, and read spools or a copy again.

        So is a store in whose place another file has come. What else is written is seen without it. It holds for all
        threads; one that is in the midst of the rows of a :meth:`cursor` reads anew after them.
        """
        self._age += 1
        if not self._held.is_current:
            self._held.reopen()

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
            If SQLite refuses it.
        """
        try:
            with self._held.asked() as connection:
                return [dict(row) for row in connection.execute(query, values)]
        except (sqlite3.Error, UnicodeError) as error:  # the latter of half a character, and of damaged files
            raise QueryError(f"SQLite refuses the query: {error}") from error

    def cursor(self, query: str, *values: Any) -> sqlite3.Cursor:
        """Rows of a query as plain tuples, one at a time; otherwise as :meth:`sql`."""
        try:
            with self._held.asked() as connection:
                cursor = self._held.watch(connection.cursor())
                cursor.row_factory = None
                return cursor.execute(query, values)
        except (sqlite3.Error, UnicodeError) as error:  # the latter of half a character, and of damaged files
            raise QueryError(f"SQLite refuses the query: {error}") from error

    def _judge(self) -> dict[str, str]:
        age, (judged_at, found) = self._age, self._judged
        if judged_at != age:
            now = now_us()
            rows = self.sql(f"SELECT * FROM sessions WHERE status = '{RUNNING}'")
            found = {row["id"]: judge(row, now) for row in rows}
            self._judged = (age, found)
        return found

    def settled(self, session_id: str, status: str) -> str:
        """The status as it is now: what says it is running and is not, was killed or is lost."""
        return self._judge().get(session_id, status) if status == RUNNING else status


def _silent(text: str) -> None:
    return None
