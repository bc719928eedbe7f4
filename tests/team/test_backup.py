"""A target is backed up, restored on another server, and left, with the commands of the guide."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.postgresql import Server, ask_target, programs, server
from helpers.verbs import ask as verb
from histhooks import History, team
from histhooks.testing import run_program

pytest.importorskip("psycopg")
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "team.md"
ROLES = ("ann", "bob", "carl")


def program(name: str, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    folder = programs()
    assert folder is not None
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [name, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    with server() as one, server() as other:
        yield one, other


def test_a_target_goes_to_another_server_with_its_rights(servers: tuple[Server, Server], tmp_path: Path) -> None:
    here, there = (each.address for each in servers)
    as_bob = here.replace("postgres@", "bob@")
    for role, of in zip(ROLES, ("reader", "writer", "curator"), strict=True):
        ask_target(here, f"CREATE ROLE {role} LOGIN")
        if role == "ann":
            team.init(here, by_project=True)
        ask_target(here, f"GRANT histhooks_{of} TO {role}")
    team.grant("ann", "churn", here)
    store = tmp_path / "histhooks.db"
    run = "with histhooks.start_run('{}') as run: run.log_dataset('train', [[1.0]])"
    run_program(f"import histhooks\n{run.format('one')}", store, HISTHOOKS_PROJECT="churn")
    assert team.push(store, to=as_bob).ok

    (roles,) = re.findall(r"```sql\n(CREATE ROLE histhooks_reader NOLOGIN;\n.*?)```", GUIDE.read_text("utf-8"), re.S)
    (tmp_path / "roles.sql").write_text(roles, encoding="utf-8")
    for words in (
        ("pg_dump", "--schema=histhooks", "-Fc", "-f", "team.dump", here),
        ("psql", "-v", "ON_ERROR_STOP=1", "-f", "roles.sql", there),
        ("pg_restore", "-d", there, "team.dump"),
    ):
        done = program(*words, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert verb("verify", there)[0] == 0
    for role, of in zip(ROLES, ("reader", "writer", "curator"), strict=True):
        ask_target(there, f"CREATE ROLE {role} LOGIN; GRANT histhooks_{of} TO {role}")
    with History(there.replace("postgres@", "ann@")) as history:
        assert [run.name for run in history.runs()] == ["one"]
        assert len(history.sql("SELECT * FROM datasets")) == 1
    # What came after the dump is brought by the next push.
    run_program(f"import histhooks\n{run.format('two')}", store, HISTHOOKS_PROJECT="churn")
    assert team.push(store, to=as_bob).ok
    done = team.push(store, to=there.replace("postgres@", "bob@"))
    assert (done.ok, done.runs) == (True, 1)
    assert verb("verify", there)[0] == 0

    # Bob leaves.
    ask_target(here, "DROP ROLE bob")
    assert verb("verify", here)[0] == 0
    assert "pushed by bob" in verb("show", "one", "--store", here)[1]
    run_program(f"import histhooks\n{run.format('three')}", store, HISTHOOKS_PROJECT="churn")
    assert team.push(store, to=here.replace("postgres@", "carl@")).ok
    with History(here.replace("postgres@", "ann@")) as history:
        assert sorted(run.name for run in history.runs()) == ["one", "three", "two"]
