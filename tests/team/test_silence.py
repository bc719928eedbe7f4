"""A session on a machine that nobody heard of is not dead: what each reader says of it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers.postgresql import ask_target
from helpers.terminals import ask
from histhooks import History, team
from histhooks._base.clock import iso, now_us
from histhooks.history._reader import last_heard
from histhooks.testing import run_program

FAR = """
import os, signal, socket
socket.gethostname = lambda: "gpu-7"
import histhooks
run = histhooks.start_run("far")
for step in range(20):
    run.log({"loss": 1 / (step + 1)}, step=step)
histhooks.flush(60)
os.kill(os.getpid(), signal.SIGKILL)
"""
MINUTE = 60_000_000


@pytest.fixture
def far(target: str, tmp_path: Path) -> str:
    """A target with a session that runs on another machine and gave its last sign 12 minutes ago."""
    store = tmp_path / "far.db"
    code, _, error = run_program(FAR, store)
    assert code == -9, error
    with closing(sqlite3.connect(store)) as connection, connection:
        assert connection.execute("SELECT count(*) FROM runs WHERE status = 'running'").fetchone() == (1,)
        sign = iso(now_us() - 12 * MINUTE - 1000)
        connection.execute("UPDATE sessions SET heartbeat_at = ?, started_at = ?", (sign, sign))
    # The store is as it was but for what no line covers.
    assert team.push(store, to=target).ok
    ask_target(target, "UPDATE sessions SET heartbeat_at = %s", sign)
    return target


def told(target: str) -> tuple[str, str]:
    """What `runs` and `show` say."""
    words = (ask("runs", target, "--all-projects")[1], ask("show", "--store", target, "far")[1])
    return words[0], words[1]


def statuses(target: str) -> list[str]:
    code, said, _ = ask("runs", target, "--all-projects", "--all", "--json")
    assert code == 0
    return [row["status"] for row in json.loads(said)]


def pushed_at(target: str, moment_us: int) -> None:
    ask_target(target, "UPDATE receipts SET pushed_at = %s", iso(moment_us))


def test_a_session_is_lost_if_its_machine_has_pushed_since(far: str) -> None:
    assert statuses(far) == ["lost"]
    assert "last heard of" not in "".join(told(far))


def test_a_session_whose_machine_is_silent_is_running_as_far_as_is_known(far: str, monkeypatch: Any) -> None:
    pushed_at(far, now_us() - 12 * MINUTE)
    assert statuses(far) == ["running"]
    monkeypatch.setenv("COLUMNS", "120")
    table, page = told(far)
    assert "running, last heard of 12 min ago" in table
    assert "last heard of 12 min ago" in page
    assert "killed" not in table + page
    with History(far) as history:
        assert [run.name for run in history.runs(where="status = running")] == ["far"]


def test_a_session_comes_back_with_the_next_push(far: str) -> None:
    pushed_at(far, now_us() - 12 * MINUTE)
    assert statuses(far) == ["running"]
    ask_target(far, "UPDATE sessions SET heartbeat_at = %s", iso(now_us()))
    with History(far) as history:
        assert history.run("far").status == "running"
        assert last_heard(history, history.run("far").session["id"]) is None


def test_after_a_week_nobody_waits_any_more(far: str) -> None:
    sign = now_us() - 8 * 24 * 60 * MINUTE
    pushed_at(far, sign)
    ask_target(far, "UPDATE sessions SET heartbeat_at = %s", iso(sign))
    with History(far) as history:
        assert history.run("far").status == "lost"


def test_a_process_of_this_machine_that_is_gone_was_killed_once_its_end_would_have_come(
    target: str, tmp_path: Path
) -> None:
    store = tmp_path / "here.db"
    code, _, error = run_program(FAR.replace('socket.gethostname = lambda: "gpu-7"', ""), store)
    assert code == -9, error
    assert team.push(store, to=target).ok
    ask_target(target, "UPDATE sessions SET heartbeat_at = %s", iso(now_us()))
    assert statuses(target) == ["running"]
    ask_target(target, "UPDATE sessions SET heartbeat_at = %s", iso(now_us() - 2 * MINUTE))
    assert statuses(target) == ["killed"]
