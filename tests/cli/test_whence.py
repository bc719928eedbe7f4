"""`histhooks whence`: which run made a file, told by its content."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks

PROGRAM = """
import histhooks
from pathlib import Path
Path("model.pt").write_bytes(b"weights"); Path("data.csv").write_bytes(b"1,2,3"); Path("draft.pt").write_bytes(b"old")
with histhooks.start_run("trainer") as run:
    run.log_artifact("model.pt", role="model", step=7)
    run.log_artifact("draft.pt", role="checkpoint")
    run.log_artifact("data.csv", role="data", direction="in")
with histhooks.start_run("reader") as run:
    run.log_artifact("model.pt", role="model", direction="in")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    environment = {**os.environ, "HISTHOOKS_STORE": str(tmp_path / "histhooks.db"), "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, check=True, timeout=60)
    return tmp_path


def ask(*words: str, folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "histhooks", "whence", *words],
        env=os.environ, cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback (most recent call last)" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_file_is_known_by_its_content_wherever_it_lies(folder: Path) -> None:
    code, out, _ = ask("model.pt", folder=folder)
    assert code == 0
    made, read = out.splitlines()
    assert "made by " in made
    assert "trainer (finished), model at step 7" in made
    assert read.startswith("read by ")
    (folder / "model.pt").rename(folder / "moved.bin")
    code, out, _ = ask("moved.bin", folder=folder)
    assert code == 0
    assert f", as {folder / 'model.pt'}, which is there no longer" in out
    code, out, _ = ask("moved.bin", "--json", folder=folder)
    record = json.loads(out)
    assert [row["name"] for row in record["made_by"]] == ["trainer"]
    assert [row["name"] for row in record["read_by"]] == ["reader"]


def test_a_file_that_was_only_read_or_has_other_content_was_made_by_nobody_known(folder: Path) -> None:
    code, out, _ = ask("data.csv", folder=folder)
    assert code == 1
    assert "read by " in out
    assert "no run in " in out
    (folder / "draft.pt").write_bytes(b"new content")
    code, out, _ = ask("draft.pt", folder=folder)
    assert code == 1
    assert "other content was written there" in out
    assert "trainer" in out
    (folder / "own.txt").write_text("nobody recorded this")
    code, out, _ = ask(str(folder / "histhooks.db"), "own.txt", "--json", folder=folder)
    assert code == 1
    assert json.loads(out)["sha256"] is None


def test_no_such_file_and_no_store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert ask("missing.pt", folder=folder)[0] == 2
    assert "is a folder" in ask(str(folder), folder=folder)[2]
    assert ask(folder=folder)[0] == 2
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "model.pt").write_bytes(b"weights")
    code, _, err = ask("model.pt", folder=elsewhere)
    assert code == 2
    assert str(folder / "histhooks.db") in err  # where this user has recorded to


def test_the_store_beside_the_file_is_asked_where_there_is_none_here(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, out, _ = ask(str(folder / "model.pt"), folder=tmp_path_factory.mktemp("elsewhere"))
    assert code == 0
    assert "trainer" in out


def test_a_file_of_a_size_that_nobody_recorded_is_not_read(folder: Path) -> None:
    from histhooks.history.query.whence import whence

    with histhooks.History(folder / "histhooks.db") as history:
        seen: list[int] = []
        (folder / "large.bin").write_bytes(b"0" * 5000)
        assert whence(history, folder / "large.bin", seen.append).sha256 is None
        assert seen == []
        assert whence(history, folder / "model.pt", seen.append).made
        assert seen == [7]
