"""Stores that must not have a write-ahead log, and spools: written, seen while they wait, and brought home once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from histhooks import History
from histhooks._host.mounts import is_network, kind_of
from histhooks._store.spools import merge_waiting, waiting
from histhooks._store.stamp import SCHEMA_VERSION
from histhooks._store.store import Store
from histhooks.cli import _doctor
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
    assert done.stdout.startswith("nothing to merge")
    assert "still records" in done.stdout
    process.communicate("go\n", timeout=60)
    assert process.returncode == 0
    assert query(store_path, "SELECT count(*) FROM runs") == [(0,)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("merged 1 session into")
    assert waiting(store_path) == []
    assert query(store_path, "SELECT name, status FROM runs") == [("far", "finished")]
    assert query(store_path, "SELECT count(*) FROM metrics WHERE name = 'loss'") == [(6,)]
    assert query(store_path, "PRAGMA journal_mode") == [("delete",)]
    assert list(store_path.parent.glob("*-wal")) == []
    assert verify(store_path).problems == []
    with History(store_path) as history:
        assert history.spools == []
        assert [run.name for run in history.runs()] == ["far"]


def test_a_reader_on_another_host_sees_the_live_run_and_judges_it_by_its_heartbeat(store_path: Path) -> None:
    """Another name of the machine, in a namespace of its own, is all that tells hosts apart on one file system."""
    elsewhere = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]
    if subprocess.run([*elsewhere, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no UTS namespace can be made here")
    ours = {"HISTHOOKS_STORE": str(store_path), "HISTHOOKS_NETWORK": "1", "HISTHOOKS_QUIET": "1"}
    environment = {**os.environ, **ours}
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    reader = """
import socket
from histhooks import History
with History() as history:
    (run,) = history.runs()
    print(socket.gethostname(), run.name, run.status, len(run.metrics("loss")))
"""

    def read() -> str:
        command = [*elsewhere, sys.executable, "-c", reader]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert read() == "elsewhere far running 5"
    process.kill()
    process.communicate(timeout=60)
    assert read() == "elsewhere far running 5", "nothing can be seen of its process from there"
    alter(waiting(store_path)[0], "UPDATE sessions SET heartbeat_at = '2020-01-01T00:00:00.000000Z'")
    assert read() == "elsewhere far lost 5"
    with History(store_path) as history:
        assert [run.status for run in history.runs()] == ["killed"], "here it is provably gone"
    command = [*elsewhere, sys.executable, "-m", "histhooks", "sync", str(store_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("merged 1 session into")
    assert read() == "elsewhere far lost 5"
    assert verify(store_path).problems == []


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
import os, signal
import histhooks
with histhooks.start_run("killed") as run:
    run.log({"loss": 1.0})
    assert histhooks.flush(60)
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


NEWER = "PRAGMA user_version = {}; ALTER TABLE runs ADD COLUMN mood TEXT; ALTER TABLE points ADD COLUMN weight REAL;"


def alter(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()


def short(name: str) -> str:
    return f"import histhooks\nwith histhooks.start_run({name!r}) as run: run.log({{'loss': 1.0}})"


def sync(store: Path) -> str:
    command = [sys.executable, "-m", "histhooks", "sync", str(store)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_an_older_minor_version_goes_on_writing_beside_a_newer_one(store_path: Path) -> None:
    run_program(short("first"), store_path)
    alter(store_path, NEWER.format(SCHEMA_VERSION + 1) + "CREATE TABLE moods (id TEXT) STRICT;")
    for name, network in (("direct", ""), ("by spool", "1")):
        code, _, err = run_program(short(name), store_path, HISTHOOKS_NETWORK=network)
        assert code == 0, err
    with History(store_path) as history:
        assert {run.name: len(run.metrics("loss")) for run in history.runs()} == {
            "first": 1,
            "direct": 1,
            "by spool": 1,
        }
    assert sync(store_path).startswith("merged 1 session into")
    assert query(store_path, "SELECT name, mood FROM runs ORDER BY name") == [
        ("by spool", None), ("direct", None), ("first", None)
    ]  # fmt: skip
    assert query(store_path, "PRAGMA user_version") == [(SCHEMA_VERSION + 1,)]
    assert verify(store_path).problems == []


def test_a_spool_of_a_newer_version_is_seen_and_waits_until_the_store_is_as_new(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_program(short("first"), store_path)
    run_program(short("newer"), store_path, HISTHOOKS_NETWORK="1")
    (spool,) = waiting(store_path)
    alter(spool, NEWER.format(SCHEMA_VERSION + 1) + "UPDATE runs SET mood = 'fine';")
    with History(store_path) as history:
        assert {run.name for run in history.runs()} == {"first", "newer"}
    assert sync(store_path).startswith("nothing to merge")
    assert waiting(store_path) == [spool]
    monkeypatch.setattr(_doctor, "FRAMEWORKS", {})  # importing each of them takes a minute
    told = CliRunner().invoke(_doctor.doctor, [str(store_path)])
    assert (told.exit_code, spool.name in told.output) == (1, True)
    alter(store_path, NEWER.format(SCHEMA_VERSION + 1))
    assert sync(store_path).startswith("merged 1 session into")
    assert query(store_path, "SELECT name, mood FROM runs ORDER BY name") == [("first", None), ("newer", "fine")]


CUT_SHORT = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # so that pages reach the file before the commit
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE points SET value = -1.0")
connection.execute("UPDATE ledger_parts SET digest = 'none'")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_spool_that_was_cut_short_in_a_commit_is_what_it_was_before_it(store_path: Path) -> None:
    program = """
import histhooks
with histhooks.start_run("cut short") as run:
    for step in range(5000):
        run.log({"loss": float(step)}, step=step)
"""
    run_program(short("first"), store_path)
    run_program(program, store_path, HISTHOOKS_NETWORK="1")
    (spool,) = waiting(store_path)
    done = subprocess.run([sys.executable, "-c", CUT_SHORT, str(spool)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert spool.with_name(spool.name + "-journal").stat().st_size > 0
    with History(store_path) as history:
        (run,) = [run for run in history.runs() if run.name == "cut short"]
        assert [point["value"] for point in run.metrics("loss")] == [float(n) for n in range(5000)]
    assert spool.with_name(spool.name + "-journal").stat().st_size > 0
    run_program(short("next"), store_path)
    assert waiting(store_path) == []
    assert query(store_path, "SELECT sum(value) FROM metrics WHERE name = 'loss'") == [(5000 * 4999 / 2 + 2.0,)]
    assert verify(store_path).problems == []


def test_a_spool_that_no_longer_opens_is_left_where_it_is_and_stops_nobody(store_path: Path) -> None:
    run_program(short("first"), store_path)
    run_program(short("broken"), store_path, HISTHOOKS_NETWORK="1")
    (spool,) = waiting(store_path)
    spool.write_bytes(spool.read_bytes()[:10_000])
    code, _, err = run_program(short("next"), store_path)
    assert code == 0, err
    assert waiting(store_path) == [spool]
    with History(store_path) as history:
        assert {run.name for run in history.runs()} == {"first", "next"}


def test_spools_come_home_once_however_many_bring_them(store_path: Path) -> None:
    for number in range(4):
        run_program(short(f"run {number}"), store_path, HISTHOOKS_NETWORK="1")
    command = [sys.executable, "-m", "histhooks", "sync", str(store_path), "--json"]
    together = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = [process.communicate(timeout=60)[0] for process in together]
    assert [process.returncode for process in together] == [0] * 4
    assert sum(len(json.loads(text)["merged"]) for text in told) == 4
    assert waiting(store_path) == []
    assert query(store_path, "SELECT count(*), count(DISTINCT id) FROM runs") == [(4, 4)]
    assert query(store_path, "SELECT count(*) FROM metrics WHERE name = 'loss'") == [(4,)]
    assert verify(store_path).problems == []


def test_what_two_spools_and_the_store_share_is_shown_once(tmp_path: Path) -> None:
    path = tmp_path / "histhooks.db"
    program = "import histhooks\nwith histhooks.start_run('one', params={'lr': 0.1}) as run: run.log({'loss': 1.0})"
    for network in ("0", "1", "1"):
        environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_NETWORK": network}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
    shown = counts(path, n_spools=2)
    subprocess.run([sys.executable, "-m", "histhooks", "sync", str(path)], check=True, timeout=60, capture_output=True)
    home = counts(path, n_spools=0)
    assert shown == home
    assert (shown["runs"], shown["params"], shown["latest_params"], shown["environments"]) == (3, 3, 3, 1)


def counts(path: Path, n_spools: int) -> dict[str, int]:
    """Rows of every table and view as a reader sees them."""
    with History(path) as history:
        assert len(history.spools) == n_spools
        names = [
            row["name"] for row in history.sql("SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view')")
        ]
        apart = ("_sqlite_migrations", "merged_spools", "exports")
        return {
            name: history.sql(f"SELECT count(*) AS n FROM {name}")[0]["n"]
            for name in names
            if name not in apart and not name.startswith("sqlite_")
        }


def far_session(store: Path, n_points: int) -> None:
    program = f"""
import histhooks
with histhooks.start_run("far") as run:
    for step in range({n_points}):
        run.log({{"loss": float(step)}}, step=step)
"""
    code, _, err = run_program(program, store, HISTHOOKS_NETWORK="1")
    assert code == 0, err


def test_what_is_more_urgent_goes_before_bringing_a_spool_home(store_path: Path) -> None:
    far_session(store_path, 50_000)
    (spool,) = waiting(store_path)
    store = Store(store_path)
    asked = []

    def gives_way() -> bool:
        asked.append(len(waiting(store_path)))
        return len(asked) > 2  # not at first, but in the middle

    assert merge_waiting(store, gives_way) == []
    assert len(asked) == 3
    assert waiting(store_path) == [spool]
    assert query(store_path, "SELECT count(*) FROM runs") == [(0,)]
    assert merge_waiting(store) == [spool.name]
    store.close()
    assert query(store_path, "SELECT count(*) FROM metrics") == [(50_000,)]
    assert verify(store_path).problems == []


def test_a_session_that_logs_does_not_wait_for_a_large_spool_and_the_next_brings_it_home(store_path: Path) -> None:
    far_session(store_path, 50_000)
    program = """
import threading
import histhooks
from histhooks._store import spools
from histhooks._record import chores
chores._SOON_S = 0.0
spools._STEPS = 1000
begins, logged = threading.Event(), threading.Event()
look = chores.Chores.look_after_others
def watched(self):
    begins.set()
    logged.wait(60)
    look(self)
chores.Chores.look_after_others = watched
with histhooks.start_run("near") as run:
    begins.wait(60)
    run.log({"loss": 1.0})
    logged.set()
    histhooks.flush()
    print(len(spools.waiting(histhooks._record.engine.engine.writer.path)))
"""
    code, out, err = run_program(program, store_path)
    assert (code, out) == (0, "1\n"), err
    assert query(store_path, "SELECT name, status FROM runs") == [("near", "finished")]
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert code == 0, err
    assert waiting(store_path) == []
    assert query(store_path, "SELECT count(*) FROM metrics") == [(50_001,)]
    assert verify(store_path).problems == []
