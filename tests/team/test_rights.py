"""Who may do what at a target, tried with roles of a real PostgreSQL that log in."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from helpers.postgresql import Logins, ask_target, logins_of, programs
from helpers.team_stores import World, runs_of
from helpers.verbs import ask as verb
from histhooks import History, curate, team
from histhooks._store.ledger import canonical
from histhooks.team import TeamError
from histhooks.team.postgres.address import Database, target_of
from histhooks.team.postgres.witnessing import verify_database
from histhooks.testing import run_program

psycopg = pytest.importorskip("psycopg")


def problems(target: str) -> list[str]:
    database = target_of(target)
    assert isinstance(database, Database)
    return verify_database(database).problems


@pytest.fixture
def logins(target: str) -> Iterator[Logins]:
    with logins_of(target) as made:
        yield made


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two copies of a store, in each of which a session of its own recorded since."""
    made = World(tmp_path / "world")
    for what, which, size in (("train", 0, 1), ("train", 0, 4), ("copy", 0, 0), ("train", 1, 3), ("train", 0, 2)):
        made.do(what, which, size)
    return made


def refusal(address: str, sql: str) -> str:
    """What the server says to a statement; empty if it does it."""
    try:
        ask_target(address, sql)
    except psycopg.Error as error:
        return str(error)
    return ""


STATEMENTS = (
    "INSERT INTO params (run_id, ordinal, key, value, source, time) VALUES ('r', 99, 'k', '1', 'user', 0)",
    "INSERT INTO runs SELECT * FROM runs LIMIT 1",
    "INSERT INTO sessions (id, kind, started_at, status, recorder_version) VALUES ('s', 'job', '', 'running', '1')",
    "INSERT INTO ledger (session_id, seq, n_rows, digest, time) VALUES ('s', 0, 0, 'd', 0)",
    "INSERT INTO tags SELECT * FROM tags",
    "INSERT INTO contents (sha256, kind, size_bytes, encoding, data) VALUES ('a', 'diff', 0, 'plain', '')",
    "INSERT INTO store_info (key, value) VALUES ('a', 'b')",
    "INSERT INTO receipts SELECT * FROM receipts",
    "INSERT INTO conflicts (session_id, what, store_id, found_at) VALUES ('s', 'w', 'x', 'y')",
    "INSERT INTO evictions (scope, table_name, evicted_at, reason) VALUES ('s', 'w', 'x', 'y')",
    "INSERT INTO project_readers (project, role) VALUES ('p', 'r')",
    "UPDATE runs SET status = 'failed'",
    "UPDATE sessions SET pushed_by = 'eve'",
    "UPDATE params SET value = '2'",
    "UPDATE point_chunks SET count = 1",
    "UPDATE metric_summaries SET last = 0",
    "UPDATE ledger SET digest = 'x'",
    "UPDATE store_info SET value = '9'",
    "UPDATE receipts SET digest = 'x'",
    "UPDATE points SET value = 0",
    "DELETE FROM runs",
    "DELETE FROM params",
    "DELETE FROM point_chunks",
    "DELETE FROM ledger",
    "DELETE FROM ledger_parts",
    "DELETE FROM tombstones",
    "DELETE FROM receipts",
    "DELETE FROM store_info",
    "DELETE FROM metrics",
    "TRUNCATE params",
    "TRUNCATE sessions CASCADE",
    "DROP TABLE params",
    "DROP VIEW metrics",
    "ALTER TABLE params ADD COLUMN x text",
    "ALTER TABLE sessions DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE sessions OWNER TO CURRENT_USER",
    "DROP POLICY reading ON runs",
    "CREATE POLICY mine ON runs USING (true)",
    "CREATE TABLE mine (a text)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE INDEX mine ON params (key)",
    "CREATE FUNCTION mine() RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    "CREATE OR REPLACE FUNCTION hh_plain(given text) RETURNS text LANGUAGE sql AS 'SELECT given'",
    "CREATE TRIGGER mine BEFORE INSERT ON runs EXECUTE FUNCTION hh_check_receipt()",
    "GRANT histhooks_curator TO CURRENT_USER",
    "COMMENT ON TABLE runs IS 'mine'",
    "COPY params FROM PROGRAM 'echo'",
    "SELECT * FROM runs FOR UPDATE",
    "LOCK TABLE runs IN EXCLUSIVE MODE",
    "SELECT setval(pg_get_serial_sequence('metric_summaries', 'series'), 1)",
    "MERGE INTO runs AS r USING runs AS o ON o.id = r.id WHEN MATCHED THEN UPDATE SET name = 'x'",
)  # fmt: skip
OF_READERS = (
    "SELECT hh_refold(ARRAY['r'])",
    "SELECT * FROM hh_heads(ARRAY['r'], ARRAY[0])",
    "SELECT * FROM hh_last_receipt()",
)


def test_a_reader_reads_and_writes_nothing(world: World, target: str, logins: Logins) -> None:
    team.push(world.files[0], to=target)
    ann = logins.new("histhooks_reader")
    before = ask_target(target, "SELECT count(*), min(name) FROM runs")
    for sql in (*STATEMENTS, *OF_READERS):
        said = refusal(ann, sql)
        assert said, sql
        assert "syntax" not in said, said
        assert "does not exist" not in said, said
    assert ask_target(target, "SELECT count(*), min(name) FROM runs") == before
    assert ask_target(ann, "SELECT count(*), min(name) FROM runs") == before
    assert problems(ann) == []
    code, said, _ = verb("runs", ann, "--json")
    assert code == 0
    assert len(json.loads(said)) > 0
    with pytest.raises(TeamError, match=r"reads, and pushes nothing.*GRANT histhooks_writer TO "):
        team.push(world.files[1], to=ann)


def test_who_was_given_nothing_reads_nothing(world: World, target: str, logins: Logins) -> None:
    eve = logins.new()
    for words in (("runs", eve), ("push", world.files[0], "--to", eve), ("team", "status", eve), ("verify", eve)):
        code, _, errors = verb(*words)
        assert code == 2
        assert "your role may not do this" in errors
        assert "GRANT histhooks_" in errors
        assert errors.count("\n") == 1


def test_a_writer_pushes_and_changes_nothing_that_is_there(world: World, target: str, logins: Logins) -> None:
    here, other = world.files
    ann, bob = logins.new("histhooks_writer"), logins.new("histhooks_writer")
    assert team.push(here, to=ann).ok
    assert team.push(other, to=bob).ok
    assert problems(target) == []
    assert problems(ann) == []
    pushed = dict(ask_target(target, "SELECT pushed_by, count(*) FROM sessions GROUP BY 1"))
    assert set(pushed) == {logins.name_of(ann), logins.name_of(bob)}
    mine = "SELECT * FROM runs WHERE session_id IN (SELECT id FROM sessions WHERE pushed_by = %s) ORDER BY id"
    before = ask_target(target, mine, logins.name_of(ann))
    own = ("INSERT INTO contents", "INSERT INTO conflicts", "INSERT INTO sessions", "INSERT INTO ledger", "UPDATE runs")
    own += ("SELECT * FROM runs FOR UPDATE", "UPDATE point_chunks", "UPDATE metric_summaries")
    for sql in STATEMENTS:
        said = refusal(bob, sql)
        assert said or sql.startswith(own), sql
        assert "syntax" not in said, said
    assert ask_target(target, mine, logins.name_of(ann)) == before
    assert len(before) > 0


def test_the_printed_sql_makes_a_target_that_a_writer_pushes_to(
    world: World, postgresql: str, target: str, logins: Logins, tmp_path: Path
) -> None:
    mark = "&" if "?" in postgresql else "?"
    address = f"{postgresql}{mark}histhooks_schema=hh_{uuid4().hex[:12]}"
    code, printed, _ = verb("team", "init", address, "--sql")
    assert code == 0
    psql = programs()
    assert psql is not None
    command = [str(psql / "psql"), "-v", "ON_ERROR_STOP=1", "-q", "-f", "-", postgresql]
    done = subprocess.run(command, input=printed, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    bob = logins.new("histhooks_writer", of=address)
    assert team.push(world.files[0], to=bob).ok
    assert problems(bob) == []


SESSION = "FROM sessions WHERE pushed_by = '{ann}' LIMIT 1"
RUN = "FROM runs AS r JOIN sessions AS s ON s.id = r.session_id WHERE pushed_by = '{ann}' LIMIT 1"
SERIES = RUN.replace("runs AS r", "metric_summaries AS m JOIN runs AS r ON r.id = m.run_id")
OF_ANOTHER = (
    f"INSERT INTO ledger (session_id, seq, n_rows, digest, time) SELECT id, 99, 0, 'd', 0 {SESSION}",
    f"INSERT INTO params (run_id, ordinal, key, value, source, time) SELECT r.id, 99, 'k', '1', 'user', 0 {RUN}",
    "INSERT INTO events (id, session_id, ordinal, time, kind, severity, title, count) "
    f"SELECT 'e', id, 99, 0, 'k', 'info', 't', 1 {SESSION}",
    "INSERT INTO states (subject_id, session_id, ordinal, time, subject, state) "
    f"SELECT id, id, 99, 0, 'session', '{{{{}}}}' {SESSION}",
    "INSERT INTO runs (id, session_id, name, kind, status, started_at) "
    f"SELECT 'x', id, 'x', 'fit', 'running', started_at {SESSION}",
    "INSERT INTO metric_summaries (run_id, name, direction, start_time, count, nonfinite) "
    f"SELECT r.id, 'x', 0, 0, 0, 0 {RUN}",
    'INSERT INTO point_chunks (series, chunk, count, times, "values", finite) '
    f"SELECT m.series, 9, 1, ARRAY[0], ARRAY[0.0], 1 {SERIES}",
    f"INSERT INTO salts (subject_id, field, salt) SELECT id, 'x', 'y' {SESSION}",
    "INSERT INTO sessions (id, kind, started_at, status, recorder_version, pushed_by) "
    "VALUES ('s', 'job', '2026-01-01T00:00:00Z', 'running', '1', '{ann}')",
    "INSERT INTO receipts (seq, pushed_at, store_id, recorder_version, n_rows, heads, digest, pushed_by) "
    "VALUES (99, '', '', '', 0, '[]', 'd', '{ann}')",
    "INSERT INTO receipts (seq, pushed_at, store_id, recorder_version, n_rows, heads, digest) "
    "VALUES (99, now()::text, '', '', 0, '[]', 'd')",
    # One that follows, and says that a line was there which never was.
    "INSERT INTO receipts (seq, pushed_at, store_id, recorder_version, n_rows, heads, previous, digest) "
    "SELECT seq + 1, now()::text, '', '', 0, '[[\"s\", 0, \"d\"]]', digest, 'd' FROM hh_last_receipt()",
    "INSERT INTO receipts (seq, pushed_at, store_id, recorder_version, n_rows, heads, previous, digest) "
    "SELECT seq + 1, now()::text, '', '', 0, '[]', digest, 'd' FROM hh_last_receipt()",
    "UPDATE sessions SET pushed_by = '{bob}'",
    "UPDATE sessions SET id = 'x'",
    "UPDATE runs SET session_id = 'x'",
)
REFUSALS = (
    "row-level security",
    "permission denied",
    "does not follow",
    "names a line of nobody",
    "has another digest",
)
OF_ANN = "r.session_id IN (SELECT id FROM sessions WHERE pushed_by = '{ann}')"
UNCHANGED = (
    "UPDATE sessions SET status = 'failed' WHERE pushed_by = '{ann}'",
    f"UPDATE runs AS r SET name = 'x' WHERE {OF_ANN}",
    f"UPDATE metric_summaries AS m SET last = 0 FROM runs AS r WHERE r.id = m.run_id AND {OF_ANN}",
    "UPDATE point_chunks AS c SET finite = 0 FROM metric_summaries AS m, runs AS r "
    f"WHERE m.series = c.series AND r.id = m.run_id AND {OF_ANN}",
    "INSERT INTO packages (environment_id, name, version) SELECT id, 'evil', '1' FROM environments",
)


def test_a_writer_adds_nothing_to_what_another_pushed(world: World, target: str, logins: Logins) -> None:
    here, _ = world.files
    ann, bob = logins.new("histhooks_writer"), logins.new("histhooks_writer")
    team.push(here, to=ann)
    names = {"ann": logins.name_of(ann), "bob": logins.name_of(bob)}
    for sql in OF_ANOTHER:
        said = refusal(bob, sql.format(**names))
        assert any(word in said for word in REFUSALS), (sql, said)
    before = [ask_target(target, f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("sessions", "runs", "packages")]
    for sql in UNCHANGED:
        assert refusal(bob, sql.format(**names)) == "", sql
    assert before == [
        ask_target(target, f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("sessions", "runs", "packages")
    ]
    assert problems(target) == []
    for sql in ("UPDATE ledger SET digest = 'x'", "DELETE FROM params", "UPDATE params SET value = '1'"):
        assert "permission denied" in refusal(ann, sql)


STATE = "INSERT INTO states (subject_id, session_id, ordinal, time, subject, state) VALUES (%s, %s, 99, %s, %s, %s)"
LATE = 9_000_000_000_000_000


def test_a_state_of_another_takes_no_run_over_and_stops_no_push(tmp_path: Path, target: str, logins: Logins) -> None:
    world, other = World(tmp_path / "one"), World(tmp_path / "other")
    for each in (world, other):
        each.do("train", 0, 1)
    ann, bob = logins.new("histhooks_writer"), logins.new("histhooks_writer")
    assert team.push(world.files[0], to=ann).ok
    assert team.push(other.files[0], to=bob).ok
    of = "SELECT r.id, r.session_id FROM runs AS r JOIN sessions AS s ON s.id = r.session_id WHERE s.pushed_by = %s"
    run_id, session_id = ask_target(target, of, logins.name_of(ann))[0]
    own_run, own = ask_target(target, of, logins.name_of(bob))[0]
    before = ask_target(target, "SELECT * FROM runs ORDER BY id")
    for subject_id, kind, state in (
        (run_id, "run", json.dumps({"session_id": own})),
        (run_id, "run", json.dumps({"session_id": own}).replace("_", "\\u005f")),
        (run_id, "run", '{"name": null}'),
        (run_id, "run", '{"epochs_done": "many"}'),
        (session_id, "session", '{"kind": "unheard of"}'),
        (session_id, "session", "[1, 2"),
    ):
        with pytest.raises(psycopg.Error):
            ask_target(bob, STATE, subject_id, own, LATE, kind, state)
    # Nor does a run of its own become one that another pushed.
    ask_target(bob, STATE, own_run, own, LATE, "run", json.dumps({"session_id": session_id}))
    ask_target(bob, "SELECT hh_refold(%s)", [run_id, own_run])
    assert ask_target(target, "SELECT * FROM runs ORDER BY id") == before
    world.do("go on", 0, 3)
    assert team.push(world.files[0], to=ann).ok


def test_a_writer_changes_none_of_its_own_points(tmp_path: Path, target: str, logins: Logins) -> None:
    store = tmp_path / "one.db"
    lines = (
        "import histhooks",
        "with histhooks.start_run('one') as run:",
        "    for n in range(5): run.log({'a': n}, step=2 * n)",
    )
    run_program("\n".join(lines), store)
    ann = logins.new("histhooks_writer")
    assert team.push(store, to=ann).ok
    for change in (
        '"values" = ARRAY[9.0, 9, 9, 9, 9]', "times = ARRAY[1, 2, 3, 4, 5]", "steps = ARRAY[1, 2, 3, 4, 5]",
        "count = 1", "specials = 'x'", 'count = 6, "values" = ARRAY[9.0, 9, 9, 9, 9, 9]',
    ):  # fmt: skip
        said = refusal(ann, f"UPDATE point_chunks SET {change}")
        assert "permission denied to change points" in said, change
    assert problems(target) == []


def test_a_writer_puts_no_time_that_stops_who_reads_it(tmp_path: Path, target: str, logins: Logins) -> None:
    store = tmp_path / "histhooks.db"
    run_program("import histhooks\nwith histhooks.start_run('one') as run: run.log({'a': 1})", store)
    ann = logins.new("histhooks_writer")
    assert team.push(store, to=ann).ok
    for change in ("runs SET started_at = 'x'", "runs SET ended_at = '2026-01-01'", "sessions SET heartbeat_at = ''"):
        assert "is no time" in refusal(ann, f"UPDATE {change}"), change
    with History(ann) as history:
        assert [run.name for run in history.runs()] == ["one"]


def test_a_session_goes_on_by_who_pushed_it_first_or_by_a_curator(tmp_path: Path, target: str, logins: Logins) -> None:
    ann, bob = logins.new("histhooks_writer"), logins.new("histhooks_writer")
    world = World(tmp_path / "world")
    world.do("train", 0, 1)
    (store,) = world.files
    world.do("train", 0, 2)
    beginning = tmp_path / "beginning.db"
    shutil.copy(store, beginning)
    assert team.push(beginning, to=ann).ok
    world.do("go on", 0, 3)
    world.do("train", 0, 1)
    done = team.push(store, to=bob)
    assert not done.forks
    assert [left["what"] for left in done.left_out] == [f"session {world.sessions[-2].id}"] or done.left_out
    assert all("another role pushed its beginning" in left["why"] for left in done.left_out)
    assert done.runs >= 1
    assert team.push(store, to=ann).ok
    assert team.push(store, to=bob).ok
    assert problems(target) == []


@pytest.mark.parametrize("is_there", [True, False])
def test_what_removes_rows_waits_for_a_curator_and_the_rest_goes_on(
    world: World, target: str, logins: Logins, is_there: bool
) -> None:
    here, _ = world.files
    ann, carl = logins.new("histhooks_writer"), logins.new("histhooks_curator")
    run_id = runs_of(here)[0]
    if is_there:
        assert team.push(here, to=ann).ok
    curate.delete(run_id, reason="wrong data", store=here)
    curate.redact(runs=(runs_of(here)[1],), reason="asked for", store=here)
    world.do("train", 0, 1)
    code, said, errors = verb("push", here, "--to", ann)
    assert code == 1
    assert f"GRANT histhooks_curator TO {logins.name_of(ann)}" in errors
    assert "sent " in said
    assert problems(target) == []
    assert (ask_target(target, "SELECT count(*) FROM runs WHERE id = %s", run_id)[0][0] > 0) is is_there
    assert ask_target(target, "SELECT count(*) FROM tombstones") == [(0,)]
    done = team.push(here, to=carl)
    assert done.ok
    assert done.deleted_runs == (2 if is_there else 0)
    assert ask_target(target, "SELECT count(*) FROM runs WHERE id = %s", run_id) == [(0,)]
    assert problems(target) == []
    assert team.push(here, to=ann).ok


def test_what_a_curator_removed_is_not_brought_back_by_a_writer(world: World, target: str, logins: Logins) -> None:
    here, older = world.files
    ann, carl = logins.new("histhooks_writer"), logins.new("histhooks_curator")
    deleted, redacted = runs_of(here)[0], runs_of(here)[2]
    curate.tag(deleted, {"seen": "in the copy, which knows of no deletion"}, store=older)
    curate.delete(deleted, reason="wrong data", store=here)
    curate.redact(runs=(redacted,), reason="asked for", store=here)
    assert team.push(here, to=carl).ok
    assert team.push(older, to=ann).ok
    assert problems(target) == []
    assert ask_target(target, "SELECT 1 FROM runs WHERE id = %s", deleted) == []
    assert ask_target(target, "SELECT 1 FROM tags WHERE run_id = %s", deleted) == []
    assert ask_target(target, "SELECT value FROM tags WHERE run_id = %s AND value IS NOT NULL", redacted) == []


def test_the_database_writes_canonical_json_as_the_ledger_does(target: str) -> None:
    for text in ("", "it's", 'a"b\\c/\n\t\x01\x1f\x7f', "é \U0001f600 \u2028 中"):
        assert ask_target(target, "SELECT hh_canonical(%s)", text) == [(canonical(text).decode(),)]
    assert ask_target(target, "SELECT hh_canonical(NULL)") == [("null",)]


def test_a_rename_of_what_another_pushed_is_folded_by_the_target(world: World, target: str, logins: Logins) -> None:
    here, other = world.files
    ann, bob = logins.new("histhooks_writer"), logins.new("histhooks_writer")
    assert team.push(here, to=ann).ok
    run_id = runs_of(here)[0]
    curate.rename(run_id, "better", store=other)
    assert team.push(other, to=bob).ok
    assert ask_target(target, "SELECT name FROM runs WHERE id = %s", run_id) == [("better",)]
    assert problems(target) == []


def test_init_needs_a_role_that_may_make_roles_or_a_dba(postgresql: str, logins: Logins) -> None:
    """The three roles are there already, since the server is shared: an owner of a schema needs nothing more."""
    owner = logins.new(is_owner=True)
    schema = f"hh_{uuid4().hex[:12]}"
    address = owner.rpartition("=")[0] + f"={schema}"
    assert team.init(address)
    assert team.init(address) is False


def test_init_where_another_made_the_schema_says_whose_it_is(target: str, logins: Logins) -> None:
    somebody = logins.new()
    with pytest.raises(
        TeamError, match=f"belongs to postgres; a DBA lets you in: GRANT histhooks_writer TO {logins.name_of(somebody)}"
    ):
        team.init(somebody)


def test_a_new_table_has_rules_of_its_rows(target: str) -> None:
    sql = (
        "SELECT c.relname::text, c.relrowsecurity, (SELECT count(*) FROM pg_policy AS p WHERE p.polrelid = c.oid) "
        "FROM pg_class AS c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
    )
    found = ask_target(target, sql)
    assert len(found) > 50
    for name, is_on, count in found:
        assert is_on, name
        assert count > 0, name
