"""A target as a file in this user's cache, brought up to date when it is opened, so that every question can be asked.

Only lines that came since the last time are fetched. The file is made anew if the target no longer has a line that is
in it: the target was restored or changed, and what is read is what it has now.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from histhooks._store.graves import Graves, bury, graves_in
from histhooks._store.parts import release
from histhooks._store.store import Store
from histhooks._store.tables import FOLDS, LIVE_COLUMNS
from histhooks.team import _cache
from histhooks.team._joining import Union, bring_in, counts
from histhooks.team._sources import Source, attached
from histhooks.team._workplace import workplace
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.connecting import asking, check_version, transaction
from histhooks.team.postgres.fetching import Fetching

_PATIENCE_S = 30.0


def mirrored(database: Database) -> Path:
    """The file that has what a target has now.

    Parameters
    ----------
    database : Database

    Returns
    -------
    Path

    Raises
    ------
    TeamError
        If the target cannot be read, or there is no place for a cache.
    """
    place = _cache.folder()
    with (
        asking(database, is_reading=True) as connection,
        transaction(connection, database.schema, is_snapshot=True, role=database.role),
    ):
        check_version(connection, database, is_reading=True)
        sql = "SELECT current_user::text, (SELECT value FROM store_info WHERE key = 'store_id')"
        who, store_id = connection.execute(sql).fetchone()
        # What one role may see is no other's; a target that was made anew is another one.
        path = place / f"{_cache.name_of(database.shown, 'postgresql', database.schema, who, store_id)}.db"
        with _cache.locked(path), workplace(place) as folder:
            bring_up_to_date(path, connection, folder)
    return path


def bring_up_to_date(path: Path, connection: Any, folder: Path) -> None:
    """Make a file have what a target has.

    Parameters
    ----------
    path : Path
        The file; made where there is none, and made anew where it has what the target has not.
    connection : psycopg.Connection
        In a transaction of one snapshot.
    folder : Path
        A place for files that are being made.
    """
    fetching = Fetching(connection)
    known = _cache.heads_of(path)
    if known is not None:
        digests = fetching.digests({key: seq for key, (seq, _) in known.items()})
        if all(digests.get(key) == digest for key, (_, digest) in known.items()):
            union = add_lines(path, fetching, {key: seq for key, (seq, _) in known.items()}, folder)
            if not union.forks:
                return
    part = folder / "whole.db"
    fetching.into_file(part)
    _cache.put(part, path)


def add_lines(path: Path, fetching: Fetching, known: dict[str, int], folder: Path) -> Union:
    """Add the lines that a file lacks, in one transaction; what was known of forks is in the result."""
    delta = folder / "delta.db"
    n_lines = fetching.into_file(delta, known)
    union = Union()
    with closing(Store(path, timeout_s=_PATIENCE_S)) as store:
        with attached(store.connection, Source(delta, delta), folder):
            store.connection.execute("PRAGMA secure_delete = ON")
            gone = _gone(store.connection, fetching)
            union.graves = graves_in(store.connection, "source") | gone
            with store.transaction(is_durable=False):
                before = counts(store.connection)
                if n_lines:
                    bring_in(store.connection, union, path)
                if gone:
                    bury(store.connection, gone)
                    release(store.connection, gone.deleted)
                _take_live(store.connection)
                after = counts(store.connection)
        union.told.append({name: max(after[name] - before[name], 0) for name in after})
    delta.unlink()
    return union


def _gone(connection: sqlite3.Connection, fetching: Fetching) -> Graves:
    """What the target removed of what a file has, where its tombstones are not among the rows that come."""
    sql = "SELECT scope FROM ledger_parts UNION SELECT id FROM runs UNION SELECT id FROM sessions"
    return fetching.removed([key for (key,) in connection.execute(sql)])


def _take_live(connection: sqlite3.Connection) -> None:
    """What a process brings up to date beside its states."""
    for table in FOLDS:
        for (name,) in connection.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchall():
            if name in LIVE_COLUMNS:
                connection.execute(
                    f"UPDATE main.{table} AS o SET {name} = t.{name} FROM source.{table} AS t "
                    f"WHERE o.id = t.id AND o.ended_at IS NULL AND o.{name} IS NOT t.{name}"
                )
