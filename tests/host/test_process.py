"""Who may judge whether a process still lives."""

import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest

from histhooks._base.clock import iso, now_us
from histhooks._host import process
from histhooks._host.process import STALE_US, booted_us, identity, judge


def row(**changes: Any) -> dict[str, Any]:
    return {**asdict(identity()), "heartbeat_at": iso(now_us()), **changes}


def test_a_process_that_lives_is_running_however_old_its_heartbeat() -> None:
    assert judge(row(heartbeat_at=iso(now_us() - 10 * STALE_US)), now_us()) == "running"


def test_a_process_that_is_gone_was_killed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert judge(row(pid=child.pid), now_us()) == "killed"


def test_a_process_that_waits_to_be_reaped_was_killed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    with open(f"/proc/{child.pid}/stat", encoding="utf-8") as file:
        started = file.read().rpartition(")")[2].split()[19]
    facts = row(pid=child.pid, process_started=started)
    assert judge(facts, now_us()) == "running"
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert judge(facts, now_us()) == "killed"
    child.wait()


def test_a_later_process_with_the_same_number_is_another_one() -> None:
    assert judge(row(process_started="1"), now_us()) == "killed"


def test_a_machine_that_was_started_again_has_killed_all() -> None:
    booted = booted_us()
    assert booted is not None
    assert judge(row(boot_id="before", heartbeat_at=iso(booted - 1)), now_us()) == "killed"
    assert judge(row(boot_id="before", heartbeat_at=None), now_us()) == "killed"


def test_another_machine_of_the_same_name_is_judged_by_its_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "booted_us", lambda: now_us() - 10 * STALE_US)
    assert judge(row(boot_id="of another"), now_us()) == "running"
    assert judge(row(boot_id="of another", heartbeat_at=iso(now_us() - 2 * STALE_US)), now_us()) == "lost"
    assert judge(row(boot_id="of another", heartbeat_at=iso(now_us() - 11 * STALE_US)), now_us()) == "killed"


@pytest.mark.parametrize("elsewhere", [{"hostname": "another"}, {"pid_namespace": "pid:[1]"}])
def test_what_cannot_be_seen_is_judged_by_its_heartbeat(elsewhere: dict[str, Any]) -> None:
    assert judge(row(**elsewhere), now_us()) == "running"
    assert judge(row(**elsewhere, heartbeat_at=iso(now_us() - STALE_US - 1_000_000)), now_us()) == "lost"
