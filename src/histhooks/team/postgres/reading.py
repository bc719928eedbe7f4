"""Read a target where it is: each question in one READ ONLY transaction, in the words of SQLite or of PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from histhooks.errors import QueryError, TeamError
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.connecting import check_version, connect, driver, failed, transaction
from histhooks.team.postgres.curves import Curves, asked_series
from histhooks.team.postgres.dialect import decoded, encoded
from histhooks.team.postgres.identity import speak_for
from histhooks.team.postgres.schema import READING
from histhooks.team.postgres.translating import Statement, translated

_STATEMENT_MS = 600_000
# Columns that only a target has; a question that does not name them does not get them.
_ONLY_THERE = frozenset({"best", "pushed_by"})
_BEGIN = "BEGIN READ ONLY"
_SET = (
    "SELECT set_config('search_path', %s, true), set_config('statement_timeout', %s, true), "
    "set_config('histhooks.settled', %s, true), set_config('jit', 'off', true), "  # it takes longer than the answer
    "set_config('work_mem', '32MB', true)"  # of some 100,000 runs, what a sort and a table of hashes need
)
Settled = Callable[[], dict[str, str]]


class Answer:
    """The rows of a question, as a cursor of `sqlite3` gives them.

    Attributes
    ----------
    names : list of str
        Of the columns.
    """

    def __init__(self, names: list[str], rows: Iterable[Sequence[Any]]) -> None:
        self.names = names
        self._rows: Iterator[Any] = iter(rows)

    @property
    def description(self) -> list[tuple[Any, ...]]:
        """The names, as DB-API has them."""
        return [(name, None, None, None, None, None, None) for name in self.names]

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def __next__(self) -> Any:
        return next(self._rows)

    def fetchone(self) -> Any:
        """The next row; None after the last one."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return list(self._rows)

    def fetchmany(self, size: int = 1) -> list[Any]:
        """The next rows."""
        return [row for _, row in zip(range(size), self._rows, strict=False)]

    def close(self) -> None:
        """Read no more."""
        self._rows = iter(())

    def dicts(self) -> list[dict[str, Any]]:
        """The rows that are left by the names of their columns; of two with one name, the first."""
        places = {name: place for place, name in reversed(list(enumerate(self.names)))}
        named = [(name, places[name]) for name in dict.fromkeys(self.names)]
        return [{name: row[place] for name, place in named} for row in self._rows]


class Line:
    """What one thread has of a target: its connection, and what it computed."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.lock = threading.RLock()
        self.age = 0
        self.remembered: dict[tuple[Any, ...], Any] = {}
        self._curves: Curves | None = None
        self._connection: Any = None
        self._pid = os.getpid()

    @property
    def connection(self) -> Any:
        """The connection, opened where there is none."""
        if self._connection is not None and self._pid != os.getpid():
            _inherited.append(self._connection)  # it is the parent's
            self._connection = None
        if self._connection is None or self._connection.closed:
            self._connection, self._pid = connect(self.database, is_reading=True), os.getpid()
        return self._connection

    def curves(self, age: int) -> Curves:
        """The curves that were read."""
        if self._curves is None:
            self._curves = Curves()
        self._curves.age = age
        return self._curves

    def look_again(self) -> None:
        """Something else was asked than a curve: what is asked of one from here on has what came meanwhile."""
        if self._curves is not None:
            self._curves.turn += 1

    def let_go(self) -> None:
        """Close what is open."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._pid == os.getpid():
                connection.close()
            else:
                _inherited.append(connection)
        if self._curves is not None:
            self._curves.close()
            self._curves = None
        self.remembered.clear()

    def __del__(self) -> None:
        self.let_go()


_inherited: list[Any] = []  # connections of a parent, which a forked child neither uses nor closes


class Target:
    """A target that is open for reading. Each thread has a connection of its own.

    Parameters
    ----------
    database : Database
    settled : callable
        Gives the status of each session that says it is running.
    """

    def __init__(self, database: Database, settled: Settled) -> None:
        self.database = database
        self._settled = settled
        self._local = threading.local()
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._age = 0
        self._is_over = False

    # --- what a thread has ---

    def line(self) -> Line:
        """What this thread has."""
        line: Line | None = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = Line(self.database)
            with self._lock:
                self._lines.add(line)
        if line.age != self._age:
            line.age = self._age
            line.remembered.clear()
        return line

    @contextmanager
    def limited(self, seconds: float, limit: Any) -> Iterator[Any]:
        """Give the questions of this thread a time by which they are answered, or ended with an error."""
        self._local.limit, self._local.until = limit, time.monotonic() + seconds
        try:
            yield limit
        finally:
            self._local.limit = None

    def reopen(self) -> None:
        """Forget what was computed."""
        self._age += 1

    def close(self) -> None:
        """Close all connections; a question that is being answered is waited for."""
        self._is_over = True
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            with line.lock:
                line.let_go()

    # --- questions ---

    def ask(self, query: str, values: Sequence[Any]) -> Answer:
        """The answer to a question.

        Raises
        ------
        QueryError
            If PostgreSQL refuses it.
        TeamError
            If the target cannot be reached, or the role may not read it.
        """
        line = self._open_line()
        place = asked_series(query)
        with line.lock:
            if place is not None:
                return self._of_series(line, query, values, place)
            line.look_again()
            return self._answer(line, translated(query), [encoded(value) for value in values])

    def _open_line(self) -> Line:
        if self._is_over:
            raise sqlite3.ProgrammingError("the history is closed")
        return self.line()

    def _of_series(self, line: Line, query: str, values: Sequence[Any], place: int) -> Answer:
        try:
            cursor = line.curves(self._age).ask(query, values, place, self._fetch(line))
        except sqlite3.Error as error:
            raise QueryError(f"the query is refused: {error}") from error
        return Answer([each[0] for each in cursor.description or ()], cursor)

    def _fetch(self, line: Line) -> Callable[..., list[Any]]:
        def fetch(sql: str, *given: Any) -> list[Any]:
            return self._answer(line, Statement(sql, None, frozenset()), list(given), is_binary=True).fetchall()

        return fetch

    def extremes(self, series: int, low: int, high: int, part: int) -> list[tuple[Any, ...]]:
        """The rows of points that thinning keeps of the parts of a curve."""
        line = self._open_line()
        with line.lock:
            return line.curves(self._age).extremes(series, low, high, part, self._fetch(line))

    def _answer(self, line: Line, statement: Statement, values: list[Any], *, is_binary: bool = False) -> Answer:
        psycopg = driver()
        settled = ""
        if "hh_settled" in statement.words:
            import json

            settled = json.dumps(self._settled())
        for attempt in (1, 2):
            is_new = line._connection is None
            connection = line.connection
            try:
                cursor = self._run(connection, statement, values, settled, is_binary=is_binary)
                return _read(cursor, statement)
            except psycopg.errors.QueryCanceled as error:
                _roll_back(connection)
                limit = getattr(self._local, "limit", None)
                if limit is not None:
                    limit.is_over = True
                raise QueryError("PostgreSQL did not answer the query in time") from error
            except psycopg.errors.InsufficientPrivilege as error:
                _roll_back(connection)
                raise failed(error, self.database) from error
            except psycopg.errors.ProtocolViolation as error:
                _roll_back(connection)
                raise QueryError(f"the query has marks for other than {len(values)} values") from error
            except psycopg.OperationalError as error:
                line.let_go()
                if is_new or attempt == 2:
                    raise failed(error, self.database) from error
            except TeamError:  # the role is refused
                _roll_back(connection)
                raise
            except (psycopg.Error, UnicodeError) as error:
                _roll_back(connection)
                said = " ".join(str(error).split("\nCONTEXT")[0].split())
                if isinstance(error, psycopg.errors.UndefinedColumn) and "rowid" in statement.words:
                    said += "; rows of a target have no rowid: ask for the columns of their key"
                raise QueryError(f"PostgreSQL refuses the query: {said}") from error
        raise AssertionError  # a second attempt returns or raises

    def _run(self, connection: Any, statement: Statement, values: list[Any], settled: str, *, is_binary: bool) -> Any:
        psycopg = driver()
        cursor = psycopg.RawCursor(connection)
        path = f"{self.database.schema}, pg_catalog, pg_temp"
        until = getattr(self._local, "until", 0.0) if getattr(self._local, "limit", None) is not None else None
        patience = _STATEMENT_MS if until is None else max(1, int((until - time.monotonic()) * 1000))
        role = self.database.role
        with _at_once(psycopg, connection, is_sure=not role):
            connection.execute(_BEGIN)
            if role:
                speak_for(connection, role)
            connection.execute(_SET, (path, str(patience), settled))
            cursor.execute(statement.sql, values, binary=is_binary, prepare=False)
        connection.execute("COMMIT")
        return cursor


@contextmanager
def _at_once(psycopg: Any, connection: Any, *, is_sure: bool) -> Iterator[None]:
    """Send what follows in one go, where libpq can, and where only the last of it may fail: so psycopg wants it."""
    if not (is_sure and psycopg.Pipeline.is_supported()):
        yield
        return
    caught = None
    try:
        with connection.pipeline():
            try:
                yield
            except psycopg.Error as error:  # else psycopg would log what its end says of the same connection
                caught = error
    except psycopg.Error as error:
        raise caught or error from None
    if caught is not None:
        raise caught


def _roll_back(connection: Any) -> None:
    if not connection.closed:
        connection.execute("ROLLBACK")


_BOOL, _NUMERIC, _INTS = 16, 1700, frozenset({20, 21, 23, 26, 700, 701, 17})


def _read(cursor: Any, statement: Statement) -> Answer:
    """The rows of a cursor, as they were recorded and as SQLite gives them."""
    if cursor.description is None:
        return Answer([], ())
    names = [column.name for column in cursor.description]
    if statement.names is not None and len(statement.names) == len(names):
        names = [given or name for given, name in zip(statement.names, names, strict=True)]
    rows = cursor.fetchall()
    changed = [place for place, column in enumerate(cursor.description) if column.type_code not in _INTS]
    if changed:
        rows = [_decoded(row) for row in rows]
    kept = [place for place, name in enumerate(names) if name not in _ONLY_THERE or name in statement.words]
    if len(kept) < len(names):
        names = [names[place] for place in kept]
        rows = [tuple([row[place] for place in kept]) for row in rows]
    return Answer(names, rows)


def _decoded(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([_plain(value) if value.__class__ not in _PLAIN else value for value in row])


_PLAIN = (int, float, type(None), bytes)


def _plain(value: Any) -> Any:
    if value.__class__ is str:
        return decoded(value)
    if value is True or value is False:
        return int(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    return value


def opened(database: Database, settled: Settled) -> Target | None:
    """A target to read where it is; None if its schema lacks what that needs, since an older version made it.

    Raises
    ------
    TeamError
        If it cannot be reached, or is none.
    """
    target = Target(database, settled)
    line = target.line()
    psycopg = driver()
    try:
        with transaction(line.connection, database.schema, role=database.role) as connection:
            check_version(connection, database, is_reading=True)
            row = connection.execute("SELECT value FROM store_info WHERE key = 'reading'").fetchone()
    except psycopg.Error as error:
        target.close()
        raise failed(error, database) from error
    except BaseException:
        target.close()
        raise
    if row is None or int(row[0]) < READING:
        target.close()
        return None
    return target
