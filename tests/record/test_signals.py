"""SIGTERM, SIGHUP and Ctrl-C beside asyncio, and where runs begin in threads: as without us, and truly told."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from helpers.programs import hear, start
from helpers.stores import values
from histhooks.testing import query, run_program
from histhooks.verify import verify

BEGIN = """
import asyncio, hashlib, signal, sys, threading
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the tests themselves may run under nohup
import histhooks
def ready():
    histhooks.flush()  # a signal leaves no time for the beginning of a session
    print("ready", flush=True)
def minutes_in_c():
    ready()
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2 * 10**9)  # lets other threads run, as numerical libraries do
"""


def ended_by(store: Path, body: str, number: signal.Signals, wait_s: float = 1.5) -> tuple[int, str]:
    """How a program ends that gets a signal a while after it said that it is ready, and what it wrote to stderr."""
    process = start(store, BEGIN + body)
    assert hear(process) == "ready"
    time.sleep(wait_s)
    process.send_signal(number)
    try:
        _, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, err


def settled(store: Path) -> list[tuple[object, ...]]:
    """Statuses once a next session has looked after those before it."""
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store)
    assert code == 0, err
    assert verify(store).problems == []
    sql = "SELECT r.name, r.status, s.status FROM runs AS r JOIN sessions AS s ON s.id = r.session_id"
    return query(store, f"{sql} WHERE r.name <> 'next' ORDER BY r.name")


def test_a_signal_in_c_code_ends_the_process_also_after_asyncio_has_come_and_gone(store_path: Path) -> None:
    body = """
histhooks.start_run("before").end()
async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, print)  # takes the pipe that tells of signals, and leaves none behind
    loop.remove_signal_handler(signal.SIGUSR1)
asyncio.run(main())
with histhooks.start_run("after") as run:
    run.log({"loss": 1.0})
    minutes_in_c()
"""
    code, _ = ended_by(store_path, body, signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert query(store_path, "SELECT status, signal FROM sessions") == [("killed", "SIGTERM")]
    assert values(store_path)["after"] == [1.0]
    assert settled(store_path) == [("after", "killed", "killed"), ("before", "finished", "killed")]


def test_a_signal_in_c_code_inside_asyncio_ends_the_process_as_without_us(store_path: Path) -> None:
    body = """
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
    with histhooks.start_run("inside") as run:
        run.log({"loss": 1.0})
        minutes_in_c()
asyncio.run(main())
"""
    code, _ = ended_by(store_path, body, signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert values(store_path) == {"inside": [1.0]}
    assert settled(store_path) == [("inside", "killed", "killed")]


def test_a_signal_that_asyncio_handles_is_its_own(store_path: Path) -> None:
    body = """
async def main():
    stop = asyncio.Event()
    with histhooks.start_run("stops") as run:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        ready()
        await stop.wait()
        run.log({"loss": 2.0})
asyncio.run(main())
"""
    assert ended_by(store_path, body, signal.SIGTERM)[0] == 0
    assert values(store_path) == {"stops": [2.0]}
    assert settled(store_path) == [("stops", "finished", "finished")]


def test_a_signal_in_c_code_is_seen_where_the_first_run_began_in_a_thread(store_path: Path) -> None:
    body = """
thread = threading.Thread(target=lambda: histhooks.start_run("thread").end())
thread.start(); thread.join()
with histhooks.start_run("main") as run:
    run.log({"loss": 1.0})
    minutes_in_c()
"""
    code, _ = ended_by(store_path, body, signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert query(store_path, "SELECT status, signal FROM sessions") == [("killed", "SIGTERM")]
    assert settled(store_path) == [("main", "killed", "killed"), ("thread", "finished", "killed")]


def test_ctrl_c_that_asyncio_turns_into_the_end_of_a_task_interrupts_the_run(store_path: Path) -> None:
    body = """
signal.signal(signal.SIGINT, signal.default_int_handler)
async def main():
    with histhooks.start_run("task") as run:
        run.log({"loss": 1.0})
        ready()
        await asyncio.sleep(60)
asyncio.run(main())
"""
    code, err = ended_by(store_path, body, signal.SIGINT)
    assert code == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert settled(store_path) == [("task", "interrupted", "interrupted")]


def test_a_thread_that_logs_while_a_signal_ends_the_process_is_not_blamed(store_path: Path) -> None:
    body = """
import time
def work():
    with histhooks.start_run("thread") as run:
        while True:
            run.log({"loss": 1.0})
            time.sleep(0.0005)
histhooks.start_run("main").end()
thread = threading.Thread(target=work)
thread.start()
ready()
thread.join()
"""
    code, err = ended_by(store_path, body, signal.SIGTERM)
    assert (code, err) == (-signal.SIGTERM, "")
    assert settled(store_path) == [("main", "finished", "killed"), ("thread", "killed", "killed")]


@pytest.mark.parametrize("is_known", [False, True], ids=["from the beginning", "once a session is open"])
def test_where_no_thread_can_be_started_the_program_goes_on(store_path: Path, is_known: bool) -> None:
    """A limit on processes that is reached, for which a start that fails stands: root has no such limit."""
    program = f"""
import threading
import histhooks
if {is_known}:
    histhooks.start_run("first").end()
def refuse(thread):
    raise RuntimeError("can't start new thread")
start, threading.Thread.start = threading.Thread.start, refuse
with histhooks.start_run("without") as run:
    run.log({{"loss": 1.0}})
threading.Thread.start = start
with histhooks.start_run("with") as run:
    run.log({{"loss": 2.0}})
"""
    code, _, err = run_program(program, store_path, HISTHOOKS_STRICT="")
    assert code == 0, err
    assert err.count("histhooks: ") == (0 if is_known else 1)
    expected = {"first": [], "without": [1.0], "with": [2.0]} if is_known else {"with": [2.0]}
    assert values(store_path) == expected
    assert query(store_path, "SELECT DISTINCT status FROM sessions") == [("finished",)]
    assert verify(store_path).problems == []


@pytest.mark.parametrize("is_first", [False, True], ids=["after others", "as the first one"])
def test_a_run_of_the_programs_last_callbacks_is_kept(store_path: Path, is_first: bool) -> None:
    program = f"""
import atexit
def late():
    for name in ("late", "later"):
        with histhooks.start_run(name) as run:
            run.log({{"loss": 1.0}})
atexit.register(late)  # before ours, so that it comes after it
import histhooks
if not {is_first}:
    with histhooks.start_run("in time") as run:
        run.log({{"loss": 2.0}})
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    expected = {"late": [1.0], "later": [1.0]} | ({} if is_first else {"in time": [2.0]})
    assert values(store_path) == expected
    assert query(store_path, "SELECT DISTINCT status FROM runs") == [("finished",)]
    # Of a session that begins when the program is over, nobody can see how it came to that.
    status = "ended" if is_first else "finished"
    assert query(store_path, "SELECT DISTINCT status FROM sessions") == [(status,)]
    assert verify(store_path).problems == []
