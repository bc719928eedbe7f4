"""Sentences say of the code what `show` says of it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from histhooks import evidence

PROGRAM = "import histhooks\nwith histhooks.start_run('a') as run:\n    run.log({'loss': 1.0})\n"


@pytest.mark.parametrize(
    ("is_committed", "beside", "says"),
    [
        (True, "data.bin", "without changes on top"),
        (True, "more.py", "with changes on top, which are recorded"),
        (False, None, "its git repository has no commit yet"),
    ],
)
def test_code_and_its_commit(tmp_path: Path, is_committed: bool, beside: str | None, says: str) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    person = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    steps = [["init", "-q"], ["add", "."], [*person, "commit", "-q", "-m", "first"]]
    for command in steps if is_committed else steps[:1]:
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    if beside is not None:
        (tmp_path / beside).write_bytes(b"x = 1\n" if beside.endswith(".py") else b"\x00\x01")
    store = tmp_path / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, env=environment, check=True)
    evidence.pack("a", tmp_path / "pack.zip", store=store)
    with zipfile.ZipFile(tmp_path / "pack.zip") as pack:
        assert says in pack.read("model-card.md").decode()
