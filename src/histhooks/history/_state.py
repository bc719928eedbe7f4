"""The state of a whole store: its version, and the status of its runs and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
