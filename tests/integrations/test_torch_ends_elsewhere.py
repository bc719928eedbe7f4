"""How loops end whose exception somebody else catches: a thread, a pool, a process of multiprocessing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from histhooks.testing import query, run_program

pytest.importorskip("torch")

PROGRAM = """
import histhooks; histhooks.autolog("torch")
import concurrent.futures, contextlib, gc, multiprocessing, multiprocessing.pool, os, sys, threading
import torch; from torch import nn
torch.set_num_threads(1)
x = torch.ones(8, 3)
def step(net, optimizer):
    optimizer.zero_grad(); net(x).square().mean().backward(); optimizer.step()
def train(fails):
    net = nn.Linear(3, 1); optimizer = torch.optim.SGD(net.parameters(), .01)
    for number in range(6):
        step(net, optimizer)
        if number == 3 and fails: raise OSError(f"no space for {fails}")
def caught(fails):
    try:
        train(fails)
    except OSError as error:
        raise ValueError(f"after {fails}") from error
def quiet(*_): pass
if __name__ == "__main__":
    threading.excepthook = quiet
    for fails in ("a thread", ""):
        thread = threading.Thread(target=train, args=(fails,)); thread.start(); thread.join()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        print(sorted(repr(one.exception()) for one in [pool.submit(caught, "a pool"), pool.submit(train, "")]))
    with multiprocessing.pool.ThreadPool(2) as pool:
        for call in (pool.apply_async(train, ("a thread pool",)), pool.map_async(train, ["a map", ""], chunksize=1)):
            with contextlib.suppress(OSError): call.get()
    sys.stderr = open(os.devnull, "w")
    context = multiprocessing.get_context("fork")  # spawn goes the same way, and imports PyTorch again
    started = [context.Process(target=train, args=(fails,)) for fails in ("a process", "")]
    for process in started: process.start()
    for process in started: process.join()
    print([process.exitcode for process in started])
    with context.Pool(1) as pool:
        with contextlib.suppress(OSError): pool.apply(train, ("a process pool",))
        pool.apply(train, ("",)); pool.close(); pool.join()
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        print(repr(pool.submit(train, "a pool of processes").exception()))
    gc.collect()
"""


def test_a_loop_that_an_exception_ends_is_failed_whoever_catches_it(store_path: Path) -> None:
    program = store_path.with_name("program.py")
    program.write_text(PROGRAM)
    code, out, err = run_program(f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')", store_path)
    assert code == 0, err
    assert "[1, 0]" in out
    sql = "SELECT error_type, error_message, steps_done FROM runs WHERE status = 'failed' ORDER BY error_message"
    whose = ["a map", "a pool of processes", "a process", "a process pool", "a thread", "a thread pool"]
    failed = [("OSError", f"no space for {one}", 4) for one in whose]
    assert query(store_path, sql) == [("ValueError", "after a pool", 4), *failed]
    sql = "SELECT status, count(*) FROM runs WHERE status <> 'failed' AND steps_done = 6 GROUP BY status"
    assert dict(query(store_path, sql)).keys() <= {"finished", "ended"}, json.dumps(query(store_path, sql))
    assert query(store_path, "SELECT count(*) FROM runs") == [(12,)]
