"""A store that is open for reading: queries, and which sessions are alive. All reading code takes one."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso, iso, now_us
from histhooks._base.secrets import mask_text
from histhooks._base.vocabulary import KILLED, LOST, RUNNING
from histhooks._host.process import STALE_US, judge
from histhooks._host.store_location import is_target
from histhooks.errors import QueryError
from histhooks.history._held import Held, Limit
from histhooks.history._opening import Opened, heard_since, locate, open_target

if TYPE_CHECKING:
    from histhooks.team.postgres.reading import Answer

_ON_ITS_WAY_US = 90_000_000  # more than a minute, in which a live push into a folder sends how a session ended
_FORGOTTEN_US = 7 * 24 * 3_600_000_000  # a machine that is silent for longer has lost what it ran
_asked_by: weakref.WeakKeyDictionary[sqlite3.Cursor, Reader] = weakref.WeakKeyDictionary()


class Reader:
    """A store that is read. :class:`histhooks.History` adds the questions that people ask.

    Several threads may use one: each has a connection of its own, opened with its first question and closed when the
    thread ends. A forked child opens its own.

    Parameters
    ----------
    store : str or path, optional
        By default the store that this program records to, or that recording would use here; or the target of a team,
        `postgresql://…`.

    Attributes
    ----------
    path : Path
        Of a target, a copy in this user's cache, brought up to date when it is asked for; reading does without.
    place : str
        The path, or the address of the target that was opened, without secrets; for messages.
    source : str
        What another process opens to read the same; it may hold a password.
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
        self.tell: Callable[[str], None] = _silent
        self._age = 0
        self._judged: tuple[int, dict[str, str]] = (-1, {})
        self._heard: dict[str, int] = {}
        self._target = store if is_target(store) else None
        me = weakref.proxy(self)
        self._there = None if self._target is None else open_target(str(self._target), lambda: me._judge())
        self._path = None if self._there is not None else locate(store)
        self.source = str(self._path) if self._target is None else str(self._target)
        self.place = self.source if self._target is None else mask_text(self.source)
        if self._path is not None:
            self._held = Held(self._path, self._prepare)

    @property
    def path(self) -> Path:
        """The file that is read; of a target, a copy of it in this user's cache, brought up to date."""
        return locate(self._target) if self._path is None else self._path

    @property
    def _connection(self) -> sqlite3.Connection:
        with self._held.asked() as connection:
            return connection

    @property
    def is_target(self) -> bool:
        """Whether it is the target of a team: a database, a folder or a bucket."""
        return self._target is not None

    @property
    def is_there(self) -> bool:
        """Whether a target is read where it is, without a file."""
        return self._there is not None

    @property
    def spools(self) -> list[Path]:
        """Spools that are read as if they were merged already."""
        return [] if self._there is not None else self._held.opened.spools

    @property
    def remembered(self) -> dict[tuple[Any, ...], Any]:
        """What was computed in this thread, by a key of the caller."""
        return self._held.opened.remembered if self._there is None else self._there.line().remembered

    @property
    def beside(self) -> Path:
        """The file beside which lie those that belong to it; of a target, a place where nothing is."""
        return Path(os.devnull) / "target.db" if self._path is None else self._path

    def _prepare(self, opened: Opened) -> None:
        opened.connection.row_factory = sqlite3.Row

    def close(self) -> None:
        """Close the store, for all threads; a question that one of them asks just now is waited for.

        Examples
        --------
        >>> other = histhooks.History("histhooks.db")
        >>> other.close()
        """
        (self._held if self._there is None else self._there).close()

    def refresh(self) -> None:
        """See new records: check again which sessions still run, and read spools or a copy again.

        So is a store in whose place another file has come. What else is written is seen without it. It holds for all
        threads; one that is in the midst of the rows of a :meth:`cursor` reads anew after them.

        Examples
        --------
        >>> history.refresh()
        """
        self._age += 1
        if self._there is not None:
            return self._there.reopen()
        if self._target is not None:
            locate(self._target, is_again=True)
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
            If SQLite refuses it, or PostgreSQL in a target, which takes the words of both.

        Examples
        --------
        >>> history.sql("SELECT name, status FROM runs WHERE name = ? LIMIT 1", "train")
        [{'name': 'train', 'status': 'finished'}]
        """
        if self._there is not None:
            return self._there.ask(query, values).dicts()
        try:
            with self._held.asked() as connection:
                return [dict(row) for row in connection.execute(query, values)]
        except (sqlite3.Error, UnicodeError) as error:  # the latter of half a character, and of damaged files
            raise QueryError(f"SQLite refuses the query: {error}") from error

    def cursor(self, query: str, *values: Any) -> sqlite3.Cursor | Answer:
        """Rows of a query as plain tuples, one at a time; otherwise as :meth:`sql`."""
        if self._there is not None:
            return self._there.ask(query, values)
        try:
            with self._held.asked() as connection:
                cursor = self._held.watch(connection.cursor())
                cursor.row_factory = None
                _asked_by[cursor] = self  # whose functions its next rows may call
                return cursor.execute(query, values)
        except (sqlite3.Error, UnicodeError) as error:  # the latter of half a character, and of damaged files
            raise QueryError(f"SQLite refuses the query: {error}") from error

    def _judge(self) -> dict[str, str]:
        age, (judged_at, found) = self._age, self._judged
        if judged_at != age:
            now = now_us()
            rows = self.sql(f"SELECT * FROM sessions WHERE status = '{RUNNING}'")
            found = {row["id"]: judge(row, now) for row in rows}
            if self._target is not None:  # a process of this machine is gone, whose end may not have come there yet
                late = [row["id"] for row in rows if found[row["id"]] == KILLED and now - _sign(row) < _ON_ITS_WAY_US]
                found |= dict.fromkeys(late, RUNNING)
            self._heard = self._last_signs([row for row in rows if found[row["id"]] == LOST], now)
            found |= dict.fromkeys(self._heard, RUNNING)
            self._judged = (age, found)
        return found

    def _last_signs(self, rows: list[dict[str, Any]], now: int) -> dict[str, int]:
        """Of sessions that are silent since nothing was pushed from where they run: when they gave the last sign."""
        signs = {row["id"]: _sign(row) for row in rows}
        signs = {key: sign for key, sign in signs.items() if now - sign < _FORGOTTEN_US}
        if self._target is None or not signs:
            return {}
        heard = heard_since(str(self._target), {key: iso(sign + STALE_US) for key, sign in signs.items()})
        return {key: sign for key, sign in signs.items() if key not in heard}

    def settled(self, session_id: str, status: str) -> str:
        """The status as it is now: what says it is running and is not, was killed or is lost."""
        return self._judge().get(session_id, status) if status == RUNNING else status


def _sign(session: dict[str, Any]) -> int:
    return from_iso(session["heartbeat_at"] or session["started_at"])


def last_heard(reader: Reader, session_id: str) -> int | None:
    """The last sign of a session that runs, as far as is known, on a machine that has not pushed for 5 minutes.

    In microseconds UTC; None if it is known what the session does.
    """
    reader._judge()
    return reader._heard.get(session_id)


def pushed_by(reader: Reader, session_id: str) -> str | None:
    """The role that pushed a session to the target that is read; None of a file, which was pushed nowhere."""
    if not reader.is_there:
        return None
    row = reader.cursor("SELECT pushed_by FROM sessions WHERE id = ?", session_id).fetchone()
    return None if row is None else str(row[0])


def extremes(reader: Reader, series: int, low: int, high: int, part: int) -> list[tuple[Any, ...]] | None:
    """Rows of the points that thinning keeps of the parts of a curve; None of a file, which has rollups for that."""
    return None if reader._there is None else reader._there.extremes(series, low, high, part)


def limited(reader: Reader, seconds: float) -> AbstractContextManager[Limit]:
    """Questions of this thread that are not answered within some seconds end with a QueryError."""
    if reader._there is not None:
        return reader._there.limited(seconds, Limit(seconds))
    return reader._held.limited(seconds)


def _silent(text: str) -> None:
    return None
