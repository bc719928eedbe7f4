"""A writer that hangs in the middle of a batch: the thread that saves the rest starts from what was written last."""

from __future__ import annotations

from pathlib import Path

from histhooks._store.spools import waiting
from histhooks.testing import query, run_program
from histhooks.verify import verify

HANGS = """
import threading
import histhooks
from histhooks._record.engine import engine
run = histhooks.start_run("hangs")
run.log({"loss": 0.0}, step=0)
histhooks.flush()
assembler, hung = engine.writer._assembler, threading.Event()
close = assembler._close_points
def hangs(*words):
    if threading.current_thread() is engine.writer:
        hung.set()
        threading.Event().wait()
    return close(*words)
assembler._close_points = hangs
run.log_architecture("torch", "Net", [{"name": "layer"}], 10, 10)
run.log_params({"lr": 0.1})
run.log_results({"best": 1})
run.log({"loss": 1.0, "accuracy": 0.5}, step=1)
hung.wait(30)
run.log({"loss": 2.0}, step=2)
run.end()
engine.finish("ended", timeout_s=0.5)
"""


def test_what_half_a_batch_had_is_saved_whole(store_path: Path) -> None:
    code, _, err = run_program(HANGS, store_path)
    assert code == 0, err
    assert "the writer hangs" in err
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('next'): pass", store_path)
    assert code == 0, err
    assert waiting(store_path) == []
    assert verify(store_path).problems == []
    assert query(store_path, "PRAGMA foreign_key_check") == []
    points = "SELECT m.name, m.value FROM metrics AS m WHERE m.split <> 'system' ORDER BY name, step"
    assert query(store_path, points) == [("accuracy", 0.5), ("loss", 0.0), ("loss", 1.0), ("loss", 2.0)]
    shape = "SELECT class_name, n_parameters FROM architectures JOIN runs ON architecture_id = architectures.id"
    assert query(store_path, shape) == [("Net", 10)]
    assert query(store_path, "SELECT key, value FROM params UNION SELECT key, value FROM results") == [
        ("best", "1"),
        ("lr", "0.1"),
    ]
    assert query(store_path, "SELECT name, status FROM runs ORDER BY id") == [
        ("hangs", "finished"),
        ("next", "finished"),
    ]
