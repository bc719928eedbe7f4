"""Folders and buckets in which files are cut short, changed, gone or foreign, and pushes that are killed or many."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from helpers.boxes import box, drops, plain, problems, pulled
from helpers.programs import is_killed_at_work
from helpers.team_stores import Session, World, change, differences, runs_of
from helpers.terminals import COMMAND, environment
from helpers.terminals import ask as verb
from histhooks import History, curate, team
from histhooks.errors import ForkError, StoreError, TeamError
from histhooks.team.box.address import Box, box_of
from histhooks.team.box.reading import file_of
from histhooks.team.postgres.address import target_of
from histhooks.testing import run_program


def test_old_files_that_come_back_are_named_and_taken_out(world: World, tmp_path: Path) -> None:
    here = world.files[0]
    shared = tmp_path / "shared"
    team.push(here, to=f"folder:{shared}")
    shutil.copytree(shared, tmp_path / "old")
    doomed = runs_of(here)[2]
    curate.delete(doomed, reason="wrong", store=here)
    team.push(here, to=f"folder:{shared}")
    shutil.copytree(tmp_path / "old", shared, dirs_exist_ok=True)
    assert doomed not in {run.id for run in History(f"folder:{shared}").runs(is_nested=None)}
    code, said, _ = verb("verify", f"folder:{shared}")
    assert code == 1
    assert "--compact` takes it out" in said
    code, said, _ = verb("merge", f"folder:{shared}", "--compact")
    assert code == 0
    assert "taken out of" in said
    assert f"tag-{doomed}".encode() not in plain(shared)
    assert problems(f"folder:{shared}") == []


def test_a_session_that_went_on_in_two_copies_is_refused_and_named(tmp_path: Path, target: str) -> None:
    store, copy = tmp_path / "a.db", tmp_path / "b.db"
    session = Session(store, 1)
    session.train()
    team.push(store, to=target)
    shutil.copy(store, copy)
    session.go_on(2)
    team.push(store, to=target)
    with_other = Session(copy, 3)
    with_other.train()
    change(copy, "UPDATE ledger SET digest = ? WHERE session_id = ? AND seq = 0", "0" * 64, session.id)
    with pytest.raises(ForkError, match=session.id) as found:
        team.push(copy, to=target)
    done = found.value.merged
    assert done.sessions == 1
    assert with_other.id in {row.session_id for row in History(target).runs(is_nested=None)}
    (conflict,) = team.status(target).conflicts
    assert (conflict["session_id"], conflict["other_digest"]) == (session.id, "0" * 64)
    if target.startswith("folder:"):
        code, said, _ = verb("team", "status", target, "--store", str(store))
        assert code == 1
        assert "refused: session" in said
    assert problems(target) == []


def test_a_byte_that_was_changed_is_named(world: World, tmp_path: Path) -> None:
    here = world.files[0]
    target, shared = f"folder:{tmp_path / 'shared'}", tmp_path / "shared"
    team.push(here, to=target)
    path = drops(shared)[0]
    work = tmp_path / "work.db"
    work.write_bytes(gzip.decompress(path.read_bytes()))
    change(work, "UPDATE params SET value = '0.2' WHERE key = 'lr'")
    path.write_bytes(gzip.compress(work.read_bytes()))
    assert any("params" in each for each in problems(target))
    assert verb("verify", target)[0] == 1


def test_files_that_are_cut_short_foreign_or_gone_are_survived_and_named(world: World, tmp_path: Path) -> None:
    here = world.files[0]
    target, shared = f"folder:{tmp_path / 'shared'}", tmp_path / "shared"
    team.push(here, to=target)
    whole = len(History(target).runs(is_nested=None))
    top = shared / "histhooks-1"
    (top / "README.txt").write_text("notes")
    (top / "not a session").mkdir()
    (top / "not a session" / "x.db.gz").write_bytes(b"?")
    half = drops(shared)[0]
    (half.parent / ".part-0123").write_bytes(b"half")
    assert problems(target) == []
    assert len(History(target).runs(is_nested=None)) == whole
    half.write_bytes(half.read_bytes()[:5000])
    file_of(box(target)).unlink()
    assert len(History(target).runs(is_nested=None)) < whole
    code, _, errors = verb("runs", target, "--all-projects", "--json")
    assert code == 0
    assert f"{half.relative_to(top)}: it is not all there" in errors
    assert any("not all there" in each for each in problems(target))
    assert team.status(target).faults
    assert verb("team", "status", target, "--store", str(here))[0] == 1
    assert team.push(here, to=target).lines > 0  # writes it again
    assert problems(target) == []
    assert len(History(target).runs(is_nested=None)) == whole
    gone = drops(shared)[1]
    gone.unlink()
    assert any("is gone, which receipt" in each for each in problems(target))
    assert len(History(target).runs(is_nested=None)) < whole
    team.push(here, to=target)
    assert problems(target) == []


def test_links_pipes_and_files_that_grow_without_end_stop_no_reading(world: World, tmp_path: Path) -> None:
    target = f"folder:{tmp_path / 'shared'}"
    assert team.push(world.files[0], to=target).ok
    top = tmp_path / "shared" / "histhooks-1"
    for name in ("link", "pipe", "zeros", "many", "small"):
        (top / name).mkdir()
    (top / "circle").symlink_to(top)
    (top / "nowhere").symlink_to(tmp_path / "nowhere")
    (top / "self").symlink_to(top / "self")
    (top / "link" / "0-0.db.gz").symlink_to(tmp_path / "nowhere")
    os.mkfifo(top / "pipe" / "0-0.db.gz")
    (top / "zeros" / "0-0.db.gz").write_bytes(gzip.compress(bytes(50_000_000), 1))
    head = b"SQLite format 3\0" + (4096).to_bytes(2, "big") + bytes(10) + (2).to_bytes(4, "big")
    (top / "many" / "0-0.db.gz").write_bytes(gzip.compress(head + bytes(50_000_000), 1))
    (top / "small" / "0-0.db.gz").write_bytes(gzip.compress(head))
    tracemalloc.start()
    code, said, errors = verb("runs", target, "--all-projects", "--json")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert code == 0
    assert len(json.loads(said)) > 0
    assert most < 40_000_000
    for name in ("zeros", "many", "small"):
        assert f"{name}/0-0.db.gz: it is no file of histhooks" in errors
    assert "pipe/" not in errors


LIVE = """
import histhooks, os
run = histhooks.start_run("one").__enter__()
run.log({"a": 1})
histhooks.flush(60)
os._exit(0)
"""


@pytest.mark.parametrize(
    "beat",
    [
        [], {}, {"heartbeat_at": [1], "runs": {}}, {"heartbeat_at": "z", "runs": {}},
        {"heartbeat_at": "2100-01-01", "runs": {}},
        {"heartbeat_at": "2100-01-01T00:00:00.000000Z", "runs": [1]},
        {"heartbeat_at": "2100-01-01T00:00:00.000000Z", "runs": {"RUN": 5}},
        {"heartbeat_at": "2100-01-01T00:00:00.000000Z", "hook_errors": -5, "runs": {}},
        {"heartbeat_at": "2100-01-01T00:00:00.000000Z", "overhead_s": {"a": 1}, "runs": {}},
        {"heartbeat_at": "2100-01-01T00:00:00.000000Z", "runs": {"RUN": {"epochs_done": 10**30}}},
    ],
)  # fmt: skip
def test_a_sign_of_life_that_is_none_is_passed_over(tmp_path: Path, beat: object) -> None:
    target, store = f"folder:{tmp_path / 'shared'}", tmp_path / "one.db"
    run_program(LIVE, store)
    assert team.push(store, to=target).ok
    (path,) = (tmp_path / "shared" / "histhooks-1" / "beats").glob("*.json")
    (run_id,) = json.loads(path.read_bytes())["runs"]
    path.write_text(json.dumps(beat).replace("RUN", run_id), encoding="utf-8")
    code, said, errors = verb("runs", target, "--all-projects", "--json")
    assert (code, errors) == (0, "")
    assert [run["id"] for run in json.loads(said)] == [run_id]


def test_a_receipt_that_is_changed_or_gone_is_named(world: World, tmp_path: Path) -> None:
    target, shared = f"folder:{tmp_path / 'shared'}", tmp_path / "shared"
    here = world.files[0]
    for _ in range(3):
        world.do("train", 0, 1)
        assert team.push(here, to=target).receipt is not None
    assert problems(target) == []
    first, second, third = sorted((shared / "histhooks-1" / "receipts").rglob("*.json"))
    text = second.read_text()
    second.write_text(text.replace(json.loads(text)["pushed_by"], "nobody@nowhere"))
    assert any("was changed" in each for each in problems(target))
    second.unlink()
    assert problems(target) == [f"receipt 1 of store {first.parent.name} is missing"]
    assert third.exists()


PUSH = "import sys; from histhooks import team; team.push(sys.argv[1], to=sys.argv[2])"


def test_a_push_that_is_killed_leaves_a_beginning_and_the_next_one_completes(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    for number in range(12):
        world.do("train", 0, number % 6)
    (store,) = world.files
    target = f"folder:{tmp_path / 'shared'}"
    dice = random.Random(7)
    killed = 0
    for number in range(8):
        if number == 4:
            curate.delete(runs_of(store)[3], reason="wrong", store=store)
        before = drops(tmp_path / "shared")
        command = [sys.executable, "-c", PUSH, str(store), target]
        has_begun = lambda before=before: drops(tmp_path / "shared") != before  # noqa: E731
        killed += is_killed_at_work(command, has_begun, number and 0.1 * dice.random())
        if drops(tmp_path / "shared"):
            found = problems(target)
            assert not [each for each in found if "still has what was deleted" not in each]
    assert killed
    team.push(store, to=target)
    assert problems(target) == []
    assert differences(store, pulled(target, tmp_path / "pulled.db")) == {}


def test_eight_pushes_at_once_with_a_reader_beside_them_have_one_result(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 1)
    for number in range(5):
        world.do("copy", 0, 0)
        world.do("train", number + 1, number % 6)
    curate.delete(runs_of(world.files[3])[0], reason="wrong", store=world.files[3])
    target = f"folder:{tmp_path / 'shared'}"
    team.push(world.files[0], to=target)
    files = [*world.files[1:], *world.files[1:2] * 3]
    processes = [
        subprocess.Popen([*COMMAND, "push", str(file), "--to", target, "--json"], env=environment(),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for file in files
    ]  # fmt: skip
    seen: list[int] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            with History(target) as history:
                seen.append(len(history.runs(is_nested=None)))

    reader = threading.Thread(target=read)
    reader.start()
    told = [process.communicate(timeout=120) for process in processes]
    is_over.set()
    reader.join()
    assert [process.returncode for process in processes] == [0] * len(files), told
    assert seen
    whole = tmp_path / "whole.db"
    team.merge(*world.files, into=whole)
    assert differences(whole, pulled(target, tmp_path / "pulled.db")) == {}
    assert problems(target) == []
    assert f"tag-{runs_of(world.files[0])[0]}".encode() not in plain(tmp_path / "shared")


def test_no_place_and_no_driver_are_one_sentence(tmp_path: Path, world: World) -> None:
    here = str(world.files[0])
    for word, text in (
        (f"folder:{tmp_path}/no/where", "no folder"),
        (f"folder:{here}", "is a file; name a folder"),
        ("folder:", "names no folder"),
        ("s3://", "names no place in it"),
        ("gs://bucket/x", "pip install 'histhooks[bucket]' gcsfs"),
    ):
        with pytest.raises(TeamError, match=text.replace("[", r"\[")):
            team.push(here, to=word)
        code, _, errors = verb("push", here, "--to", word)
        assert code == 2
        assert errors.count("\n") <= 2
        assert "Traceback" not in errors
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="nothing was pushed"):
        History(f"folder:{tmp_path / 'empty'}")
    assert not (tmp_path / "no").exists()


def test_a_password_in_an_address_is_masked() -> None:
    found = target_of("sftp://ann:geheim@host/runs")
    assert isinstance(found, Box)
    assert "geheim" not in found.shown
    assert "geheim" not in repr(found)
    assert box_of("folder:~/x", "").root.endswith("/x")
    assert box_of("folder:///shared/runs", "").root == "/shared/runs"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
