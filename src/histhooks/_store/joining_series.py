"""Take the series of another store into this one: their points, and what is folded of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from histhooks._store.graves import LISTED, listed
from histhooks._store.joining import shared_columns

# By table of points and of their folds: what its constraints say of a row `p`.
VALID = {
    "points": "p.n >= 0 AND (p.special IS NULL OR p.special IN ('nan', 'inf', '-inf'))",
    "rollups": "p.level BETWEEN 1 AND 4 AND p.bucket >= 0",
}
TAKEN = "SELECT ours FROM temp.taken_series"


def take_series(connection: sqlite3.Connection, schema: str, left_out: Collection[str] = ()) -> None:
    """Take in the points of a file. The longer one of two series of the same name begins with the other.

    Parameters
    ----------
    connection : sqlite3.Connection
        In a transaction, with the other file attached.
    schema : str
        The name that it is attached under. Afterwards :data:`TAKEN` gives the keys of its series in this file.
    left_out : collection of str
        Runs whose series are not taken in.
    """
    execute = connection.execute
    names = [name for name in shared_columns(connection, schema, "metric_summaries") if name != "series"]
    columns = ", ".join(names)
    updates = ", ".join(f"{name} = excluded.{name}" for name in names)
    where = f"run_id NOT {LISTED.format('?')}" if left_out else "run_id IS NOT NULL"
    values = (listed(left_out),) if left_out else ()
    execute(
        f"INSERT INTO main.metric_summaries ({columns}) SELECT {columns} FROM {schema}.metric_summaries WHERE {where} "
        f"ORDER BY series ON CONFLICT (run_id, name) DO UPDATE SET {updates} WHERE excluded.count > count",
        values,
    )
    execute("CREATE TEMP TABLE IF NOT EXISTS taken_series (theirs INTEGER PRIMARY KEY, ours INTEGER NOT NULL)")
    execute("DELETE FROM temp.taken_series")
    execute(
        f"INSERT INTO temp.taken_series SELECT s.series, m.series FROM {schema}.metric_summaries AS s "
        f"JOIN main.metric_summaries AS m ON m.run_id = s.run_id AND m.name = s.name WHERE s.{where}",
        values,
    )
    # Constraints of points are asked once, by the rows that are chosen: to check each insertion is half of its cost.
    execute("PRAGMA ignore_check_constraints = ON")
    try:
        for table, valid in VALID.items():
            names = [name for name in shared_columns(connection, schema, table) if name != "series"]
            rest, theirs = ", ".join(names), ", ".join(f"p.{name}" for name in names)
            # In the order of the keys of this file, to whose end most of them go.
            execute(
                f"INSERT OR IGNORE INTO main.{table} (series, {rest}) SELECT t.ours, {theirs} "
                f"FROM temp.taken_series AS t CROSS JOIN {schema}.{table} AS p ON p.series = t.theirs WHERE {valid}"
            )
    finally:
        execute("PRAGMA ignore_check_constraints = OFF")
