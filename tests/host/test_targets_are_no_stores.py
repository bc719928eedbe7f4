"""Training writes to a file: the target of a team is refused as a store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from helpers.terminals import ask
from histhooks import reproduce, team
from histhooks.errors import ReproduceError
from histhooks.testing import run_program

ADDRESS = "postgresql://ann:geheim@db.example/ml"


@pytest.mark.parametrize("word", [ADDRESS, "s3://bucket/runs", "folder:/shared", "sqlite:///team.db"])
def test_autolog_refuses_a_target_and_says_what_to_name(word: str) -> None:
    with pytest.raises(
        histhooks.StoreError, match="training writes a file; name the team with HISTHOOKS_TEAM"
    ) as found:
        histhooks.autolog("torch", store=word)
    assert "geheim" not in str(found.value)


def test_a_program_whose_environment_names_a_target_records_to_the_file_here(tmp_path: Path) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    program = "import histhooks\nwith histhooks.start_run('a') as run:\n    run.log({'loss': 1.0})"
    code, _, errors = run_program(program, folder / "x.db", HISTHOOKS_STORE=ADDRESS, HISTHOOKS_QUIET="0")
    assert code == 0
    assert "training writes a file; name the team with HISTHOOKS_TEAM" in errors
    assert "geheim" not in errors
    assert sorted(path.name for path in folder.iterdir()) == ["histhooks.db"]


def test_a_program_whose_pyproject_names_a_target_says_so(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.histhooks]\nstore = "{ADDRESS}"\n')
    (tmp_path / "train.py").write_text(
        "import histhooks\nwith histhooks.start_run('a') as run:\n    run.log({'a': 1})\n"
    )
    plain = {key: value for key, value in os.environ.items() if not key.startswith("HISTHOOKS_")}
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, env=plain, capture_output=True, text=True, check=True
    )
    assert "training writes a file; name the team with HISTHOOKS_TEAM" in done.stderr
    assert "geheim" not in done.stderr
    assert (tmp_path / "histhooks.db").is_file()


def test_a_verb_does_not_read_the_file_here_in_the_place_of_a_target() -> None:
    code, _, errors = ask("runs", HISTHOOKS_STORE=ADDRESS)
    assert code == 2
    assert "name a target with --store" in errors
    assert "geheim" not in errors


@pytest.mark.parametrize(
    ("words", "address", "said"),
    [
        ("demo", ADDRESS, "training writes a file"),
        ("demo", "sqlite:///team.db", "training writes a file"),
        ("run program.py", ADDRESS, "training writes a file"),
        ("run program.py", "folder:shared", "training writes a file"),
        ("run program.py", "sqlite:///team.db", "training writes a file"),
        ("sync", ADDRESS, "a target is changed by what is pushed to it"),
        ("sync", "folder:shared", "a target is changed by what is pushed to it"),
    ],
)
def test_a_verb_that_writes_a_store_refuses_a_target(
    words: str, address: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shared").mkdir()
    Path("program.py").write_text("import histhooks\nwith histhooks.start_run('a') as run:\n    run.log({'loss': 1})\n")
    verb, *rest = words.split()
    code, printed, errors = ask(verb, "--store", address, *rest)
    assert (code, printed) == (2, "")
    assert said in errors
    assert "geheim" not in errors
    assert not [*Path("shared").iterdir()]
    assert not [
        path for path in tmp_path.rglob("*") if path.name.startswith(("postgresql", "folder", "sqlite", "team"))
    ]


def test_a_run_of_a_target_is_reproduced_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("train.py").write_text("import histhooks\nwith histhooks.start_run('a') as run:\n    run.log({'loss': 1.0})\n")
    recording = {**os.environ, "HISTHOOKS_STORE": str(tmp_path / "x.db")}
    subprocess.run([sys.executable, "train.py"], env=recording, check=True)
    assert team.push("x.db", to="folder:shared").ok
    target = f"folder:{tmp_path / 'shared'}"
    with histhooks.History(target) as history, pytest.raises(ReproduceError, match="`histhooks pull`, reproduce"):
        reproduce.execute(reproduce.plan(history.run("a")))
    with histhooks.History(target) as history:
        assert len(history.runs()) == 1
    assert team.pull(target, into="road.db").ok
    with histhooks.History("road.db") as history:
        assert reproduce.execute(reproduce.plan(history.run("a"))).level == "bits"
