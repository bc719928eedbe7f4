"""The login of a server that reads in the name of others."""

from __future__ import annotations

from histhooks.errors import TeamError
from histhooks.team.postgres.address import Database, target_of
from histhooks.team.postgres.connecting import asking
from histhooks.team.postgres.identity import quoted


def check_login(address: str) -> list[str]:
    """Connect with the login of a server that reads in the name of others, and say what is dangerous about it.

    Raises
    ------
    TeamError
        If the database cannot be reached.
    """
    database = target_of(address)
    assert isinstance(database, Database)
    if database.role:
        raise TeamError(f"{database.shown} names a role, and --trust-header takes that of each visitor; leave out one")
    with asking(database, is_reading=True) as connection:
        sql = "SELECT rolname::text, rolsuper OR rolbypassrls, rolinherit FROM pg_roles WHERE rolname = session_user"
        login, is_above, inherits = connection.execute(sql).fetchone()
    if is_above:
        return [f"{login} may do anything in {database.shown}; log in with a role that is only a member of the readers"]
    if inherits:
        return [f"{login} has the rights of all readers; its owner mends that: ALTER ROLE {quoted(login)} NOINHERIT;"]
    return []
