"""Stores that are pushed to PostgreSQL: the target has what a merge has, in every order, and verifies at any moment."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.postgresql import ask_target
from helpers.stores import alone
from helpers.targets import found_in, new_target, problems, unlike
from helpers.team_stores import World, ask, differences, runs_of, two_copies
from helpers.terminals import COMMAND, environment
from helpers.verbs import ask as verb
from histhooks import curate, team
from histhooks.export import export
from histhooks.team.postgres.dialect import decoded, encoded
from histhooks.testing import run_program
from histhooks.verify import verify

DEEDS = ("train", "train", "copy", "copy", "go on", "delete", "redact", "rename", "tag", "spool")
HISTORIES = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 3), st.integers(0, 5)), min_size=3, max_size=9)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two copies of a store, in each of which a session of its own recorded since."""
    return two_copies(tmp_path / "world")


def test_two_stores_that_are_pushed_are_what_they_are_when_merged(world: World, target: str, tmp_path: Path) -> None:
    for file in world.files:
        before = file.read_bytes()
        done = team.push(file, to=target)
        assert done.ok
        assert done.rows > 0
        assert file.read_bytes() == before
        assert problems(target) == []
        again = team.push(file, to=target)
        assert (again.lines, again.rows, again.sessions, again.points) == (0, 0, 0, 0)
    whole = tmp_path / "whole.db"
    team.merge(*world.files, into=whole)
    assert unlike(whole, target, tmp_path / "pulled.db") == {}
    assert alone(tmp_path / "pulled.db")[0] == 0


@settings(
    max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(deeds=HISTORIES)
def test_the_target_is_the_same_in_every_order_and_verifies(postgresql: str, deeds: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name) / "world")
        for what, which, size in deeds:
            world.do(what, which, size)
        files = world.files[:3]
        whole = Path(name) / "whole.db"
        team.merge(*files, into=whole)
        for number, order in enumerate(list(itertools.permutations(files))[::5]):
            target, step = new_target(postgresql), Path(name) / f"step {number}.db"
            for file in order:
                team.push(file, to=target)
                assert problems(target) == []
                assert team.pull(target, into=step).ok
            assert set(differences(whole, step)) <= {"merged_spools", "artifacts"}
            found = unlike(whole, target, Path(name) / f"{number}.db")
            assert {table for table, rows in found.items() if table != "artifacts" or len(rows) != 3} == set()
            assert [team.push(file, to=target).rows for file in files] == [0] * len(files)
            assert not {word for word in world.words if found_in(target, word)}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_deleted_run_stays_deleted_in_every_order(world: World, target: str, is_first: bool) -> None:
    here, older = world.files
    run_id = runs_of(older)[0]
    curate.tag(run_id, {"seen": "in the copy, which knows of no deletion"}, store=older)
    curate.delete(run_id, reason="wrong data", store=here)
    deleted = 0
    for file in world.files if is_first else world.files[::-1]:
        deleted += team.push(file, to=target).deleted_runs
        assert problems(target) == []
    assert deleted == (0 if is_first else 2)  # and the run inside it
    assert ask_target(target, "SELECT 1 FROM runs WHERE id = %s", run_id) == []
    assert ask_target(target, "SELECT 1 FROM params WHERE run_id = %s", run_id) == []
    assert not found_in(target, f"tag-{run_id}")


ODD = r"""
    import histhooks
    with histhooks.start_run("odd \ue000 name", params={"a": "x\0y", "b": float("nan"), "c": 2**63 - 1}) as run:
        for step in range(2500):
            run.log({"zero\0\ue000": -0.0, "odd": (float("nan"), float("inf"), float("-inf"), 1e-300)[step % 4]})
        run.note("null \0 and \ue0000 and \ue000e")
        run.tag("k", "\0\ue000")
"""


def test_texts_and_numbers_that_databases_dislike_come_back(store_path: Path, target: str, tmp_path: Path) -> None:
    code, _, errors = run_program(ODD, store_path)
    assert code == 0, errors
    team.push(store_path, to=target)
    assert problems(target) == []
    assert unlike(store_path, target, tmp_path / "pulled.db") == {}
    rows = ask_target(target, "SELECT special, count(*) FROM metrics WHERE name = 'odd' GROUP BY 1 ORDER BY 1")
    assert rows == [("-inf", 625), ("inf", 625), ("nan", 625), (None, 625)]
    local = ask(store_path, "SELECT n, step, epoch, time, value, special FROM metrics WHERE name = 'odd' ORDER BY n")
    there = "SELECT n, step, epoch, time, value, special FROM metrics WHERE name = 'odd' ORDER BY n"
    assert ask_target(target, there) == local


@pytest.mark.parametrize("text", ["", "plain", "\0", "\ue000", "\ue0000", "\ue000e\0e", "\0\0\ue000\ue000"])
def test_a_text_is_what_it_was(text: str) -> None:
    assert decoded(encoded(text)) == text
    assert "\0" not in encoded(text)


def test_a_part_of_a_history_is_not_pushed_without_its_rows(world: World, target: str, tmp_path: Path) -> None:
    here = world.files[0]
    part = tmp_path / "part.db"
    export(runs_of(here)[2], to=part, store=here)
    done = team.push(part, to=target)
    assert not done.ok
    assert "not in this part" in done.left_out[0]["why"]
    team.push(here, to=target)
    assert team.push(part, to=target).ok


def test_only_the_sessions_of_named_runs_are_pushed(world: World, target: str) -> None:
    here = world.files[0]
    run_id = runs_of(here)[0]
    done = team.push(here, to=target, runs=(run_id,))
    assert (done.sessions, done.runs) == (1, 2)
    assert problems(target) == []
    assert team.push(here, to=target, where="kind = fit").runs == len(runs_of(here)) - 2
    assert problems(target) == []


def test_a_dry_run_says_what_would_come_and_writes_nothing(world: World, target: str) -> None:
    here = world.files[0]
    told = team.push(here, to=target, dry_run=True)
    assert ask_target(target, "SELECT count(*) FROM ledger") == [(0,)]
    done = team.push(here, to=target)
    assert (told.lines, told.rows, told.runs, told.sessions, told.points) == (
        done.lines, done.rows, done.runs, done.sessions, done.points
    )  # fmt: skip


def test_pull_takes_what_came_since_and_whole_runs(world: World, target: str, tmp_path: Path) -> None:
    here, other = world.files
    team.push(here, to=target)
    file = tmp_path / "road.db"
    assert team.pull(target, into=file).runs == len(runs_of(here))
    team.push(other, to=target)
    assert team.pull(target, into=file).runs == 2
    assert team.pull(target, into=file).runs == 0
    whole = tmp_path / "whole.db"
    team.merge(here, other, into=whole)
    assert differences(whole, file) == {}
    run_id = runs_of(here)[0]
    done = team.pull(target, into=tmp_path / "one.db", runs=(run_id,))
    assert (done.runs, done.is_part) == (2, True)
    both = tmp_path / "both.db"
    assert team.pull(target, into=both, runs=(runs_of(here)[4],)).is_part
    assert team.pull(target, into=both).is_part is False
    assert verify(both).ok
    assert runs_of(both) == runs_of(whole)
    curate.tag(run_id, {"on": "the road"}, store=tmp_path / "one.db")
    assert team.push(tmp_path / "one.db", to=target).ok
    assert ask_target(target, "SELECT value FROM tags WHERE key = 'on'") == [("the road",)]
    assert problems(target) == []


def test_a_file_is_a_target_too(world: World, tmp_path: Path) -> None:
    here, other = world.files
    file = tmp_path / "team.db"
    assert team.push(here, to=f"sqlite:///{file}").runs == len(runs_of(here))
    assert team.push(other, to=file).runs == 2
    again = team.push(other, to=file)
    assert (again.rows, again.lines, again.ok) == (0, 0, True)
    assert team.pull(file, into=tmp_path / "road.db").ok
    assert differences(file, tmp_path / "road.db") == {}


def test_watch_sends_what_comes_and_ends_when_nothing_records(target: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 1)
    world.sessions[0].end()
    (store,) = world.files
    shutil.copy(store, tmp_path / "before.db")
    command = [*COMMAND, "push", str(store), "--to", target, "--watch", "--every", "300ms", "--until-idle", "--json"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["runs"] == 2


def test_status_says_what_waits_and_who_pushed(world: World, target: str) -> None:
    here, other = world.files
    team.push(here, to=target)
    code, said, _ = verb("team", "status", target, "--store", other, "--json")
    found = json.loads(said)
    assert code == 1
    assert found["waiting"]["sessions"] == 1
    assert found["runs"] == len(runs_of(here))
    assert found["pushed_by"][0]["pushes"] == 1
    assert found["schema_version"] == "1.3"
    assert verb("team", "status", target, "--store", here)[0] == 0


def test_what_was_deleted_and_redacted_goes_from_an_older_copy_that_pulls(world: World, target: str) -> None:
    here, older = world.files
    deleted, redacted = runs_of(here)[0], runs_of(here)[2]
    curate.delete(deleted, reason="wrong data", store=here)
    curate.redact(runs=(redacted,), reason="asked for", store=here)
    team.push(here, to=target)
    assert f"tag-{deleted}".encode() in older.read_bytes()
    assert team.pull(target, into=older).ok
    assert deleted not in runs_of(older)
    for word in (f"tag-{deleted}", f"tag-{redacted}", f"note-{redacted}"):
        assert not any(word.encode() in path.read_bytes() for path in older.parent.glob(f"{older.name}*"))
        assert not found_in(target, word)
    assert alone(older)[0] == 0
    assert team.push(older, to=target).ok
    assert problems(target) == []
