"""The course of a metric in few numbers: means of epochs, or of parts, at a cost that does not grow with its points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks.history.curves.thinning import find_series

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_MOST = 200  # values of a course
_LONG = 50_000  # points from which on rollups are read instead of them
_LEVEL = 2


def course_of(reader: Reader, run_id: str, name: str) -> list[float]:
    """Finite values of a metric in order.

    Parameters
    ----------
    reader : Reader
    run_id, name : str

    Returns
    -------
    list of float
        Means of epochs if epochs have several points; else the points, or means of 200 parts if there are more.

    Raises
    ------
    QueryError
        If the run has no such metric.
    """
    found = find_series(reader, run_id, name)
    if found.count > _LONG:
        sql = "SELECT mean FROM rollups WHERE series = ? AND level = ? AND mean IS NOT NULL ORDER BY bucket"
        return [row[0] for row in reader.cursor(sql, found.key, _LEVEL)]
    sql = "SELECT count(DISTINCT epoch), count(epoch) FROM points WHERE series = ? AND value IS NOT NULL"
    ((n_epochs, n_placed),) = reader.cursor(sql, found.key).fetchall()
    if n_placed and 2 <= n_epochs < n_placed / 2 + 1 and n_epochs >= 5:
        sql = (
            "SELECT avg(value) FROM points WHERE series = ? AND value IS NOT NULL AND epoch IS NOT NULL GROUP BY epoch"
        )
        return [row[0] for row in reader.cursor(f"{sql} ORDER BY epoch", found.key)]
    if found.count <= _MOST:
        sql = "SELECT value FROM points WHERE series = ? AND value IS NOT NULL ORDER BY n"
        return [row[0] for row in reader.cursor(sql, found.key)]
    which = f"series = ? AND value IS NOT NULL GROUP BY n * {_MOST} / ? ORDER BY min(n)"
    return [row[0] for row in reader.cursor(f"SELECT avg(value) FROM points WHERE {which}", found.key, found.count)]


def first_special(reader: Reader, run_id: str, name: str) -> dict[str, Any] | None:
    """The first point of a metric that is not finite: `n`, `step`, `epoch` and `special`; None if all are."""
    found = find_series(reader, run_id, name)
    sql = "SELECT n, coalesce(step, n) AS step, epoch, special FROM points WHERE series = ? AND special IS NOT NULL "
    rows = reader.sql(sql + "ORDER BY n LIMIT 1", found.key)
    return rows[0] if rows else None
