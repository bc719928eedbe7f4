"""A team that is named gets what was recorded, by a process that is none of the program's business."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers.terminals import DOCTOR
from histhooks import History
from histhooks.team._unattended import Attempts, _alone
from histhooks.verify import verify

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="this system starts no detached processes so")

TRAIN = """
import histhooks, sys
histhooks.autolog(store="h.db")
with histhooks.start_run("loop") as run:
    for step in range(20):
        run.log({"loss": 1 / (step + 1)})
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def train(*words: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *words, "train.py"], env={**os.environ, "HISTHOOKS_QUIET": "0", **variables},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def runs_in(path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM runs WHERE status = 'finished'").fetchone()[0])
    except sqlite3.Error:
        return 0


def becomes(ask: Any, wanted: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while ask() != wanted and time.monotonic() < end:
        time.sleep(0.1)
    assert ask() == wanted


def report(store: Path) -> dict[str, Any]:
    """How the last push of a store went, whatever its target was."""
    found = sorted(
        (store.parent / "state" / "histhooks" / "push").glob("*.json"), key=lambda path: path.stat().st_mtime
    )
    return json.loads(found[-1].read_text()) if found else {}


def test_a_program_that_ends_is_pushed_by_another_process(here: Path) -> None:
    train(HISTHOOKS_TEAM=str(here / "team.db"))
    becomes(lambda: runs_in(here / "team.db"), 1)
    becomes(lambda: report(here / "h.db").get("error", "?"), None)
    assert verify(here / "team.db").ok
    train(HISTHOOKS_TEAM=str(here / "team.db"))
    becomes(lambda: runs_in(here / "team.db"), 2)


def test_a_folder_gets_what_was_recorded_too(here: Path) -> None:
    (here / "shared").mkdir()
    (here / "pyproject.toml").write_text('[tool.histhooks]\nteam = "folder:shared/runs"\n')
    train()
    becomes(lambda: report(here / "h.db").get("error", "?"), None)
    assert report(here / "h.db")["target"] == f"folder:{here / 'shared' / 'runs'}"
    with History(f"folder:{here / 'shared' / 'runs'}") as history:
        assert len(history.runs()) == 1
    again = train(HISTHOOKS_TEAM=f"folder:{here / 'nowhere' / 'at' / 'all'}")
    assert "not pushed" not in again.stderr
    becomes(lambda: "no folder" in str(report(here / "h.db").get("error")), True)


def test_live_pushes_into_a_folder_come_every_minute(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setenv("HISTHOOKS_TEAM", f"folder:{here / 'shared'}")
    with pytest.raises(KeyboardInterrupt):
        Attempts(here / "h.db", sleep).until_idle()
    assert slept == [60.0, 60.0]


def test_a_team_is_named_in_pyproject_and_its_path_is_beside_it(here: Path) -> None:
    (here / "pyproject.toml").write_text('[tool.histhooks]\nteam = "shared/team.db"\n')
    (here / "shared").mkdir()
    train()
    becomes(lambda: runs_in(here / "shared" / "team.db"), 1)


@pytest.mark.parametrize("how", [{"HISTHOOKS_PUSH": "off"}, {"HISTHOOKS": "off"}, {"HISTHOOKS_TEAM": ""}])
def test_nothing_is_pushed_where_it_is_switched_off(here: Path, how: dict[str, str]) -> None:
    train(**{"HISTHOOKS_TEAM": str(here / "team.db"), **how})
    time.sleep(1.0)
    assert not (here / "team.db").exists()
    assert not (here / "state" / "histhooks" / "push").exists()


def test_the_training_process_opens_no_network_connection(here: Path) -> None:
    hook = """
import atexit, sys
seen = []
asked = ("socket.connect", "socket.getaddrinfo", "sqlite3.connect")
sys.addaudithook(lambda name, args: seen.append((name, str(args)[:200])) if name in asked else None)
atexit.register(lambda: print(seen))
"""
    (here / "train.py").write_text(hook + TRAIN)
    done = train(HISTHOOKS_TEAM="postgresql://nobody:word@192.0.2.1/ml")  # a network that leads nowhere (RFC 5737)
    assert "h.db" in done.stdout
    # Abstract sockets of this machine say which process prints where it records (`_host.announcer`).
    assert "getaddrinfo" not in done.stdout
    assert done.stdout.count("socket.connect") == done.stdout.count("\\x00histhooks-")
    assert "family=2" not in done.stdout
    assert "192.0.2.1" not in done.stdout + done.stderr


@pytest.mark.parametrize("target", ["postgresql://nobody:word@127.0.0.1:1/ml", "/nowhere/at/all/team.db", "gopher://x"])
def test_a_target_that_cannot_be_reached_costs_the_program_nothing_and_the_next_one_says_so(
    here: Path, target: str
) -> None:
    first = train(HISTHOOKS_TEAM=target)
    assert "not pushed" not in first.stderr
    becomes(lambda: bool(report(here / "h.db").get("error")), True)
    found = report(here / "h.db")
    assert "word" not in json.dumps(found)
    second = train(HISTHOOKS_TEAM=target)
    assert "not pushed" in second.stderr
    assert "histhooks push" in second.stderr
    assert "word" not in second.stderr
    doctor = subprocess.run(
        [*DOCTOR, "--store", "h.db", "--json"], env={**os.environ, "HISTHOOKS_TEAM": target}, capture_output=True,
        text=True, timeout=300,
    )  # fmt: skip
    facts = json.loads(doctor.stdout)
    assert (facts["team"]["pushed"], facts["team"]["push"]) == ("never", "end")
    assert any("not pushed" in problem for problem in facts["problems"])
    assert "word" not in doctor.stdout
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                words = Path("/proc", name, "cmdline").read_bytes()
            except OSError:
                continue
            assert b"nobody:word" not in words
            if b"_unattended" in words and os.fsencode(here) in words:
                os.kill(int(name), signal.SIGKILL)


def test_what_is_no_target_and_no_word_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"HISTHOOKS_TEAM": "mysql://db.example/ml"}
    assert "push" not in train(**wrong).stderr
    becomes(lambda: "mysql" in str(report(here / "h.db").get("error")), True)
    done = train(HISTHOOKS_PUSH="sometimes", **wrong)
    assert "HISTHOOKS_PUSH is 'sometimes', not end, live or off" in done.stderr
    assert "not pushed since" in done.stderr
    assert "mysql://" in done.stderr
    monkeypatch.setenv("HISTHOOKS_TEAM", wrong["HISTHOOKS_TEAM"])
    assert Attempts(here / "h.db", sleep=pytest.fail).until_pushed()  # waiting would change nothing


def test_the_pushing_process_has_nothing_of_the_program_and_outlives_it(here: Path) -> None:
    """The pipes of a caller end with the program, and its process group does not reach the push."""
    (here / "slow.py").write_text(
        "import subprocess, sys, os\n"
        "done = subprocess.Popen([sys.executable, 'train.py'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, "
        "start_new_session=True)\n"
        "out, err = done.communicate(timeout=60)\n"
        "try:\n    os.killpg(done.pid, 9)\nexcept ProcessLookupError:\n    print('the group is empty')\n"
    )
    done = subprocess.run(
        [sys.executable, "slow.py"], env={**os.environ, "HISTHOOKS_TEAM": str(here / "team.db")},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "the group is empty\n"
    becomes(lambda: runs_in(here / "team.db"), 1)


@pytest.mark.parametrize("when", ["live", "end"])
def test_a_program_that_reaps_its_children_waits_for_none_of_ours(here: Path, when: str) -> None:
    reaping = """
def reap():
    seen = []
    while True:
        try:
            seen.append(os.wait()[0])
        except ChildProcessError:
            return print(seen == [child], flush=True)
"""
    now = """
    child = os.fork()
    child or os._exit(0)
    reap()
"""
    late = "child = 0\natexit.register(lambda: (globals().update(child=os.fork()), child or os._exit(0), reap()))\n"
    program = "import atexit, os\n" + reaping + (TRAIN + now if when == "live" else late + TRAIN)
    (here / "train.py").write_text(program)
    # The target is not there, so that a push goes on trying.
    done = train(HISTHOOKS_TEAM=str(here / "none" / "team.db"), HISTHOOKS_PUSH=when)
    assert done.stdout == "True\n"
    becomes(lambda: bool(report(here / "h.db").get("error")), True)
    (here / "none").mkdir()
    becomes(lambda: runs_in(here / "none" / "team.db"), 1)


def test_an_account_that_can_keep_no_state_is_pushed_too(here: Path) -> None:
    (here / "state").touch()  # in which no folder can be made
    train(HISTHOOKS_TEAM=str(here / "team.db"))
    becomes(lambda: runs_in(here / "team.db"), 1)


@pytest.mark.parametrize("when", ["end", "live"])
def test_run_waits_for_the_push_so_that_the_end_of_a_job_loses_nothing(here: Path, when: str) -> None:
    (here / "train.py").write_text(
        TRAIN + "import os, signal\nhisthooks.flush()\nos.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "histhooks", "run", "train.py"],
        env={**os.environ, "HISTHOOKS_TEAM": str(here / "team.db"), "HISTHOOKS_PUSH": when},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGTERM
    assert runs_in(here / "team.db") == 1
    assert verify(here / "team.db").ok


def test_a_target_that_was_corrected_does_not_wait_for_the_wrong_one(here: Path) -> None:
    train(HISTHOOKS_TEAM="/nowhere/at/all/team.db")
    becomes(lambda: bool(report(here / "h.db").get("error")), True)
    done = subprocess.run(
        [sys.executable, "-m", "histhooks", "run", "train.py"],
        env={**os.environ, "HISTHOOKS_TEAM": str(here / "team.db")}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0
    assert "not pushed" not in done.stderr
    assert runs_in(here / "team.db") == 2


def test_live_sends_while_a_program_records(here: Path) -> None:
    body = TRAIN.replace(
        "    for step in range(20):\n",
        "    import os, time\n    for step in range(100000):\n        time.sleep(0.02)\n"
        "        if os.path.exists('stop'):\n            break\n",
    )  # fmt: skip
    (here / "train.py").write_text(body)
    running = subprocess.Popen(
        [sys.executable, "train.py"],
        env={**os.environ, "HISTHOOKS_TEAM": str(here / "team.db"), "HISTHOOKS_PUSH": "live"},
    )
    try:

        def points() -> bool:
            with closing(sqlite3.connect(here / "team.db")) as connection:
                try:
                    return bool(connection.execute("SELECT count(*) FROM points").fetchone()[0])
                except sqlite3.Error:
                    return False

        becomes(points, True)
        assert running.poll() is None
    finally:
        (here / "stop").touch()
        assert running.wait(60) == 0
    becomes(lambda: runs_in(here / "team.db"), 1, 90.0)


def test_one_process_pushes_one_waits_and_all_others_leave(here: Path) -> None:
    store = here / "h.db"
    with _alone(store) as first:
        assert first
        program = (
            "import sys, time\nfrom pathlib import Path\nfrom histhooks.team._unattended import _alone\n"
            "with _alone(Path(sys.argv[1])) as mine:\n    print(mine, flush=True)\n"
        )
        some = [subprocess.Popen([sys.executable, "-c", program, store], stdout=subprocess.PIPE) for _ in range(4)]
        becomes(lambda: sum(one.poll() is not None for one in some), 3)
        (waiting,) = (one for one in some if one.poll() is None)
        assert [one.communicate()[0] for one in some if one is not waiting] == [b"False\n"] * 3
    assert waiting.communicate(timeout=60)[0] == b"True\n"


def test_attempts_wait_longer_each_time_and_end_when_it_succeeds(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 5:
            (here / "late").mkdir()

    monkeypatch.setenv("HISTHOOKS_TEAM", str(here / "late" / "team.db"))
    monkeypatch.chdir(here)
    assert Attempts(here / "h.db", sleep).until_pushed()
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert runs_in(here / "late" / "team.db") == 1
    found = report(here / "h.db")
    assert found["error"] is None
    assert "failing_since" not in found
