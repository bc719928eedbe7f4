"""Stores that are pushed into a folder or a bucket: what a merge has, in every order, whatever happens to the files."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.boxes import box, drops, plain, problems, pulled
from helpers.stores import alone
from helpers.team_stores import Session, World, ask, change, differences, runs_of
from helpers.verbs import ask as verb
from histhooks import History, curate, team
from histhooks._store.entries import event_entry
from histhooks.team.box.compacting import compact
from histhooks.team.box.drops import drop_of
from histhooks.team.box.places import place_of
from histhooks.team.box.reading import file_of
from histhooks.verify import verify

DEEDS = ("train", "train", "copy", "copy", "go on", "delete", "redact", "rename", "tag", "spool")
HISTORIES = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 3), st.integers(0, 5)), min_size=3, max_size=9)


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
    assert differences(whole, pulled(target, tmp_path / "pulled.db")) == {}
    assert alone(tmp_path / "pulled.db")[0] == 0
    merged = tmp_path / "merged.db"
    done = team.merge(target, into=merged)
    assert done.sources[0]["path"] == target
    assert differences(whole, merged) == {}
    if target.startswith("folder:"):  # what is in the memory of a process no other one reads
        assert verb("verify", target)[0] == 0


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(deeds=HISTORIES)
def test_a_folder_has_what_a_merge_has_in_every_order_and_verifies(deeds: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name) / "world")
        for what, which, size in deeds:
            world.do(what, which, size)
        files = world.files[:3]
        whole = Path(name) / "whole.db"
        team.merge(*files, into=whole)
        for number, order in enumerate(list(itertools.permutations(files))[::5]):
            target, step = f"folder:{name}/box {number}", Path(name) / f"step {number}.db"
            for file in order:
                team.push(file, to=target)
                assert problems(target) == []
                assert team.pull(target, into=step).ok
            assert set(differences(whole, step)) <= {"merged_spools", "artifacts"}
            found = differences(whole, pulled(target, Path(name) / f"{number}.db"))
            found.pop("merged_spools", None)
            assert {table for table, rows in found.items() if table != "artifacts" or len(rows) != 3} == set()
            assert [team.push(file, to=target).rows for file in files] == [0] * len(files)
            held = plain(Path(name) / f"box {number}")
            assert not {word for word in world.words if word.encode() in held}
            assert not {key for key in world.deleted if f"tag-{key}".encode() in held}


def test_the_same_lines_are_the_same_bytes_whoever_writes_them(world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(world.files[0], copy)
    for file, name in ((world.files[0], "one"), (copy, "two")):
        team.push(file, to=f"folder:{tmp_path / name}")
    one, two = drops(tmp_path / "one"), drops(tmp_path / "two")
    assert [path.relative_to(tmp_path / "one") for path in one] == [path.relative_to(tmp_path / "two") for path in two]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert len(one) == len(ask(copy, "SELECT id FROM sessions"))


def test_what_a_session_adds_is_a_file_of_its_own_and_overlapping_ones_are_right(tmp_path: Path) -> None:
    store, shared = tmp_path / "a.db", tmp_path / "shared"
    session = Session(store, 1)
    session.train()
    team.push(store, to=f"folder:{shared}")
    early = tmp_path / "early"
    shutil.copytree(shared, early)
    session.go_on(4)
    team.push(store, to=f"folder:{shared}")
    first, second = drops(shared)
    assert (first.name, second.name) == ("0-0.db.gz", "1-1.db.gz")
    session.go_on(2)
    session.end()
    team.push(store, to=f"folder:{early}")  # which lacks the second
    shutil.copy(drops(early)[1], first.parent)
    assert differences(store, pulled(f"folder:{shared}", tmp_path / "pulled.db")) == {}
    assert problems(f"folder:{shared}") == []
    assert team.push(store, to=f"folder:{shared}").rows == 0


@pytest.mark.parametrize("is_first", [True, False])
def test_what_was_deleted_and_redacted_is_in_no_file_in_whatever_order(
    world: World, tmp_path: Path, is_first: bool
) -> None:
    here, other = world.files
    target, shared = f"folder:{tmp_path / 'shared'}", tmp_path / "shared"
    if is_first:
        team.push(other, to=target)
        team.merge(target, into=tmp_path / "before.db")
        assert verb("merge", target, "--compact")[0] == 0
    doomed, kept = runs_of(here)[2], runs_of(here)[4]
    curate.delete(doomed, reason="wrong", store=here)
    curate.redact(runs=(kept,), reason="private", store=here)
    done = team.push(here, to=target)
    assert (done.deleted_runs, bool(done.redacted)) == ((2, True) if is_first else (0, False))
    team.push(other, to=target)
    for word in (f"tag-{doomed}", f"note-{doomed}", f"tag-{kept}", f"note-{kept}"):
        assert word.encode() not in plain(shared)
    assert problems(target) == []
    assert doomed not in runs_of(pulled(target, tmp_path / "pulled.db"))
    assert team.push(here, to=target).rows == 0


def test_a_push_that_was_killed_before_it_cleared_is_finished_by_the_next_one(world: World, tmp_path: Path) -> None:
    here, other = world.files
    shared = tmp_path / "shared"
    team.push(here, to=f"folder:{shared}")
    old = tmp_path / "old"
    shutil.copytree(shared, old)
    doomed = runs_of(here)[2]
    curate.delete(doomed, reason="wrong", store=here)
    team.push(here, to=f"folder:{shared}")
    assert f"tag-{doomed}".encode() not in plain(shared)
    for path in drops(old):  # as it was when the file with the tombstone was written and nothing else
        shutil.copy(path, shared / path.relative_to(old))
    for done in shared.rglob("*.done"):
        done.unlink()
    assert f"tag-{doomed}".encode() in plain(shared)
    assert any("still has what was deleted" in each for each in problems(f"folder:{shared}"))
    team.push(other, to=f"folder:{shared}")
    assert f"tag-{doomed}".encode() not in plain(shared)
    assert problems(f"folder:{shared}") == []


def test_a_snapshot_is_where_readers_begin(world: World, target: str, tmp_path: Path) -> None:
    here, other = world.files
    team.push(here, to=target)
    code, said, _ = verb("merge", target, "--compact", "--json") if target.startswith("folder") else _compacted(target)
    assert code == 0
    assert json.loads(said)["name"] == "snapshot-1.db.gz"
    team.push(other, to=target)
    file_of(box(target)).unlink()
    assert len(History(target).runs(is_nested=None)) == len(runs_of(here)) + 2
    assert problems(target) == []
    whole = tmp_path / "whole.db"
    team.merge(*world.files, into=whole)
    assert differences(whole, pulled(target, tmp_path / "pulled.db")) == {}


def test_files_of_a_session_that_was_pushed_in_parts_become_one(target: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 1)
    for number in range(4):
        world.do("go on", 0, number)
        assert team.push(world.files[0], to=target).ok
    place = place_of(box(target))
    assert len([name for name in place.names() if drop_of(name)]) == 4
    before = pulled(target, tmp_path / "before.db")
    assert compact(box(target)).joined == 4
    assert len([name for name in place.names() if drop_of(name)]) == 1
    assert problems(target) == []
    assert differences(before, pulled(target, tmp_path / "after.db")) == {}
    assert team.push(world.files[0], to=target).lines == 0
    world.do("go on", 0, 5)
    assert team.push(world.files[0], to=target).ok
    done = compact(box(target))
    assert (done.joined, done.faults) == (2, [])
    assert compact(box(target)).joined == 0
    file_of(box(target)).unlink(missing_ok=True)
    assert differences(world.files[0], pulled(target, tmp_path / "last.db")) == {}


def _compacted(target: str) -> tuple[int, str, str]:
    return 0, json.dumps(asdict(compact(box(target)))), ""


def test_git_merges_branches_of_such_a_folder_without_a_conflict(world: World, tmp_path: Path) -> None:
    def git(where: Path, *words: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words]
        return subprocess.run(command, cwd=where, check=True, capture_output=True, text=True).stdout

    origin = tmp_path / "origin.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(origin))
    clones = [tmp_path / name for name in ("ann", "bob")]
    for clone in clones:
        git(tmp_path, "clone", "-q", str(origin), str(clone))
        git(clone, "checkout", "-q", "-b", clone.name)
        (clone / "runs").mkdir()
    for clone, store in zip(clones, world.files, strict=True):
        team.push(store, to=f"folder:{clone / 'runs'}")
        git(clone, "add", "runs")
        git(clone, "commit", "-q", "-m", "runs")
        git(clone, "push", "-q", "origin", clone.name)
    git(clones[0], "fetch", "-q")
    git(clones[0], "merge", "-q", "--allow-unrelated-histories", "-m", "both", "origin/bob")
    assert git(clones[0], "status", "--porcelain") == ""
    target = f"folder:{clones[0] / 'runs'}"
    whole = tmp_path / "whole.db"
    team.merge(*world.files, into=whole)
    assert differences(whole, pulled(target, tmp_path / "pulled.db")) == {}
    assert problems(target) == []


def test_heartbeats_travel_and_verbs_give_the_same_json(tmp_path: Path, target: str) -> None:
    store = tmp_path / "a.db"
    session = Session(store, 1)
    session.train()
    change(store, "UPDATE sessions SET heartbeat_at = '2026-01-02T03:04:05.000000Z', dropped_points = 3")
    change(store, "UPDATE runs SET steps_done = 7")
    team.push(store, to=target)
    assert differences(store, pulled(target, tmp_path / "pulled.db")) == {}


def test_a_file_that_had_some_runs_and_then_gets_all_is_whole(world: World, target: str, tmp_path: Path) -> None:
    here = world.files[0]
    team.push(here, to=target)
    road = tmp_path / "road.db"
    assert team.pull(target, into=road, runs=(runs_of(here)[0],)).is_part
    done = team.pull(target, into=road)
    assert (done.ok, done.is_part) == (True, False)
    assert verify(road).ok
    assert alone(road)[0] == 0
    assert team.push(road, to=target).ok
    assert problems(target) == []


def test_kept_files_go_with_the_history_and_come_back_verified(tmp_path: Path, target: str) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 1)
    (store,) = world.files
    content = b"file 1"
    sha256 = hashlib.sha256(content).hexdigest()
    kept = store.with_name(f"{store.name}.files") / sha256[:2] / sha256
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    assert team.push(store, to=target).kept_files == 1
    assert team.push(store, to=target).kept_files == 0
    done = team.pull(target, into=tmp_path / "road.db")
    assert done.kept_files == 1
    copy = tmp_path / "road.db.files" / sha256[:2] / sha256
    assert copy.read_bytes() == content
    assert problems(target) == []
    kept.write_bytes(b"other!")
    with pytest.raises(AssertionError):
        assert team.push(store, to=f"folder:{tmp_path / 'other'}").ok


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_an_event_with_a_text_that_files_dislike_comes_back(tmp_path: Path, target: str) -> None:
    store = tmp_path / "a.db"
    session = Session(store, 1)
    run_id = session.train()
    session.write([event_entry(session.id, run_id, "cell", "cell", "a\0b \ue000 \U0001f600")])
    team.push(store, to=target)
    assert differences(store, pulled(target, tmp_path / "pulled.db")) == {}
