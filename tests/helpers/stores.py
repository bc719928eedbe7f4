"""Stores that tests look into: what stands in them, and whether an independent verifier agrees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from histhooks import History
from histhooks.testing import query
from histhooks.verify import verify

# A run of every kind of row.
WHOLE_PROGRAM = """
import histhooks
open("model.bin", "wb").write(b"weights")
for name in ("first", "second"):
    with histhooks.start_run(name, params={"a": 1, "b": [1, 2]}, tags={"team": "red"}) as run:
        for step in range(200):
            run.log({"loss": 1.0 / (step + 1), "val_acc": step / 200}, step=step, epoch=step // 10)
        run.log_results({"best": 3}); run.note("fine"); run.event("milestone", "halfway")
        run.log_artifact("model.bin"); run.log_dataset("train", [[1, 2]])
histhooks.flush()
"""
VERIFIER = Path(__file__).parents[2] / "docs" / "reference" / "verify_ledger.py"


def alone(store: Path, *arguments: str) -> tuple[int, str]:
    """Run the verifier that stands alone: its exit code and what it printed."""
    command = [sys.executable, "-I", str(VERIFIER), str(store), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout


def is_fine(store: Path) -> bool:
    """Whether both verifiers agree with a store; what they name fails the test."""
    report = verify(store)
    assert report.ok, report.problems
    code, said = alone(store)
    assert code == 0, said
    return True


def values(store: Path, name: str = "loss") -> dict[str, list[float]]:
    """Points of each run, from the store and what waits beside it."""
    with History(store) as history:
        points = {run.name: run.metrics() for run in history.runs()}
    return {run: [point["value"] for point in found if point["name"] == name] for run, found in points.items()}


def params(store: Path) -> dict[str, tuple[object, object]]:
    """Return the value and the source of each param."""
    found = query(store, "SELECT key, value, source FROM params")
    return {str(key): (json.loads(str(value)), source) for key, value, source in found}


def points(store: Path, name: str, run: str = "") -> list[tuple[object, ...]]:
    """Return step, epoch and value of a metric's points."""
    where = f" AND run_id = '{run}'" if run else ""
    return query(store, f"SELECT step, epoch, value FROM metrics WHERE name = '{name}'{where} ORDER BY run_id, n")
