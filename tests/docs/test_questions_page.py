"""docs/guide/questions.md is true: commands answer, their JSON is what the page says, and lines of Python run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from histhooks.testing import run_program

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "questions.md"
PROGRAM = """
import histhooks
with open("model.pt", "wb") as file: file.write(b"weights")
for lr in (0.1, 0.2, 0.3):
    with histhooks.start_run("train", params={"lr": lr}) as run:
        for step in range(5):
            run.log({"loss": 1 / (step + 1), "val_loss": 0.5 + lr / (step + 1)}, step=step)
        run.log_artifact("model.pt", role="model")
"""


@dataclass(frozen=True)
class Row:
    question: str
    command: list[str]
    form: str
    line: str


def rows() -> Iterator[Row]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] != "question":
            assert len(cells) == 6, line
            command, python = (re.fullmatch("`(.+)`", cells[n]) for n in (1, 3))
            assert command is not None, line
            assert python is not None, line
            yield Row(cells[0], shlex.split(command[1]), cells[2], python[1])


ROWS = list(rows())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs and the file that they made."""
    folder = tmp_path_factory.mktemp("questions")
    code, _, err = run_program(PROGRAM, folder / "histhooks.db")
    assert code == 0, err
    return folder


def ask(folder: Path, words: list[str]) -> str:
    environment = {**os.environ, "HISTHOOKS_STORE": str(folder / "histhooks.db")}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == (1 if words[1] == "diff" else 0), done.stderr
    return done.stdout


def test_there_are_twelve() -> None:
    assert len(ROWS) == 12


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.question)
def test_a_command_answers_its_question(row: Row, folder: Path) -> None:
    if "chart.png" in row.command:
        pytest.importorskip("matplotlib")
    said = ask(folder, row.command)
    written = [word for word in row.command if word.endswith((".png", ".db"))]
    assert said.strip() or (written and (folder / written[0]).stat().st_size > 1000)
    for name in written:
        (folder / name).unlink()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.question)
def test_its_json_has_the_form_that_the_page_names(row: Row, folder: Path) -> None:
    words = [word for word in row.command if word not in ("--csv", "--code")]
    if "chart.png" in words:
        words = words[: words.index("-o")]
    said = ask(folder, [*words, "--json"])
    (folder / "run.db").unlink(missing_ok=True)
    if row.form == "an object a line":
        assert all(isinstance(json.loads(line), dict) for line in said.splitlines())
        return
    found = json.loads(said)
    if row.form == "object":
        assert isinstance(found, dict)
        return
    assert isinstance(found, list)
    assert found
    key = {"list of runs": "status", "list of points": "value"}[row.form]
    assert all(key in entry for entry in found)


def test_the_lines_of_python_run(folder: Path) -> None:
    for name in ("pandas", "numpy", "matplotlib"):
        pytest.importorskip(name)
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    checks = [f"assert ({row.line}) is not None, {row.question!r}" for row in ROWS if ".save(" not in row.line]
    saves = [row.line for row in ROWS if ".save(" in row.line]
    assert len(saves) == 1
    program = "\n".join([block, *checks, *saves, "assert open('curve.png', 'rb').read(4) == b'\\x89PNG'"])
    code, _, err = run_program(program, folder / "histhooks.db")
    assert code == 0, err
