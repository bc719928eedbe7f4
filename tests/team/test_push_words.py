"""What a push to PostgreSQL says where it cannot be: one sentence, and no password in it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from helpers import terminals
from helpers.postgresql import ask_target
from helpers.team_stores import World, two_copies
from helpers.verbs import ask as verb
from histhooks import team
from histhooks.team import TeamError
from histhooks.team.postgres.address import Database, masked, target_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two copies of a store, in each of which a session of its own recorded since."""
    return two_copies(tmp_path / "world")


def test_errors_are_one_sentence_without_the_password(postgresql: str, tmp_path: Path, world: World) -> None:
    here = world.files[0]
    mark = "&" if "?" in postgresql else "?"
    login = "postgresql://ann:geheim@127.0.0.1:1/ml?connect_timeout=2"
    for address, said in (
        (login, "cannot be reached"),
        (
            f"{postgresql}{mark}histhooks_schema=hh_none",
            "has no schema hh_none yet; its owner makes it with: histhooks",
        ),
        (f"{postgresql}{mark}histhooks_schema=Bad-Name", "is no name of a schema"),
        ("mysql://ann:geheim@db/ml", "is no target; name postgresql://HOST/DATABASE"),
        ("mysql://ann:geheim@db/ml.db", "is no target; name postgresql://HOST/DATABASE"),
        ("sqlite:team.db", "'sqlite:team.db' is no target"),
        ("s3://bucket/runs", "is read with s3fs, which is not installed: pip install"),
    ):
        code, _, errors = verb("push", here, "--to", address)
        assert code == 2
        assert said in errors
        assert errors.count("\n") == 1
        assert "geheim" not in errors
    code, _, errors = verb("push", here)
    assert code == 2
    assert "HISTHOOKS_TEAM" in errors


def test_a_file_that_cannot_be_written_is_one_sentence(world: World, target: str) -> None:
    team.push(world.files[0], to=target)
    code, _, errors = verb("pull", target, "-o", "/proc/road.db")  # a folder in which nobody makes a file
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith("histhooks: /proc/road.db cannot be written")


def test_a_target_is_no_file_to_write(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = str(world.files[0])
    for word in ("folder:team.db", "postgresql://ann:geheim@db.example/ml", "sqlite:///team.db"):
        for words in (("merge", here, "-o", word), ("pull", here, "-o", word)):
            code, _, errors = verb(*words)
            assert (code, errors.count("\n")) == (2, 1)
            assert "is a target and no file" in errors
            assert "geheim" not in errors
    assert not [path for path in tmp_path.iterdir() if ":" in path.name]


def test_a_target_of_a_newer_or_other_kind_is_left_alone(world: World, target: str, postgresql: str) -> None:
    here = world.files[0]
    ask_target(target, "UPDATE store_info SET value = '2000' WHERE key = 'schema_version'")
    with pytest.raises(TeamError, match="newer than this histhooks"):
        team.push(here, to=target)
    ask_target(target, "UPDATE store_info SET value = '1001' WHERE key = 'schema_version'")
    with pytest.raises(TeamError, match="histhooks team upgrade"):
        team.push(here, to=target)
    assert team.upgrade(target) == (1001, 1003)
    assert team.push(here, to=target).ok
    other = f"{postgresql}{'&' if '?' in postgresql else '?'}histhooks_schema=hh_{uuid4().hex[:8]}"
    ask_target(other, f"CREATE SCHEMA {other.rpartition('=')[2]}; CREATE TABLE {other.rpartition('=')[2]}.mine (a int)")
    with pytest.raises(TeamError, match="is not of histhooks"):
        team.init(other)


def test_a_role_without_rights_is_told(world: World, target: str, postgresql: str) -> None:
    name = f"hh_{uuid4().hex[:8]}"
    ask_target(target, f"CREATE ROLE {name} LOGIN PASSWORD 'geheim'")
    database = target_of(target)
    assert isinstance(database, Database)
    ask_target(target, f"GRANT USAGE ON SCHEMA {database.schema} TO {name}; GRANT SELECT ON store_info TO {name}")
    address = target.replace("postgresql://postgres@", f"postgresql://{name}:geheim@")
    if address == target:
        pytest.skip("the named server has another owner")
    with pytest.raises(TeamError, match="your role may not do this"):
        team.push(world.files[0], to=address)


def test_without_the_driver_the_command_is_said(world: World) -> None:
    code, _, errors = terminals.ask(
        "push", world.files[0], "--to", "postgresql://db/ml", PYTHONPATH=_without_psycopg(world.folder)
    )
    assert code == 2
    assert "pip install 'histhooks[postgres]'" in errors


def _without_psycopg(folder: Path) -> str:
    (folder / "psycopg.py").write_text("raise ModuleNotFoundError('No module named psycopg')", encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann:geheim@db:5432/ml?sslmode=require", "postgresql://ann:***@db:5432/ml?sslmode=require"),
        ("postgresql://db/ml?user=ann&password=geheim", "postgresql://db/ml?user=ann&password=***"),
        ("postgresql://ann:ge?heim@db/ml", "postgresql://ann:***@db/ml"),
        ("postgresql://ann:ge#heim@db/ml?sslmode=require", "postgresql://ann:***@db/ml?sslmode=require"),
        ("postgresql://db:5432/ml?user=ann@home", "postgresql://db:5432/ml?user=ann@home"),
        ("host=db user=ann password=geheim", "host=db user=ann password=***"),
        ("host=db password = 'ge heim'", "host=db password = ***"),
        ("ann:geheim@db/ml", "ann:***@db/ml"),
        ("postgresql://ann:a@b@db/ml", "postgresql://ann:***@db/ml"),
        ("postgresql:///ml", "postgresql:///ml"),
    ],
)
def test_a_password_is_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize("word", ["ge?heim", "ge#heim", "ge@heim", "ge/heim", "geheim:", "ge%40heim"])
def test_what_the_driver_repeats_of_a_password_is_masked(word: str) -> None:
    """A sign that was not escaped makes libpq take the rest for something else, and name it."""
    with pytest.raises(TeamError) as found:
        team.status(f"postgresql://ann:{word}@127.0.0.1:1/ml")
    assert "heim" not in str(found.value)
