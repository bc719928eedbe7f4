"""Which change makes a run bad is found by running the program with parts of both runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from histhooks.testing import query

PROGRAM = """
import argparse, random, histhooks
from helper import factor
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--name", default="a")
asked = parser.parse_args()
with histhooks.start_run(asked.name, params=vars(asked)) as run:
    loss = 1.0
    for step in range(10):
        loss -= asked.lr * factor * random.random()
        run.log({"loss": loss}, step=step)
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder, self.n_edits = folder, 0
        folder.mkdir()
        (folder / "train.py").write_text(PROGRAM)
        self.factor("1.0")
        (folder / ".gitignore").write_text("*.db\n*.db-*\n")
        for words in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "1"],
        ):
            subprocess.run(["git", *words], cwd=folder, check=True)

    def factor(self, text: str) -> None:
        # Of another size each time, since Python may keep the bytecode of a file that changes within a second.
        self.n_edits += 1
        (self.folder / "helper.py").write_text(f"factor = {text}\n" + "#" * self.n_edits)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "histhooks", *words]
        return subprocess.run(command, cwd=self.folder, check=False, capture_output=True, text=True)

    def bisect(self) -> dict[str, Any]:
        done = self.run("bisect", "last~1", "last", "--yes", "--json")
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return {**found, "code": done.returncode}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return Project(tmp_path / "project")


def test_of_two_changes_the_one_that_makes_it_bad_is_named(project: Project) -> None:
    assert project.run("run", "train.py", "--name", "a").returncode == 0
    project.factor("0.1")
    assert project.run("run", "train.py", "--name", "b").returncode == 0
    found = project.bisect()
    assert (found["code"], found["parts"], found["causes"]) == (0, ["code", "arguments"], ["code"])
    assert [trial["parts"] for trial in found["trials"]][:2] == [[], ["code", "arguments"]]
    assert query(project.folder / "histhooks.db", "SELECT count(*) FROM runs") == [(2,)], "trials are not recorded"
    assert not (project.folder / "histhooks.db.reproduce").exists()


def test_a_change_that_is_no_cause_leaves_it_open(project: Project) -> None:
    """The second run is worse by chance: another draw of the generators."""
    for name in ("a", "b"):
        assert project.run("run", "train.py", "--name", name).returncode == 0
    found = project.bisect()
    assert (found["code"], found["causes"]) == (1, None)
    assert "chance" in found["why"]


def test_two_runs_without_a_change_are_refused(project: Project) -> None:
    for _ in range(2):
        assert project.run("run", "train.py").returncode == 0
    done = project.run("bisect", "last~1", "last", "--yes")
    assert done.returncode == 2
    assert "the same in both" in done.stderr
