"""How a PostgreSQL target, whose tables have indexes by key, is asked for the last values of params, results and tags.

A file is asked in another way: its tables have no index by key, since they are written while somebody trains.
"""

from __future__ import annotations

_ORDERS = {"params": "x.ordinal DESC", "results": "x.ordinal DESC", "tags": "x.time DESC NULLS FIRST, x.ordinal DESC"}
# Those of all runs in one go, to sort runs by them; in the order of the index.
LATEST = {
    table: f"(SELECT DISTINCT ON (x.run_id) x.run_id, x.value FROM {table} AS x WHERE x.key = ? "
    f"ORDER BY x.run_id NULLS LAST, {order})"
    for table, order in _ORDERS.items()
}
# That of one run: a question with a limit ends with the runs that it found. PostgreSQL writes functions of a column
# out, but calls those of a subquery.
AMONG = {
    table: f"EXISTS (SELECT 1 FROM (SELECT x.value FROM {table} AS x WHERE x.run_id = r.id AND x.key = ? "
    f"ORDER BY {order} LIMIT 1) AS k WHERE {{0}})"
    for table, order in _ORDERS.items()
}
