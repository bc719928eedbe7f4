"""Pushes to PostgreSQL that go wrong: killed, cut off, of files that were changed; the target verifies, and says so."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.postgresql import ask_target, server
from helpers.programs import hear, is_killed_at_work, tell
from helpers.stores import alone
from helpers.targets import new_target, problems, unlike
from helpers.team_stores import Session, World, ask, change, runs_of, twin_of, two_copies
from helpers.terminals import COMMAND, environment
from helpers.verbs import ask as verb
from histhooks import team
from histhooks._store.entries import event_entry
from histhooks.team import ForkError


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two copies of a store, in each of which a session of its own recorded since."""
    return two_copies(tmp_path / "world")


def test_a_session_that_went_on_in_two_copies_is_refused_and_named(world: World, target: str) -> None:
    here, copy = world.files
    session = world.sessions[0]
    twin, seq = twin_of(session, copy)
    session.go_on(2)
    twin.write([event_entry(session.id, None, "other", "than there")])
    Session(copy, 6).train()
    team.push(here, to=target)
    with pytest.raises(ForkError, match=session.id) as caught:
        team.push(copy, to=target)
    done = caught.value.merged
    (fork,) = done.forks
    assert (fork["session_id"], fork["seq"], len(fork["digests"])) == (session.id, seq, 2)
    assert done.runs == 3
    assert ask_target(target, "SELECT 1 FROM events WHERE kind = 'other'") == []
    assert ask_target(target, "SELECT session_id, seq FROM conflicts") == [(session.id, seq)]
    code, _, errors = verb("push", copy, "--to", target)
    assert code == 1
    assert session.id in errors
    assert fork["digests"][0] in errors


CHANGES = {
    "a param": "UPDATE params SET value = '0.2' WHERE run_id = ? AND key = 'lr'",
    "a point": "UPDATE points SET value = 7 WHERE n = 1 AND series = (SELECT min(series) FROM metric_summaries "
    "WHERE run_id = ?)",
    "a note": "UPDATE notes SET body = 'other words' WHERE run_id = ?",
    "a row more": "DELETE FROM tags WHERE run_id = ?",
    "a line": "UPDATE ledger SET time = time + 1 WHERE session_id = (SELECT session_id FROM runs WHERE id = ?)",
}


@pytest.mark.parametrize("is_there", [True, False], ids=["already there", "new"])
@pytest.mark.parametrize("sql", CHANGES.values(), ids=list(CHANGES))
def test_a_byte_that_was_changed_is_named_and_nothing_of_its_session_is_written(
    world: World, target: str, sql: str, is_there: bool
) -> None:
    here, changed = world.files
    run_id = runs_of(here)[0]
    ((session_id,),) = ask(here, "SELECT session_id FROM runs WHERE id = ?", run_id)
    if is_there:
        team.push(here, to=target)
    change(changed, sql, run_id)
    with pytest.raises(ForkError, match=session_id) as caught:
        team.push(changed, to=target)
    assert [fork["session_id"] for fork in caught.value.merged.forks] == [session_id]
    assert ask_target(target, "SELECT session_id FROM conflicts") == [(session_id,)]
    if not is_there:
        assert ask_target(target, "SELECT 1 FROM ledger WHERE session_id = %s", session_id) == []
    assert ask_target(target, "SELECT count(*) FROM sessions")[0][0] == (5 if is_there else 3)
    assert problems(target) == []


FAULTS = {
    "DELETE FROM params WHERE ordinal = 1": "rows are missing",
    "UPDATE params SET value = '7' WHERE ordinal = 0": "its rows are not the ones that were written",
    'UPDATE point_chunks SET "values"[1] = 7': "its rows are not the ones that were written",
    "UPDATE runs SET status = 'failed'": "status",
    "DELETE FROM receipts WHERE seq = 0": "receipt 0 is missing",
    "UPDATE receipts SET n_rows = 1 WHERE seq = 0": "receipt 0",
    "DELETE FROM ledger WHERE session_id = (SELECT max(session_id) FROM ledger)": "which receipt",
}


@pytest.mark.parametrize("sql", list(FAULTS))
def test_what_is_changed_at_the_target_is_named(world: World, target: str, sql: str) -> None:
    for file in world.files:
        team.push(file, to=target)
    ask_target(target, sql)
    found = problems(target)
    assert [problem for problem in found if FAULTS[sql] in problem], found
    code, said, _ = verb("verify", target)
    assert code == 1
    assert FAULTS[sql] in said


PUSH = """
import sys
from histhooks.team import _outgoing, push
_outgoing._MOST_ROWS = 40
print(push(sys.argv[1], to=sys.argv[2]).lines)
"""
RECEIPTS = "SELECT count(*) FROM receipts"


def test_a_push_that_is_killed_leaves_a_beginning_and_the_next_one_completes(target: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    for number in range(12):
        world.do("train", 0, number % 6)
    (store,) = world.files
    dice = random.Random(7)
    killed = 0
    for number in range(8):
        (before,) = ask_target(target, RECEIPTS)
        command = [sys.executable, "-c", PUSH, str(store), target]
        has_begun = lambda before=before: ask_target(target, RECEIPTS) != [before]  # noqa: E731
        killed += is_killed_at_work(command, has_begun, number and 0.1 * dice.random())
        assert problems(target) == []
    assert killed
    team.push(store, to=target)
    assert unlike(store, target, tmp_path / "pulled.db") == {}


def test_twelve_pushes_at_once_have_one_result(target: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 1)
    for number in range(8):
        world.do("copy", 0, 0)
        world.do("train", number + 1, number % 6)
    files = [*world.files[1:], *world.files[1:2] * 4]
    processes = [
        subprocess.Popen([*COMMAND, "push", str(file), "--to", target, "--json"], env=environment(),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for file in files
    ]  # fmt: skip
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(files), told
    runs = sum(json.loads(said)["runs"] for said, _ in told)
    whole = tmp_path / "whole.db"
    team.merge(*world.files, into=whole)
    assert runs == len(runs_of(whole))
    assert unlike(whole, target, tmp_path / "pulled.db") == {}
    assert problems(target) == []


STEP_BY_STEP = """
import sys
from histhooks.team import _outgoing, _pushing, push
_outgoing._MOST_ROWS = 40
original = _pushing.sending.send
def send(*given):
    found = original(*given)
    print("sent", flush=True)
    sys.stdin.readline()
    return found
_pushing.sending.send = send
try:
    push(sys.argv[1], to=sys.argv[2])
except Exception as error:
    print(type(error).__name__, error, flush=True)
"""


def test_a_server_that_goes_away_is_said_and_has_a_beginning_when_it_is_back(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    for number in range(6):
        world.do("train", 0, number % 6)
    (store,) = world.files
    with server() as started:
        target = new_target(started.address)
        command = [sys.executable, "-c", STEP_BY_STEP, str(store), target]
        process = subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert hear(process) == "sent"
        tell(process)
        assert hear(process) == "sent"
        started.stop("immediate")
        said = process.communicate()[0].splitlines()
        assert said[-1].startswith("TeamError ")
        assert "the connection was lost" in said[-1]
        code, _, errors = verb("push", store, "--to", target)
        assert code == 2
        assert "cannot be reached" in errors
        started.start()
        assert problems(target) == []
        assert 0 < ask_target(target, "SELECT count(*) FROM sessions")[0][0] < 6
        assert team.push(store, to=target).ok
        assert unlike(store, target, tmp_path / "pulled.db") == {}


def test_pull_refuses_a_session_that_went_on_otherwise_and_takes_the_rest(world: World, target: str) -> None:
    here, copy = world.files
    session = world.sessions[0]
    twin, _ = twin_of(session, copy)
    session.go_on(2)
    world.do("train", 0, 2)
    team.push(here, to=target)
    twin.write([event_entry(session.id, None, "other", "than there")])
    with pytest.raises(ForkError, match=session.id) as caught:
        team.pull(target, into=copy)
    # Of the two sessions that came since, one saw what this copy of the session has not.
    assert caught.value.merged.runs == 2
    assert ask(copy, "SELECT count(*) FROM events WHERE kind = 'other'") == [(1,)]
    assert alone(copy)[0] == 0
