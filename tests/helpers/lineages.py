"""A store of runs that follow each other, from raw data to a model that is promoted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from histhooks.testing import run_program

_PROGRAM = """
import histhooks
from pathlib import Path
Path("raw.csv").write_text("raw"); Path("clean.csv").write_text("clean")
with histhooks.start_run("prepare") as run:
    run.log_artifact("raw.csv", direction="in"); run.log_artifact("clean.csv", role="data")
with histhooks.start_run("pretrain") as first:
    first.log_artifact("clean.csv", direction="in"); first.log_dataset("train", [[1, 2], [3, 4]])
    for step in range(3):
        first.log({"val_loss": 1 / (step + 1)}, step=step)
        Path(f"c{step}.pt").write_text(str(step)); first.log_artifact(f"c{step}.pt", role="checkpoint", step=step)
with histhooks.start_run("fine-tune") as run:
    run.log_artifact("c2.pt", direction="in", role="checkpoint"); run.link("fine-tunes", first.id)
    run.log_dataset("train", [[1, 2], [3, 4]]); run.log_dataset("test", [[9, 9]])
    Path("model.pt").write_text("model"); run.log_artifact("model.pt", role="model")
    run.log_artifact("model.pt", direction="in", role="model")
with histhooks.start_run("judge") as run:
    run.log_artifact("model.pt", direction="in", role="model"); run.log_dataset("test", [[9, 9]])
with histhooks.start_run("search"):
    for number in range(3):
        with histhooks.start_run(f"candidate {number}") as run:
            run.log_artifact("clean.csv", direction="in")
            Path(f"part{number}").write_text(f"part {number}"); run.log_artifact(f"part{number}", role="model")
with histhooks.start_run("alone"): pass
"""


def make(store: Path) -> Path:
    """The store; its files lie beside it."""
    code, _, error = run_program(_PROGRAM, store)
    assert code == 0, error
    command = [sys.executable, "-m", "histhooks", "promote", "model.pt", "--store", str(store), "--model", "churn"]
    command += ["--reason", "first", "--no-check"]
    subprocess.run(command, cwd=store.parent, check=True, capture_output=True, timeout=120)
    return store


def make_wide(store: Path, count: int) -> Path:
    """So many runs with the same data, each with a file of its own, all of one file that a first run wrote."""
    program = f"""
    import histhooks
    from pathlib import Path
    Path("base.pt").write_text("base")
    with histhooks.start_run("base") as run:
        run.log_artifact("base.pt")
    Path("out").mkdir()
    for number in range({count}):
        with histhooks.start_run(f"run {{number}}") as run:
            run.log_artifact("base.pt", direction="in"); run.log_dataset("train", [[1]])
            path = Path("out") / str(number)
            path.write_text(str(number)); run.log_artifact(path, role="model")
    with histhooks.start_run("chosen") as run:
        run.log_artifact("out/0", direction="in")
    """
    code, _, error = run_program(program, store)
    assert code == 0, error
    return store
