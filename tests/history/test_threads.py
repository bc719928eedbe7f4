"""One `History` in several threads: a connection each, closed with the thread, refreshed for all."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import histhooks
from helpers import programs
from histhooks._store.spools import waiting
from histhooks.errors import QueryError, StoreError
from histhooks.testing import query

pytestmark = pytest.mark.one_engine("it is about connections to a file")

MADE = """
import histhooks
for number in range(20):
    with histhooks.start_run(f"run-{number}", params={"lr": number}, tags={"team": "red"}) as run:
        for epoch in range(3):
            for _ in range(2):
                run.log({"loss": 1 / (number + epoch + 1)}, epoch=epoch)
"""
GOES_ON = """
import sys, histhooks
while not sys.stdin.closed:
    with histhooks.start_run("live") as run:
        for step in range(20):
            run.log({"loss": 1 / (step + 1)})
    print("one", flush=True)
    if sys.stdin.readline().strip() == "end":
        break
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")


@pytest.fixture
def store(store_path: Path) -> Path:
    programs.script(store_path, MADE)
    return store_path


def descriptors(store: Path) -> int:
    """How many descriptors of a store and its log this process has."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith(str(store))
        except OSError:
            continue
    return found


def in_thread(function: Callable[[], object]) -> object:
    """What a function returns in a thread of its own, which has ended then."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(60)


@needs_proc
def test_a_thousand_questions_of_eight_threads_beside_a_writer(store: Path) -> None:
    writer = programs.start(store, GOES_ON)
    questions: list[Callable[[histhooks.History], int]] = [
        lambda h: len(h.runs(where="loss < 10 and name != live")),
        lambda h: h.table(where="params.lr >= 0", limit=5).total,
        lambda h: len(h.runs(tag="team=red", order_by="loss")),
        lambda h: len(list(h.cursor("SELECT id FROM runs WHERE name <> 'live'"))),
        lambda h: len(h.search("red", limit=None)),
    ]
    try:
        programs.hear(writer)
        with histhooks.History(store) as history:

            def ask(number: int) -> None:
                for turn in range(125):
                    assert questions[(number + turn) % len(questions)](history) == 20
                    if turn % 25 == number:
                        history.refresh()

            with ThreadPoolExecutor(8) as pool:
                asked = [pool.submit(ask, number) for number in range(8)]
                while not all(each.done() for each in asked):
                    programs.tell(writer)
                    programs.hear(writer)
                for each in asked:
                    each.result()
            # As long as another connection has a lock, SQLite keeps a descriptor that it should close, for the next.
            kept = descriptors(store)
            for _ in range(20):
                in_thread(history.runs)
            assert descriptors(store) <= kept
            assert len(history.runs(where="name = live")) > 1
        assert descriptors(store) == 0
    finally:
        writer.communicate("end\n", timeout=60)
    assert not store.with_name(store.name + "-wal").exists()


@needs_proc
def test_threads_do_not_wait_for_each_other(store: Path) -> None:
    with histhooks.History(store) as history:
        connections = {id(history._connection), in_thread(lambda: id(history._connection))}
        begun, go_on = threading.Event(), threading.Event()

        def wait() -> int:
            begun.set()
            return int(go_on.wait(60))

        def long() -> object:
            history._connection.create_function("wait", 0, wait)
            return history.sql("SELECT wait() AS x")[0]["x"]

        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(long)
            assert begun.wait(60)
            assert len(history.runs()) == 20  # while the other question goes on
            go_on.set()
            assert answer.result(60) == 1
    assert len(connections) == 2


@needs_proc
def test_closing_closes_the_connections_of_all_threads(store: Path) -> None:
    history = histhooks.History(store)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(history.runs).result(60)
        assert descriptors(store) > 0
        history.close()
        assert descriptors(store) == 0
        with pytest.raises(QueryError, match="closed"):
            pool.submit(history.runs).result(60)
        with pytest.raises(QueryError, match="closed"):
            history.runs()
    assert not store.with_name(store.name + "-wal").exists()


@needs_proc
@pytest.mark.parametrize("is_first", [True, False])
def test_whoever_closes_last_the_log_comes_home(store: Path, is_first: bool) -> None:
    history = histhooks.History(store)
    if is_first:  # the thread that opened the store ends before another that came later
        history.close()
        history = in_thread(lambda: histhooks.History(store))  # type: ignore[assignment]
    in_thread(history.runs)
    history.runs()
    history.close()
    assert sorted(path.name for path in store.parent.glob(store.name + "*")) == [store.name]


def test_a_refresh_in_one_thread_shows_spools_in_all(store: Path) -> None:
    with histhooks.History(store) as history, ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(history.runs).result(60)) == 20
        programs.script(store, MADE.replace("range(20)", "range(2)"), HISTHOOKS_NETWORK="1")
        assert len(waiting(store)) == 1
        assert len(pool.submit(history.runs).result(60)) == 20
        history.refresh()
        assert len(history.runs()) == len(pool.submit(history.runs).result(60)) == 22
        assert pool.submit(lambda: history.spools).result(60) == history.spools == waiting(store)


def test_rows_that_a_thread_is_reading_go_on_after_a_refresh_elsewhere(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    programs.script(other, MADE.replace("range(20)", "range(3)"))
    with histhooks.History(store) as history:
        rows = history.cursor("SELECT name FROM runs ORDER BY started_at")
        assert next(rows) == ("run-0",)
        os.replace(other, store)
        in_thread(history.refresh)
        assert len(list(rows)) == 19
        del rows
        assert len(history.runs()) == 3


def test_all_threads_read_a_store_that_took_the_place_of_another(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    programs.script(other, MADE.replace("range(20)", "range(3)"))
    with histhooks.History(store) as history, ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(history.runs).result(60)) == 20
        os.replace(other, store)
        assert len(in_thread(history.runs)) == 3  # type: ignore[arg-type]  # a thread that came later
        assert len(pool.submit(history.runs).result(60)) == len(history.runs()) == 3


def test_a_thread_that_comes_after_the_store_was_moved_says_so(store: Path) -> None:
    with histhooks.History(store) as history:
        store.rename(store.with_name("elsewhere.db"))
        with pytest.raises(StoreError, match="moved or deleted"):
            in_thread(history.runs)
        assert len(history.runs()) == 20  # who has it open reads on


@needs_proc
def test_a_history_that_nobody_holds_any_more_is_closed(store: Path) -> None:
    for _ in range(3):
        history = histhooks.History(store)
        assert len(history.runs(where="loss < 10")) == 20
        del history
    gc.collect()
    assert descriptors(store) == 0


def test_a_cursor_reads_on_once_nobody_holds_its_history_any_more(store: Path) -> None:
    rows = histhooks.History(store).cursor("SELECT hh_best(id, 'loss') FROM runs")
    gc.collect()
    assert all(best > 0 for (best,) in rows)


FORKS = """
import os, sys, threading
import histhooks
history = histhooks.History(sys.argv[1])
read, go_on = threading.Event(), threading.Event()

def read_slowly():
    rows = history.cursor("SELECT name FROM runs")
    next(rows)
    read.set()
    go_on.wait(60)
    assert len(list(rows)) == 19

thread = threading.Thread(target=read_slowly)
thread.start()
read.wait(60)
assert len(history.runs()) == 20
own = history._connection
child = os.fork()
if child == 0:
    assert len(history.runs()) == 20 and history._connection is not own
    history.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
go_on.set()
thread.join()
assert len(history.runs()) == 20
history.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_leaves_the_connections_of_all_threads_alone(store: Path) -> None:
    writer = programs.start(store, GOES_ON)
    try:
        programs.hear(writer)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FORKS.replace('"SELECT name FROM runs"',
             '"SELECT name FROM runs LIMIT 20"').replace("== 20", ">= 20"), str(store)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        writer.communicate("end\n", timeout=60)
    assert query(store, "PRAGMA integrity_check") == [("ok",)]
    assert query(store, "SELECT count(*) FROM runs WHERE name <> 'live'") == [(20,)]
