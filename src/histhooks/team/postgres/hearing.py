"""What receipts say of silence: a session that is not heard of is not dead, if nobody could have spoken of it."""

from __future__ import annotations

from typing import Any

from histhooks.errors import TeamError
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.connecting import asking, transaction

_SINCE = """
SELECT h.id FROM unnest(%s::text[], %s::text[]) AS h (id, moment)
WHERE (
  SELECT max(r.pushed_at) FROM receipts AS r WHERE r.store_id = (
    SELECT w.store_id FROM receipts AS w WHERE strpos(w.heads, h.id) > 0 ORDER BY w.seq DESC LIMIT 1
  )
) > h.moment COLLATE "C"
"""
_LATEST = "SELECT pushed_at, pushed_by FROM receipts ORDER BY seq DESC LIMIT 1"


def pushed_since(database: Database, moments: dict[str, str]) -> set[str]:
    """The sessions from whose store something was pushed after a moment; none where receipts may not be read."""
    return {session_id for (session_id,) in _asked(database, _SINCE, (list(moments), list(moments.values())))}


def latest(database: Database) -> tuple[str, str] | None:
    """When something was pushed last, and by which role."""
    return next(iter(_asked(database, _LATEST, ())), None)


def _asked(database: Database, sql: str, values: tuple[Any, ...]) -> list[Any]:
    try:
        with (
            asking(database, is_reading=True) as connection,
            transaction(connection, database.schema, role=database.role),
        ):
            return list(connection.execute(sql, values).fetchall())
    except TeamError:
        return []
