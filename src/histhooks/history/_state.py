"""The state of a whole store: its version, and the status of its runs and sessions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from histhooks.history.query.names import STATUS

if TYPE_CHECKING:
    from histhooks.history._reader import Reader


class State(NamedTuple):
    """A store as a whole.

    Attributes
    ----------
    user_version : int
        The version of its schema, as SQLite keeps it.
    runs : dict
        How many runs have each status.
    hook_errors : int
        How many calls of a hook failed, in all sessions.
    """

    user_version: int
    runs: dict[str, int]
    hook_errors: int


def state_of(history: Reader) -> State:
    """Look at a store as a whole."""
    (version,) = history.cursor("PRAGMA user_version").fetchone()
    runs = history.cursor(f"SELECT {STATUS}, count(*) FROM runs AS r GROUP BY 1 ORDER BY 1").fetchall()
    (errors,) = history.cursor("SELECT coalesce(sum(hook_errors), 0) FROM sessions").fetchone()
    return State(version, dict(runs), errors)


class Ledger(NamedTuple):
    """The ledger of a store, as far as a look shows it.

    Attributes
    ----------
    lines, sessions : int
        How many there are.
    heads : list of dict
        The last line of each of the latest sessions: `id`, `kind`, `status`, `started_at`, `digest`, `seq`.
    tombstones : list of dict
        What was deleted or redacted, the latest first: `action`, `subject_id`, `reason`, `actor`, `time`.
    """

    lines: int
    sessions: int
    heads: list[dict[str, Any]]
    tombstones: list[dict[str, Any]]


def ledger_of(history: Reader, most: int = 20) -> Ledger:
    """Look at the ledger of a store."""
    (lines,) = history.cursor("SELECT count(*) FROM ledger").fetchone()
    (sessions,) = history.cursor("SELECT count(*) FROM sessions").fetchone()
    heads = history.sql(
        "SELECT s.id, s.kind, s.status, s.started_at, l.digest, l.seq FROM "
        "(SELECT * FROM sessions ORDER BY started_at DESC LIMIT ?) AS s JOIN ledger AS l ON l.session_id = s.id "
        "WHERE l.seq = (SELECT max(seq) FROM ledger WHERE session_id = s.id) ORDER BY s.started_at DESC",
        most,
    )
    heads = [{**row, "status": history.settled(row["id"], row["status"])} for row in heads]
    sql = "SELECT action, subject_id, reason, actor, time FROM tombstones ORDER BY time DESC"
    return Ledger(lines, sessions, heads, history.sql(sql))


def entries_of(history: Reader, scope: str, most: int = 200) -> tuple[list[dict[str, Any]], int]:
    """The entries of the ledger that cover rows of a run, the latest first, and how many there are.

    Returns
    -------
    list of dict
        `session_id`, `seq`, `digest` and `time` of the entry, in microseconds UTC; `tables`, the rows of each table
        that it covers: [name, rows].
    int
    """
    sql = (
        "SELECT l.session_id, l.seq, l.digest, l.time, json_group_array(json_array(p.table_name, p.n_rows)) AS tables, "
        "count(*) OVER () AS total FROM ledger_parts AS p JOIN ledger AS l USING (session_id, seq) WHERE p.scope = ? "
        "GROUP BY l.session_id, l.seq ORDER BY l.time DESC, l.seq DESC LIMIT ?"
    )
    found = history.sql(sql, scope, most)
    total = found[0]["total"] if found else 0
    return [
        {**{name: row[name] for name in ("session_id", "seq", "digest", "time")}, "tables": json.loads(row["tables"])}
        for row in found
    ], total


def last_change(history: Reader) -> int | None:
    """When the last line was written, in microseconds UTC; None if there is none."""
    (time,) = history.cursor("SELECT max(time) FROM ledger").fetchone()
    return None if time is None else int(time)
