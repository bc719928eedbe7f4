"""Remove old runs from a database for room."""

from __future__ import annotations

from typing import Any

from histhooks._base.clock import iso, now_us
from histhooks._store import evicting
from histhooks.errors import TeamError
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.connecting import asking, check_version, transaction
from histhooks.team.postgres.dialect import Asked
from histhooks.team.postgres.sending import lock
from histhooks.team.postgres.standing import standing_of

_TO_REMOVE = "the right of a curator: GRANT histhooks_curator TO your role"


def evict_from(database: Database, before: str, reason: str, *, points_only: bool, dry_run: bool) -> evicting.Removed:
    """Remove the rows of runs that ended before a time, or only their points, in one transaction.

    Raises
    ------
    TeamError
    """
    with asking(database, needs=_TO_REMOVE) as connection:
        check_version(connection, database)
        standing = standing_of(connection, database)
        if not standing.is_curator:
            raise TeamError(
                f"{database.shown}: your role may not do this ({standing.role} adds, and removes nothing); its owner "
                f"gives the right with: GRANT histhooks_curator TO {standing.role}"
            )
        with transaction(connection, database.schema):
            asked: Any = Asked(connection, database.schema)
            if not dry_run:
                lock(connection, database.schema)
            runs = evicting.old_runs(asked, before, points_only=points_only)
            if dry_run or not runs:
                return evicting.count(asked, runs, points_only=points_only)
            found = evicting.remove(asked, runs, points_only=points_only)
            keys = evicting.entries(found, points_only=points_only)
            sql = (
                "INSERT INTO evictions (scope, table_name, evicted_at, reason) "
                "SELECT a.scope, a.name, %s, %s FROM unnest(%s::text[], %s::text[]) AS a (scope, name) "
                "ON CONFLICT DO NOTHING"
            )
            scopes, names = ([key[place] for key in keys] for place in (0, 1))
            connection.execute(sql, (iso(now_us()), reason, scopes, names))
            connection.execute("SELECT pg_notify('histhooks', '')")
            return found
