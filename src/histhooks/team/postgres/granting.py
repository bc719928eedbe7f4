"""Let roles read projects of a target that is not for everybody."""

from __future__ import annotations

from typing import Any

from histhooks.errors import TeamError
from histhooks.team.postgres.address import Database, for_shell
from histhooks.team.postgres.connecting import asking, check_version, transaction
from histhooks.team.postgres.rights import BY_PROJECT, EVERY_PROJECT, READER

_TO_GRANT = "to be the owner of the schema"


def grant(database: Database, role: str, project: str | None) -> tuple[bool, bool]:
    """Let a role read a project, or all of them.

    Parameters
    ----------
    database : Database
    role : str
    project : str or None
        None for all.

    Returns
    -------
    (bool, bool)
        Whether it could not before, and whether the role may read anything at all: it has to be a member of
        `histhooks_reader`.

    Raises
    ------
    TeamError
    """
    name = _named(project)
    with asking(database, needs=_TO_GRANT) as connection:
        _check_mode(connection, database)
        with transaction(connection, database.schema):
            sql = "SELECT pg_has_role(oid, %s, 'MEMBER') FROM pg_roles WHERE rolname = %s"
            found = connection.execute(sql, (READER, role)).fetchone()
            if found is None:
                raise TeamError(f"{database.shown} has no role {role}; a DBA makes it: CREATE ROLE {role} LOGIN")
            sql = "INSERT INTO project_readers (project, role) VALUES (%s, %s) ON CONFLICT DO NOTHING"
            return connection.execute(sql, (name, role)).rowcount > 0, bool(found[0])


def revoke(database: Database, role: str, project: str | None) -> bool:
    """Take from a role what :func:`grant` gave; whether it had it.

    Raises
    ------
    TeamError
    """
    name = _named(project)
    with asking(database, needs=_TO_GRANT) as connection:
        _check_mode(connection, database)
        with transaction(connection, database.schema):
            sql = "DELETE FROM project_readers WHERE project = %s AND role = %s"
            return bool(connection.execute(sql, (name, role)).rowcount)


def has_runs(database: Database, project: str) -> bool:
    """Whether a run of a project is there."""
    with asking(database, is_reading=True) as connection, transaction(connection, database.schema):
        row = connection.execute("SELECT EXISTS (SELECT 1 FROM runs WHERE project = %s)", (project,)).fetchone()
        return bool(row[0])


def readers(connection: Any) -> list[dict[str, str]]:
    """Which roles read which projects, as far as the asking one may know."""
    sql = "SELECT project, role FROM project_readers ORDER BY project, role"
    return [{"project": project, "role": role} for project, role in connection.execute(sql).fetchall()]


def _named(project: str | None) -> str:
    if project == EVERY_PROJECT or project == "":
        raise TeamError(f"{project!r} names no project; --all-projects means all of them")
    return EVERY_PROJECT if project is None else project


def _check_mode(connection: Any, database: Database) -> None:
    check_version(connection, database)
    sql = f"SELECT value FROM {database.schema}.store_info WHERE key = 'rights'"
    row = connection.execute(sql).fetchone()
    if row is None or row[0] != BY_PROJECT:
        raise TeamError(
            f"whoever reads {database.shown} reads all of its projects; its owner changes that with: "
            f"histhooks team init {for_shell(database)} --by-project"
        )
