"""The files of a drop box: an ordinary store with some ledger lines of one session, as bytes that are always the same.

Two copies of a store that send the same lines make the same bytes, if SQLite and zlib are of one version: rows are in
the order of their keys, and nothing in the file depends on when or where it was made.
"""

from __future__ import annotations

import gzip
import io
import re
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from histhooks._store.graves import outdated_rows
from histhooks._store.refolding import folded, resummarise
from histhooks._store.store import Store
from histhooks._store.tables import COVERED, FOLDS, LIVE_COLUMNS, PERSONAL_COLUMNS
from histhooks.team._batch import Batch
from histhooks.team._outgoing import Outgoing
from histhooks.team.box.places import Gone

_NAME = re.compile(r"(?P<session>[0-9A-Za-z._-]+)/(?P<first>\d+)-(?P<last>\d+)\.db\.gz")
_SNAPSHOT = re.compile(r"snapshot-(\d+)\.db\.gz")
_MADE = "1970-01-01 00:00:00.000+00:00"  # said of each migration in the file
# https://www.sqlite.org/fileformat2.html, section 1.3: how often it was changed (24, 92), and by which SQLite (96)
_COUNTERS = ((24, 1), (92, 1), (96, 3_037_000))

_HEADER = 100  # https://www.sqlite.org/fileformat2.html, section 1.3
_BLOCK = 1 << 20

_made: list[bytes] = []  # an empty store


class Drop(NamedTuple):
    """What the name of a file says."""

    name: str
    session_id: str
    first: int
    last: int


def name_of(session_id: str, first: int, last: int) -> str:
    """The name of the file with some lines of a session."""
    return f"{session_id}/{first}-{last}.db.gz"


def drop_of(name: str) -> Drop | None:
    """What a name says; None of a file that is no part of a history."""
    found = _NAME.fullmatch(name)
    if found is None or int(found["first"]) > int(found["last"]):
        return None
    return Drop(name, found["session"], int(found["first"]), int(found["last"]))


def drops_in(names: Iterable[str]) -> dict[str, list[Drop]]:
    """The files with lines, by session, in the order in which they follow each other."""
    found: dict[str, list[Drop]] = {}
    for name in names:
        drop = drop_of(name)
        if drop is not None:
            found.setdefault(drop.session_id, []).append(drop)
    return {session_id: sorted(some, key=lambda drop: (drop.first, -drop.last)) for session_id, some in found.items()}


def snapshots_in(names: Iterable[str]) -> list[tuple[int, str]]:
    """Files with all of a history, the latest last."""
    found = ((re.fullmatch(_SNAPSHOT, name), name) for name in names)
    return sorted((int(match[1]), name) for match, name in found if match)


def covering(drops: Iterable[Drop]) -> list[Drop]:
    """Of the files of a session, as few as have all that it has."""
    found: list[Drop] = []
    last = -1
    for drop in drops:
        if drop.last > last:
            found.append(drop)
            last = drop.last
    return found


def pack(batch: Batch, store: Outgoing, folder: Path) -> bytes:
    """The file with the lines of a batch, all of one session.

    Parameters
    ----------
    batch : Batch
    store : Outgoing
        Where they come from.
    folder : Path
        A place for files that are being made.
    """
    path = folder / "drop.db"
    path.write_bytes(_empty(folder))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Nobody else knows of the file, and what it holds was checked where it comes from.
        for pragma in ("synchronous = OFF", "journal_mode = OFF", "ignore_check_constraints = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        _fill(connection, batch, store)
        connection.execute("COMMIT")
    data = path.read_bytes()
    path.unlink()
    return _compressed(data)


def _empty(folder: Path) -> bytes:
    """A store without rows; making one takes longer than filling it."""
    if not _made:
        path = folder / "empty.db"
        with closing(Store(path, is_spool=True)) as store:
            store.connection.execute("UPDATE _sqlite_migrations SET applied_at = ?", (_MADE,))
        _made.append(_vacuumed(path, folder))
        path.unlink()
    return _made[0]


def _fill(connection: sqlite3.Connection, batch: Batch, store: Outgoing) -> None:
    last = batch.lines[-1]
    names = "session_id, seq, n_rows, digest, previous, time, heads"
    _insert(connection, "ledger", names.split(", "), sorted(batch.lines))
    names = "session_id, seq, scope, table_name, first, last, n_rows, digest, ranges"
    _insert(connection, "ledger_parts", names.split(", "), sorted(batch.parts, key=lambda part: part[:5]))
    for table, rows in batch.rows.items():
        if table in COVERED:
            _insert(connection, table, store.columns[table], [rows[key] for key in sorted(rows, key=_order)])
    salts = [row for key, row in sorted(batch.rows.get("salts", {}).items()) if _is_of(batch, str(key[1]))]
    _insert(connection, "salts", ["subject_id", "field", "salt"], salts)
    for table in FOLDS:
        rows = batch.rows.get(table, {})
        for key in sorted(rows):
            _fill_fold(connection, table, dict(zip(store.columns[table], rows[key], strict=True)), batch, store)
    for (run_id, name), curve in sorted(batch.curves.items(), key=lambda each: (each[1].place, each[0])):
        names = "run_id, name, metric, split, direction, start_time, count, nonfinite"
        sql = f"INSERT INTO metric_summaries ({names}) VALUES (?, ?, ?, ?, ?, ?, 0, 0)"
        series = connection.execute(sql, (run_id, name, *curve.facts)).lastrowid
        sql = f"INSERT INTO points (series, n, step, epoch, time, value, special) VALUES ({series}, ?, ?, ?, ?, ?, ?)"
        connection.executemany(sql, ((n, None if step == n else step, *rest) for n, step, *rest in curve.points))
    for table, scope, first, end in outdated_rows(connection, store.graves):
        # As they are now, the file of the session that redacted them has them.
        sql = f"DELETE FROM {table} WHERE {COVERED[table].scope} = ? AND ordinal BETWEEN ? AND ?"
        connection.execute(sql, (scope, first, end))
    resummarise(connection)
    connection.execute(
        "INSERT INTO exports (id, kind, holds, time) VALUES (?, 'export', '[]', ?)", (last.session_id, last.time)
    )


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return key[0], str(key[1]), key[-1]


def _is_of(batch: Batch, field: str) -> bool:
    """Whether a salt is of the session, or of one of these rows."""
    if "/" not in field:
        return True
    table, writer, ordinal, _ = field.split("/")
    return any(key[-1] == int(ordinal) and key[1] in (writer, None) for key in batch.rows.get(table, ()))


def _fill_fold(connection: sqlite3.Connection, table: str, row: dict[str, Any], batch: Batch, store: Outgoing) -> None:
    """The row of the session, or of one of its runs, as its own states have it so far."""
    last = batch.lines[-1]
    if last.session_id != (row["id"] if table == "sessions" else row["session_id"]):
        return  # of another session, which has a file of its own
    facts = folded(store.states(row["id"], last.session_id, last.seq))
    for column in [column for column in row if column != "id"]:
        if table == "sessions" and column in PERSONAL_COLUMNS:
            continue
        if column in LIVE_COLUMNS and column not in facts:
            del row[column]  # a beat says it
        else:
            row[column] = facts.get(column)
    row = {column: value for column, value in row.items() if value is not None}
    _insert(connection, table, list(row), [tuple(row.values())])


def _insert(connection: sqlite3.Connection, table: str, names: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)


def packed(path: Path, folder: Path) -> bytes:
    """A store as the bytes of a file: without free pages, compressed."""
    return _compressed(_vacuumed(path, folder))


def _vacuumed(path: Path, folder: Path) -> bytes:
    whole = folder / "packed.db"
    whole.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(whole),))
    data = whole.read_bytes()
    whole.unlink()
    return data


def _compressed(data: bytes) -> bytes:
    fixed = bytearray(data)
    for place, number in _COUNTERS:
        fixed[place : place + 4] = number.to_bytes(4, "big")
    return gzip.compress(bytes(fixed), mtime=0)


def unpack(name: str, data: bytes, path: Path) -> None:
    """Write the store that a file has.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    data : bytes
        What is in it.
    path : Path
        The store, which is made.

    Raises
    ------
    Gone
        If the file is cut short, or none.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed_file, path.open("wb") as file:
            left, block = None, packed_file.read(_BLOCK)
            while block:
                left = _size(block) if left is None else left
                left -= len(block)
                if left < 0:
                    raise Gone(f"{name}: it is no file of histhooks")
                file.write(block)
                block = packed_file.read(_BLOCK)
    except (EOFError, OSError, zlib.error) as error:
        what = "it is not all there" if isinstance(error, EOFError) else "it is no file of histhooks"
        raise Gone(f"{name}: {what}") from error


def _size(begin: bytes) -> int:
    """How many bytes a database has, by what it begins with; a few bytes that were packed may become very many."""
    if len(begin) < _HEADER or not begin.startswith(b"SQLite format 3\0"):
        return 0
    page = int.from_bytes(begin[16:18], "big")
    return (65_536 if page == 1 else page) * int.from_bytes(begin[28:32], "big")


def lines_of(name: str, data: bytes, folder: Path) -> dict[int, str]:
    """The digests of the lines in a file, by number.

    Raises
    ------
    Gone
        If it cannot be read.
    """
    path = folder / "lines.db"
    try:
        unpack(name, data, path)
        drop = drop_of(name)
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            sql = "SELECT seq, digest FROM ledger WHERE session_id = ?"
            found = dict(connection.execute(sql, (drop.session_id if drop else "",)).fetchall())
    except sqlite3.Error as error:
        raise Gone(f"{name}: {error}") from error
    finally:
        path.unlink(missing_ok=True)
    if drop is None or set(found) != set(range(drop.first, drop.last + 1)):
        raise Gone(f"{name}: it has not the lines that its name says")
    return found


def merged_names(connection: sqlite3.Connection) -> set[str]:
    """The files that a store has taken in."""
    sql = "SELECT name FROM merged_spools WHERE name LIKE '%.db.gz'"
    return {name for (name,) in connection.execute(sql)}
