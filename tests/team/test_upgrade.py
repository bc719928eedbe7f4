"""A target of version 1.2 is brought up to date while others push and read."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from helpers.postgresql import ask_target, logins_of
from helpers.terminals import environment
from helpers.verbs import ask as verb
from histhooks import team
from histhooks._base.ids import new_id
from histhooks.team import TeamError
from histhooks.team.postgres import schema
from histhooks.team.postgres.address import Database, target_of
from histhooks.team.postgres.witnessing import verify_database
from histhooks.testing import run_program

DATA = Path(__file__).parents[1] / "data" / "target-1.2.sql.gz"
SHAPE = (
    "SELECT c.relname::text, c.relkind::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull "
    "FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 "
    "WHERE c.relnamespace = current_schema()::regnamespace ORDER BY 1, 3"
)
RULES = (
    "SELECT tablename::text, policyname::text, roles::text, cmd, "
    "replace(coalesce(qual, '') || coalesce(with_check, ''), current_schema() || '.', '') FROM pg_policies "
    "WHERE schemaname = current_schema() ORDER BY 1, 2"
)
GRANTS = (
    "SELECT grantee::text, table_name::text, column_name::text, privilege_type::text "
    "FROM information_schema.column_privileges WHERE table_schema = current_schema() AND grantee LIKE 'histhooks%' "
    "ORDER BY 1, 2, 3, 4"
)


@pytest.fixture
def old_target(postgresql: str) -> str:
    """A target as version 1.2 made it."""
    name = f"hh_{uuid4().hex[:12]}"
    address = f"{postgresql}{'&' if '?' in postgresql else '?'}histhooks_schema={name}"
    text = gzip.decompress(DATA.read_bytes()).decode("utf-8")
    facts = f"('store_id', '{new_id()}'), ('schema_version', '1002'), ('created_at', '2026-01-01T00:00:00.000000Z')"
    import psycopg

    database = target_of(address)
    assert isinstance(database, Database)
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(f"CREATE SCHEMA {name}; SET search_path = {name}, pg_catalog")
        connection.execute(text)
        connection.execute(f"INSERT INTO store_info (key, value) VALUES {facts}")
    return address


def test_an_old_target_gets_what_a_new_one_has(old_target: str, target: str, tmp_path: Path) -> None:
    store = tmp_path / "one.db"
    run_program("import histhooks\nwith histhooks.start_run('one'): histhooks.log({'loss': 1.0})", store)
    code, _, errors = verb("push", store, "--to", old_target)
    assert code == 2
    assert f"histhooks team upgrade '{target_of(old_target).shown}'" in errors
    assert errors.count("\n") == 1
    code, said, _ = verb("team", "upgrade", old_target)
    assert (code, said.strip().endswith("has schema version 1.3, before 1.2")) == (0, True)
    assert team.upgrade(old_target)[0] == 1003
    for sql in (SHAPE, RULES, GRANTS):
        one, other = ask_target(old_target, sql.replace("%", "%%")), ask_target(target, sql.replace("%", "%%"))
        assert one == other
        assert len(one) > 50
    with logins_of(old_target) as logins:
        bob = logins.new("histhooks_writer")
        assert team.push(store, to=bob).ok
        assert verify_database(target_of(bob)).problems == []


def test_an_upgrade_while_five_push_and_one_reads(target: str, tmp_path: Path) -> None:
    """A target whose version alone is older, so that clients which know no newer one push meanwhile."""
    ask_target(target, "UPDATE store_info SET value = '1002' WHERE key = 'schema_version'")
    ask_target(target, "DROP POLICY reading ON runs; DROP INDEX runs_by_start")
    program = (
        "import sys; from histhooks.team.postgres import connecting; connecting.SCHEMA_VERSION = 1002\n"
        "import histhooks, subprocess, os\nfrom histhooks import team\n"
        "store, target = sys.argv[1:]\n"
        "for number in range(8):\n"
        "    with histhooks.start_run(f'run {number}', params={'n': number}): histhooks.log({'loss': 1.0})\n"
        "    histhooks.flush()\n"
        "    team.push(store, to=target)\n"
    )
    stores = [tmp_path / f"store{number}.db" for number in range(5)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(store), target],
            env={**environment(), "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1"},
            stderr=subprocess.PIPE, text=True,
        )
        for store in stores
    ]  # fmt: skip
    failures: list[str] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            try:
                ask_target(target, "SELECT count(*), max(name) FROM runs")
            except Exception as error:
                failures.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        while ask_target(target, "SELECT count(*) FROM receipts")[0][0] < 3:
            assert None in [process.poll() for process in processes]
        assert team.upgrade(target) == (1002, 1003)
        said = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        is_over.set()
        reader.join()
    assert [process.returncode for process in processes] == [0] * 5, said
    assert failures == []
    for store in stores:
        assert team.push(store, to=target).ok
    assert verify_database(target_of(target)).problems == []
    assert ask_target(target, "SELECT count(*) FROM runs") == [(40,)]
    assert ask_target(target, "SELECT count(to_regclass('runs_by_start'))") == [(1,)]


def test_only_the_owner_upgrades(old_target: str) -> None:
    with logins_of(old_target) as logins:
        eve = logins.new("histhooks_curator")
        with pytest.raises(TeamError, match="your role may not do this"):
            team.upgrade(eve)
    assert ask_target(old_target, "SELECT value FROM store_info WHERE key = 'schema_version'") == [("1002",)]


def test_statements_are_taken_apart_with_their_functions() -> None:
    text = "-- a\nCREATE TABLE a (\n  b text\n);\nCREATE FUNCTION f() RETURNS text AS $$\n  SELECT ';';\n$$;\n"
    assert [each.split("(")[0] for each in schema.statements_of(text)] == ["CREATE TABLE a ", "CREATE FUNCTION f"]
