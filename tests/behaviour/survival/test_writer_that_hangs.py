"""A writer that hangs, stops for good, or never began: what others save, and which ends are true."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.hostile import finish, next_session
from helpers.programs import hear, start, tell
from helpers.stores import values
from histhooks import History
from histhooks._store.spool_folders import folders
from histhooks._store.spools import waiting
from histhooks.testing import query, run_program
from histhooks.verify import verify


def test_a_writer_that_hangs_at_the_end_is_waited_for_and_then_a_spool_takes_the_rest(store_path: Path) -> None:
    program = """
import threading, time
import histhooks
from histhooks._record import engine as _engine
with histhooks.start_run("hangs") as run:
    for step in range(100):
        run.log({"loss": float(step)}, step=step)
    histhooks.flush()
    _engine.engine.writer.lock.acquire()  # as where a system call for the file never comes back
    time.sleep(0.5)
    for step in range(100, 200):
        run.log({"loss": float(step)}, step=step)
    time.sleep(0.5)
    run.log_params({"late": 1})
finish = _engine.engine.finish
_engine.engine.finish = lambda: finish(timeout_s=1.0)
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    assert "histhooks: the writer hangs" in err
    assert len(waiting(store_path)) == 1
    with History(store_path) as history:
        (run,) = history.runs()
        assert (run.status, run.params, len(run.metrics("loss"))) == ("finished", {"late": 1}, 200)
    next_session(store_path)
    assert values(store_path)["hangs"] == [float(n) for n in range(200)]
    assert query(store_path, "SELECT status FROM runs WHERE name = 'hangs'") == [("finished",)]


def test_a_writer_that_stops_for_good_says_so_and_leaves_true_ends(store_path: Path) -> None:
    program = """
import time
import histhooks
from histhooks._record.engine import engine
with histhooks.start_run("before") as run:
    run.log({"loss": 0.0})
run = histhooks.start_run("open")
run.log({"loss": 0.0})
histhooks.flush()
def broken(*entries):
    raise RuntimeError("a mistake of ours")
engine.writer._assembler._close_points = broken
for step in range(10):
    run.log({"loss": float(step)})
engine.writer.done.wait(30)
for step in range(10):
    run.log({"loss": float(step)})
run.end()
with histhooks.start_run("after") as run:
    run.log({"loss": 0.0})
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    assert "histhooks: the writer stopped" in err
    with History(store_path) as history:
        found = {run.name: (run.status, len(run.metrics("loss"))) for run in history.runs()}
        assert found == {"before": ("finished", 1), "open": ("finished", 1)}
        assert {run.session["dropped_points"] for run in history.runs()} == {20}
    next_session(store_path)
    assert query(store_path, "SELECT status, hook_errors, dropped_points FROM sessions ORDER BY started_at")[0] == (
        "finished", 1, 20,
    )  # fmt: skip


@pytest.mark.parametrize("table", ["environments", "code_versions", "architectures"])
@pytest.mark.parametrize("times", [1, 1000], ids=["once", "always"])
def test_what_a_kept_end_refers_to_is_kept_or_left_out(store_path: Path, table: str, times: int) -> None:
    program = f"""
import histhooks
from histhooks._collect import survey
from histhooks._store.assembler import Assembler
from histhooks._record.engine import engine
left, build = {times}, Assembler.build
def broken(self, entries):  # where there is such a content the writer stops
    global left
    if left and any(entry[:2] == ("content", {table!r}) for entry in entries):
        left -= 1
        raise RuntimeError("a mistake of ours")
    return build(self, entries)
Assembler.build = broken
code = survey.Look._code
def late(self):
    if {table!r} == "architectures": engine.writer.done.wait(30)
    code(self)
survey.Look._code = late
run = histhooks.start_run("open")
histhooks.flush()
engine.writer._gathering.decided.wait(30)  # the writer stops once the session has begun whole, and looks around
for framework in ("one", "two"):
    run.log_architecture(framework, "Net", [], 1, 1)
    run.log({{"loss": 0.0}})
    engine.writer.done.wait(30)
engine.writer._gathering.thread.join(30)  # what it found is kept too, if it comes before the end
run.end()
with histhooks.start_run("after"): pass
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    assert "histhooks: the writer stopped" in err
    assert "is lost" not in err
    next_session(store_path)
    assert query(store_path, "SELECT name, status FROM runs WHERE name <> 'next'") == [("open", "finished")]
    assert query(store_path, "PRAGMA foreign_key_check") == []
    names = "s.environment_id, s.code_version_id, r.architecture_id"
    ((*found,),) = query(store_path, f"SELECT {names} FROM sessions AS s JOIN runs AS r ON s.id = session_id "
                         "WHERE r.name = 'open'")  # fmt: skip
    expected = ["environments", "code_versions", "architectures"]
    missing = [name for name, key in zip(expected, found, strict=True) if key is None]
    assert missing == ([] if times == 1 else [table])


ENDS = (
    "SELECT r.status, s.status, s.signal, s.kind FROM runs AS r "
    "JOIN sessions AS s ON s.id = r.session_id WHERE r.name = '{}'"
)
HANGS = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the tests themselves may run with another one
import histhooks
from histhooks._record import engine as _engine
from histhooks._record.engine import engine
run = histhooks.start_run("hangs")
for step in range(100):
    run.log({"loss": float(step)}, step=step)
histhooks.flush()
engine.writer.lock.acquire()  # as where a system call for the file never comes back
time.sleep(0.5)
for step in range(100, 25_000):
    run.log({"loss": float(step)}, step=step)
time.sleep(0.5)
run.log_params({"late": 1})
"""


@pytest.mark.parametrize("place", ["python", "exit"])
def test_a_signal_while_the_writer_hangs_leaves_the_rest_in_a_spool(store_path: Path, place: str) -> None:
    waits = {
        "python": "print('ready', flush=True)\ntime.sleep(600)\n",
        # The end waits for the writer 10 s, and it is there that the signal comes.
        "exit": "import atexit\natexit.register(lambda: print('ready', flush=True))\natexit.register(run.end)\n",
    }[place]
    patience = "_engine._RESCUE_S = 30.0\n"  # this machine may be a busy one
    process = start(store_path, HANGS + patience + waits)
    assert hear(process) == "ready"
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    err = finish(process)
    assert process.returncode == -signal.SIGTERM, err
    assert len(waiting(store_path)) == 1
    with History(store_path) as history:
        (run,) = history.runs()
        status = "killed" if place == "python" else "finished"
        assert (run.status, run.params, len(run.metrics("loss"))) == (status, {"late": 1}, 25_000)
    next_session(store_path)
    assert values(store_path)["hangs"] == [float(n) for n in range(25_000)]
    assert query(store_path, ENDS.format("hangs")) == [(status, "killed", "SIGTERM", "script")]


@pytest.fixture
def disk_that_freezes(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, for which all writing can be made to hang (fsfreeze(8))."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    image.write_bytes(bytes(40 * 2**20))
    for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(place)]):
        is_there = shutil.which(command[0]) and shutil.which("fsfreeze")
        if not is_there or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("no file system can be made and mounted here")
    yield place
    subprocess.run(["fsfreeze", "-u", str(place)], capture_output=True, check=False)
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_signal_while_the_disk_hangs_leaves_the_rest_elsewhere(disk_that_freezes: Path) -> None:
    store = disk_that_freezes / "histhooks.db"
    program = HANGS.replace("engine.writer.lock.acquire()", "print('ready', flush=True); sys.stdin.readline()")
    program = (
        program.replace("25_000", "200") + "_engine._RESCUE_S = 30.0\nprint('ready', flush=True)\ntime.sleep(600)\n"
    )
    process = start(store, program)
    assert hear(process) == "ready"
    subprocess.run(["fsfreeze", "-f", str(disk_that_freezes)], check=True)
    tell(process)
    assert hear(process) == "ready"
    process.send_signal(signal.SIGTERM)
    own = folders(store)[1]
    deadline = time.monotonic() + 60
    while not _has_ended_in(own) and time.monotonic() < deadline:
        time.sleep(0.1)
    # The system ends no process that hangs in a write; until then all is safe already.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    assert _has_ended_in(own)
    subprocess.run(["fsfreeze", "-u", str(disk_that_freezes)], check=True)
    err = finish(process)
    assert process.returncode == -signal.SIGTERM, err
    assert values(store) == {"hangs": [float(n) for n in range(200)]}
    next_session(store)
    assert values(store)["hangs"] == [float(n) for n in range(200)]
    assert query(store, ENDS.format("hangs")) == [("killed", "killed", "SIGTERM", "script")]


def _has_ended_in(folder: Path) -> bool:
    try:
        return any(query(path, "SELECT status FROM sessions") == [("killed",)] for path in folder.glob("*.db"))
    except sqlite3.Error:  # it is just being made
        return False


def test_a_signal_ends_the_process_also_where_no_spool_can_be_reached(store_path: Path) -> None:
    hangs = "import threading\nengine.writer._destination.refuge = lambda: threading.Event().wait()\n"
    process = start(store_path, HANGS + hangs + "print('ready', flush=True)\ntime.sleep(600)\n")
    assert hear(process) == "ready"
    process.send_signal(signal.SIGTERM)
    err = finish(process)
    assert process.returncode == -signal.SIGTERM, err
    assert waiting(store_path) == []
    with History(store_path) as history:
        (run,) = history.runs()
        assert (run.status, len(run.metrics("loss"))) == ("killed", 100)


@pytest.mark.parametrize("end", ["signal", "exit"])
def test_a_session_that_never_got_at_its_store_is_in_a_spool_whole(store_path: Path, end: str) -> None:
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('first'): pass", store_path)
    assert code == 0, err
    other = sqlite3.connect(store_path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    program = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)
import histhooks
from histhooks._record import engine as _engine
_engine._RESCUE_S = 30.0  # this machine may be a busy one
run = histhooks.start_run("locked out")
run.log({"loss": 1.0})
print("ready", flush=True)
sys.stdin.readline()
run.end()
"""
    process = start(store_path, program)
    assert hear(process) == "ready"
    time.sleep(0.5)
    if end == "signal":
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)  # it would go on at the end of its input
    err = finish(process)
    assert process.returncode == (-signal.SIGTERM if end == "signal" else 0), err
    other.execute("ROLLBACK")
    other.close()
    assert len(waiting(store_path)) == 1
    next_session(store_path)
    assert values(store_path)["locked out"] == [1.0]
    how = ("killed", "killed", "SIGTERM") if end == "signal" else ("finished", "finished", None)
    assert query(store_path, ENDS.format("locked out")) == [(*how, "script")]


def test_a_session_whose_first_facts_could_not_be_read_once_begins_at_the_second_try(store_path: Path) -> None:
    """Such as those of a module that another thread of the program was just importing."""
    code, _, err = run_program(
        """
        from histhooks._collect import survey
        facts, tries = survey.session_facts, []
        def odd(*args, **kwargs):
            tries.append(1)
            if len(tries) == 1:
                raise AttributeError("partially initialized module")
            return facts(*args, **kwargs)
        survey.session_facts = odd
        import histhooks
        with histhooks.start_run("kept") as run:
            run.log({"loss": 1.0})
        """,
        store_path, HISTHOOKS_QUIET="0",
    )  # fmt: skip
    assert code == 0, err
    assert "the writer stopped" not in err
    assert query(store_path, "SELECT name, status FROM runs") == [("kept", "finished")]
    assert query(store_path, "SELECT count FROM metric_summaries WHERE name = 'loss'") == [(1,)]
    ((title,),) = query(store_path, "SELECT title FROM events WHERE kind = 'hook_error'")
    assert "writer.begin: AttributeError" in str(title)
    assert verify(store_path).ok
