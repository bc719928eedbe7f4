"""Training writes to a file: the target of a team is refused as a store."""

from __future__ import annotations

from pathlib import Path

import pytest

import histhooks
from helpers.terminals import ask
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


def test_a_verb_does_not_read_the_file_here_in_the_place_of_a_target() -> None:
    code, _, errors = ask("runs", HISTHOOKS_STORE=ADDRESS)
    assert code == 2
    assert "name a target with --store" in errors
    assert "geheim" not in errors
