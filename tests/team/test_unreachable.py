"""Why a database cannot be reached, in one sentence with the next step; a real server that refuses in each way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.postgresql import Server, ask_target, server
from helpers.terminals import ask as verb
from histhooks.team import TeamError
from histhooks.team.postgres.address import Database, in_the_name_of, is_database, target_of
from histhooks.team.postgres.connecting import connect
from histhooks.team.postgres.unreachable import meaning
from histhooks.testing import run_program

psycopg = pytest.importorskip("psycopg")
RULES = """
local all nohba reject
local all peer peer
local all secret scram-sha-256
"""


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server with roles that it lets in, and roles that it does not."""
    with server() as started:
        for name in ("nohba", "peer", "secret", "outside", "ann"):
            ask_target(started.address, f"CREATE ROLE {name} LOGIN PASSWORD 'right-one'")
        ask_target(started.address, "CREATE ROLE nologin")
        with psycopg.connect(started.address, autocommit=True) as connection:
            connection.execute("CREATE DATABASE kept")
            connection.execute("REVOKE CONNECT ON DATABASE kept FROM PUBLIC")
        rules = started.folder / "data" / "pg_hba.conf"
        rules.write_text(RULES + rules.read_text(encoding="utf-8"), encoding="utf-8")
        ask_target(started.address, "SELECT pg_reload_conf()")
        until = time.monotonic() + 60
        while "secret" not in str(ask_target(started.address, "SELECT user_name FROM pg_hba_file_rules")):
            assert time.monotonic() < until
        yield started


CASES = {
    "nobody@/postgres?host={}": 'the server has no role nobody; .*: CREATE ROLE "nobody" LOGIN',
    "nologin@/postgres?host={}": 'nologin may not log in; .*: ALTER ROLE "nologin" LOGIN',
    "ann@/none?host={}": 'has no database none; .*: CREATE DATABASE "none"',
    "ann@/kept?host={}": 'may not connect to the database kept; .*: GRANT CONNECT ON DATABASE "kept" TO your role',
    "secret:wrong-one@/postgres?host={}": "the password for secret is wrong; .*~/.pgpass, PGPASSWORD or the address",
    "secret@/postgres?host={}": "asks for a password and none was given; .*~/.pgpass, or set PGPASSWORD",
    "peer@/postgres?host={}": "takes peer from the account of that name only; .*postgresql://peer@localhost/DATABASE",
    "nohba@/postgres?host={}": "does not let nohba in from .*; a DBA adds a line for it to pg_hba.conf",
    "ann@/postgres?host={}/none": "no server listens on the socket .*none/.s.PGSQL.5432; start it",
    "ann@127.0.0.1:1/postgres": "no server listens at 127.0.0.1, port 1; check host and port",
    "ann@/postgres?service=unheard-of": "there is no service unheard-of; write it in ~/.pg_service.conf",
    "ann@/postgres?colour=red&host={}": "libpq knows no parameter colour; take it out of the address",
}


@pytest.mark.parametrize("rest", CASES)
def test_what_is_wrong_is_said_with_the_next_step(
    strict: Server, rest: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    monkeypatch.delenv("PGPASSWORD", raising=False)
    address = f"postgresql://{rest.format(strict.folder)}"
    database = target_of(address)
    assert isinstance(database, Database)
    with pytest.raises(TeamError, match=rf"cannot be reached: .*{CASES[rest]}") as found:
        connect(database, is_reading=True)
    assert "wrong-one" not in str(found.value)
    assert "\n" not in str(found.value)


def test_only_a_push_has_something_that_waits(tmp_path: Path) -> None:
    store, nowhere = tmp_path / "histhooks.db", "postgresql://ann@127.0.0.1:1/ml"
    run_program("import histhooks\nwith histhooks.start_run('one'): pass", store)
    for words, waits in (
        (("push", store, "--to", nowhere), True),
        (("runs", nowhere), False),
        (("verify", nowhere), False),
        (("pull", nowhere, "-o", tmp_path / "road.db"), False),
        (("team", "init", nowhere), False),
        (("team", "status", nowhere), False),
        (("team", "upgrade", nowhere), False),
        (("team", "grant", nowhere, "ann", "churn"), False),
        (("team", "evict", nowhere, "--older-than", "30d", "--reason", "room", "--yes"), False),
    ):
        code, _, errors = verb(*words)
        assert code == 2, words
        assert "no server listens at 127.0.0.1, port 1; check host and port, or start it" in errors, words
        assert ("nothing is lost, it waits in the store" in errors) is waits, words
        assert errors.count("\n") == 1, words


def test_words_in_another_language_stand_as_they_are() -> None:
    said = "connection failed: FATAL: Passwort-Authentifizierung für Benutzer »ann« fehlgeschlagen"
    assert meaning(said) == f" ({said}); check the address, or try again later"


@pytest.mark.parametrize("head", ["postgres", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_an_address_of_sqlalchemy_is_one(head: str) -> None:
    address = f"{head}://ann:p+q@db/ml?histhooks_schema=red"
    assert is_database(address)
    database = target_of(address)
    assert isinstance(database, Database)
    plain = head.partition("+")[0]
    assert (database.conninfo, database.schema) == (f"{plain}://ann:p+q@db/ml", "red")
    assert database.shown == f"{plain}://ann:***@db/ml?histhooks_schema=red"
    of_bob = target_of(in_the_name_of(address, "bob"))
    assert isinstance(of_bob, Database)
    assert (of_bob.role, of_bob.conninfo) == ("bob", database.conninfo)
