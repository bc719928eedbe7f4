"""Every example runs as it stands, and leaves a history that fits its ledger."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from histhooks.verify import verify

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))
UNCHANGED = "unchanged_loop"  # knows nothing of histhooks
OWN_FILES = str(Path(histhooks.__file__).parent) + os.sep


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_as_it_stands(example: Path, store_path: Path) -> None:
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    command = [sys.executable, "-W", "always"] + (["-m", "histhooks", "run"] if example.stem == UNCHANGED else [])
    done = subprocess.run([*command, str(example)], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert (
        OWN_FILES not in done.stderr
    )  # a warning of ours would name its file; not just `histhooks`: a clone is called so
    connection = sqlite3.connect(store_path)
    statuses = connection.execute("SELECT DISTINCT status FROM runs").fetchall()
    connection.close()
    assert statuses == [("finished",)]
    assert verify(store_path).problems == []


def test_there_are_examples() -> None:
    assert EXAMPLES
