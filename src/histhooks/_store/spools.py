"""Merge the spools that wait beside a store: each exactly once, in one transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base.clock import now_us
from histhooks._host.inherited_files import holds
from histhooks._host.process import STALE_US, judge
from histhooks._store.graves import bury, graves_in, listed
from histhooks._store.joining import take
from histhooks._store.joining_series import take_series
from histhooks._store.kept_files import carry_home
from histhooks._store.refolding import refold
from histhooks._store.spool_folders import folders
from histhooks._store.tables import FOLDS

if TYPE_CHECKING:
    from histhooks._store.store import Store

_STEPS = 200_000  # of SQLite's virtual machine, some 10 ms


def waiting(store: Path) -> list[Path]:
    """The spools that wait for a store, in the order in which their sessions began."""
    found = [path for folder in dict.fromkeys(folders(store)) if os.path.isdir(folder) for path in folder.glob("*.db")]
    return sorted(found, key=lambda path: path.name)


def only_spools(store: Path) -> bool:
    """Whether spools are all there is: the file is empty, since its log was deleted before anything came home."""
    log = store.with_name(store.name + "-wal")
    if not waiting(store) or (log.exists() and log.stat().st_size):
        return False
    connection = sqlite3.connect(f"{store.absolute().as_uri()}?immutable=1", uri=True)
    try:
        return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.Error:
        return False
    finally:
        connection.close()


def _never() -> bool:
    return False


def merge_waiting(store: Store, gives_way: Callable[[], bool] = _never) -> list[str]:
    """Merge the spools of sessions that have ended into a store, and move the files that these keep beside it.

    Parameters
    ----------
    store : Store
    gives_way : callable, optional
        Asked now and then whether something else is more urgent; the spool that is being merged is left as it was.

    Returns
    -------
    list of str
        Names of the spools that were merged; their files are gone.
    """
    merged = []
    store.connection.set_progress_handler(gives_way, _STEPS)
    try:
        for path in waiting(store.path):
            if gives_way():
                break
            if holds(path):
                continue
            try:
                if merge(store, path) == "merged":
                    merged.append(path.name)
            except (sqlite3.Error, OSError):
                continue
    finally:
        store.connection.set_progress_handler(None, 0)
    if any(next(folder.glob("*.files"), None) for folder in folders(store.path) if os.path.isdir(folder)):
        carry_home(store.path, may_copy=gives_way is _never)
    return merged


def merge(store: Store, path: Path) -> str:
    """Merge one spool; what became of it: `merged`, `gone` where that was done before, or `waits`."""
    outcome = _merge(store.connection, path)
    if outcome != "waits":
        path.unlink(missing_ok=True)
    return outcome


def _merge(connection: sqlite3.Connection, path: Path) -> str:
    execute = connection.execute
    execute("ATTACH DATABASE ? AS spool", (str(path),))
    try:
        execute("BEGIN IMMEDIATE")
        try:
            # Attaching a file that another process has just removed creates an empty one.
            if execute("SELECT 1 FROM merged_spools WHERE name = ?", (path.name,)).fetchone() is not None:
                outcome = "gone"
            elif _is_live(connection, path) or _is_newer(connection):
                outcome = "waits"
            elif execute("SELECT count(*) FROM spool.sqlite_master").fetchone() == (0,):
                outcome = "gone"
            elif _contradicts(connection):
                outcome = "waits"
            else:
                _copy(connection)
                execute("INSERT INTO merged_spools (name, time) VALUES (?, ?)", (path.name, now_us()))
                outcome = "merged"
            execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                execute("ROLLBACK")
            raise
    finally:
        execute("DETACH DATABASE spool")
    return outcome


def _is_live(connection: sqlite3.Connection, path: Path) -> bool:
    sessions = []
    if connection.execute("SELECT count(*) FROM spool.sqlite_master WHERE name = 'sessions'").fetchone() == (1,):
        cursor = connection.execute("SELECT * FROM spool.sessions")
        names = [column[0] for column in cursor.description]
        sessions = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if not sessions:
        # Just made: its session comes with the first commit.
        return now_us() - path.stat().st_mtime_ns // 1000 < STALE_US
    return any(row["status"] == "running" and judge(row, now_us()) == "running" for row in sessions)


def _is_newer(connection: sqlite3.Connection) -> bool:
    """Whether a later version wrote it, whose columns this store would lose: it waits until the store is as new."""
    (theirs,) = connection.execute("PRAGMA spool.user_version").fetchone()
    (ours,) = connection.execute("PRAGMA main.user_version").fetchone()
    return bool(theirs > ours)


def _contradicts(connection: sqlite3.Connection) -> bool:
    """Whether store and spool have different lines of one session: then the spool is left as it is."""
    sql = (
        "SELECT 1 FROM spool.ledger AS t CROSS JOIN main.ledger AS o ON o.session_id = t.session_id AND o.seq = t.seq "
        "WHERE o.digest <> t.digest LIMIT 1"
    )
    return connection.execute(sql).fetchone() is not None


def _copy(connection: sqlite3.Connection) -> None:
    """Take in all of a spool but what was deleted or redacted meanwhile."""
    graves, theirs = graves_in(connection), graves_in(connection, "spool")
    both = "SELECT id FROM spool.{0} WHERE id IN (SELECT id FROM main.{0})"
    known = [key for table in FOLDS for (key,) in connection.execute(both.format(table)).fetchall()]
    take(connection, "spool", graves | theirs)
    take_series(connection, "spool", (graves | theirs).deleted)
    if known:
        ids = listed(known).replace("'", "''")
        refold(connection, f"SELECT value FROM json_each('{ids}')")
    if (graves | theirs) != graves:
        bury(connection, graves | theirs)
