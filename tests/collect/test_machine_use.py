"""Use of the machine, sampled beside the training, and the cells of a notebook."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from histhooks.testing import query, run_program
from histhooks.verify import verify

PROGRAM = """
import time
import histhooks
with histhooks.start_run("outer") as outer:
    with histhooks.start_run("inner"):
        end = time.perf_counter() + 6.0
        while time.perf_counter() < end:
            sum(range(10_000))
"""


def test_cpu_and_memory_are_points_of_the_outer_run(store_path: Path) -> None:
    code, _, err = run_program(PROGRAM, store_path, HISTHOOKS_SYSTEM_S="0.5")
    assert code == 0, err
    columns = "r.name, m.name, m.split, m.direction, m.count > 0"
    sql = f"SELECT {columns} FROM metric_summaries AS m JOIN runs AS r ON r.id = run_id"
    names = ("cpu_percent", "machine_cpu_percent", "machine_memory_percent", "memory_bytes")
    assert sorted(query(store_path, sql)) == [("outer", f"system/{name}", "system", 0, 1) for name in names]
    ((cpu,),) = query(store_path, "SELECT max FROM metric_summaries WHERE name = 'system/cpu_percent'")
    assert isinstance(cpu, float)
    assert cpu > 10  # the loop was busy
    ((memory,),) = query(store_path, "SELECT min FROM metric_summaries WHERE name = 'system/memory_bytes'")
    assert isinstance(memory, float)
    assert 1e6 < memory < 1e10
    assert verify(store_path).problems == []


def test_sampling_can_be_switched_off(store_path: Path) -> None:
    code, _, err = run_program(PROGRAM.replace("6.0", "1.5"), store_path, HISTHOOKS_SYSTEM_S="0")
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
            reply = client.execute_interactive(cell, timeout=60, output_hook=lambda message: None)
            assert reply["content"]["status"] == "ok", reply
        client.execute_interactive("import time; time.sleep(1)", timeout=60)
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


def test_a_cell_in_which_runs_ended_tells_them_in_one_dim_line(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from jupyter_client.manager import start_new_kernel

    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    monkeypatch.setenv("HISTHOOKS_QUIET", "0")
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
        loop: "1 run (loop session·Linear)",
        loop + "pass": "1 run (loop session·Linear)",
        "os.environ['HISTHOOKS_QUIET'] = '1'; histhooks.start_run().end()": None,
    }
    said: dict[str, str] = {}
    manager, client = start_new_kernel(kernel_name="python3", env=dict(os.environ))
    try:
        for cell in cells:
            out: list[str] = []
            client.execute_interactive(
                cell, timeout=60,
                output_hook=lambda message: out.append(message["content"].get("text", "")),  # noqa: B023
            )  # fmt: skip
            said[cell] = "".join(out)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    for cell, line in cells.items():
        dim = [text for text in said[cell].splitlines() if text.startswith("\033[2m")]
        where = os.path.relpath(store_path)
        shown = store_path if where.startswith("..") else where
        assert dim == ([] if line is None else [f"\033[2mhisthooks: {line} → {shown}\033[0m"]), said[cell]
