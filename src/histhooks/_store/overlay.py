"""Show a store and its waiting spools as one, so that a live run on a network file system is visible.

The spools are copied into a database in memory, and temporary views of the same names hide the tables of the store. If
there is no spool, nothing is copied.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from importlib import resources
from pathlib import Path

from histhooks._store.graves import bury_rows, graves_in
from histhooks._store.joining import columns_of
from histhooks._store.refolding import folded
from histhooks._store.spools import waiting
from histhooks._store.tables import FOLDS, SERIES, TABLES, of_kind

# What lies below a series, and the tables that are laid over each in its own way or not at all.
_SERIES = tuple(name for name in SERIES if name != "metric_summaries")
_LOCAL = of_kind("local", "series", "fold")
_VIEWS = ("live_versions", "latest_checks")  # that stores of older versions do not have


def show_spools(connection: sqlite3.Connection, store: Path) -> list[Path]:
    """Lay the records of waiting spools over those of a store.

    Parameters
    ----------
    connection : sqlite3.Connection
        To the store, not yet `query_only`.
    store : Path

    Returns
    -------
    list of Path
        The spools that are shown.
    """
    found = waiting(store)
    if not found:
        return []
    merged = {name for (name,) in connection.execute("SELECT name FROM merged_spools")}
    found = [path for path in found if path.name not in merged]
    if not found:
        return []
    connection.execute("ATTACH DATABASE ':memory:' AS spools")
    tables = _make_tables(connection)
    shown = [path for path in found if _copy(connection, path, tables)]
    if shown:
        _leave_out(connection)
        for table in FOLDS:
            _fold_again(connection, table)
        _lay_over(connection, tables)
    return shown


def show_missing(connection: sqlite3.Connection) -> bool:
    """Lay empty tables over a store of an older version, which has not all of them: nothing of theirs was recorded.

    Parameters
    ----------
    connection : sqlite3.Connection
        To the store, not yet `query_only`.

    Returns
    -------
    bool
        Whether some were missing.
    """
    sql = "SELECT name FROM main.sqlite_master UNION SELECT name FROM temp.sqlite_master"
    here = {name for (name,) in connection.execute(sql)}
    missing = [table for table in of_kind("row") if table not in here]
    for table in missing:
        columns = dict.fromkeys((*TABLES[table].columns, *TABLES[table].personal))
        nothing = ", ".join(f"NULL AS {column}" for column in columns)
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT {nothing} WHERE 0")
    if any(name not in here for name in _VIEWS):
        for name, sql in _views():
            if name not in here:
                connection.execute(sql.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))
    return bool(missing)


def _views() -> list[tuple[str, str]]:
    """The views of this version: name and statement."""
    scratch = sqlite3.connect(":memory:")
    try:
        scratch.executescript(_schema())
        return scratch.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'").fetchall()
    finally:
        scratch.close()


def _schema() -> str:
    return resources.files("histhooks._store").joinpath("schema.sql").read_text(encoding="utf-8")


def _make_tables(connection: sqlite3.Connection) -> list[str]:
    """The tables of this version, without their constraints: a spool is only looked at."""
    scratch = sqlite3.connect(":memory:")
    try:
        scratch.executescript(_schema())
        rows = scratch.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        tables = [name for (name,) in rows]
        for table in tables:
            columns = ", ".join(row[1] for row in scratch.execute(f"PRAGMA table_info({table})"))
            connection.execute(f"CREATE TABLE spools.{table} ({columns})")
            if table not in _LOCAL:
                # What several spools share is kept once.
                connection.execute(
                    f"CREATE UNIQUE INDEX spools.{table}_key ON {table} ({', '.join(_key(scratch, table))})"
                )
    finally:
        scratch.close()
    for table in FOLDS:
        connection.execute(f"CREATE INDEX spools.{table}_by_key ON {table} (id)")
    for table in SERIES:
        columns = ", ".join(TABLES[table].key)
        connection.execute(f"CREATE UNIQUE INDEX spools.{table}_by_key ON {table} ({columns})")
    return tables


def _key(connection: sqlite3.Connection, table: str) -> list[str]:
    """The columns that identify a row of a table in any file."""
    rows = connection.execute(f"PRAGMA main.table_info({table})").fetchall()
    key = [row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5]]
    return key or ["coalesce(run_id, session_id)", "ordinal"]


def _shared(connection: sqlite3.Connection, table: str) -> list[str]:
    """Columns of a spool that this version knows: another minor version may have fewer or more."""
    known = set(columns_of(connection, "spools", table))
    return [name for name in columns_of(connection, "one", table) if name in known]


def _copy(connection: sqlite3.Connection, path: Path, tables: list[str]) -> bool:
    """Copy one spool; where it was cut short in a commit, what SQLite makes of a copy of it and its journal."""
    if _copy_as_it_is(connection, f"{path.absolute().as_uri()}?mode=ro", tables):
        return True
    with tempfile.TemporaryDirectory(prefix="histhooks-") as folder:
        try:
            for file in (path, path.with_name(path.name + "-journal")):
                if file.exists():
                    shutil.copy(file, folder)
        except OSError:
            return False
        return _copy_as_it_is(connection, (Path(folder) / path.name).as_uri(), tables)


def _copy_as_it_is(connection: sqlite3.Connection, uri: str, tables: list[str]) -> bool:
    try:
        connection.execute("ATTACH DATABASE ? AS one", (uri,))
    except sqlite3.Error:
        return False
    try:
        connection.execute("BEGIN")
        for table in tables:
            if TABLES[table].kind in ("local", "series"):
                continue
            names = ", ".join(_shared(connection, table))
            if names:  # an older version has not all tables
                connection.execute(f"INSERT OR IGNORE INTO spools.{table} ({names}) SELECT {names} FROM one.{table}")
        _copy_series(connection)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return False
    finally:
        connection.execute("DETACH DATABASE one")
    return True


def _copy_series(connection: sqlite3.Connection) -> None:
    """Series have keys of their own in each file: those the store knows keep its key, the others go below zero."""
    (lowest,) = connection.execute("SELECT coalesce(min(series), 0) FROM spools.metric_summaries").fetchone()
    sql = (
        "SELECT o.series, coalesce(m.series, s.series), o.count > s.count FROM one.metric_summaries AS o "
        "LEFT JOIN main.metric_summaries AS m ON m.run_id = o.run_id AND m.name = o.name "
        "LEFT JOIN spools.metric_summaries AS s ON s.run_id = o.run_id AND s.name = o.name"
    )
    lowest = min(0, lowest)
    for number, (theirs, known, is_longer) in enumerate(connection.execute(sql).fetchall(), start=1):
        key = lowest - number if known is None else known
        if is_longer:  # two spools may begin with one store, and one of them go on with the series
            connection.execute("DELETE FROM spools.metric_summaries WHERE series = ?", (key,))
        for table in ("metric_summaries", *_SERIES):
            names = [name for name in _shared(connection, table) if name != "series"]
            listed = ", ".join(names)
            connection.execute(
                f"INSERT OR IGNORE INTO spools.{table} (series, {listed}) "
                f"SELECT ?, {listed} FROM one.{table} WHERE series = ?",
                (key, theirs),
            )


def _leave_out(connection: sqlite3.Connection) -> None:
    """Take out what the store has too, since a spool that took the place of a store begins with all it held; and what
    was deleted or redacted in the store meanwhile.
    """
    graves = graves_in(connection)
    if graves:
        bury_rows(connection, graves, "spools")
    for table in (*_SERIES, "ledger_parts"):
        key = TABLES[table].key or _key(connection, table)
        same = " AND ".join(f"m.{column} = {table}.{column}" for column in key)
        connection.execute(f"DELETE FROM spools.{table} WHERE EXISTS (SELECT 1 FROM main.{table} AS m WHERE {same})")
    connection.execute(
        "DELETE FROM spools.metric_summaries WHERE EXISTS (SELECT 1 FROM main.metric_summaries AS m "
        "WHERE m.run_id = metric_summaries.run_id AND m.name = metric_summaries.name "
        "AND m.count > metric_summaries.count)"
    )


def _fold_again(connection: sqlite3.Connection, table: str) -> None:
    """Make one row of those that store and spools have of one session or run, from the states of all of them."""
    sql = (
        f"SELECT id FROM (SELECT id FROM spools.{table} UNION ALL "
        f"SELECT id FROM main.{table} WHERE id IN (SELECT id FROM spools.{table})) GROUP BY id HAVING count(*) > 1"
    )
    names = columns_of(connection, "spools", table)
    columns = "subject_id, session_id, ordinal, time, state"
    states = (
        f"SELECT state FROM (SELECT {columns} FROM main.states WHERE subject_id = :id UNION "
        f"SELECT {columns} FROM spools.states WHERE subject_id = :id) ORDER BY time, session_id, ordinal"
    )
    for (subject_id,) in connection.execute(sql).fetchall():
        facts = {n: v for n, v in folded(connection.execute(states, {"id": subject_id})).items() if n in names}
        if table == "sessions":
            heartbeats = (
                "SELECT max(h) FROM (SELECT heartbeat_at AS h FROM spools.sessions WHERE id = :id "
                "UNION ALL SELECT heartbeat_at FROM main.sessions WHERE id = :id)"
            )
            (facts["heartbeat_at"],) = connection.execute(heartbeats, {"id": subject_id}).fetchone()
        connection.execute(
            f"DELETE FROM spools.{table} WHERE id = :id AND rowid > "
            f"(SELECT min(rowid) FROM spools.{table} WHERE id = :id)", {"id": subject_id}
        )  # fmt: skip
        updates = ", ".join(f"{name} = ?" for name in facts)
        connection.execute(f"UPDATE spools.{table} SET {updates} WHERE id = ?", (*facts.values(), subject_id))


def _of(alias: str, column: str) -> str:
    return f"coalesce({alias}.run_id, {alias}.session_id)" if column.startswith("coalesce") else f"{alias}.{column}"


def _lay_over(connection: sqlite3.Connection, tables: list[str]) -> None:
    for table in tables:
        columns, known = columns_of(connection, "main", table), set(columns_of(connection, "spools", table))
        if not columns:  # the store is of an older version, which has not all tables
            connection.execute(f"CREATE TEMP VIEW {table} AS SELECT * FROM spools.{table}")
            continue
        names = ", ".join(columns)
        theirs = ", ".join(name if name in known else f"NULL AS {name}" for name in columns)
        both = f"SELECT {names} FROM main.{table}{{}} UNION ALL SELECT {theirs} FROM spools.{table}"
        if table in FOLDS:
            both = both.format(f" WHERE id NOT IN (SELECT id FROM spools.{table})")
        elif table == "metric_summaries":
            both = both.format(" WHERE series NOT IN (SELECT series FROM spools.metric_summaries)")
        elif table in (*_SERIES, "ledger_parts"):
            both = both.format("")
        elif table not in _LOCAL:
            # Shared content may lie in both. Looked up row by row of the spool, so that the store's own index serves.
            key = _key(connection, table)
            same = " AND ".join(f"{_of('m', column)} = {_of('s', column)}" for column in key)
            both = f"{both.format('')} AS s WHERE NOT EXISTS (SELECT 1 FROM main.{table} AS m WHERE {same})"
        else:
            continue
        connection.execute(f"CREATE TEMP VIEW {table} AS {both}")
    for (sql,) in connection.execute("SELECT sql FROM main.sqlite_master WHERE type = 'view'").fetchall():
        connection.execute(str(sql).replace("CREATE VIEW", "CREATE TEMP VIEW", 1))
