"""A hash is no key: who names a content without having it reads nothing, and a text is what its SHA-256 says."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from helpers.postgresql import Logins, ask_target, logins_of
from histhooks import team
from histhooks.errors import ForkError, TeamError
from histhooks.team.postgres.address import Database, target_of
from histhooks.team.postgres.witnessing import verify_database
from histhooks.testing import run_program
from histhooks.verify import verify

psycopg = pytest.importorskip("psycopg")
PROGRAM = """
import histhooks
with histhooks.start_run({word!r}) as run:
    open("{word}.bin", "w").write({word!r} * 3)
    run.log_artifact("{word}.bin", role="model")
    run.log_dataset("train", [[1.0, 2.0], [3.0, {number}]])
"""
KEYS = {
    "contents": "sha256", "datasets": "id", "artifacts": "sha256", "code_versions": "id", "environments": "id",
    "packages": "environment_id",
}  # fmt: skip


class Shared(NamedTuple):
    """A target with one project, and who pushed it."""

    target: str
    store: Path
    ann: str
    logins: Logins


@pytest.fixture
def shared(postgresql: str, tmp_path: Path) -> Iterator[Shared]:
    mark = "&" if "?" in postgresql else "?"
    target = f"{postgresql}{mark}histhooks_schema=hh_{uuid4().hex[:12]}"
    with logins_of(target) as logins:
        team.init(target, by_project=True)
        store = tmp_path / "red" / "histhooks.db"
        store.parent.mkdir()
        record(store, "zinnober", 4)
        ann = logins.new("histhooks_writer")
        assert team.push(store, to=ann).ok
        yield Shared(target, store, ann, logins)


def record(store: Path, word: str, number: int, project: str = "red") -> None:
    program = PROGRAM.format(word=word, number=number)
    run_program(program, store, HISTHOOKS_PROJECT=project)


def ids(address: str, table: str) -> set[str]:
    return {key for (key,) in ask_target(address, f"SELECT DISTINCT {KEYS[table]} FROM {table}")}


def problems(target: str) -> list[str]:
    database = target_of(target)
    assert isinstance(database, Database)
    return verify_database(database).problems


NAMING = """
INSERT INTO sessions (id, kind, started_at, status, recorder_version, environment_id, code_version_id)
  SELECT 'eve' || n, 'job', '2026-01-01T00:00:00Z', 'running', '1', e, c
  FROM unnest(%(environments)s::text[], %(code_versions)s::text[]) WITH ORDINALITY AS u (e, c, n);
INSERT INTO runs (id, session_id, project, name, kind, status, started_at)
  VALUES ('r', 'eve1', 'evil', 'r', 'fit', 'running', '2026-01-01T00:00:00Z');
INSERT INTO run_datasets (run_id, ordinal, dataset_id, role, time)
  SELECT 'r', n, d, 'train', 0 FROM unnest(%(datasets)s::text[]) WITH ORDINALITY AS u (d, n);
INSERT INTO run_artifacts (run_id, ordinal, sha256, path, role, direction, time)
  SELECT 'r', n, a, 'x', 'model', 'out', 0 FROM unnest(%(artifacts)s::text[]) WITH ORDINALITY AS u (a, n);
INSERT INTO rng_states (session_id, run_id, ordinal, point, library, digest, time)
  SELECT 'eve1', 'r', n, 'start', 'x', c, 0 FROM unnest(%(contents)s::text[]) WITH ORDINALITY AS u (c, n);
INSERT INTO dataset_sketches (run_id, ordinal, dataset_id, part, n_rows, theta, content_sha256, time)
  SELECT 'r', n, 'd', 'rows', 0, '1', c, 0 FROM unnest(%(contents)s::text[]) WITH ORDINALITY AS u (c, n)
"""
GUESSES = {
    "datasets": "INSERT INTO datasets (id, kind) VALUES (%s, 'array') ON CONFLICT DO NOTHING",
    "environments": "INSERT INTO environments (id, details) VALUES (%s, '{}') ON CONFLICT DO NOTHING",
    "code_versions": "INSERT INTO code_versions (id, details) VALUES (%s, '{}') ON CONFLICT DO NOTHING",
    "artifacts": "INSERT INTO artifacts (sha256, size_bytes) VALUES (%s, 1) ON CONFLICT DO NOTHING",
    "packages": "SELECT hh_hold_packages(%s, ARRAY['numpy'], ARRAY['2.0'])",
}
DIRECTLY = (
    "SELECT hh_hold('contents', 'x')",
    "INSERT INTO content_holders (table_name, key, role) VALUES ('contents', 'x', session_user)",
    "UPDATE content_holders SET role = session_user",
)


def test_who_names_all_content_of_another_reads_none_of_it(shared: Shared) -> None:
    everything = {table: ids(shared.target, table) for table in KEYS}
    assert all(everything.values()), everything
    eve = shared.logins.new("histhooks_writer")
    named = {table: sorted(keys) for table, keys in everything.items()}
    with psycopg.connect(target_of(eve).conninfo) as connection, psycopg.ClientCursor(connection) as cursor:
        cursor.execute(f"SET search_path = {target_of(eve).schema}")
        cursor.execute(NAMING, named)
    assert ask_target(eve, "SELECT count(*) FROM rng_states")[0][0] > 0
    for table in KEYS:
        assert ids(eve, table) == set(), table
    for table, sql in GUESSES.items():
        for key in everything[table]:
            ask_target(eve, sql, key)
        assert ids(eve, table) == set(), table
    for sql in DIRECTLY:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask_target(eve, sql)
    assert ask_target(eve, "SELECT * FROM content_holders") == []
    # Nor does it take from others what they see.
    assert {table: ids(shared.ann, table) for table in KEYS} == everything


def test_who_has_the_content_reads_it(shared: Shared) -> None:
    """Another role goes on with a copy of the store."""
    bob = shared.logins.new("histhooks_writer")
    record(shared.store, "zinnober", 4)
    assert team.push(shared.store, to=bob).ok
    for table in KEYS:
        assert ids(bob, table) == ids(shared.target, table), table
    reader = shared.logins.new("histhooks_reader")
    team.grant(shared.logins.name_of(reader), "red", shared.target)
    for table in KEYS:
        assert ids(reader, table) == ids(shared.target, table)
    assert problems(shared.target) == []


TWICE = """
import histhooks, sqlite3
for number in range(2):
    with histhooks.start_run(f"run {number}") as run:
        run.log_dataset("train", [[1.0, 2.0], [3.0, 4.0]])
    histhooks.flush()
    if not number:
        sqlite3.connect("histhooks.db").backup(sqlite3.connect("before.db"))
"""


def test_what_a_role_has_not_brought_comes_with_the_push_that_names_it(shared: Shared, tmp_path: Path) -> None:
    """The lines that cover it are there already, and it is only named anew."""
    store = tmp_path / "histhooks.db"
    run_program(TWICE, store, HISTHOOKS_PROJECT="blue")
    bob = shared.logins.new("histhooks_writer")
    assert team.push(tmp_path / "before.db", to=bob).ok
    assert len(ids(bob, "datasets")) == 1
    ask_target(shared.target, "DELETE FROM content_holders WHERE role = %s", shared.logins.name_of(bob))
    assert ids(bob, "datasets") == ids(bob, "packages") == set()
    assert team.push(store, to=bob).ok
    assert len(ids(bob, "datasets")) == 1
    assert ids(bob, "packages")


def test_a_curator_pushes_for_others_what_they_then_read(shared: Shared, tmp_path: Path) -> None:
    carl = shared.logins.new("histhooks_curator")
    bob = shared.logins.new("histhooks_writer")
    store = tmp_path / "blue" / "histhooks.db"
    store.parent.mkdir()
    record(store, "himmelblau", 5, "blue")
    copy = tmp_path / "copy.db"
    shutil.copy(store, copy)
    record(store, "himmelblau", 6, "blue")
    assert team.push(copy, to=bob).ok
    assert team.push(store, to=carl).ok
    reader = shared.logins.new("histhooks_reader")
    team.grant(shared.logins.name_of(reader), "blue", shared.target)
    assert len(ids(reader, "datasets")) == 2
    assert len(ids(bob, "datasets")) == 1
    assert ids(reader, "packages")


def test_a_target_that_was_open_shows_what_it_has_by_project(postgresql: str, tmp_path: Path) -> None:
    target = f"{postgresql}{'&' if '?' in postgresql else '?'}histhooks_schema=hh_{uuid4().hex[:12]}"
    store = tmp_path / "histhooks.db"
    record(store, "zinnober", 4)
    with logins_of(target) as logins:
        team.init(target)
        bob = logins.new("histhooks_writer")
        assert team.push(store, to=bob).ok
        assert ask_target(target, "SELECT count(*) FROM content_holders") == [(0,)]
        team.init(target, by_project=True)
        for table in KEYS:
            assert ids(bob, table) == ids(target, table)


def test_an_older_target_by_project_is_upgraded_and_shows_what_it_has(shared: Shared) -> None:
    ask_target(shared.target, "DROP TABLE content_holders CASCADE; DELETE FROM store_info WHERE key = 'writing'")
    with pytest.raises(TeamError, match=r"was made by an older histhooks.*histhooks team upgrade"):
        team.push(shared.store, to=shared.ann)
    team.upgrade(shared.target)
    for table in KEYS:
        assert ids(shared.ann, table) == ids(shared.target, table), table
    assert team.push(shared.store, to=shared.ann).ok


def row_of(text: bytes, encoding: str = "zlib") -> tuple[Any, ...]:
    data = zlib.compress(text) if encoding == "zlib" else text
    return hashlib.sha256(text).hexdigest(), "file", len(text), encoding, data


INSERT = "INSERT INTO contents (sha256, kind, size_bytes, encoding, data) VALUES (%s, %s, %s, %s, %s)"


def test_a_target_takes_no_text_under_another_hash(target: str, tmp_path: Path) -> None:
    text, other = b"print('what was run')\n" * 40, b"print('what was not')\n" * 40
    with logins_of(target) as logins:
        bob = logins.new("histhooks_writer")
        for encoding in ("plain", "zlib"):
            key, *rest = row_of(other, encoding)
            with pytest.raises(psycopg.errors.CheckViolation, match="has another SHA-256"):
                ask_target(bob, INSERT, row_of(text)[0], *rest)
            key, kind, size, _, data = row_of(text, encoding)
            for false in (
                (key, kind, size + 1, encoding, data),
                (key, kind, size, encoding, data[:-30]),
                (key, kind, size, "plain" if encoding == "zlib" else "zlib", data),
                (key, kind, 0, encoding, b""),
            ):
                with pytest.raises(psycopg.errors.CheckViolation, match="has another SHA-256"):
                    ask_target(bob, INSERT, *false)
        assert ask_target(target, "SELECT 1 FROM contents") == []
        ask_target(bob, INSERT, *row_of(text))
        ask_target(bob, INSERT, *row_of(b"", "plain"))
        # Another build of zlib packs it differently, and is no less right.
        key, kind, size, encoding, _ = row_of(text)
        ask_target(bob, f"{INSERT} ON CONFLICT DO NOTHING", key, kind, size, encoding, zlib.compress(text, 0))
        assert ask_target(target, "SELECT data FROM contents WHERE sha256 = %s", key) == [(row_of(text)[4],)]


def test_a_false_text_that_was_there_before_gives_way_to_the_right_one(shared: Shared) -> None:
    sql = "SELECT sha256, encoding, data FROM contents WHERE kind = 'file' LIMIT 1"
    ((key, encoding, data),) = ask_target(shared.target, sql)
    false = zlib.compress(b"false") if encoding == "zlib" else b"false"
    ask_target(shared.target, "UPDATE contents SET data = %s, size_bytes = 5 WHERE sha256 = %s", false, key)
    assert f"contents {key}: its text has another SHA-256" in problems(shared.target)
    bob = shared.logins.new("histhooks_writer")
    record(shared.store, "zinnober", 4)
    assert team.push(shared.store, to=bob).ok
    assert ask_target(shared.target, "SELECT data FROM contents WHERE sha256 = %s", key) == [(data,)]
    assert problems(shared.target) == []


def test_a_store_with_a_false_text_is_named_and_its_session_stays_here(target: str, tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    record(store, "zinnober", 4)
    with closing(sqlite3.connect(store)) as db:
        ((key,),) = db.execute("SELECT sha256 FROM contents WHERE kind = 'file' LIMIT 1")
        db.execute("UPDATE contents SET data = ?, encoding = 'plain', size_bytes = 5 WHERE sha256 = ?", (b"false", key))
        db.commit()
    assert f"contents {key}: its text has another SHA-256" in verify(store).problems
    with pytest.raises(ForkError, match=key):
        team.push(store, to=target)


def test_unpacking_in_the_database_is_that_of_zlib(target: str) -> None:
    rng = random.Random(5)
    texts = [b"", b"a", os.urandom(70_000), b"abcd" * 40_000, bytes(rng.choices(b"etaoin shrdlu", k=90_000))]
    texts += [Path(__file__).read_bytes() * 3, texts[2][:20_000] + texts[4] + texts[2][:9000]]
    for text in texts:
        for level in (0, 1, 6, 9):
            packed = zlib.compress(text, level)
            ((found,),) = ask_target(target, "SELECT hh_inflated(%s, %s)", packed, len(text))
            assert found == text
            if text:
                ((found,),) = ask_target(target, "SELECT hh_inflated(%s, %s)", packed, len(text) - 1)
                assert found is None
    packed = zlib.compress(texts[5])
    for _ in range(200):
        broken = bytearray(packed[: rng.randrange(2, len(packed))] if rng.random() < 0.3 else packed)
        broken[rng.randrange(2, len(broken)) if len(broken) > 2 else 0] = rng.randrange(256)
        ask_target(target, "SELECT hh_inflated(%s, %s)", bytes(broken), len(texts[5]))  # ends, and raises nothing


LOCKS = ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE")


def test_no_reader_holds_up_a_push(target: str, tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    run_program("import histhooks\nwith histhooks.start_run('one'): pass", store)
    with logins_of(target) as logins:
        reader, bob = logins.new("histhooks_reader"), logins.new("histhooks_writer")
        database = target_of(reader)
        assert isinstance(database, Database)
        schema = database.schema
        with psycopg.connect(database.conninfo, autocommit=True) as connection:
            connection.execute("BEGIN")
            held = connection.execute(
                "SELECT count(pg_advisory_lock(hashtextextended(k, 0))) FROM unnest(%s::text[]) AS u (k)",
                ([f"histhooks {schema}", "histhooks roles", "histhooks"],),
            )
            assert held.fetchone() == (3,)
            taken = []
            for (name,) in ask_target(target, "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND "
                                      "relnamespace = current_schema()::regnamespace"):  # fmt: skip
                for mode in LOCKS:
                    try:
                        with connection.transaction():
                            connection.execute(f"LOCK TABLE {schema}.{name} IN {mode} MODE NOWAIT")
                        taken.append((name, mode))
                    except psycopg.errors.InsufficientPrivilege:
                        pass
            assert {mode for _, mode in taken} == {"ACCESS SHARE"}
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(f"SELECT {schema}.hh_lock()")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(f"SELECT * FROM {schema}.store_info FOR KEY SHARE")
            assert team.push(store, to=bob).ok
            connection.execute("ROLLBACK")
