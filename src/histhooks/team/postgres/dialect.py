"""Ask a database in the words of SQLite, so that one set of rules joins files and databases.

What is translated is what these rules use, not all of SQLite. `main` is the schema of the target, and temporary tables
are the other file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

# No text of PostgreSQL holds U+0000: it goes as a private character and a digit, and that character as a pair too.
_NUL, _MARK = "\0", "\ue000"
OTHER = "pg_temp"

_IGNORE = re.compile(r"^(\s*)INSERT OR IGNORE INTO ")
_CROSS = re.compile(r"CROSS JOIN (\S+(?: AS)? \w+) ON\b")
_IS_NOT = re.compile(r"\bIS NOT (?!NULL\b|DISTINCT\b)")
_IS = re.compile(r"\bIS (?!NOT\b|NULL\b|DISTINCT\b|TRUE\b|FALSE\b)")
_NAMED = re.compile(r"(?<![:\w]):([a-z]\w*)")
_EACH = re.compile(r"json_each\((%s|%\(\w+\)s)\)")
_MASTER = re.compile(r"\b(\w+)\.sqlite_master\b")
_INFO = re.compile(r"^PRAGMA (\w+)\.table_info\((\w+)\)$")
_INTO = re.compile(r"^\s*INSERT (?:OR IGNORE )?INTO main\.(\w+)")
_HAS = "SELECT 1 FROM {}.sqlite_master WHERE type = 'table' AND name = ?"
_NO_ROWS = "SELECT 1 WHERE false"


def encoded(value: Any) -> Any:
    """A value as the database can hold it."""
    if value.__class__ is str:
        if _NUL in value or _MARK in value:
            return value.replace(_MARK, f"{_MARK}e").replace(_NUL, f"{_MARK}0")
    elif value.__class__ is bool:
        return int(value)
    return value


def decoded(value: Any) -> Any:
    """A value as it was recorded."""
    if value.__class__ is str and _MARK in value:
        return value.replace(f"{_MARK}0", _NUL).replace(f"{_MARK}e", _MARK)
    return value


def decoded_rows(rows: Any) -> Iterator[tuple[Any, ...]]:
    """Rows as they were recorded."""
    for row in rows:
        if any(value.__class__ is str and _MARK in value for value in row):
            yield tuple(map(decoded, row))
        else:
            yield tuple(row)


@lru_cache(maxsize=1024)
def translated(sql: str, schema: str) -> str:
    """A statement of SQLite in PostgreSQL's words.

    Parameters
    ----------
    sql : str
    schema : str
        What `main` is.

    Returns
    -------
    str
    """
    if sql.startswith("DELETE FROM main.rollups"):
        return _NO_ROWS  # a view here
    sql = sql.replace("DELETE FROM main.points", "DELETE FROM main.point_chunks")
    if _IGNORE.match(sql):
        sql = _IGNORE.sub(r"\1INSERT INTO ", sql).rstrip() + " ON CONFLICT DO NOTHING"
    sql = sql.replace("%", "%%").replace("?", "%s")
    sql = _NAMED.sub(r"%(\1)s", sql)
    sql = _EACH.sub(r"json_each(\1::text)", sql)
    sql = _CROSS.sub(r"JOIN \1 ON", sql)
    sql = _IS_NOT.sub("IS DISTINCT FROM ", sql)
    sql = _IS.sub("IS NOT DISTINCT FROM ", sql)
    sql = _MASTER.sub(_tables_of, sql)
    return re.sub(r"\bmain\.", f"{schema}.", sql)


def _tables_of(found: re.Match[str]) -> str:
    where = "pg_my_temp_schema()" if found[1] == OTHER else "current_schema()::regnamespace"
    return (
        "(SELECT 'table'::text AS type, relname::text AS name FROM pg_class "
        f"WHERE relnamespace = {where} AND relkind = 'r') AS sqlite_master"
    )


class Rows:
    """The rows of a statement."""

    def __init__(self, rows: Iterable[tuple[Any, ...]], description: Any = None, rowcount: int = -1) -> None:
        self._rows = decoded_rows(rows)
        self.description, self.rowcount = description, rowcount

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return list(self._rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return next(self._rows, None)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows


class Asked:
    """A connection that takes the words of SQLite, as far as the rules of joining use them.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction whose `search_path` begins with the schema.
    schema : str

    Attributes
    ----------
    inserted : dict of str to int
        Rows that went into each table.
    there : dict of str to list of str
        The columns of the temporary tables.
    """

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection, self.schema = connection, schema
        self.inserted: dict[str, int] = {}
        self.there: dict[str, list[str]] = {}

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Rows:
        """One statement."""
        info = _INFO.match(sql)
        if info:
            return self._info(info[1], info[2])
        if sql.startswith(_HAS.format(OTHER)):
            return Rows([(1,)] if values[0] in self.there else [])  # type: ignore[index]
        text = translated(sql, self.schema)
        if text is _NO_ROWS:
            return Rows(())
        given: Any
        if isinstance(values, Mapping):
            given = {name: encoded(value) for name, value in values.items() if f"%({name})s" in text}
        else:
            given = [encoded(value) for value in values]
        cursor = self._connection.execute(text, given, prepare=False)
        rows = Rows(cursor if cursor.description else (), cursor.description, cursor.rowcount)
        table = _INTO.match(sql)
        if table:
            self.inserted[table[1]] = self.inserted.get(table[1], 0) + rows.rowcount
        return rows

    def _info(self, schema: str, table: str) -> Rows:
        """The columns of a table."""
        if schema == OTHER:
            return Rows([(place, name) for place, name in enumerate(self.there.get(table, ()))])
        sql = (
            "SELECT attnum, attname::text FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 "
            "AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"
        )
        found = self._connection.execute(sql, (f"{self.schema}.{table}",)).fetchall()
        return Rows(found)
