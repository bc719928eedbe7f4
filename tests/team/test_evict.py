"""Runs that are removed from one target for room: it verifies and says so, and nothing brings them back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.postgresql import Logins, ask_target, logins_of
from helpers.stores import VERIFIER, alone
from helpers.team_stores import ask, differences
from helpers.verbs import ask as verb
from histhooks import History, curate, team
from histhooks.errors import QueryError
from histhooks.team import TeamError
from histhooks.team.postgres.address import Database, target_of
from histhooks.team.postgres.witnessing import verify_database
from histhooks.testing import run_program
from histhooks.verify import Report, verify

PROGRAM = """
import histhooks
for number in range(3):
    with histhooks.start_run(f"run{number}", params={"n": number}, tags={"t": "old"}) as run:
        for step in range(1500):
            run.log({"loss": 1.0 / (step + 1)}, step=step)
        open(f"file{number}", "w").write(str(number))
        run.log_artifact(f"file{number}")
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "histhooks.db"
    run_program(PROGRAM, path)
    return path


@pytest.fixture
def logins(target: str) -> Iterator[Logins]:
    with logins_of(target) as made:
        yield made


def report_of(target: str | Path) -> Report:
    if isinstance(target, Path):
        return verify(target)
    database = target_of(target)
    assert isinstance(database, Database)
    return verify_database(database)


@pytest.fixture(params=["postgresql", "file"])
def kept_at(request: pytest.FixtureRequest, store: Path, tmp_path: Path) -> str | Path:
    """A target that has the store."""
    place: str | Path = tmp_path / "team.db" if request.param == "file" else request.getfixturevalue("target")
    assert team.push(store, to=place).ok
    return place


@pytest.mark.parametrize("points", [False, True])
def test_what_was_evicted_is_named_and_not_brought_back(
    store: Path, kept_at: str | Path, tmp_path: Path, points: bool
) -> None:
    dry = team.evict(kept_at, older_than="0h", reason="-", points=points, dry_run=True)
    assert (len(dry.runs), dry.points) == (3, 4500)
    assert (dry.rows > 0) is not points
    assert report_of(kept_at).evictions == []
    done = team.evict(kept_at, older_than="0h", reason="room on the server", points=points)
    assert (done.runs, done.rows, done.points) == (dry.runs, dry.rows, dry.points)
    found = report_of(kept_at)
    assert found.problems == []
    assert found.evicted > 0
    ((deed),) = found.evictions
    assert (deed["reason"], deed["runs"], deed["points"]) == ("room on the server", 3, 3 if points else 0)
    assert deed["evicted_by"]
    assert "room on the server" in verb("verify", str(kept_at))[1]
    # Neither a push of all, nor of what came since, brings them back.
    assert team.push(store, to=kept_at).ok
    curate.tag("run1", {"late": "yes"}, store=store)
    run_program("import histhooks\nwith histhooks.start_run('new'): histhooks.log({'loss': 1.0})", store)
    assert team.push(store, to=kept_at).ok
    with History(str(kept_at)) as history:
        assert {run.name for run in history.runs()} == ({"new"} if not points else {"run0", "run1", "run2", "new"})
        if points:
            assert history.run("run1").metrics("loss") == []
            assert history.run("run1").params == {"n": 1}
            assert history.run("run1").tags == {"t": "old", "late": "yes"}
        else:
            with pytest.raises(QueryError, match=r"it was removed there for room .* room on the server"):
                history.run(done.runs[1])
    assert report_of(kept_at).problems == []
    assert team.evict(kept_at, older_than="400d", reason="nothing is as old").runs == []
    # What is pulled says so too, and whoever has the rows keeps them.
    pulled = tmp_path / "pulled.db"
    assert team.pull(str(kept_at), into=pulled).ok
    assert verify(pulled).problems == []
    assert verify(pulled).evictions[0]["runs"] == 3
    assert alone(pulled)[0] == 0
    assert (
        subprocess.run([sys.executable, str(VERIFIER), str(pulled)], capture_output=True, check=False).returncode == 0
    )
    assert team.pull(str(kept_at), into=store).ok
    assert len(ask(store, "SELECT 1 FROM points")) == 4501
    assert verify(store).problems == []


def test_a_union_has_what_any_of_the_stores_has(store: Path, tmp_path: Path) -> None:
    copy, one, other = (tmp_path / name for name in ("copy.db", "one.db", "other.db"))
    team.push(store, to=copy)
    team.evict(copy, older_than="0h", reason="room")
    assert verify(copy).problems == []
    team.merge(store, copy, into=one)
    team.merge(copy, store, into=other)
    for path in (one, other):
        assert len(ask(path, "SELECT 1 FROM runs")) == 3
        assert ask(path, "SELECT 1 FROM evictions") == []
        assert verify(path).problems == []
    assert differences(one, other) == {}


def test_only_a_curator_evicts(store: Path, target: str, logins: Logins) -> None:
    bob, carl = logins.new("histhooks_writer"), logins.new("histhooks_curator")
    assert team.push(store, to=bob).ok
    with pytest.raises(TeamError, match=r"removes nothing.*GRANT histhooks_curator TO "):
        team.evict(bob, older_than="0h", reason="room")
    assert len(team.evict(carl, older_than="0h", reason="room").runs) == 3
    ((who,),) = {tuple(row) for row in ask_target(target, "SELECT evicted_by FROM evictions")}
    assert who == logins.name_of(carl)
    receipts = ask_target(target, "SELECT count(*) FROM receipts")
    assert report_of(target).problems == []
    assert team.push(store, to=bob).ok
    curate.tag("run1", {"late": "yes"}, store=store)
    assert team.push(store, to=bob).ok
    assert ask_target(target, "SELECT count(*) FROM runs") == [(0,)]
    assert ask_target(target, "SELECT count(*) FROM receipts") == [(receipts[0][0] + 1,)]
    assert report_of(target).problems == []


def test_the_verb_shows_first_and_says_why_not(store: Path, target: str, tmp_path: Path) -> None:
    team.push(store, to=target)
    code, said, _ = verb("team", "evict", target, "--older-than", "0h")
    assert code == 0
    assert said.startswith("would remove 3 runs, ")
    assert said.endswith("nothing was changed; add --reason WHY --yes to do it\n")
    for words, why in (
        (("--older-than", "0h", "--yes"), "why? add --reason"),
        (("--reason", "room", "--yes"), "--older-than 400d"),
        (("--older-than", "soon", "--reason", "room", "--yes"), "soon"),
    ):
        code, _, errors = verb("team", "evict", target, *words)
        assert code == 2
        assert why in errors
        assert "Traceback" not in errors
    code, said, _ = verb("team", "evict", target, "--older-than", "0h", "--reason", "room", "--yes", "--json")
    assert (code, json.loads(said)["evicted"], len(json.loads(said)["runs"])) == (0, True, 3)
    assert verb("team", "evict", tmp_path / "none.db", "--older-than", "0h")[0] == 2


def test_a_promoted_run_and_one_that_records_stay(store: Path) -> None:
    from histhooks import models

    models.promote(store.with_name("file1"), model="credit", reason="good", check=False, store=store)
    assert len(team.evict(store, older_than="0h", reason="room").runs) == 2
    with History(store) as history:
        assert {run.name for run in history.runs()} == {"run1"}
    assert verify(store).problems == []
