"""Hostile machines: full and read-only disks, memory that ends, namespaces, stopped processes, endless readers.

What this machine does not allow (mounts, namespaces, a control group) is skipped by name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.hostile import STEPS, finish, next_session
from helpers.programs import hear, start, tell, wait_for
from helpers.stores import values
from histhooks import History
from histhooks._store.spools import waiting
from histhooks.testing import query, run_program
from histhooks.verify import verify


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_disk_that_fills_and_empties_again_loses_nothing(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(small_disk / "home"))
    store = small_disk / "histhooks.db"
    program = (
        STEPS
        + """
from histhooks._record.engine import engine
log(0, 1000)
for step in range(1000, 31_000):
    run.log({"loss": float(step)}, step=step)
histhooks.flush(2)
print("full", len(engine.session.buffer) > 0 or engine.writer._flight.batch is not None, flush=True)
sys.stdin.readline()
log(31_000, 100)
run.end()
"""
    )
    process = start(store, program)
    assert hear(process) == "ready"
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        fill(filler)
    tell(process)
    assert hear(process) == "full True"
    filler.unlink()
    tell(process)
    assert hear(process) == "ready"
    tell(process)
    err = finish(process)
    assert process.returncode == 0, err
    assert values(store)["steps"] == [float(n) for n in range(31_100)]
    next_session(store)
    assert query(store, "SELECT count(*) FROM metrics WHERE name = 'loss'") == [(31_100,)]
    assert query(store, "SELECT status FROM runs WHERE name = 'steps'") == [("finished",)]


def test_a_disk_that_is_full_from_the_beginning_and_empties_loses_nothing(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(small_disk / "home"))
    store, filler = small_disk / "histhooks.db", small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        fill(filler)
    program = """
import sys
import histhooks
run = histhooks.start_run("steps", params={"lr": 0.1})
for step in range(1000):
    run.log({"loss": float(step)}, step=step)
print(histhooks.flush(1), flush=True)
sys.stdin.readline()
run.log({"loss": 1000.0}, step=1000)
run.end()
"""
    process = start(store, program)
    assert hear(process) == "False"
    filler.unlink()
    tell(process)
    err = finish(process)
    assert process.returncode == 0, err
    assert "is held in memory until there is room" in err
    next_session(store)
    assert values(store)["steps"] == [float(n) for n in range(1001)]
    assert query(store, "SELECT status FROM runs WHERE name = 'steps'") == [("finished",)]
    assert query(store, "SELECT key, value FROM params") == [("lr", "0.1")]


def test_a_store_that_becomes_read_only_loses_nothing_and_is_left_alone(store_path: Path) -> None:
    process = start(store_path, STEPS + "log(0, 100)\nlog(100, 100)\nrun.end()\n")
    assert hear(process) == "ready"
    # To root, modes say nothing.
    frozen, thawed = (["chattr", "+i"], ["chattr", "-i"]) if os.getuid() == 0 else (["chmod", "a-w"], ["chmod", "u+w"])
    if subprocess.run([*frozen, str(store_path)], check=False, capture_output=True).returncode != 0:
        process.communicate("go\ngo\n", timeout=300)
        pytest.skip("no file can be made immutable here")
    try:
        tell(process)
        assert hear(process) == "ready"
        tell(process)
        err = finish(process)
        assert process.returncode == 0, err
        assert values(store_path) == {"steps": [float(n) for n in range(200)]}
        code, _, err = run_program("import histhooks\nwith histhooks.start_run('meanwhile'): pass", store_path)
        assert code == 0, err
        assert len(waiting(store_path)) == 1
        assert set(values(store_path)) == {"steps", "meanwhile"}
    finally:
        subprocess.run([*thawed, str(store_path)], check=True)
    next_session(store_path)
    assert set(query(store_path, "SELECT name, status FROM runs")) == {
        ("steps", "finished"),
        ("meanwhile", "finished"),
        ("next", "finished"),
    }


def test_a_page_that_is_corrupted_meanwhile_costs_what_was_on_it_only(store_path: Path) -> None:
    process = start(store_path, STEPS + "log(0, 20_000)\nlog(20_000, 100)\nrun.end()\n")
    assert hear(process) == "ready"
    other = sqlite3.connect(store_path)
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    data = bytearray(store_path.read_bytes())
    with store_path.open("r+b") as file:  # all pages of the table of points but the first ones
        for page in range(40, len(data) // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)
    tell(process)
    assert hear(process) == "ready"
    tell(process)
    err = finish(process)
    assert process.returncode == 0, err
    spools = waiting(store_path)
    assert len(spools) == 1
    assert query(spools[0], "SELECT name, status FROM runs") == [("steps", "finished")]
    found = query(spools[0], "SELECT value FROM metrics WHERE name = 'loss' ORDER BY n")
    assert found[-100:] == [(float(n),) for n in range(20_000, 20_100)]


def test_memory_that_ends_and_comes_back_loses_nothing(store_path: Path) -> None:
    """SQLite's limit on its heap, which holds for all connections of a process."""
    program = """
import ctypes, ctypes.util, time
library = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
limit = library.sqlite3_hard_heap_limit64
limit.argtypes, limit.restype = [ctypes.c_int64], ctypes.c_int64
library.sqlite3_memory_used.restype = ctypes.c_int64
import histhooks
run = histhooks.start_run("goes on")
run.log({"loss": 0.0})
assert histhooks.flush()
print(library.sqlite3_memory_used() > 0)
limit(max(1, library.sqlite3_memory_used() // 2))
for step in range(1, 15_000):
    run.log({"loss": float(step)})
print(histhooks.flush(1))
limit(0)
print(histhooks.flush(60))
run.end()
"""
    code, out, err = run_program(program, store_path)
    if "True" not in out.split()[:1]:
        pytest.skip("this SQLite is not the library that can be found")
    assert (code, out.split()) == (0, ["True", "False", "True"]), err
    assert values(store_path) == {"goes on": [float(n) for n in range(15_000)]}
    assert query(store_path, "SELECT status FROM runs") == [("finished",)]
    assert verify(store_path).problems == []


def test_a_reader_that_never_leaves_stops_nobody_and_the_log_stays_bounded(store_path: Path) -> None:
    run_program("import histhooks\nwith histhooks.start_run('first'): pass", store_path)
    reader = sqlite3.connect(store_path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM runs").fetchone()
    program = STEPS + "for part in range(40): log(part * 1000, 1000)\nrun.end()\n"
    process = start(store_path, program, HISTHOOKS_LOG_MB="1")
    log = store_path.with_name("histhooks.db-wal")
    longest = 0
    for _ in range(40):
        assert hear(process) == "ready"
        longest = max(longest, log.stat().st_size)
        tell(process)
    err = finish(process)
    assert process.returncode == 0, err
    assert longest < 2_000_000
    assert reader.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert values(store_path)["steps"] == [float(n) for n in range(40_000)]
    reader.close()
    next_session(store_path)
    assert query(store_path, "SELECT status FROM runs WHERE name = 'steps'") == [("finished",)]


def test_a_log_that_grew_is_cut_back_once_the_reader_has_left(store_path: Path) -> None:
    run_program("import histhooks\nwith histhooks.start_run('first'): pass", store_path)
    reader = sqlite3.connect(store_path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM runs").fetchone()
    process = start(
        store_path, STEPS + "log(0, 2000)\nlog(2000, 2000)\nlog(4000, 10)\nrun.end()\n", HISTHOOKS_LOG_MB="0.1"
    )
    assert hear(process) == "ready"
    reader.execute("COMMIT")
    process.communicate("go\ngo\ngo\n", timeout=300)
    assert process.returncode == 0
    reader.close()
    next_session(store_path)
    assert values(store_path)["steps"] == [float(n) for n in range(4010)]


def namespaces() -> list[str]:
    """The command that starts a program in a PID namespace of its own, where that is allowed."""
    command = ["unshare", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
        return command
    pytest.skip("no PID namespace can be made here")


def test_in_another_pid_namespace_a_stopped_process_is_lost_and_once_continued_it_runs_again(store_path: Path) -> None:
    program = """
import os, sys, time
import histhooks
from histhooks._record import chores
chores._HEARTBEAT_S = 0.2
with histhooks.start_run("far away") as run:
    print(os.stat("/proc/self").st_ino and os.getpid(), flush=True)
    step = 0
    while not os.path.exists("stop"):
        run.log({"loss": float(step)}, step=step)
        step += 1
        time.sleep(0.01)
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path), "HISTHOOKS_QUIET": "1"}
    process = subprocess.Popen(
        [*namespaces(), sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert hear(process) == "1"  # its number in its own namespace, where some other process has it in ours
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    wait_for(lambda: store_path.exists() and query(store_path, "SELECT status FROM runs") == [("running",)])
    assert query(store_path, "SELECT status FROM sessions") == [("running",)]
    with History(store_path) as history:
        assert [run.status for run in history.runs()] == ["running"]
    with contextlib.closing(sqlite3.connect(store_path, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # so that it is not stopped while it has the store for itself
        os.kill(int(child), signal.SIGSTOP)
        wait_for(lambda: all(") T " in stat.read_text() for stat in Path(f"/proc/{child}/task").glob("*/stat")))
        connection.execute("UPDATE sessions SET heartbeat_at = '2020-01-01T00:00:00.000000Z'")
        connection.execute("COMMIT")
    with History(store_path) as history:
        assert [run.status for run in history.runs()] == ["lost"]
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert code == 0, err
    assert query(store_path, "SELECT status FROM runs WHERE name = 'far away'") == [("lost",)]
    os.kill(int(child), signal.SIGCONT)
    sql = "SELECT r.status, s.status FROM runs AS r JOIN sessions AS s ON s.id = r.session_id WHERE r.name = 'far away'"
    wait_for(lambda: query(store_path, sql) == [("running", "running")])
    Path("stop").touch()
    process.communicate(timeout=300)
    assert query(store_path, sql) == [("finished", "finished")]
    assert verify(store_path).problems == []


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A control group that may hold 150 MB."""
    places = [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")]
    name = f"histhooks-{os.getpid()}"
    for place in places:
        group = place / name
        try:
            group.mkdir()
        except OSError:
            continue
        for limit in ("memory.limit_in_bytes", "memory.max"):
            if (group / limit).exists():
                try:
                    (group / limit).write_text(str(150 * 2**20))
                except OSError:
                    continue
                yield group
                wait_for(lambda group=group: not (group / "cgroup.procs").read_text())
                group.rmdir()
                return
        group.rmdir()
    pytest.skip("no control group with a memory limit can be made here")


def test_who_is_killed_for_memory_is_killed_and_all_but_the_last_second_is_there(
    store_path: Path, little_memory: Path
) -> None:
    program = f"""
import os, time
open({str(little_memory / "cgroup.procs")!r}, "w").write(str(os.getpid()))
import histhooks
with histhooks.start_run("eats") as run:
    for step in range(500):
        run.log({{"loss": float(step)}}, step=step)
    histhooks.flush(60)
    kept = []
    while True:
        kept.append(os.urandom(2**20))
        run.log({{"eaten": float(len(kept))}})
"""
    process = start(store_path, program)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    with History(store_path) as history:
        (run,) = history.runs()
        assert (run.status, len(run.metrics("loss"))) == ("killed", 500)
    next_session(store_path)
    assert query(store_path, "SELECT status FROM runs WHERE name = 'eats'") == [("killed",)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_inside_the_c_code_of_a_fit_ends_the_process_with_everything_kept(
    store_path: Path, number: signal.Signals
) -> None:
    pytest.importorskip("sklearn")
    program = f"""
import signal
signal.signal({int(number)}, signal.SIG_DFL)  # the tests themselves may run under nohup
import numpy, histhooks
histhooks.autolog("sklearn")
from sklearn.svm import SVC
X, y = numpy.random.default_rng(0).normal(size=(40_000, 20)), numpy.arange(40_000) % 2
print("ready", flush=True)
SVC(cache_size=1).fit(X, y)  # takes minutes
"""
    process = start(store_path, program)
    assert hear(process) == "ready"
    wait_for(lambda: store_path.exists() and query(store_path, "SELECT model_class FROM runs WHERE status = 'running'"))
    time.sleep(1.0)
    process.send_signal(number)
    finish(process, timeout_s=120)
    assert process.returncode == -number
    assert query(store_path, "SELECT status, signal FROM sessions") == [("killed", number.name)]
    assert query(store_path, "SELECT status, model_class FROM runs") == [("killed", "sklearn.svm._classes.SVC")]
    assert verify(store_path).problems == []


def test_ctrl_c_interrupts_the_run_and_ends_the_process_as_without_us(store_path: Path) -> None:
    program = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import histhooks
with histhooks.start_run("long") as run:
    run.log({"loss": 1.0})
    print("ready", flush=True)
    time.sleep(60)
"""
    process = start(store_path, program)
    assert hear(process) == "ready"
    process.send_signal(signal.SIGINT)
    err = finish(process)
    assert process.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert query(store_path, "SELECT r.status, s.status FROM runs AS r JOIN sessions AS s ON s.id = r.session_id") == [
        ("interrupted", "interrupted")
    ]
    assert values(store_path) == {"long": [1.0]}
    assert verify(store_path).problems == []
