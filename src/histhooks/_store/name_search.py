"""Count the rows of a store that contain given names, as whole words."""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Iterable

from histhooks._store.tables import TABLES


def pattern_of(words: Iterable[str]) -> re.Pattern[str] | None:
    """What finds any of some words, where no letter, digit or underscore adjoins; None if there are no words."""
    found = sorted({word for word in words if word}, key=lambda word: (-len(word), word))
    if not found:
        return None
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, found)) + r")(?!\w)")


def mentions(connection: sqlite3.Connection, words: Iterable[str]) -> dict[str, int]:
    """Count the rows that name any of some words.

    Parameters
    ----------
    connection : sqlite3.Connection
        To a store.
    words : iterable of str

    Returns
    -------
    dict of str to int
        `table.column` and in how many rows; compressed contents are looked into.
    """
    words = [word for word in words if word]
    pattern = pattern_of(words)
    if pattern is None:
        return {}
    connection.create_function("names_one", 1, lambda text: pattern.search(text) is not None, deterministic=True)
    found: dict[str, int] = {}
    tables = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    for (table,) in tables:
        if table.startswith("sqlite_") or (table in TABLES and TABLES[table].kind in ("ledger", "local")):
            continue
        columns = connection.execute(f"PRAGMA main.table_info({table})").fetchall()
        for column in (row[1] for row in columns if row[2] == "TEXT" and not _is_key(row[1])):
            # SQLite looks for the text itself, and asks for the word only where it is.
            near = " OR ".join([f"instr({column}, ?)"] * len(words))
            sql = f"SELECT count(*) FROM main.{table} WHERE ({near}) AND names_one({column})"
            (count,) = connection.execute(sql, words).fetchone()
            if count:
                found[f"{table}.{column}"] = count
    count = sum(_names(row, pattern) for row in connection.execute("SELECT encoding, data FROM main.contents"))
    return {**found, "contents.data": count} if count else found


def _is_key(column: str) -> bool:
    return column in ("id", "sha256", "digest", "content_hash") or column.endswith(("_id", "_sha256"))


def _names(row: tuple[str, bytes], pattern: re.Pattern[str]) -> bool:
    encoding, data = row
    try:
        text = (zlib.decompress(data) if encoding == "zlib" else data).decode("utf-8", "replace")
    except zlib.error:
        return False
    return pattern.search(text) is not None
