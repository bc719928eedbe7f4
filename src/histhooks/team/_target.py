"""The target of a team: which one is meant, making it, and how it stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from histhooks._host.store_location import table_of, working_folder
from histhooks._record.pushing import TEAM
from histhooks.errors import TeamError
from histhooks.history._opening import open_store
from histhooks.team._outgoing import Outgoing
from histhooks.team._status import Status
from histhooks.team.box.address import Box
from histhooks.team.postgres import granting, schema
from histhooks.team.postgres.address import FORMS, Database, target_of
from histhooks.team.postgres.connecting import asking, transaction, version_of
from histhooks.team.postgres.rights import BY_PROJECT, OPEN
from histhooks.team.postgres.standing import sees_a_part


def named_target(word: str | os.PathLike[str] | None = None) -> Database | Box | Path:
    """The target that a person names, else the one of the environment or of pyproject.toml.

    Raises
    ------
    TeamError
        If none is named, or the word names none.
    """
    if word is not None and os.fspath(word):
        return target_of(word)
    named = os.environ.get(TEAM)
    if named:
        return target_of(named)
    path, configured = table_of(Path(working_folder()), "team")
    if path is not None and isinstance(configured, str) and configured:
        return target_of(configured, path.parent)
    raise TeamError(f"which target? name {FORMS}, or set {TEAM}")


def is_named() -> bool:
    """Whether the environment or pyproject.toml names a target."""
    named = os.environ.get(TEAM) or table_of(Path(working_folder()), "team")[1]
    return isinstance(named, str) and bool(named)


def database_of(word: str | None) -> Database:
    """The database that a person names.

    Raises
    ------
    TeamError
        If it is none.
    """
    found = named_target(word)
    if isinstance(found, Database):
        return found
    shown, what = (found.shown, "no database") if isinstance(found, Box) else (found, "a file")
    raise TeamError(f"{shown} is {what}, which needs none of this: `histhooks push --to {shown}` makes it")


def init(target: str | None = None, *, by_project: bool = False) -> bool:
    """Make the schema of a team in a PostgreSQL database, with the roles that read, push and curate.

    Parameters
    ----------
    target : str, optional
        `postgresql://…`; by default HISTHOOKS_TEAM, or `team` in pyproject.toml. `?histhooks_schema=NAME` names another
        schema than `histhooks`.
    by_project : bool
        Whether a role reads only the runs of the projects that it was granted; of a target that is there, from now on.

    Returns
    -------
    bool
        Whether it was not there before.

    Raises
    ------
    TeamError
        If the database cannot be reached, the schema has something else, or your role may not make it.

    Examples
    --------
    >>> from histhooks import team
    >>> team.init("team.db")
    Traceback (most recent call last):
    ...
    histhooks.errors.TeamError: team.db is a file, which needs none of this: `histhooks push --to team.db` makes it
    """
    return schema.make(database_of(target), by_project=by_project)


def init_sql(target: str | None = None, *, by_project: bool = False) -> str:
    """The SQL that :func:`init` runs, for whoever may run it."""
    return schema.script(database_of(target), BY_PROJECT if by_project else OPEN)


def upgrade(target: str | None = None) -> tuple[int, int]:
    """Bring a target up to the schema of this version, in one transaction.

    Parameters
    ----------
    target : str, optional

    Returns
    -------
    (int, int)
        Its version before and now, 1000 times the major version plus the minor one.

    Raises
    ------
    TeamError

    Examples
    --------
    >>> from histhooks import team
    >>> team.upgrade("team.db")
    Traceback (most recent call last):
    ...
    histhooks.errors.TeamError: team.db is a file, which needs none of this: `histhooks push --to team.db` makes it
    """
    return schema.upgrade(database_of(target))


def grant(role: str, project: str | None, target: str | None = None) -> tuple[bool, bool]:
    """Let a role read the runs of a project, where the target was made with `by_project`.

    Parameters
    ----------
    role : str
        A role of PostgreSQL.
    project : str or None
        None for all projects.
    target : str, optional

    Returns
    -------
    (bool, bool)
        Whether it could not before, and whether the role is a member of `histhooks_reader`, without which it reads
        nothing.

    Raises
    ------
    TeamError
        If you do not own the schema, there is no such role, or everybody reads all projects.

    Examples
    --------
    >>> from histhooks import team
    >>> team.grant("ann", "churn", "team.db")
    Traceback (most recent call last):
    ...
    histhooks.errors.TeamError: team.db is a file, which needs none of this: `histhooks push --to team.db` makes it
    """
    return granting.grant(database_of(target), role, project)


def revoke(role: str, project: str | None, target: str | None = None) -> bool:
    """Take from a role what :func:`grant` gave.

    Parameters
    ----------
    role : str
    project : str or None
        None for the right to read all projects.
    target : str, optional

    Returns
    -------
    bool
        Whether it had it.

    Raises
    ------
    TeamError

    Examples
    --------
    >>> from histhooks import team
    >>> team.revoke("ann", "churn", "team.db")
    Traceback (most recent call last):
    ...
    histhooks.errors.TeamError: team.db is a file, which needs none of this: `histhooks push --to team.db` makes it
    """
    return granting.revoke(database_of(target), role, project)


def status(target: str | None = None, store: Path | None = None) -> Status:
    """How a target stands, and what of a store it lacks.

    Parameters
    ----------
    target : str, optional
    store : Path, optional
        A store to compare with it.

    Returns
    -------
    Status

    Raises
    ------
    TeamError

    Examples
    --------
    >>> from histhooks import team
    >>> team.status("team.db")
    Traceback (most recent call last):
    ...
    histhooks.errors.TeamError: team.db is a file, which needs none of this: `histhooks push --to team.db` makes it
    """
    named = named_target(target)
    if isinstance(named, Box):
        from histhooks.team.box import standing

        found = Status(named.shown)
        standing.look(named, store, found)
        return found
    database = database_of(target)
    with asking(database, is_reading=True) as connection:
        with transaction(connection, database.schema, is_snapshot=True, role=database.role):
            version = version_of(connection, database)
            found = Status(database.shown, schema_version=f"{version // 1000}.{version % 1000}")
            found.server_version = connection.execute("SHOW server_version").fetchone()[0].split()[0]
            facts = dict(connection.execute("SELECT key, value FROM store_info").fetchall())
            found.store_id, found.created_at = facts.get("store_id", ""), facts.get("created_at", "")
            if "rights" in facts:  # an older version has none
                found.rights, found.readers = facts["rights"], granting.readers(connection)
                if sees_a_part(connection):
                    (found.reads,) = connection.execute("SELECT hh_projects()").fetchone()
            _count(connection, database, found)
            if store is not None:
                _compare(connection, store, found)
        return found


def _count(connection: Any, database: Database, found: Status) -> None:
    def rows(sql: str, *values: Any) -> list[Any]:
        return list(connection.execute(sql, values or None).fetchall())

    sql = (
        "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM runs), "
        "(SELECT coalesce(sum(count), 0)::bigint FROM metric_summaries), (SELECT count(*) FROM receipts)"
    )
    ((found.sessions, found.runs, found.points, found.pushes),) = rows(sql)
    sql = (
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
        "WHERE relnamespace = %s::regnamespace AND relkind = 'r'"
    )
    ((found.size_bytes,),) = rows(sql, database.schema)
    sql = (
        "SELECT pushed_by, count(*), max(pushed_at), (array_agg(recorder_version ORDER BY seq DESC))[1] FROM receipts "
        "GROUP BY pushed_by ORDER BY max(pushed_at) DESC"
    )
    roles = ("role", "pushes", "last_at", "recorder_version")
    found.pushed_by = [dict(zip(roles, row, strict=True)) for row in rows(sql)]
    names = ("session_id", "what", "seq", "digest", "other_digest", "store_id", "pushed_by", "found_at")
    sql = f"SELECT {', '.join(names)} FROM conflicts ORDER BY found_at DESC"
    found.conflicts = [dict(zip(names, row, strict=True)) for row in rows(sql)]


def _compare(connection: Any, store: Path, found: Status) -> None:
    opened = open_store(store)
    try:
        heads = Outgoing(opened.connection).heads()
    finally:
        opened.close()
    sql = (
        "SELECT s.id, coalesce((SELECT max(l.seq) FROM ledger AS l WHERE l.session_id = s.id), -1) "
        "FROM unnest(%s::text[]) AS s (id)"
    )
    there = dict(connection.execute(sql, (list(heads),)).fetchall())
    behind = [heads[key][0] - there[key] for key in heads if heads[key][0] > there[key]]
    found.store, found.waiting = str(store), {"sessions": len(behind), "lines": sum(behind)}
