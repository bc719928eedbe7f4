"""A PostgreSQL of its own for the measures of a team, as the tests start it: a temporary folder and a unix socket.

Its settings are those of the tests: `fsync` is off, for all that is measured on it, so that the disk of a shared
machine has less to say. Name a server of your own by HISTHOOKS_TEST_POSTGRESQL; a database `mlflow` is made there too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of a database; ends the program by name where there is no PostgreSQL."""
    try:
        import pytest

        from helpers.postgresql import ANOTHER, server
    except ImportError as error:
        raise SystemExit(f"team: {error}; pip install pytest 'histhooks[postgres]'") from error
    if os.environ.get(ANOTHER):
        yield os.environ[ANOTHER]
        return
    try:
        with server() as started:
            yield started.address
    except pytest.skip.Exception as reason:
        raise SystemExit(f"team: {reason}") from None


def target(address: str) -> str:
    """A new and empty target."""
    from histhooks import team

    made = f"{address}{'&' if '?' in address else '?'}histhooks_schema=bench_{uuid4().hex[:12]}"
    team.init(made)
    return made


def rows(address: str, sql: str) -> list[tuple[object, ...]]:
    """Rows of a query in a target's schema."""
    from helpers.postgresql import ask_target

    found: list[tuple[object, ...]] = ask_target(address, sql)
    return found


def size(address: str, *tables: str) -> int:
    """Bytes of tables with their indexes; of all tables where none is named."""
    which = f"AND relname IN ({', '.join(repr(name) for name in tables)})" if tables else ""
    sql = (
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
        f"WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' {which}"
    )
    ((found,),) = rows(address, sql)
    assert isinstance(found, int)
    return found
