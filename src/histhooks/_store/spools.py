"""Merge the spools that wait beside a store: each exactly once, in one transaction."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import now_us
from histhooks._host.inherited_files import holds
from histhooks._host.process import STALE_US, judge
from histhooks._host.store_location import real_path, user_folder
from histhooks._store.connection import what_else
from histhooks._store.tables import FOLDS, PERSONAL_COLUMNS, of_kind

if TYPE_CHECKING:
    from histhooks._store.store import Store

_NAME = 60  # characters of the name of a store, which may be longer than a file's name may be
_STEPS = 200_000  # of SQLite's virtual machine, some 10 ms
# Rows of which store and spool each have their own, or the very same.
_BY_SESSION = of_kind("ledger", "row", "content")


def folders(store: Path) -> tuple[Path, Path]:
    """Where the spools of a store lie: beside it, or where that cannot be written, in this user's folder of state."""
    store = real_path(store).absolute()
    digest = hashlib.sha256(os.fsencode(store)).hexdigest()[:12]
    name = store.name[:_NAME] or "root"
    beside = store.parent / f"{name}.spool" if name == store.name else store.parent / f"{name}-{digest}.spool"
    own = user_folder("XDG_STATE_HOME", ".local/state")
    if own is not None and what_else(store):  # beside a device is no place for folders
        beside = own / "spool" / f"{name}-{digest}"
    return beside, own / "spool" / f"{name}-{digest}" if own is not None else beside


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


def merge_waiting(store: Store, gives_way: Callable[[], bool] = lambda: False) -> list[str]:
    """Merge the spools of sessions that have ended into a store.

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


def folded(states: Iterable[tuple[str]]) -> dict[str, Any]:
    """The columns that states, in order of time, give a row; without personal values, of which they hold none."""
    facts: dict[str, Any] = {}
    for (state,) in states:
        facts.update(json.loads(state))
    return {column: value for column, value in facts.items() if column not in PERSONAL_COLUMNS}


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


def _shared(connection: sqlite3.Connection, table: str) -> list[str]:
    """Columns that both have; a later version only adds some."""
    theirs = {row[1] for row in connection.execute(f"PRAGMA spool.table_info({table})")}
    return [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})") if row[1] in theirs]


def _copy(connection: sqlite3.Connection) -> None:
    execute = connection.execute
    for table in _BY_SESSION:
        columns = ", ".join(_shared(connection, table))
        execute(f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM spool.{table}")
    for table in FOLDS:
        names = _shared(connection, table)
        columns = ", ".join(names)
        both = execute(f"SELECT id FROM spool.{table} WHERE id IN (SELECT id FROM main.{table})").fetchall()
        execute(f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM spool.{table}")
        for (subject_id,) in both:
            _fold_again(connection, table, subject_id, names)
    names = [name for name in _shared(connection, "metric_summaries") if name != "series"]
    listed = ", ".join(names)
    updates = ", ".join(f"{name} = excluded.{name}" for name in names)
    execute(
        f"INSERT INTO main.metric_summaries ({listed}) SELECT {listed} FROM spool.metric_summaries WHERE true "
        f"ON CONFLICT (run_id, name) DO UPDATE SET {updates} WHERE excluded.count > count"
    )
    for table in of_kind("series"):
        if table == "metric_summaries":
            continue
        names = [name for name in _shared(connection, table) if name != "series"]
        rest, values = ", ".join(names), ", ".join(f"p.{name}" for name in names)
        execute(
            f"INSERT OR IGNORE INTO main.{table} (series, {rest}) SELECT m.series, {values} FROM spool.{table} AS p "
            "JOIN spool.metric_summaries AS s ON s.series = p.series "
            "JOIN main.metric_summaries AS m ON m.run_id = s.run_id AND m.name = s.name"
        )


def _fold_again(connection: sqlite3.Connection, table: str, subject_id: str, names: list[str]) -> None:
    """Bring a row that both have up to date: store and spool may each hold states that the other has not."""
    sql = "SELECT state FROM main.states WHERE subject_id = ? ORDER BY time, session_id, ordinal"
    facts = {name: value for name, value in folded(connection.execute(sql, (subject_id,))).items() if name in names}
    if table == "sessions":
        sql = (
            "UPDATE main.sessions SET heartbeat_at = (SELECT max(h) FROM (SELECT heartbeat_at AS h FROM main.sessions "
            "WHERE id = :id UNION ALL SELECT heartbeat_at FROM spool.sessions WHERE id = :id)) WHERE id = :id"
        )
        connection.execute(sql, {"id": subject_id})
    updates = ", ".join(f"{name} = ?" for name in facts)
    connection.execute(f"UPDATE main.{table} SET {updates} WHERE id = ?", (*facts.values(), subject_id))
