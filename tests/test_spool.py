"""Stores that must not have a write-ahead log, and spools: written, seen while they wait, and brought home once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from histhooks import History
from histhooks._filesystem import is_network, kind_of
from histhooks._spool import waiting
from histhooks.testing import query, run_program
from histhooks.verify import verify

MOUNTS = """
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /home rw,relatime shared:5 - nfs4 server:/home rw,vers=4.2
31 30 0:27 / /home/ann/my\\040disk rw - xfs /dev/sdb1 rw
32 22 0:28 / /mnt/cloud rw - fuse.gcsfuse bucket rw
33 22 0:29 / /mnt/ntfs rw - fuseblk /dev/sdc1 rw
34 22 0:30 / /twice rw - ext4 /dev/sdd1 rw
35 22 0:31 / /twice rw - cifs //server/share rw
"""


def test_the_kind_of_a_file_system_is_that_of_the_nearest_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    expected = {
        "/data/a.db": "ext4",
        "/home/ann/a.db": "nfs4",
        "/home/ann/my disk/a.db": "xfs",
        "/homes/a.db": "ext4",
        "/mnt/cloud/a.db": "fuse.gcsfuse",
        "/twice/a.db": "cifs",
    }
    assert {path: kind_of(Path(path), str(mounts)) for path in expected} == expected
    assert kind_of(Path("/data"), str(tmp_path / "none")) == ""
    assert not is_network(tmp_path)
    monkeypatch.setenv("HISTHOOKS_NETWORK", "1")
    assert is_network(tmp_path)


TRAIN = """
import sys, time
import histhooks
with histhooks.start_run("far", params={"lr": 0.1}) as run:
    for step in range(5):
        run.log({"loss": 1.0 / (step + 1)}, step=step)
    histhooks.flush()
    print("ready", flush=True)
    sys.stdin.readline()
    run.log({"loss": 0.0}, step=5)
"""


def test_on_a_network_a_live_run_is_seen_and_comes_home_with_sync(store_path: Path) -> None:
    ours = {"HISTHOOKS_STORE": str(store_path), "HISTHOOKS_NETWORK": "1", "HISTHOOKS_QUIET": "1"}
    environment = {**os.environ, **ours}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(TRAIN)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with History(store_path) as history:
        (run,) = history.runs()
        assert (run.name, run.status, run.params) == ("far", "running", {"lr": 0.1})
        assert [point["value"] for point in run.metrics("loss")] == [1.0 / (n + 1) for n in range(5)]
        assert len(history.spools) == 1
    command = [sys.executable, "-m", "histhooks", "sync", str(store_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("0 sessions came home")
    assert "still records" in done.stdout
    process.communicate("go\n", timeout=60)
    assert process.returncode == 0
    assert query(store_path, "SELECT count(*) FROM runs") == [(0,)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1 session came home")
    assert waiting(store_path) == []
    assert query(store_path, "SELECT name, status FROM runs") == [("far", "finished")]
    assert query(store_path, "SELECT count(*) FROM metrics WHERE name = 'loss'") == [(6,)]
    assert query(store_path, "PRAGMA journal_mode") == [("delete",)]
    assert list(store_path.parent.glob("*-wal")) == []
    assert verify(store_path).problems == []
    with History(store_path) as history:
        assert history.spools == []
        assert [run.name for run in history.runs()] == ["far"]


def test_several_spools_are_read_as_one_store_and_series_keep_apart(store_path: Path) -> None:
    for number in range(4):
        program = f"""
import histhooks
with histhooks.start_run("run {number}") as run:
    for step in range(3):
        run.log({{"loss": {number} + step / 10, "other": {number}}}, step=step)
"""
        code, _, err = run_program(program, store_path, HISTHOOKS_NETWORK="" if number == 0 else "1")
        assert code == 0, err
    assert len(waiting(store_path)) == 3
    with History(store_path) as history:
        runs = {run.name: run for run in history.runs()}
        assert len(runs) == 4
        for number in range(4):
            points = runs[f"run {number}"].metrics("loss")
            assert [point["value"] for point in points] == [number, number + 0.1, number + 0.2]
            assert {s["name"]: s["last"] for s in runs[f"run {number}"].summaries if s["name"] == "other"} == {
                "other": number
            }
        with pytest.raises(Exception, match="SQLite refuses"):
            history.sql("DELETE FROM runs")


def test_spools_without_a_store_are_read_too(store_path: Path) -> None:
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('alone'): pass", store_path)
    assert code == 0, err
    spool = store_path.with_name(store_path.name + ".spool")
    spool.mkdir()
    connection = sqlite3.connect(store_path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    store_path.rename(spool / "one.db")
    with History(store_path) as history:
        assert [run.name for run in history.runs()] == ["alone"]
    assert not store_path.exists()


def test_a_killed_session_on_a_network_is_settled_when_it_comes_home(store_path: Path) -> None:
    program = """
import os, signal, time
import histhooks
with histhooks.start_run("killed") as run:
    run.log({"loss": 1.0})
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    code, _, _ = run_program(program, store_path, HISTHOOKS_NETWORK="1")
    assert code == -signal.SIGKILL
    with History(store_path) as history:
        assert [run.status for run in history.runs()] == ["killed"]
    begin = time.monotonic()
    run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert time.monotonic() - begin < 60
    assert waiting(store_path) == []
    with History(store_path) as history:
        assert sorted((run.name, run.status) for run in history.runs()) == [("killed", "killed"), ("next", "finished")]
    assert verify(store_path).problems == []
