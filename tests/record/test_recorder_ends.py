"""Ends of processes: kills, signals, handlers of the program, forks, and many at once."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from helpers.programs import hear
from helpers.recordings import assert_fits, assert_lasts, record, rows, start

LOOP = """
    import signal, sys, time, histhooks
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    with histhooks.start_run("loop") as run:
        histhooks.flush()  # a signal leaves no time for the beginning of a session
        print("ready", flush=True)
        for step in range(100_000):
            run.log({"loss": 1.0 / (step + 1), "acc": 0.5}, step=step)
            if step == 400: print("400", flush=True)
            time.sleep(0.001)
"""


def test_after_sigkill_all_but_the_last_second_is_there_and_the_next_session_settles_it(store: Path) -> None:
    process = start(store, LOOP)
    assert hear(process) == "ready"
    assert hear(process) == "400"
    time.sleep(2.0)  # the last second, and one more for a machine that is slow
    process.kill()
    process.communicate()
    (count,) = rows(store, "SELECT count FROM metric_summaries WHERE name = 'loss'")[0]
    assert count > 400
    assert rows(store, "SELECT status FROM runs") == [("running",)]
    assert_fits(store)
    record(store, "import histhooks\nwith histhooks.start_run('next'): pass")
    assert rows(store, "SELECT name, status FROM runs ORDER BY name") == [("loop", "killed"), ("next", "finished")]
    assert rows(store, "SELECT status FROM sessions ORDER BY started_at") == [("killed",), ("finished",)]
    assert_lasts(store, "loop")
    assert_fits(store)


# Minutes in C code that lets other threads run, as numerical libraries do.
IN_C = LOOP.replace(
    "for step", "import hashlib; hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2 * 10**9)\n        for step"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("body", [LOOP, IN_C], ids=["in Python", "in C"])
def test_a_signal_ends_the_process_as_without_us_and_everything_is_kept(store: Path, number: int, body: str) -> None:
    process = start(store, body)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.6)
    process.send_signal(number)
    process.communicate(timeout=300)
    assert process.returncode == -number
    name = signal.Signals(number).name
    assert rows(store, "SELECT status, signal FROM sessions") == [("killed", name)]
    assert rows(store, "SELECT status FROM runs") == [("killed",)]
    assert_fits(store)


def test_the_closing_line_counts_what_did_not_finish_by_how_it_ended(store: Path) -> None:
    program = """
        import histhooks, os, signal
        for error in (ValueError, ValueError, KeyboardInterrupt, None):
            try:
                with histhooks.start_run():
                    if error: raise error
            except BaseException: pass
        run = histhooks.start_run()
        histhooks.flush()
        os.kill(os.getpid(), signal.SIGTERM)
        import time; time.sleep(60)
    """
    code, _, err = record(store, program, HISTHOOKS_QUIET="0")
    assert code == -signal.SIGTERM
    assert "histhooks: 5 runs (2 failed, 1 interrupted, 1 killed) → " in err
    assert rows(store, "SELECT status, count(*) FROM runs GROUP BY status ORDER BY status") == [
        ("failed", 2), ("finished", 1), ("interrupted", 1), ("killed", 1),
    ]  # fmt: skip


def test_a_handler_of_the_program_decides_alone(store: Path) -> None:
    program = """
        import os, signal, histhooks
        run = histhooks.start_run("mine")
        before = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *a: before(*a))
        os.kill(os.getpid(), signal.SIGTERM)
        run.log({"loss": 1.0})
        run.end()
    """
    code, _, _ = record(store, program)
    assert code == 0
    assert rows(store, "SELECT status FROM runs") == [("finished",)]


def test_a_forked_child_starts_clean_and_the_parent_goes_on(store: Path) -> None:
    program = """
        import os, histhooks
        run = histhooks.start_run("parent")
        run.log({"loss": 1.0})
        pid = os.fork()
        if pid == 0:
            for _ in range(3):
                run.log({"loss": 99.0})
            run.tag("late")
            with run:
                assert histhooks.current_run() is None
                histhooks.log({"loss": 98.0})
            with histhooks.start_run("child") as child:
                child.log({"loss": 2.0})
            histhooks.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        run.log({"loss": 3.0})
        run.end()
    """
    code, _, err = record(store, program)
    assert code == 0, err
    assert [line.partition(" records nothing here")[0] for line in err.splitlines()] == [
        "histhooks: log on run 'parent'"
    ]
    assert rows(store, "SELECT count(*) FROM events WHERE kind = 'forked'") == [(1,)]
    assert rows(store, "SELECT r.name, m.value FROM metrics AS m JOIN runs AS r ON r.id = m.run_id ORDER BY 1, 2") == [
        ("child", 2.0),
        ("parent", 1.0),
        ("parent", 3.0),
    ]
    assert rows(store, "SELECT count(*) FROM sessions") == [(2,)]
    assert_fits(store)


def test_eight_processes_make_one_new_store_at_once(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run("one of many") as run:
            for step in range(500):
                run.log({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, step=step)
    """
    processes = [start(store, program) for _ in range(8)]
    for process in processes:
        _, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "")
    assert rows(store, "SELECT count(*), min(count) FROM metric_summaries") == [(32, 500)]
    assert rows(store, "SELECT count(*) FROM points") == [(16_000,)]
    assert not store.with_name("histhooks.db.spool").exists()
    assert_fits(store)
