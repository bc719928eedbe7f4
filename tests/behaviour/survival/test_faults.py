"""Faults, injected for real: whatever becomes of the process or the file, the store reads, tells the truth and fits."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from helpers.programs import hear, size_of, start, tell, wait_for
from helpers.stores import values
from histhooks import History
from histhooks._store.spools import waiting
from histhooks.errors import StoreError
from histhooks.testing import query, run_program
from histhooks.verify import verify

CLOCK = """
import os, sys, time
import histhooks
with histhooks.start_run(sys.argv[1] if len(sys.argv) > 1 else "clock") as run:
    print("ready", flush=True)
    n = 0
    while True:
        run.log({"loss": float(n)}, step=n)
        n += 1
        sys.stdout.write(f"{time.time_ns()} {n}\\n")
        sys.stdout.flush()
        time.sleep(0.002)
"""


def test_killed_at_random_moments_nothing_older_than_a_second_is_missing(store_path: Path) -> None:
    random.seed(11)
    program = CLOCK.replace("sys.argv[1] if len(sys.argv) > 1 else ", "")
    for _ in range(5):
        processes = [start(store_path, program) for _ in range(6)]
        outcomes = []
        for process in processes:
            assert hear(process) == "ready"
        for process in processes:
            time.sleep(random.uniform(0.05, 0.5))
            process.kill()
            killed = time.time_ns()
            out, _ = process.communicate(timeout=60)
            ticks = [tuple(map(int, line.split())) for line in out.splitlines() if line.count(" ") == 1]
            # A second of this machine: one that gives the process less of its processor makes fewer steps in it.
            outcomes.append((process.pid, [n for moment, n in ticks[:-400] if killed - moment > 1_000_000_000]))
        for pid, due in outcomes:
            sql = "SELECT count(*) FROM metrics JOIN runs ON runs.id = run_id JOIN sessions s ON s.id = session_id"
            ((count,),) = query(store_path, f"{sql} WHERE s.pid = {pid} AND metrics.name = 'loss'")
            assert int(str(count)) >= max(due, default=0)
    assert verify(store_path).problems == []
    with History(store_path) as history:
        assert {run.status for run in history.runs()} == {"killed"}
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert code == 0, err
    assert set(query(store_path, "SELECT status FROM runs WHERE name = 'clock'")) == {("killed",)}
    assert verify(store_path).problems == []


@pytest.mark.parametrize(
    ("end", "code", "session", "run"),
    [
        ("import os; histhooks.flush(); os._exit(0)", 0, "killed", "killed"),
        ("sys.exit(3)", 3, None, "failed"),
        ("sys.exit(0)", 0, None, "interrupted"),
        ("raise MemoryError('odd')", 1, "failed", "failed"),
        (
            "import resource; resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9)); b'x' * 10**10",
            1,
            "failed",
            "failed",
        ),
    ],
)
def test_every_way_out_leaves_a_true_status(
    store_path: Path, end: str, code: int, session: str | None, run: str
) -> None:
    program = (
        f"import sys, histhooks\nwith histhooks.start_run('any') as run:\n    run.log({{'loss': 1.0}})\n    {end}\n"
    )
    found, _, err = run_program(program, store_path)
    assert found == code, err
    with History(store_path) as history:
        (record,) = history.runs()
        assert record.status == run
        if session == "failed":
            assert record.session["status"] == "failed"
    assert values(store_path) == {"any": [1.0]}
    assert verify(store_path).problems == []


def test_an_exception_in_a_thread_fails_that_threads_run_only(store_path: Path) -> None:
    program = """
import threading
import histhooks
def work(name):
    with histhooks.start_run(name):
        if name == "bad":
            raise ArithmeticError("odd")
threading.excepthook = lambda args: None
threads = [threading.Thread(target=work, args=(name,)) for name in ("good", "bad")]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    expected = [("bad", "failed", "ArithmeticError"), ("good", "finished", None)]
    assert query(store_path, "SELECT name, status, error_type FROM runs ORDER BY name") == expected


def test_who_logs_faster_than_can_be_written_is_held_back_and_all_of_it_is_written(store_path: Path) -> None:
    program = """
import histhooks
from histhooks._record import writer
from histhooks._record.engine import engine
writer._WAIT_S = 0.05  # in a quarter of a second a fast machine logs most of the million
run = histhooks.start_run("fast")
histhooks.flush()
most = 0
for step in range(1_000_000):
    run.log({"loss": float(step)}, step=step)
    if step % 100 == 0:
        most = max(most, len(engine.session.buffer))
print(most, len(engine.session.buffer) > 0)
"""
    code, out, err = run_program(program, store_path)
    assert code == 0, err
    most, is_full_at_the_end = out.split()
    assert int(most) < 700_000  # some hundred thousand come before the writer has its first turn on a busy machine
    assert is_full_at_the_end == "True"
    assert query(store_path, "SELECT count(*), max(value) FROM metrics WHERE name = 'loss'") == [(1_000_000, 999_999.0)]
    assert query(store_path, "SELECT count(*) FROM rollups WHERE level = 1") == [(1_000_000 // 64,)]
    assert verify(store_path).problems == []


def test_a_file_that_cannot_grow_and_then_can_loses_nothing(store_path: Path) -> None:
    program = """
import resource, sys, time
import histhooks
from histhooks._record.engine import engine
def limit(soft):
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
def log(first, count):
    for step in range(first, first + count):
        run.log({"loss": float(step)}, step=step)
run = histhooks.start_run("grows")
log(0, 1000)
histhooks.flush()
limit(700_000)  # neither the store with its log nor a spool has room for what follows
log(1000, 40_000)
histhooks.flush(2)
print("full", len(engine.session.buffer) > 0 or engine.writer._flight.batch is not None, flush=True)
sys.stdin.readline()
limit(resource.RLIM_INFINITY)
log(41_000, 1000)
run.end()
"""
    process = start(store_path, program)
    assert hear(process) == "full True"
    tell(process)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert values(store_path)["grows"] == [float(n) for n in range(42_000)]
    assert query(store_path, "SELECT dropped_points FROM sessions")[0][0] in (0, None)
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert code == 0, err
    assert waiting(store_path) == []
    assert query(store_path, "SELECT status FROM runs WHERE name = 'grows'") == [("finished",)]
    assert query(store_path, "SELECT count(*) FROM metrics WHERE name = 'loss'") == [(42_000,)]
    assert verify(store_path).problems == []


@pytest.mark.parametrize(
    "log",
    [
        'run.log({"loss": float(step), "lr": 0.1}, step=step)',
        "run.put((line, float(step), step, time.time_ns()))",
    ],
)
def test_what_no_memory_is_left_for_is_dropped_and_counted(store_path: Path, log: str) -> None:
    program = """
import resource, time
import histhooks
from histhooks._store.entries import Line
run = histhooks.start_run("drops")
line = Line(run, "loss", {"lr": 0.1}, None)
histhooks.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
for step in range(60_000):
    LOG
    if step % 5000 == 0: time.sleep(0.3)
run.log_params({"kept": 1})
time.sleep(0.5)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
run.end()
"""
    process = start(store_path, program.replace("LOG", log), HISTHOOKS_BUFFER_MB="4")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    with History(store_path) as history:
        (run,) = history.runs()
        assert (run.status, run.params) == ("finished", {"kept": 1})
        dropped, kept = run.session["dropped_points"], [len(run.metrics(name)) for name in ("loss", "lr")]
    assert dropped > 0
    assert kept[0] == kept[1]
    assert dropped + sum(kept) == 120_000


def test_a_store_that_somebody_else_locks_for_twenty_seconds_is_waited_for(store_path: Path) -> None:
    program = """
import sys, time
import histhooks
with histhooks.start_run(sys.argv[1]) as run:
    histhooks.flush(60)
    print("ready", flush=True)
    for step in range(300):
        run.log({"loss": float(step)}, step=step)
        time.sleep(0.01)
    assert histhooks.flush(60)
"""
    before = start(store_path, program.replace("sys.argv[1]", "'before'"))
    assert hear(before) == "ready"
    other = sqlite3.connect(store_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    meanwhile = start(store_path, program.replace("sys.argv[1]", "'meanwhile'"))
    time.sleep(20)
    other.execute("COMMIT")
    other.close()
    for process in (before, meanwhile):
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "locked" not in err
    assert waiting(store_path) == []
    assert values(store_path) == {key: [float(n) for n in range(300)] for key in ("before", "meanwhile")}


@pytest.mark.parametrize("way", ["deleted", "moved", "replaced", "spool deleted", "folder deleted"])
def test_a_file_that_goes_away_while_it_is_written_takes_nothing_with_it(tmp_path: Path, way: str) -> None:
    store_path = tmp_path / "folder" / "histhooks.db"
    store_path.parent.mkdir()
    program = """
import sys
import histhooks
with histhooks.start_run("goes on") as run:
    for part in range(2):
        for step in range(part * 100, part * 100 + 100):
            run.log({"loss": float(step)}, step=step)
        histhooks.flush()
        print("ready", flush=True)
        sys.stdin.readline()
"""
    variables = {"HISTHOOKS_NETWORK": "1"} if way == "spool deleted" else {}
    process = start(store_path, program, **variables)
    assert hear(process) == "ready"
    for suffix in ("", "-wal", "-shm"):
        file = store_path.with_name(store_path.name + suffix)
        if file.exists() and way == "moved":
            file.rename(file.with_name(f"elsewhere.db{suffix}"))
        elif file.exists() and way != "spool deleted":
            file.unlink()
    if way == "folder deleted":
        shutil.rmtree(store_path.parent)
    if way == "replaced":
        store_path.write_text("something else")
    if way == "spool deleted":
        for file in waiting(store_path):
            file.unlink()
    tell(process)
    assert hear(process) == "ready"
    tell(process)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    if way == "replaced":
        assert store_path.read_text() == "something else"
        store_path.unlink()
    if way == "folder deleted":
        assert not store_path.parent.exists()
        store_path.parent.mkdir()
    assert values(store_path) == {"goes on": [float(n) for n in range(200)]}
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert code == 0, err
    assert waiting(store_path) == []
    statuses = query(store_path, "SELECT name, status FROM runs ORDER BY name")
    assert statuses == [("goes on", "finished"), ("next", "finished")]
    assert verify(store_path).problems == []


GOES_ON = """
import sys
import histhooks
with histhooks.start_run("goes on") as run:
    for part in range(3):
        for step in range(part * 100, part * 100 + 100):
            run.log({"loss": float(step)}, step=step)
        histhooks.flush()
        print("ready", flush=True)
        sys.stdin.readline()
"""
OTHER = "import histhooks\nwith histhooks.start_run({!r}) as run: run.log({{'loss': 1.0}})"


@pytest.mark.parametrize("ends", [("-wal",), ("-shm",), ("-wal", "-shm")], ids=" and ".join)
def test_a_log_that_somebody_deletes_takes_nothing_with_it_of_anybody(store_path: Path, ends: tuple[str, ...]) -> None:
    """Who comes then makes a new log, which the one that is open does not see; closing must not overwrite it."""
    process = start(store_path, GOES_ON)
    assert hear(process) == "ready"
    for end in ends:
        store_path.with_name(store_path.name + end).unlink()
    for name in ("before it is seen", "after it was seen"):
        code, _, err = run_program(OTHER.format(name), store_path)
        assert code == 0, err
        tell(process)
        assert hear(process) == "ready"
    tell(process)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert code == 0, err
    assert waiting(store_path) == []
    assert verify(store_path).problems == []
    expected = {"goes on": [float(n) for n in range(300)], "before it is seen": [1.0], "after it was seen": [1.0]}
    assert values(store_path) == {**expected, "next": []}
    assert query(store_path, "SELECT DISTINCT status FROM runs") == [("finished",)]


def test_a_store_whose_log_was_deleted_before_anything_came_home_is_read_from_its_spool(store_path: Path) -> None:
    process = start(store_path, GOES_ON)
    assert hear(process) == "ready"
    for end in ("-wal", "-shm"):
        store_path.with_name(store_path.name + end).unlink()
    tell(process)
    assert hear(process) == "ready"
    assert values(store_path) == {"goes on": [float(n) for n in range(200)]}
    assert verify(store_path).problems == []
    process.kill()
    process.communicate(timeout=60)
    code, _, err = run_program(OTHER.format("next"), store_path)
    assert code == 0, err
    assert values(store_path) == {"goes on": [float(n) for n in range(200)], "next": [1.0]}
    assert verify(store_path).problems == []


def test_a_store_that_takes_the_place_of_a_live_one_keeps_what_it_held(store_path: Path, tmp_path: Path) -> None:
    """SQLite would take the log that stays behind for its own, and write the old store over it."""
    other = tmp_path / "restored.db"
    code, _, err = run_program(OTHER.format("restored"), other)
    assert code == 0, err
    process = start(store_path, GOES_ON)
    assert hear(process) == "ready"
    os.replace(other, store_path)
    for _ in range(2):
        tell(process)
        assert hear(process) == "ready"
    tell(process)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    expected = {"goes on": [float(n) for n in range(300)], "restored": [1.0]}
    assert values(store_path) == expected
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert code == 0, err
    assert waiting(store_path) == []
    assert values(store_path) == {**expected, "next": []}
    assert verify(store_path).problems == []


def test_a_store_behind_a_link_is_one_store_whatever_it_is_called(store_path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link" / "called.db"
    link.parent.mkdir()
    link.symlink_to(store_path)
    code, _, err = run_program(OTHER.format("first"), link)
    assert code == 0, err
    reader = sqlite3.connect(store_path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM runs").fetchone()
    process = start(link, GOES_ON, HISTHOOKS_LOG_MB="0.05")
    for _ in range(3):
        assert hear(process) == "ready"
        tell(process)
    _, err = process.communicate(timeout=60)
    assert "its log has" in err, "the log beside the store that the link leads to is watched"
    reader.close()
    for name, path in (("by link", link), ("by name", store_path)):
        code, _, err = run_program(OTHER.format(name), path, HISTHOOKS_NETWORK="1")
        assert code == 0, err
    assert waiting(link) == waiting(store_path)
    assert len(waiting(store_path)) == 3
    assert [path.name for path in link.parent.iterdir()] == ["called.db"]
    names = ("first", "goes on", "by link", "by name")
    assert values(link) == values(store_path)
    assert {name: len(found) for name, found in values(link).items()} == dict(zip(names, (1, 300, 1, 1), strict=True))
    code, _, err = run_program(OTHER.format("next"), link)
    assert code == 0, err
    assert waiting(store_path) == []
    assert set(values(store_path)) == {*names, "next"}
    assert verify(link).problems == []


def test_two_sessions_whose_store_goes_away_are_each_told_as_they_ended(store_path: Path) -> None:
    """Both go on in a spool that begins with all the store held, the other session's beginning too."""
    program = """
import sys
import histhooks
with histhooks.start_run(sys.stdin.readline().strip()) as run:
    for part in range(3):
        for step in range(part * 100, part * 100 + 100):
            run.log({"loss": float(step)}, step=step)
        histhooks.flush()
        print("ready", flush=True)
        sys.stdin.readline()
"""
    names = ("first", "second", "third")
    processes = [start(store_path, program) for _ in names]
    for process, name in zip(processes, names, strict=True):
        tell(process, name)
        assert hear(process) == "ready"
    for suffix in ("", "-wal", "-shm"):
        store_path.with_name(store_path.name + suffix).unlink()
    for process in processes:
        tell(process)
        assert hear(process) == "ready"
    processes[2].kill()
    for process in processes[:2]:
        tell(process)
        assert hear(process) == "ready"
        tell(process)
    for process in processes:
        process.communicate(timeout=60)
    points = {"first": 300, "second": 300, "third": 200}
    with History(store_path) as history:
        found = {run.name: (run.status, [p["value"] for p in run.metrics("loss")]) for run in history.runs()}
        assert len(history.runs()) == 3
    statuses = {"first": "finished", "second": "finished", "third": "killed"}
    assert found == {name: (statuses[name], [float(n) for n in range(points[name])]) for name in names}
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert code == 0, err
    assert waiting(store_path) == []
    assert set(query(store_path, "SELECT name, status FROM runs")) == {*statuses.items(), ("next", "finished")}
    assert {name: len(found) for name, found in values(store_path).items() if name != "next"} == points
    assert verify(store_path).problems == []


def test_copies_taken_at_random_moments_open_and_fit(store_path: Path, tmp_path: Path) -> None:
    """What a power cut may leave, as far as copying the files one after the other is like one."""
    random.seed(7)
    process = start(store_path, CLOCK)
    assert hear(process) == "ready"
    wait_for(lambda: size_of(store_path.with_name(store_path.name + "-wal")) > 0)
    for number in range(8):
        time.sleep(random.uniform(0.02, 0.3))
        folder = tmp_path / f"copy{number}"
        folder.mkdir()
        for suffix in ("-wal", ""):  # the log first: what it lacks may be in the file, never the other way round
            file = store_path.with_name(store_path.name + suffix)
            (folder / file.name).write_bytes(file.read_bytes())
        copy = folder / store_path.name
        assert query(copy, "PRAGMA integrity_check") == [("ok",)]
        assert verify(copy).problems == []
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.mark.parametrize("way", ["cut off", "zeros", "noise"])
def test_a_power_cut_that_tears_the_log_costs_its_end_and_never_the_file(
    store_path: Path, tmp_path: Path, way: str
) -> None:
    """What was not synced may be there in part, in any order, as zeros or as what the disk had there before."""
    draw = random.Random(way)
    process = start(store_path, CLOCK)
    assert hear(process) == "ready"
    log_path = store_path.with_name(store_path.name + "-wal")
    wait_for(lambda: size_of(log_path) > 40_000 and len(query(store_path, "SELECT 1 FROM points")) > 600)
    process.send_signal(signal.SIGSTOP)  # so that both files are of one moment, between any two of its system calls
    log = log_path.read_bytes()
    file = store_path.read_bytes()
    process.kill()
    process.communicate(timeout=60)
    assert len(log) > 40_000
    kept = set()
    for number in range(12):
        copy = tmp_path / f"copy{number}" / store_path.name
        copy.parent.mkdir()
        torn = bytearray(log)
        at = draw.randrange(len(log))
        if way == "cut off":
            del torn[at:]
        else:
            lost = min(draw.choice((512, 4096, 20_000)), len(log) - at)
            torn[at : at + lost] = bytes(lost) if way == "zeros" else draw.randbytes(lost)
        copy.write_bytes(file)
        copy.with_name(copy.name + "-wal").write_bytes(torn)
        if query(copy, "SELECT count(*) FROM sqlite_master") == [(0,)]:
            continue  # the cut was before the first commit
        assert query(copy, "PRAGMA integrity_check") == [("ok",)]
        assert verify(copy).problems == []
        kept.add(len(query(copy, "SELECT 1 FROM points")))
        code, _, err = run_program(OTHER.format("next"), copy)
        assert code == 0, err
        assert set(query(copy, "SELECT status FROM runs")) <= {("killed",), ("finished",)}
        assert verify(copy).problems == []
    assert len(kept) > 2, "the cuts were at different places"


def test_a_corrupt_page_is_found(store_path: Path) -> None:
    program = """
import histhooks
with histhooks.start_run("long") as run:
    for step in range(20_000):
        run.log({"loss": float(step)}, step=step)
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    data = bytearray(store_path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    store_path.write_bytes(data)
    try:
        found = verify(store_path).problems
    except StoreError as error:
        found = [str(error)]  # where the page was one that holds the others together
    assert found
