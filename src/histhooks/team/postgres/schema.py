"""Make the schema of a target, and bring it up to date."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from importlib import resources
from typing import Any

from histhooks._base.ids import new_id
from histhooks._store.stamp import SCHEMA_VERSION
from histhooks.errors import TeamError
from histhooks.team.postgres import rights
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.connecting import WRITING, asking, check_version, driver, transaction, version_of
from histhooks.team.postgres.owner_functions import functions_sql
from histhooks.team.postgres.possession import backfill_sql
from histhooks.team.postgres.receipts import NOW

READING = 3  # of what reading needs beside the tables: `_store/reading_pg.sql`
_SINCE_INVOKER = 150000  # views that act with the rights of who asks
_TO_MAKE = "CREATE on the database, or a DBA who runs what `histhooks team init TARGET --sql` prints"
_PATIENCE_S = 120.0
_A_MOMENT = "300ms"  # less than a deadlock takes to be seen
_WHAT = re.compile(r"^CREATE (?:OR REPLACE )?(UNIQUE INDEX|INDEX|TABLE|VIEW|FUNCTION|TRIGGER) (\w+)")


def _text_of(name: str) -> str:
    return resources.files("histhooks._store").joinpath(name).read_text(encoding="utf-8")


def schema_sql(schema: str, store_id: str, mode: str = rights.OPEN) -> str:
    """The SQL that makes a target, for whoever may run it.

    Parameters
    ----------
    schema : str
    store_id : str
        By which the target is known.
    mode : str
        `open` or `by-project`.

    Returns
    -------
    str
    """
    facts = (
        f"('store_id', '{store_id}'), ('schema_version', '{SCHEMA_VERSION}'), ('created_at', {NOW}), "
        f"('reading', '{READING}'), ('writing', '{WRITING}')"
    )
    return (
        f"{rights.roles_sql()}"
        f"CREATE SCHEMA IF NOT EXISTS {schema};\n"
        f"SET LOCAL search_path = {schema}, pg_catalog, pg_temp;\n"
        f"{_text_of('schema_pg.sql')}{_text_of('reading_pg.sql')}"
        f"INSERT INTO store_info (key, value) VALUES {facts};\n"
        f"{functions_sql()}{rights.rights_sql(schema, mode)}"
    )


def script(database: Database, mode: str = rights.OPEN) -> str:
    """The SQL as one transaction, as `psql -f` takes it."""
    return f"BEGIN;\nSET LOCAL client_min_messages = warning;\n{schema_sql(database.schema, new_id(), mode)}COMMIT;\n"


def make(database: Database, *, by_project: bool = False) -> bool:
    """Make a target; whether it was not there before.

    Raises
    ------
    TeamError
        If it cannot be made, or the schema has something else.
    """
    with asking(database, needs=_TO_MAKE) as connection:
        if by_project:
            _check_server(connection, database)
        with connection.transaction():
            lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
            connection.execute(lock, ("histhooks roles",))
            connection.execute(lock, (f"histhooks {database.schema}",))
            sql = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
            (count,) = connection.execute(sql, (database.schema,)).fetchone()
            if not count:
                _check_roles(connection, database)
                mode = rights.BY_PROJECT if by_project else rights.OPEN
                connection.execute(schema_sql(database.schema, new_id(), mode))
                return True
        _check_sight(connection, database)
        found = _refuse_newer(connection, database)
        if found == SCHEMA_VERSION and by_project:
            check_version(connection, database)
            _give_rights(connection, database, rights.BY_PROJECT)
        return False


def _check_server(connection: Any, database: Database) -> None:
    if connection.info.server_version < _SINCE_INVOKER:
        version = connection.info.server_version // 10000
        raise TeamError(f"{database.shown} runs PostgreSQL {version}; --by-project needs 15 or newer")


def _check_sight(connection: Any, database: Database) -> None:
    """Say whose a schema is that is there and that this role may not look into."""
    sql = (
        "SELECT nspowner::regrole::text, current_user::text FROM pg_namespace WHERE oid = to_regnamespace(%s) "
        "AND NOT has_schema_privilege(oid, 'USAGE')"
    )
    row = connection.execute(sql, (database.schema,)).fetchone()
    if row is not None:
        raise TeamError(
            f"{database.shown}: the schema {database.schema} is there already, and belongs to {row[0]}; a DBA lets "
            f"you in: GRANT {rights.WRITER} TO {row[1]}"
        )


def _check_roles(connection: Any, database: Database) -> None:
    """Say what a DBA has to do where this role may not make the roles."""
    sql = (
        "SELECT count(to_regrole(r)), (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user), "
        "current_user::text FROM unnest(%s::text[]) AS r"
    )
    found, may_make, who = connection.execute(sql, (list(rights.ROLES),)).fetchone()
    if found < len(rights.ROLES) and not may_make:
        made = " ".join(rights.roles_sql(is_conditional=False).split())
        raise TeamError(
            f"{database.shown}: the roles {', '.join(rights.ROLES)} are not all there, and {who} may not create roles; "
            f"a DBA runs this once, then try again: {made}"
        )


def _give_rights(connection: Any, database: Database, mode: str) -> None:
    """Change who sees what, while others read and push."""
    sql = f"SELECT value FROM {database.schema}.store_info WHERE key = 'rights'"
    row = connection.execute(sql).fetchone()
    if row is None or row[0] != mode:
        _altered(connection, database, [rights.rights_sql(database.schema, mode), backfill_sql()])


def _refuse_newer(connection: Any, database: Database) -> int:
    found = version_of(connection, database)
    if found > SCHEMA_VERSION:
        version = f"{found // 1000}.{found % 1000}"
        raise TeamError(f"{database.shown} has schema version {version}, newer than this histhooks; update histhooks")
    return found


def upgrade(database: Database) -> tuple[int, int]:
    """Bring a target up to this version, in one transaction; its version before and now.

    Raises
    ------
    TeamError
    """
    with asking(database, needs="to be the owner of the schema") as connection:
        found = _refuse_newer(connection, database)
        sql = f"SELECT key, value FROM {database.schema}.store_info WHERE key IN ('reading', 'writing')"
        facts = dict(connection.execute(sql).fetchall())
        is_whole = int(facts.get("reading", 0)) >= READING and int(facts.get("writing", 0)) >= WRITING
        if found < SCHEMA_VERSION or not is_whole:
            _check_roles(connection, database)
            _altered(connection, database, None)
        return found, SCHEMA_VERSION


def _altered(connection: Any, database: Database, statements: list[str] | None) -> None:
    """Change the schema in one transaction, for which nobody waits longer than a moment.

    What is locked is let go if somebody else holds the rest, and tried again: a push or a reading that has begun goes
    on, and one that begins meanwhile waits as long as the change takes.
    """
    psycopg = driver()
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with transaction(connection, database.schema):
                connection.execute(f"SET LOCAL lock_timeout = '{_A_MOMENT}'")
                connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('histhooks roles', 0))")
                # First what each push asks for first: then none holds a part of what is locked next.
                connection.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
                for statement in statements or _steps(connection, database.schema):
                    connection.execute(statement)
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if time.monotonic() > until:
                raise
            time.sleep(random.Random().uniform(0.05, 0.4))


def _steps(connection: Any, schema: str) -> Iterator[str]:
    """What a target of an older version lacks. Versions only add."""
    yield rights.roles_sql()
    sql = "SELECT relname::text, relkind::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    kinds = dict(connection.execute(sql).fetchall())
    for statement in statements_of(_text_of("schema_pg.sql")):
        found = _WHAT.match(statement)
        if found is None:
            if not statement.startswith("DO "):  # those are for tables that are made
                yield statement
        elif found[1] == "TABLE":
            if kinds.get(found[2]) == "v":
                yield f"DROP VIEW {found[2]}"
            if kinds.get(found[2]) != "r":
                yield statement
            else:
                yield from _columns(connection, found[2])
        elif found[1] in ("FUNCTION", "VIEW"):
            yield re.sub(r"^CREATE (?:OR REPLACE )?", "CREATE OR REPLACE ", statement)
        elif found[2] not in kinds:
            yield statement
    yield _text_of("reading_pg.sql")
    yield functions_sql()
    row = connection.execute("SELECT value FROM store_info WHERE key = 'rights'").fetchone()
    yield rights.rights_sql(schema, row[0] if row else rights.OPEN)
    if row is not None and row[0] == rights.BY_PROJECT and "content_holders" not in kinds:
        yield backfill_sql()
    yield f"UPDATE store_info SET value = '{SCHEMA_VERSION}' WHERE key = 'schema_version'"
    yield (
        f"INSERT INTO store_info (key, value) VALUES ('reading', '{READING}'), ('writing', '{WRITING}') "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    )


def _columns(connection: Any, table: str) -> Iterator[str]:
    sql = "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    there = {name for (name,) in connection.execute(sql, (table,)).fetchall()}
    for name, what in rights.columns()[table].items():
        if name.strip('"') not in there:
            yield f"ALTER TABLE {table} ADD COLUMN {name} {what}"


def statements_of(text: str) -> Iterator[str]:
    """The statements of a script, without the semicolon behind each."""
    statement, is_quoted = "", False
    for line in text.splitlines(keepends=True):
        if not statement and line.startswith("--"):
            continue
        statement += line
        is_quoted ^= line.count("$$") % 2 == 1
        if line.rstrip().endswith(";") and not is_quoted:
            yield statement.rstrip().removesuffix(";")
            statement = ""
