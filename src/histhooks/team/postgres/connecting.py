"""Connect to a target, and say in one sentence why it cannot be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from histhooks._store.stamp import SCHEMA_VERSION
from histhooks.errors import TeamError
from histhooks.team.postgres.address import Database, for_shell, masked, secrets_in
from histhooks.team.postgres.identity import speak_for
from histhooks.team.postgres.unreachable import meaning

WRITING = 1  # of what a push needs beside the tables: `owner_functions.py`
_CONNECT_S = 10
# A network that is cut says nothing: by themselves, Linux asks after two hours whether the other side still lives.
_IF_CUT = {"keepalives_idle": "20", "keepalives_interval": "10", "keepalives_count": "4", "tcp_user_timeout": "60000"}
_LOCK_TIMEOUT = "60s"
_STATEMENT_TIMEOUT = "10min"
_OLDEST = 140000
_TO_READ = "the right to read: GRANT histhooks_reader TO your role"
_INSTALL = "pip install 'histhooks[postgres]'"


def driver() -> Any:
    """The module `psycopg`.

    Raises
    ------
    TeamError
        If it is not installed, or finds no libpq.
    """
    try:
        import psycopg
    except ImportError as error:
        why = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be loaded ({_line(error)})"
        raise TeamError(f"a PostgreSQL target needs psycopg, which {why}: {_INSTALL}") from error
    return psycopg


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _without_secrets(text: str, database: Database) -> str:
    """Words of the driver, without the password that the address holds."""
    for secret in secrets_in(database.conninfo):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return text


def connect(database: Database, *, is_reading: bool = False, is_push: bool = False) -> Any:
    """A connection that commits nothing by itself.

    Parameters
    ----------
    database : Database
    is_reading : bool
        Whether its transactions write nothing.
    is_push : bool
        Whether a store has what was to be sent.

    Raises
    ------
    TeamError
        If there is none to be had.
    """
    psycopg = driver()
    if database.role and not is_reading:
        raise TeamError(f"{database.shown} is for reading; leave out histhooks_role, and write in your own name")
    try:
        given = psycopg.conninfo.conninfo_to_dict(database.conninfo)
        given.setdefault("connect_timeout", os.environ.get("PGCONNECT_TIMEOUT", str(_CONNECT_S)))
        given.setdefault("application_name", "histhooks")
        for name, value in _IF_CUT.items():
            given.setdefault(name, value)
        connection = psycopg.connect(**given, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        why = meaning(_without_secrets(_line(error), database))
        waits = "; nothing is lost, it waits in the store" if is_push else ""
        raise TeamError(f"{database.shown} cannot be reached{why}{waits}") from None
    if connection.info.server_version < _OLDEST:
        version = connection.info.server_version // 10000
        connection.close()
        raise TeamError(f"{database.shown} runs PostgreSQL {version}; histhooks needs 14 or newer")
    connection.read_only = is_reading or None
    return connection


@contextmanager
def asking(database: Database, *, is_reading: bool = False, needs: str = _TO_READ) -> Iterator[Any]:
    """A connection for some questions, closed at the end; its failures are said in one sentence.

    Raises
    ------
    TeamError
    """
    psycopg = driver()
    connection = connect(database, is_reading=is_reading)
    try:
        yield connection
    except psycopg.Error as error:
        raise failed(error, database, needs) from error
    finally:
        connection.close()


def failed(error: Any, database: Database, needs: str = _TO_READ, *, is_push: bool = False) -> TeamError:
    """What a failure of the database means, and which right it needed."""
    again = "nothing is lost, push again later" if is_push else "try again later"
    psycopg = driver()
    why = _without_secrets(_line(error), database)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return TeamError(f"{database.shown}: your role may not do this ({why}); it needs {needs}")
    if isinstance(error, psycopg.errors.DiskFull):
        return TeamError(f"{database.shown}: the disk of the server is full ({why}); {again}")
    if isinstance(error, psycopg.OperationalError):
        return TeamError(f"{database.shown}: the connection was lost ({why}); {again}")
    return TeamError(f"{database.shown} refuses ({why})")


@contextmanager
def transaction(connection: Any, schema: str, *, is_snapshot: bool = False, role: str = "") -> Iterator[Any]:
    """A transaction in the schema of a target; in one with a pool before it, each sets what it needs.

    With a role, what is asked is asked in its name; see :mod:`histhooks.team.postgres.identity`.
    """
    with connection.transaction():
        if is_snapshot:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if role:
            speak_for(connection, role)
        # Temporary tables last: a name without a schema is the target's.
        connection.execute(f"SET LOCAL search_path = {schema}, pg_catalog, pg_temp")
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        connection.execute(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'")
        yield connection


def version_of(connection: Any, database: Database) -> int:
    """The schema version of a target.

    Raises
    ------
    TeamError
        If there is no target, or one of something else.
    """
    schema = database.schema
    init = f"histhooks team init {for_shell(database)}"
    sql = "SELECT to_regnamespace(%s) IS NOT NULL, to_regclass(%s) IS NOT NULL"
    has_schema, has_facts = connection.execute(sql, (schema, f"{schema}.store_info")).fetchone()
    if not has_facts:
        if not has_schema:
            raise TeamError(f"{database.shown} has no schema {schema} yet; its owner makes it with: {init}")
        sql = "SELECT count(*) FROM pg_class WHERE relnamespace = %s::regnamespace"
        (count,) = connection.execute(sql, (schema,)).fetchone()
        if count:
            raise TeamError(
                f"the schema {schema} of {database.shown} is not of histhooks; name another with ?histhooks_schema=NAME"
            )
        raise TeamError(f"the schema {schema} of {database.shown} is empty; its owner fills it with: {init}")
    row = connection.execute(f"SELECT value FROM {schema}.store_info WHERE key = 'schema_version'").fetchone()
    if row is None or not row[0].isdigit():
        raise TeamError(f"the schema {schema} of {database.shown} says no version; restore it from a backup")
    return int(row[0])


def check_version(connection: Any, database: Database, *, is_reading: bool = False) -> int:
    """The schema version of a target that this version of histhooks can use.

    Raises
    ------
    TeamError
    """
    found = version_of(connection, database)
    shown = f"{found // 1000}.{found % 1000}"
    if found // 1000 > SCHEMA_VERSION // 1000:
        raise TeamError(
            f"{database.shown} has schema version {shown}, newer than this histhooks knows; update histhooks"
        )
    if not is_reading and (found < SCHEMA_VERSION or _writing_of(connection, database) < WRITING):
        was = f"has schema version {shown}" if found < SCHEMA_VERSION else "was made by an older histhooks"
        raise TeamError(
            f"{database.shown} {was}, and lacks what this one writes; its owner updates it with: "
            f"histhooks team upgrade {for_shell(database)}"
        )
    return found


def _writing_of(connection: Any, database: Database) -> int:
    row = connection.execute(f"SELECT value FROM {database.schema}.store_info WHERE key = 'writing'").fetchone()
    return int(row[0]) if row is not None and row[0].isdigit() else 0


__all__ = ["asking", "check_version", "connect", "driver", "failed", "masked", "transaction", "version_of"]
