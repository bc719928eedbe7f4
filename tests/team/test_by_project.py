"""A target whose roles read only their projects: what a restricted role tries in vain, and what it may do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from helpers.postgresql import Logins, ask_target, logins_of
from helpers.programs import HOST, ON_THAT_HOST
from helpers.verbs import ask as verb
from histhooks import History, curate, team
from histhooks.errors import QueryError
from histhooks.team import TeamError
from histhooks.team.postgres.address import Database, target_of
from histhooks.team.postgres.witnessing import verify_database
from histhooks.testing import run_program
from histhooks.verify import Report, verify

psycopg = pytest.importorskip("psycopg")
PROGRAM = """
import histhooks, numpy as np
from sklearn.linear_model import LogisticRegression
histhooks.autolog("sklearn")
WORD = {word!r}
rng = np.random.default_rng({seed})
X = rng.normal(size=(30, {seed}))
with histhooks.start_run(WORD + "-run", params={{WORD + "-param": WORD}}, tags={{WORD + "-tag": WORD}}) as run:
    for step in range(1100):
        run.log({{WORD + "-metric": 1.0 / (step + {seed})}}, step=step)
    run.note("a note of " + WORD)
    open(WORD + ".bin", "w").write(WORD)
    run.log_artifact(WORD + ".bin", role="model")
    LogisticRegression(C={seed}.5).fit(X, rng.integers(0, 2, 30))
try:
    with histhooks.start_run(WORD + "-failed"):
        raise ValueError(WORD)
except ValueError:
    pass
"""
SECRET, OPEN = "zinnober", "himmelblau"


class Shared(NamedTuple):
    """A target with two projects, and roles that log in at it."""

    target: str
    red: Path
    blue: Path
    reader: str  # of blue
    writer: str  # who pushed blue, and was granted nothing
    pusher: str  # of red
    curator: str
    logins: Logins


def report_of(target: str) -> Report:
    database = target_of(target)
    assert isinstance(database, Database)
    return verify_database(database)


@pytest.fixture(scope="module")
def shared(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    place = tmp_path_factory.mktemp("projects")
    mark = "&" if "?" in postgresql else "?"
    target = f"{postgresql}{mark}histhooks_schema=hh_{uuid4().hex[:12]}"
    with logins_of(target) as logins:
        assert team.init(target, by_project=True)
        stores = []
        for name, word, seed in (("red", SECRET, 3), ("blue", OPEN, 4)):
            (place / name).mkdir()
            store = place / name / "histhooks.db"
            run_program(PROGRAM.format(word=word, seed=seed), store, cwd=place / name, HISTHOOKS_PROJECT=name)
            stores.append(store)
        reader, writer = logins.new("histhooks_reader"), logins.new("histhooks_writer")
        pusher, curator = logins.new("histhooks_writer"), logins.new("histhooks_curator")
        assert team.push(stores[0], to=pusher).ok
        assert team.push(stores[1], to=writer).ok
        assert team.grant(logins.name_of(reader), "blue", target) == (True, True)
        yield Shared(target, *stores, reader, writer, pusher, curator, logins)


def relations(target: str) -> list[str]:
    sql = "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND "
    sql += "relkind IN ('r', 'v')"
    return [name for (name,) in ask_target(target, sql)]


@pytest.mark.parametrize("who", ["reader", "writer"])
def test_no_table_or_view_tells_of_another_project(shared: Shared, who: str) -> None:
    address = getattr(shared, who)
    ids = {row[0] for row in ask_target(shared.target, "SELECT id FROM runs WHERE project = 'red'")}
    ids |= {row[0] for row in ask_target(shared.target, "SELECT session_id FROM runs WHERE project = 'red'")}
    ids |= {
        row[0]
        for row in ask_target(
            shared.target,
            "SELECT scope FROM ledger_parts AS p JOIN runs AS r ON r.session_id = p.session_id WHERE r.project = 'red' "
            "EXCEPT SELECT scope FROM ledger_parts AS p JOIN runs AS r ON r.session_id = p.session_id "
            "WHERE r.project = 'blue'",
        )
    }
    assert len(ids) > 5
    found = 0
    for name in relations(shared.target):
        text = repr(ask_target(address, f"SELECT * FROM {name}"))
        found += OPEN in text
        assert SECRET not in text, name
        assert "'red'" not in text, name
        assert not [key for key in ids if key in text], name
    assert found > 5
    for (data,) in ask_target(address, "SELECT data FROM contents"):
        assert SECRET.encode() not in bytes(data)


def test_what_is_shared_by_its_content_is_not_read_by_its_id(shared: Shared) -> None:
    tables = {
        "contents": "sha256", "datasets": "id", "architectures": "id", "artifacts": "sha256", "code_versions": "id",
        "environments": "id",
    }  # fmt: skip
    tried = 0
    for table, key in tables.items():
        mine = {row[0] for row in ask_target(shared.reader, f"SELECT {key} FROM {table}")}
        everything = {row[0] for row in ask_target(shared.target, f"SELECT {key} FROM {table}")}
        for hidden in everything - mine:
            tried += 1
            assert ask_target(shared.reader, f"SELECT 1 FROM {table} WHERE {key} = %s", hidden) == []
    assert tried >= 3
    # What both projects have is seen.
    both = (
        "SELECT environment_id FROM sessions AS s JOIN runs AS r ON r.session_id = s.id WHERE project = 'blue' LIMIT 1"
    )
    ((environment,),) = ask_target(shared.target, both)
    assert len(ask_target(shared.reader, "SELECT 1 FROM packages WHERE environment_id = %s", environment)) > 5


LEAKS = (
    "SELECT 1 / (CASE WHEN name LIKE '%zinnober%' THEN 0 ELSE 1 END) FROM runs",
    "SELECT name::integer FROM runs WHERE name LIKE 'zinn%'",
    "SELECT 1 / (CASE WHEN value LIKE '%zinnober%' THEN 0 ELSE 1 END) FROM latest_params",
    "SELECT 1 / (CASE WHEN name LIKE '%zinnober%' THEN 0 ELSE 1 END) FROM metrics",
    "SELECT hh_text(value)::integer FROM params WHERE value LIKE '%zinnober%'",
    "SELECT * FROM pg_stats WHERE schemaname = current_schema()",
    "SELECT * FROM pg_stats_ext WHERE schemaname = current_schema()",
    "SELECT * FROM project_readers WHERE project = 'red'",
    "SELECT * FROM receipts",
    "SELECT hh_own_sessions()",
)


def test_errors_statistics_and_receipts_tell_nothing(shared: Shared) -> None:
    ask_target(shared.target, "ANALYZE runs, params, tags, metric_summaries")
    assert ask_target(shared.target, "SELECT count(*) FROM pg_stats WHERE schemaname = current_schema()")[0][0] > 0
    for sql in LEAKS:
        rows = ask_target(shared.reader, sql.replace("%", "%%"))
        assert SECRET not in repr(rows)
        assert not rows or "/" in sql, sql
    with psycopg.connect(target_of(shared.reader).conninfo) as connection:
        connection.execute(f"SET search_path = {target_of(shared.target).schema}")
        seen: list[str] = []
        connection.add_notice_handler(lambda notice: seen.append(notice.message_primary or ""))
        connection.execute(
            "CREATE FUNCTION pg_temp.tell(given text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS "
            "$$ BEGIN RAISE NOTICE '%', given; RETURN true; END $$"
        )
        for sql in (
            "SELECT * FROM runs WHERE pg_temp.tell(name)",
            "SELECT * FROM metrics WHERE pg_temp.tell(name)",
            "SELECT * FROM latest_params WHERE pg_temp.tell(value)",
            "SELECT * FROM contents WHERE pg_temp.tell(sha256)",
        ):
            connection.execute(sql)
    assert seen
    assert not [word for word in seen if SECRET in word]


def test_functions_of_a_role_stand_in_for_none_of_the_rules(shared: Shared) -> None:
    """A role that may make a schema puts it before that of the target."""
    schema, name = f"hh_{uuid4().hex[:12]}", shared.logins.name_of(shared.reader)
    ask_target(shared.target, f"CREATE SCHEMA {schema} AUTHORIZATION {name}")
    bodies = {
        "hh_projects() RETURNS text[]": "SELECT ARRAY['*']",
        "hh_sees_all() RETURNS boolean": "SELECT true",
        "hh_is_oneself() RETURNS boolean": "SELECT true",
        "hh_sees_run(key text) RETURNS boolean": "SELECT true",
        "hh_role() RETURNS name": "SELECT 'postgres'::name",
        "pg_has_role(who name, whose oid, what text) RETURNS boolean": "SELECT true",
    }
    path = f"{schema}, {target_of(shared.target).schema}, pg_catalog"
    with psycopg.connect(target_of(shared.reader).conninfo) as connection:
        for head, body in bodies.items():
            connection.execute(f"CREATE FUNCTION {schema}.{head} LANGUAGE sql AS $$ {body} $$")
        connection.execute(f"SET search_path = {path}")
        assert connection.execute("SELECT DISTINCT project FROM runs").fetchall() == [("blue",)]
        for table in ("params", "sessions", "contents", "metrics", "latest_params"):
            assert SECRET not in repr(connection.execute(f"SELECT * FROM {table}").fetchall())
        connection.rollback()


def test_every_verb_that_reads_sees_one_project(shared: Shared) -> None:
    code, said, _ = verb("runs", shared.reader, "--all", "--json")
    assert code == 0
    assert {run["project"] for run in json.loads(said)} == {"blue"}
    assert verb("search", SECRET, "--store", shared.reader)[0] == 1
    assert verb("search", OPEN, "--store", shared.reader)[0] == 0
    assert verb("show", f"{SECRET}-run", "--store", shared.reader)[0] == 2
    ((hidden,),) = ask_target(shared.target, "SELECT id FROM runs WHERE name = %s", f"{SECRET}-run")
    with History(shared.reader) as history:
        assert history.run(f"{OPEN}-run").params == {f"{OPEN}-param": OPEN}
        assert len(history.run(f"{OPEN}-run").metrics(f"{OPEN}-metric")) == 1100
        with pytest.raises(QueryError):
            history.run(hidden)
    code, said, _ = verb("team", "status", shared.reader, "--json")
    found = json.loads(said)
    assert found["runs"] == ask_target(shared.target, "SELECT count(*) FROM runs WHERE project = 'blue'")[0][0]
    assert found["rights"] == "by-project"
    assert found["readers"] == [{"project": "blue", "role": shared.logins.name_of(shared.reader)}]
    assert (found["pushed_by"], found["reads"]) == ([], ["blue"])
    said = verb("team", "status", shared.reader)[1]
    assert "your role reads project blue: other runs, and who pushed them, are hidden from it" in said
    assert "are hidden" not in verb("team", "status", shared.curator)[1]


def test_verify_by_a_restricted_role_names_what_it_does_not_see(shared: Shared) -> None:
    assert report_of(shared.target).problems == []
    report = report_of(shared.reader)
    assert report.problems == []
    assert report.lines > 0
    code, said, _ = verb("verify", shared.reader)
    assert code == 0
    assert "not visible to you" in said
    assert "missing" not in said


def test_a_curator_and_the_owner_see_all(shared: Shared) -> None:
    for address in (shared.curator, shared.target):
        assert {project for (project,) in ask_target(address, "SELECT project FROM runs")} == {"red", "blue"}
        assert report_of(address).problems == []


def test_a_writer_pushes_where_it_may_not_read(shared: Shared) -> None:
    """It sees what it pushed; that others have the same environment, or the same session, is no error."""
    again = team.push(shared.blue, to=shared.writer)
    assert (again.ok, again.rows) == (True, 0)
    assert team.push(shared.red, to=shared.writer).ok  # all of it is there, though not for its eyes
    run_program("import histhooks\nwith histhooks.start_run('more'): pass", shared.red, HISTHOOKS_PROJECT="red")
    assert team.push(shared.red, to=shared.pusher).ok
    assert ask_target(shared.pusher, "SELECT count(*) FROM runs WHERE name = 'more'") == [(1,)]
    assert report_of(shared.target).problems == []


def test_a_state_of_a_run_that_is_not_seen_does_not_bring_it_into_sight(shared: Shared) -> None:
    ((run_id,),) = ask_target(shared.target, "SELECT id FROM runs WHERE name = %s", f"{SECRET}-run")
    ((session_id,),) = ask_target(shared.writer, "SELECT id FROM sessions WHERE pushed_by = session_user LIMIT 1")
    sql = (
        "INSERT INTO states (subject_id, session_id, ordinal, time, subject, state) "
        "VALUES (%s, %s, 0, 9000000000000000, 'run', '{\"project\": \"blue\"}')"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        ask_target(shared.writer, sql, run_id, session_id)


def test_grant_and_revoke(shared: Shared) -> None:
    bob = shared.logins.new("histhooks_reader")
    name = shared.logins.name_of(bob)
    count = "SELECT count(*) FROM runs"
    assert ask_target(bob, count) == [(0,)]
    assert verb("team", "grant", shared.target, name, "red")[:2] == (0, f"{name} reads project red\n")
    assert {project for (project,) in ask_target(bob, "SELECT project FROM runs")} == {"red"}
    assert verb("team", "grant", shared.target, name, "red")[:2] == (0, f"{name} reads project red already\n")
    assert verb("team", "revoke", shared.target, name, "red")[0] == 0
    assert verb("team", "revoke", shared.target, name, "red")[0] == 1
    assert ask_target(bob, count) == [(0,)]
    assert verb("team", "grant", shared.target, name, "--all-projects")[0] == 0
    assert ask_target(bob, count) == ask_target(shared.target, count)
    assert "all projects" in verb("team", "status", shared.target)[1]
    assert team.revoke(name, None, shared.target)
    for words, why in (
        (("team", "grant", bob, name, "red"), "it needs to be the owner of the schema"),
        (("team", "grant", shared.target, "nobody_here", "red"), "has no role nobody_here"),
        (("team", "grant", shared.target, name, "*"), "--all-projects"),
        (("team", "grant", shared.target, name), "TARGET ROLE PROJECT"),
    ):
        code, _, errors = verb(*words)
        assert code == 2
        assert why in errors, errors
        assert "Traceback" not in errors


def test_who_reads_nothing_is_told_so_and_a_grant_of_no_run_too(shared: Shared) -> None:
    nobody = shared.logins.new("histhooks_reader")
    said = verb("runs", nobody, "--all-projects")
    assert "your role reads no project there; its owner runs: histhooks team grant TARGET ROLE PROJECT" in said[1]
    granted = verb("team", "grant", shared.target, shared.logins.name_of(nobody), "no-such")
    assert "no run of no-such is there yet" in granted[2]
    assert "your role reads there: no-such" in verb("runs", nobody, "--all-projects")[1]


def test_a_role_that_was_dropped_hides_nothing_and_breaks_nothing(shared: Shared) -> None:
    ask_target(shared.target, "INSERT INTO project_readers (project, role) VALUES ('blue', 'was_dropped')")
    assert ask_target(shared.reader, "SELECT count(*) FROM runs")[0][0] > 0


def test_a_group_of_roles_reads_what_the_group_was_granted(shared: Shared) -> None:
    group, member = shared.logins.new("histhooks_reader"), None
    team.grant(shared.logins.name_of(group), "red", shared.target)
    member = shared.logins.new(shared.logins.name_of(group))
    assert {project for (project,) in ask_target(member, "SELECT project FROM runs")} == {"red"}


def test_everybody_reads_all_until_it_is_changed(target: str, tmp_path: Path) -> None:
    store = tmp_path / "one.db"
    run_program("import histhooks\nwith histhooks.start_run('one'): pass", store, HISTHOOKS_PROJECT="red")
    with logins_of(target) as logins:
        bob = logins.new("histhooks_reader")
        assert team.push(store, to=target).ok
        assert ask_target(bob, "SELECT count(*) FROM runs") == [(1,)]
        with pytest.raises(TeamError, match=r"reads all of its projects.*--by-project"):
            team.grant(logins.name_of(bob), "red", target)
        assert team.init(target, by_project=True) is False
        assert ask_target(bob, "SELECT count(*) FROM runs") == [(0,)]
        assert team.grant(logins.name_of(bob), "red", target) == (True, True)
        assert ask_target(bob, "SELECT count(*) FROM runs") == [(1,)]


def test_who_is_acted_for_by_set_role_sees_what_the_role_sees(shared: Shared) -> None:
    name = shared.logins.name_of(shared.reader)
    rows = ask_target(shared.target, f"SET ROLE {name}; SELECT DISTINCT project FROM runs")
    assert rows == [] or {row[0] for row in rows} == {"blue"}
    with psycopg.connect(target_of(shared.target).conninfo) as connection:
        connection.execute(f"SET search_path = {target_of(shared.target).schema}; SET LOCAL ROLE {name}")
        assert connection.execute("SELECT DISTINCT project FROM runs").fetchall() == [("blue",)]


def test_a_deletion_by_a_curator_acts_on_what_others_do_not_see(shared: Shared) -> None:
    ((run_id,),) = ask_target(shared.target, "SELECT id FROM runs WHERE name = %s", f"{SECRET}-failed")
    curate.delete(run_id, reason="wrong", store=shared.red)
    assert team.push(shared.red, to=shared.curator).deleted_runs == 1
    assert report_of(shared.target).problems == []
    assert report_of(shared.reader).problems == []


def test_what_was_deleted_or_redacted_goes_from_the_file_of_a_restricted_role(postgresql: str, tmp_path: Path) -> None:
    mark = "&" if "?" in postgresql else "?"
    target = f"{postgresql}{mark}histhooks_schema=hh_{uuid4().hex[:12]}"
    store, road = tmp_path / "histhooks.db", tmp_path / "road.db"
    run_program(ON_THAT_HOST + PROGRAM.format(word=OPEN, seed=4), store, cwd=tmp_path, HISTHOOKS_PROJECT="blue")
    run_program(ON_THAT_HOST + PROGRAM.format(word=SECRET, seed=3), store, cwd=tmp_path, HISTHOOKS_PROJECT="red")
    with logins_of(target) as logins:
        assert team.init(target, by_project=True)
        reader, curator = logins.new("histhooks_reader"), logins.new("histhooks_curator")
        team.grant(logins.name_of(reader), "blue", target)
        team.push(store, to=curator)
        team.pull(reader, into=road)
        with History(store) as history:
            (failed,) = history.runs(where=f"name = {OPEN}-failed")
            host = history.sql("SELECT hostname FROM sessions WHERE hostname IS NOT NULL")[0]["hostname"]
        assert host == HOST
        curate.delete(failed.id, reason="wrong", store=store)
        curate.redact(hosts=(host,), reason="asked for", store=store)
        team.push(store, to=curator)
        for _ in range(2):
            team.pull(reader, into=road)
            with History(road) as history:
                assert failed.id not in [run.id for run in history.runs()]
                assert len(history.runs()) > 0
            assert host.encode() not in road.read_bytes()
            assert failed.id.encode() not in b"".join(
                json.dumps(row).encode() for row in _rows(road, "SELECT id FROM runs UNION SELECT run_id FROM params")
            )
            assert verify(road).problems == []
        # What it may read from now on comes too.
        team.grant(logins.name_of(reader), "red", target)
        assert team.pull(reader, into=road).runs == 3
        assert verify(road).problems == []


def _rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()
