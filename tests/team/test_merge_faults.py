"""Merges that go wrong: what differs is named, and one that is killed leaves its target as it was or whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.stores import is_fine
from helpers.team_stores import Session, World, ask, change, differences, runs_of, twin_of, two_copies
from histhooks import team
from histhooks._store.entries import event_entry
from histhooks.team import _merge


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two copies of a store, in each of which a session of its own recorded since."""
    return two_copies(tmp_path / "world")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE params SET value = '9' WHERE run_id = ? AND ordinal = 1",
        "UPDATE points SET value = 9 WHERE n = 0 AND series IN (SELECT series FROM metric_summaries WHERE run_id = ?)",
        "UPDATE metric_summaries SET direction = 1 WHERE run_id = ?",
        "UPDATE notes SET body = 'other' WHERE run_id = ?",
        "UPDATE events SET title = 'other' WHERE run_id = ?",
        "UPDATE states SET state = json_set(state, '$.name', 'other') WHERE ordinal = 0 AND subject_id = ?",
        "UPDATE datasets SET n_columns = 7 WHERE id = (SELECT dataset_id FROM run_datasets WHERE run_id = ?)",
        "UPDATE salts SET salt = '00112233445566778899aabbccddeeff' WHERE subject_id = ?",
        "UPDATE ledger SET digest = 'ab' WHERE seq = 0 AND session_id = (SELECT session_id FROM runs WHERE id = ?)",
        "UPDATE ledger_parts SET digest = 'ab' WHERE scope = ? AND seq = 0",
    ],
)
def test_a_row_that_differs_is_named_and_nothing_of_its_session_is_written(
    world: World, tmp_path: Path, sql: str
) -> None:
    here, changed = world.files
    run_id = runs_of(here)[0]
    ((session_id,),) = ask(here, "SELECT session_id FROM runs WHERE id = ?", run_id)
    change(changed, sql, run_id)
    for number, order in enumerate((world.files, world.files[::-1])):
        path = tmp_path / f"{number}.db"
        with pytest.raises(team.ForkError, match=session_id) as caught:
            team.merge(*order, into=path)
        forks = caught.value.merged.forks
        assert session_id in {fork["session_id"] for fork in forks}
        assert {str(here), str(changed)} <= set(forks[0]["files"])
        assert ask(path, "SELECT count(*) FROM ledger WHERE session_id = ?", session_id) == [(0,)]
        assert ask(path, "SELECT count(*) FROM runs WHERE session_id = ?", session_id) == [(0,)]
        assert ask(path, "SELECT count(*) FROM sessions")[0][0] == 5 - len(forks)
        assert is_fine(path)
    assert differences(tmp_path / "0.db", tmp_path / "1.db") == {}
    copy = Path(shutil.copy(here, tmp_path / "into.db"))
    with pytest.raises(team.ForkError):
        team.merge(changed, into=copy)
    rows = "SELECT * FROM params WHERE run_id = ?"
    assert ask(copy, rows, run_id) == ask(here, rows, run_id)
    assert len(runs_of(copy)) == len(runs_of(here)) + 2 * (len(forks) == 1)
    assert is_fine(copy)


def test_a_session_that_went_on_in_two_copies_is_a_fork(world: World, tmp_path: Path) -> None:
    here, copy = world.files
    session = world.sessions[0]
    twin, seq = twin_of(session, copy)
    session.go_on(2)
    twin.write([event_entry(session.id, None, "other", "than there")])
    Session(copy, 6).train()  # saw the other ledger
    with pytest.raises(team.ForkError) as caught:
        team.merge(here, copy, into=tmp_path / "new.db")
    (fork,) = caught.value.merged.forks
    assert (fork["session_id"], fork["seq"], len(fork["digests"])) == (session.id, seq, 2)
    assert is_fine(tmp_path / "new.db")
    with pytest.raises(team.ForkError):
        team.merge(copy, into=here)
    assert ask(here, "SELECT count(*) FROM events WHERE kind = 'other'") == [(0,)]
    assert is_fine(here)


KILLED = """
import sys
from histhooks import team
print("go", flush=True)
team.merge(*sys.argv[2:], into=sys.argv[1])
"""


def test_a_merge_that_is_killed_leaves_the_target_as_it_was(world: World, tmp_path: Path) -> None:
    target = tmp_path / "target" / "team.db"
    target.parent.mkdir()
    shutil.copy(world.files[1], target)
    was, chance = sorted(runs_of(target)), random.Random(7)
    whole = sorted({*was, *runs_of(world.files[0])})
    outcomes = set()
    for _ in range(5):
        command = [sys.executable, "-c", KILLED, str(target), str(world.files[0])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.random() * 0.4)
            process.send_signal(signal.SIGKILL)
        outcomes.add(tuple(sorted(runs_of(target))))
        assert is_fine(target)
    assert outcomes <= {tuple(was), tuple(whole)}
    for folder in target.parent.glob(".histhooks-merge-*"):
        os.utime(folder, (0, 0))
    team.merge(world.files[0], into=target)
    assert sorted(runs_of(target)) == whole
    assert os.listdir(target.parent) == [target.name]


STOPPED = """
import sys, time
from histhooks import team
from histhooks.team import _merge
original = getattr(_merge, sys.argv[1])
def stopped(*args):
    original(*args)
    print("there", flush=True)
    time.sleep(600)
setattr(_merge, sys.argv[1], stopped)
team.merge(*sys.argv[3:], into=sys.argv[2])
"""


@pytest.mark.parametrize(("step", "is_written"), [("bring_in", False), ("remove_files", True)])
def test_a_merge_that_is_killed_in_its_transaction_or_after_it(
    world: World, tmp_path: Path, step: str, is_written: bool
) -> None:
    target = Path(shutil.copy(world.files[1], tmp_path / "team.db"))
    was = sorted(runs_of(target))
    whole = sorted({*was, *runs_of(world.files[0])})
    assert whole != was
    command = [sys.executable, "-c", STOPPED, step, str(target), str(world.files[0])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert said == b"there\n"
    assert sorted(runs_of(target)) == (whole if is_written else was)
    assert is_fine(target)


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("what", ["store", "empty", "text"])
def test_a_target_that_came_while_a_merge_was_made_is_not_overwritten(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, has_links: bool
) -> None:
    target = tmp_path / "team.db"
    copy_files = _merge.copy_files

    def late(*args: Any, **options: Any) -> None:
        if not target.exists():
            if what == "store":
                shutil.copy(world.files[1], target)
            else:
                target.write_text("" if what == "empty" else "mine" * 1000)
        copy_files(*args, **options)

    monkeypatch.setattr(_merge, "copy_files", late)
    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    if what == "text":
        with pytest.raises(team.TeamError, match="cannot be read"):
            team.merge(world.files[0], into=target)
        assert target.read_text() == "mine" * 1000
        return
    team.merge(world.files[0], into=target)
    assert {*runs_of(world.files[0]), *(runs_of(world.files[1]) if what == "store" else ())} == {*runs_of(target)}
    assert is_fine(target)


def no_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_a_new_file_is_made_where_there_are_no_links(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    team.merge(*world.files, into=tmp_path / "team.db")
    assert sorted(runs_of(tmp_path / "team.db")) == sorted({*runs_of(world.files[0]), *runs_of(world.files[1])})
    assert is_fine(tmp_path / "team.db")
