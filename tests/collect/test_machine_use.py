"""Use of the machine, sampled beside the training, and the cells of a notebook."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import wait_for
from histhooks.testing import query, run_program
from histhooks.verify import verify

PROGRAM = """
import os, sqlite3, time
import histhooks
def is_busy_until(end):
    begin = time.perf_counter(), time.process_time()
    while not end():
        for _ in range(100): sum(range(10_000))
    print(100 * (time.process_time() - begin[1]) / (time.perf_counter() - begin[0]))
def is_told():
    with sqlite3.connect(os.environ["HISTHOOKS_STORE"]) as db:
        sql = "SELECT count(*) FROM metric_summaries WHERE name LIKE 'system/%' AND count > 2"
        return db.execute(sql).fetchone()[0] >= 4
with histhooks.start_run("outer") as outer:
    with histhooks.start_run("inner"):
        histhooks.flush()
        until = time.perf_counter() + LONG
        is_busy_until(lambda: time.perf_counter() > until or is_told())
"""


def test_cpu_and_memory_are_points_of_the_outer_run(store_path: Path) -> None:
    code, out, err = run_program(PROGRAM.replace("LONG", "120"), store_path, HISTHOOKS_SYSTEM_S="0.5")
    assert code == 0, err
    columns = "r.name, m.name, m.split, m.direction, m.count > 0"
    sql = f"SELECT {columns} FROM metric_summaries AS m JOIN runs AS r ON r.id = run_id"
    names = ("cpu_percent", "machine_cpu_percent", "machine_memory_percent", "memory_bytes")
    assert sorted(query(store_path, sql)) == [("outer", f"system/{name}", "system", 0, 1) for name in names]
    ((cpu,),) = query(store_path, "SELECT max FROM metric_summaries WHERE name = 'system/cpu_percent'")
    assert isinstance(cpu, float)
    assert cpu > float(out) / 4  # the loop was busy, as far as others left it a processor
    ((memory,),) = query(store_path, "SELECT min FROM metric_summaries WHERE name = 'system/memory_bytes'")
    assert isinstance(memory, float)
    assert 1e6 < memory < 1e10
    assert verify(store_path).problems == []


def test_sampling_can_be_switched_off(store_path: Path) -> None:
    code, _, err = run_program(PROGRAM.replace("LONG", "1.5"), store_path, HISTHOOKS_SYSTEM_S="0")
    assert code == 0, err
    assert query(store_path, "SELECT count(*) FROM metric_summaries") == [(0,)]


def test_cells_of_a_notebook_are_kept_without_their_outputs(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    manager, client = start_new_kernel(kernel_name="python3", env=dict(os.environ))
    try:
        for cell in (
            "import histhooks",
            "password = 'hunter2hunter2'\nprint('an ' + 'output')",
            "histhooks.start_run('mine').end(); histhooks.flush()",
            "_ = 1 + 1",
        ):
            reply = client.execute_interactive(cell, timeout=300, output_hook=lambda message: None)
            assert reply["content"]["status"] == "ok", reply
        wait_for(lambda: query(store_path, "SELECT 1 FROM events WHERE title = 'In [4]'"))
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    assert query(store_path, "SELECT kind FROM sessions") == [("notebook",)]
    cells = dict(query(store_path, "SELECT title, body FROM events WHERE kind = 'cell' ORDER BY ordinal"))
    assert cells["In [1]"] == "import histhooks"
    assert "hunter2" not in str(cells["In [2]"])
    assert "print('an ' + 'output')" in str(cells["In [2]"])
    assert cells["In [4]"] == "_ = 1 + 1"
    assert b"an output" not in store_path.read_bytes()


def test_a_cell_in_which_runs_ended_displays_them_in_one_line_and_nothing_is_on_stderr(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    monkeypatch.setenv("HISTHOOKS_QUIET", "0")
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ann/first steps.ipynb")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    loop = """
layer = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    layer(torch.ones(2, 1)).sum().backward()
    optimizer.step()
"""
    failing = "with histhooks.start_run('bad'): raise ValueError"
    nested = "with histhooks.start_run('outer'):\n    histhooks.start_run('inner').end()"
    cells = {
        "import histhooks, os; histhooks.autolog(); import torch": None,
        nested: "1 run (block outer)",
        "for n in range(5): histhooks.start_run(f'r{n}').end()": "5 runs (block r0, block r1, block r2, …)",
        "print('nothing of ours')": None,
        failing: "1 run (block bad failed)",
        loop: "1 run (loop first steps·Linear)",
        loop + "pass": "1 run (loop first steps·Linear)",
        "__vsc_ipynb_file__ = 'C:\\\\work\\\\second.ipynb'; histhooks.start_run().end()": "1 run (block second)",
        "histhooks.start_run('<b>').end()": "1 run (block <b>)",
        "os.environ['HISTHOOKS_QUIET'] = '1'; histhooks.start_run().end()": None,
    }
    said: dict[str, list[dict[str, Any]]] = {}
    manager, client = start_new_kernel(kernel_name="python3", env=dict(os.environ))
    try:
        for cell in cells:
            out: list[dict[str, Any]] = []
            client.execute_interactive(cell, timeout=300, output_hook=out.append)
            said[cell] = out
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    for cell, line in cells.items():
        texts = [message["content"] for message in said[cell]]
        assert "histhooks" not in "".join(content.get("text", "") for content in texts)  # of stderr and stdout
        shown_as = [message["content"]["data"] for message in said[cell] if message["msg_type"] == "display_data"]
        where = os.path.relpath(store_path)
        shown = store_path if where.startswith("..") else where
        text = f"histhooks: {line} → {shown}"
        assert [data["text/plain"] for data in shown_as] == ([] if line is None else [text]), said[cell]
        assert all(f">{escape(text)}</div>" in data["text/html"] for data in shown_as)
