"""Read in the name of a role, so that the rights and the row security of the database decide what is seen.

The login of a server is a member of the roles of its readers and takes one of them for a transaction, as PostgREST does
(https://docs.postgrest.org/en/stable/references/auth.html). A role that the login is no member of is refused by
PostgreSQL itself.
"""

from __future__ import annotations

from typing import Any

from histhooks.errors import TeamError

_MOST_BYTES = 63  # PostgreSQL cuts a longer name, which would be another's


class RoleRefused(TeamError):
    """Nothing is read in the name of this role.

    Attributes
    ----------
    role : str
    remedy : tuple of str
        The SQL that the database's owner runs, if that is what is missing.
    """

    def __init__(self, role: str, why: str, remedy: tuple[str, ...] = ()) -> None:
        then = f"; the owner of the database runs: {' '.join(remedy)}" if remedy else ""
        super().__init__(f"nothing is shown to {role!r}: {why}{then}")
        self.role, self.why, self.remedy = role, why, remedy


def speak_for(connection: Any, role: str) -> None:
    """Ask the rest of a transaction in the name of a role.

    Raises
    ------
    RoleRefused
        If it is no role, the login is no member of it, or row security would not hold for it.
    """
    if not role or len(role.encode("utf-8", "replace")) > _MOST_BYTES or not role.isprintable():
        raise RoleRefused(role[:80], "it is no name of a role")
    # To PostgreSQL `none` means the login, also in quotes; its own roles are for no person.
    if role.lower() in ("none", "public") or role.startswith("pg_"):
        raise RoleRefused(role, "this name has a meaning of its own in PostgreSQL")
    sql = (
        "SELECT session_user::text, r.oid IS NOT NULL, coalesce(r.rolsuper OR r.rolbypassrls, false), "
        "CASE WHEN r.oid IS NOT NULL THEN pg_has_role(session_user, r.oid, 'MEMBER') ELSE false END "
        "FROM (SELECT %s::text) AS asked (name) LEFT JOIN pg_roles AS r ON r.rolname = asked.name"
    )
    login, is_there, is_above, is_member = connection.execute(sql, (role,)).fetchone()
    grant = f"GRANT {quoted(role)} TO {quoted(login)};"
    if not is_there:
        create = f"CREATE ROLE {quoted(role)} NOLOGIN;"
        raise RoleRefused(role, "the database has no such role", (create, grant))
    if is_above:
        raise RoleRefused(role, "row security does not hold for this role")
    if not is_member:
        raise RoleRefused(role, f"{login}, with which this server logs in, is no member of this role", (grant,))
    connection.execute("SELECT set_config('role', %s, true)", (role,))
    (now,) = connection.execute("SELECT current_user::text").fetchone()
    if now != role:
        raise RoleRefused(role, f"PostgreSQL took it for {now}")


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
