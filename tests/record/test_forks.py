"""Forks, daemons and closed descriptors: a store is never harmed by a process of ours, and nothing is lost."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from histhooks.testing import query, run_program
from histhooks.verify import verify

TRIES = int(os.environ.get("HISTHOOKS_DAEMONS") or 4)
POINTS = 300
CLOSINGS = 200
COUNTS = "SELECT r.name, m.count FROM runs AS r JOIN metric_summaries AS m ON m.run_id = r.id WHERE m.name = 'a'"
DAEMON = f"""
import gc, json, os, sys, time
import histhooks
steps, number = json.loads(sys.argv[1]), sys.argv[2]
logged = []
def train(name):
    name = f"{{number}}.{{os.getpid()}}.{{name}}"
    with histhooks.start_run(name) as run:
        for i in range({POINTS}):
            run.log({{"a": float(i)}})
            if i % 50 == 0: time.sleep(0.001)
    open(f"done.{{name}}", "w").close()
def close_from(low):
    os.closerange(low, 4096)
    for _ in range(low, 3): os.open(os.devnull, os.O_RDWR)
for step in steps:
    word, _, how = step.partition(":")
    if word == "train": train(len(logged)); logged.append(word)
    elif word == "open": run = histhooks.start_run("open"); run.log({{"b": 0.0}})
    elif word == "sleep": time.sleep(0.3)
    elif word == "session":
        try: os.setsid()
        except OSError: pass
    elif word == "close": close_from(int(how))
    elif word == "gc": gc.collect()
    elif word == "fork":
        how, _, order = how.partition(":")
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            until = time.time() + 15
            is_waiting = order == "first" and how != "waits"
            while is_waiting and os.getppid() == parent and time.time() < until: time.sleep(0.005)
            run = None
        elif how == "_exit": os._exit(0)
        elif how == "waits": os.waitpid(pid, 0); train("after"); sys.exit(0)
        elif how == "trains": train("parent"); sys.exit(0)
        else: sys.exit(0)
"""
OTHER = """
import sys, time
import histhooks
with histhooks.start_run(sys.argv[1]) as run:
    for i in range(400):
        run.log({"a": float(i)}); time.sleep(0.0005)
"""


def steps_of(draw: random.Random) -> list[str]:
    """A program that daemonises, in some order."""
    steps = []
    chances = {"train": 0.6, "open": 0.2, "sleep": 0.3, "session": 0.4, "close:3": 0.2, "close:0": 0.15, "gc": 0.2}
    for _ in range(draw.choice((1, 1, 2, 3))):
        some = [step for step, chance in chances.items() if draw.random() < chance]
        draw.shuffle(some)
        steps += [*some, f"fork:{draw.choice(('exit', '_exit', 'trains', 'waits'))}:{draw.choice(('first', 'any'))}"]
    last = [step for step in ("session", "close:0", "close:3", "gc", "sleep") if draw.random() < 0.35]
    draw.shuffle(last)
    return [*steps, *last, "train", *(["close:3", "train"] if draw.random() < 0.3 else [])]


def living(folder: Path) -> list[int]:
    """The processes whose working folder this is."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd") == str(folder):
                found.append(int(pid))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("seed", range(TRIES))
def test_daemons_of_any_order_lose_nothing_and_harm_nothing_beside_other_programs(tmp_path: Path, seed: int) -> None:
    draw, folder, store = random.Random(seed), tmp_path / "daemons", tmp_path / "daemons" / "s.db"
    folder.mkdir()
    (folder / "daemon.py").write_text(DAEMON)
    (folder / "other.py").write_text(OTHER)
    variables = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_STRICT": "0"}
    plans = [steps_of(draw) for _ in range(2)]
    with open(folder / "err", "w") as err:
        commands = [["daemon.py", json.dumps(plan), str(number)] for number, plan in enumerate(plans)]
        commands += [["other.py", f"other {number}"] for number in range(2)]
        processes = []
        for command in commands:
            time.sleep(draw.choice((0.0, 0.1, 0.3)))
            command = [sys.executable, "-W", "ignore", *command]
            processes.append(subprocess.Popen(command, cwd=folder, env=variables, stdout=err, stderr=err))
        for process in processes:
            process.wait(60)
        until = time.monotonic() + 60
        while living(folder) and time.monotonic() < until:
            time.sleep(0.05)
    assert living(folder) == [], plans
    subprocess.run([sys.executable, "-m", "histhooks", "sync"], cwd=folder, env=variables, check=True)
    assert verify(store).problems == [], plans
    assert query(store, "PRAGMA integrity_check(1)") == [("ok",)], plans
    expected = {file.name.removeprefix("done."): POINTS for file in folder.glob("done.*")}
    expected |= {f"other {number}": 400 for number in range(2)}
    assert {str(name): count for name, count in query(store, COUNTS)} == expected, plans
    said = (folder / "err").read_text()
    assert not any(word in said for word in ("Traceback", "Exception", "failed", "stopped", "lost")), (said, plans)


def test_a_child_that_outlives_its_parent_writes_beside_a_third_program(store_path: Path) -> None:
    program = """
        import os, subprocess, sys, time
        import histhooks
        other = "import histhooks, time\\nwith histhooks.start_run('other') as run:\\n" \\
                "    for i in range(500): run.log({'a': float(i)}); time.sleep(0.001)"
        with histhooks.start_run("parent") as run:
            run.log({"a": 0.0})
        reading, writing = os.pipe()
        if os.fork():
            os.close(writing)
            os.read(reading, 1)  # the child is done
            os._exit(0)
        if os.fork():
            os._exit(0)
        os.setsid()
        there = subprocess.Popen([sys.executable, "-c", other])
        with histhooks.start_run("child") as run:
            for i in range(500):
                run.log({"a": float(i)}); time.sleep(0.001)
        histhooks.flush()
        there.wait()
    """
    code, _, err = run_program(program, store_path)
    assert (code, err) == (0, "")
    assert sorted(query(store_path, COUNTS)) == [("child", 500), ("other", 500), ("parent", 1)]
    assert verify(store_path).problems == []


def test_what_sqlite_has_open_is_closed_before_its_descriptors_are(store_path: Path, tmp_path: Path) -> None:
    program = f"""
        import os, signal, time
        import histhooks
        with histhooks.start_run("one") as run:
            run.log({{"a": 1.0}})
            os.closerange(3, 4096)
            for n in range(12):
                os.open(f"{tmp_path}/mine.{{n}}", os.O_RDWR | os.O_CREAT)
            for i in range(2000):
                run.log({{"a": float(i)}})
            assert histhooks.flush()
            for i in range({CLOSINGS}):
                for n in range(3, 40):
                    try: os.close(n)
                    except OSError: pass
                run.log({{"a": 2.0}})
            signal.signal(signal.SIGUSR1, lambda *_: None)
            os.kill(os.getpid(), signal.SIGUSR1)  # Python writes its number into a pipe, while there is one
            time.sleep(0.1)
    """
    code, _, err = run_program(program, store_path)
    assert (code, err) == (0, "")
    assert query(store_path, COUNTS) == [("one", 2001 + CLOSINGS)]
    assert [name for name in os.listdir(tmp_path) if name.startswith(store_path.name + "-")] == []
    assert {file.read_bytes() for file in tmp_path.glob("mine.*")} == {b""}
    assert verify(store_path).problems == []


def test_forks_in_a_loop_cost_little_and_a_pool_records(store_path: Path) -> None:
    program = """
        import multiprocessing, os, time
        import histhooks
        def work(n):
            with histhooks.start_run(f"child {n}") as run:
                run.log({"a": float(n)})
        def children(count):
            begin = time.perf_counter()
            for _ in range(count):
                pid = os.fork()
                if pid == 0: os._exit(0)
                os.waitpid(pid, 0)
            return (time.perf_counter() - begin) / count
        plain = children(100)
        with histhooks.start_run("parent") as run:
            run.log({"a": 0.0})
            histhooks.flush()
            print(children(100) / plain)
            with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=2) as pool:
                pool.map(work, range(12), chunksize=1)
    """
    code, out, err = run_program(program, store_path)
    assert code == 0, err
    assert float(out) < 50
    assert sorted(query(store_path, COUNTS)) == sorted([("parent", 1), *((f"child {n}", 1) for n in range(12))])
    assert verify(store_path).problems == []


@pytest.mark.parametrize("is_first", [True, False], ids=["at the first run", "later"])
def test_a_process_without_a_descriptor_left_records_once_it_has_one(store_path: Path, is_first: bool) -> None:
    program = f"""
        import os, resource, time
        import histhooks
        histhooks.autolog()
        if not {is_first}:
            with histhooks.start_run("before") as run: run.log({{"a": 1.0}})
            histhooks.flush()
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True: taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError: pass
        with histhooks.start_run("without") as run: run.log({{"a": 1.0}})
        time.sleep(0.6)
        for number in taken: os.close(number)
        with histhooks.start_run("with") as run: run.log({{"a": 1.0}})
    """
    code, _, err = run_program(program, store_path, HISTHOOKS_STRICT="0")
    assert code == 0, err
    names = {"without", "with"} | (set() if is_first else {"before"})
    assert {str(name): count for name, count in query(store_path, COUNTS)} == dict.fromkeys(names, 1), err
    assert "lost" not in err, err
    assert query(store_path, "SELECT count(*) FROM sessions WHERE process_started IS NULL OR boot_id IS NULL") == [(0,)]
    assert verify(store_path).problems == []


def test_the_first_run_changes_no_variable_and_leaves_the_threads_that_are_written_down(store_path: Path) -> None:
    program = """
        import os, threading, time
        import histhooks
        histhooks.autolog()
        before = dict(os.environ)
        with histhooks.start_run("mine") as run: run.log({"a": 1.0})
        histhooks.flush()
        known, until = ["MainThread", "histhooks-signals", "histhooks-writer"], time.monotonic() + 60
        while (names := sorted(thread.name for thread in threading.enumerate())) != known and time.monotonic() < until:
            time.sleep(0.05)
        print(dict(os.environ) == before, names)
    """
    code, out, err = run_program(program, store_path)
    assert code == 0, err
    assert out.strip() == "True ['MainThread', 'histhooks-signals', 'histhooks-writer']"


@pytest.mark.parametrize("place", ["/dev/null", "/dev/full", "folder", "pipe"])
def test_a_store_that_is_no_file_is_said_and_left_as_it_is(tmp_path: Path, place: str) -> None:
    path = Path(place) if place.startswith("/") else tmp_path / place
    if place == "folder":
        path.mkdir()
    elif place == "pipe":
        os.mkfifo(path)
    before = os.stat(path).st_mode, sorted(os.listdir(path.parent))
    program = """
        import os, histhooks
        with histhooks.start_run("mine") as run: run.log({"a": 1.0})
        print("the end")
    """
    variables = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS_QUIET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=variables, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "the end\n"), done.stderr
    assert "and no file; name another store" in done.stderr
    assert (os.stat(path).st_mode, [name for name in sorted(os.listdir(path.parent)) if name != "home"]) == before
    spools = list((tmp_path / "home" / "state" / "histhooks" / "spool").rglob("*.db"))
    assert len(spools) == 1
    assert query(spools[0], COUNTS) == [("mine", 1)]


def test_what_ended_before_os_exit_is_on_disk_and_what_was_open_did_not_finish(store_path: Path) -> None:
    program = """
import os
import histhooks
from histhooks._record import forks
forks._LEAVE_S = 60.0  # this machine may be a busy one
histhooks.autolog()
for number in range(4):
    if os.fork() == 0:
        with histhooks.start_run(f"done {number}") as run:
            run.log({"loss": float(number)})
        histhooks.start_run(f"open {number}").log({"loss": 0.5})
        os._exit(0)
for _ in range(4):
    os.wait()
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    rows = query(store_path, "SELECT name, status FROM runs ORDER BY name")
    assert rows == [(f"done {n}", "finished") for n in range(4)] + [(f"open {n}", "interrupted") for n in range(4)]
    assert query(store_path, "SELECT count(*) FROM metrics") == [(8,)]
    assert verify(store_path).problems == []


def test_os_exit_is_that_of_python_once_nothing_is_recorded_and_waits_for_no_locked_store(store_path: Path) -> None:
    program = """
import os, pickle, sqlite3, time
before = os._exit
import histhooks
assert os._exit is before
run = histhooks.start_run("mine")
assert os._exit is not before
assert repr(os._exit) == repr(before) and os._exit.__doc__ == before.__doc__ and os._exit.__module__ == "posix"
assert pickle.loads(pickle.dumps(os._exit)) is before
assert histhooks.flush()
other = sqlite3.connect(os.environ["HISTHOOKS_STORE"], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
run.log({"loss": 1.0})
child = os.fork()
if child == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
begin = time.monotonic()
os.write(1, b"leaves")
os._exit(3)
"""
    begin = time.monotonic()
    code, out, err = run_program(program, store_path)
    assert (code, out) == (3, "leaves"), err
    assert time.monotonic() - begin < 30


def test_a_child_that_is_forked_while_a_thread_of_ours_speaks_is_not_mute(store_path: Path) -> None:
    """The lock inside a stream is copied as it is; a child waited for it for ever, at its end at last."""
    program = """
import io, os, sys, threading, time
speaks = threading.Event()
class Slow(io.FileIO):
    def write(self, text):
        if threading.current_thread() is not threading.main_thread():
            speaks.set()
            time.sleep(1.5)  # longer than a fork waits for what is being written
        return super().write(text)
sys.stderr = io.TextIOWrapper(io.BufferedWriter(Slow(2, "w", closefd=False)), write_through=True)
import histhooks
run = histhooks.start_run("mine")
assert speaks.wait(60)
pid = os.fork()
if pid == 0:
    print("spoken", file=sys.stderr)
    sys.exit(7)
until = time.monotonic() + 60
while not (found := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < until:
    time.sleep(0.01)
if not found[0]:
    os.kill(pid, 9)
print(os.waitstatus_to_exitcode(found[1]))
"""
    code, out, err = run_program(program, store_path, HISTHOOKS_QUIET="0")
    assert (code, out) == (0, "7\n"), err
    assert "spoken\n" in err
