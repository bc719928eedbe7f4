"""Runs of one actor."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.verbs import ask
from histhooks import History
from histhooks.errors import QueryError
from histhooks.testing import run_program

PROGRAM = "import histhooks\nwith histhooks.start_run({!r}) as run: run.log({{'loss': 1.0}})"
ACTORS = ("ann@example.com", "Ann@work.example", "annabel@example.com", "bob", "a%n@example.com")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("who") / "h.db"
    for actor in ACTORS:
        code, _, error = run_program(PROGRAM.format(actor), path, HISTHOOKS_ACTOR=actor)
        assert code == 0, error
    return path


@pytest.mark.parametrize(
    ("who", "found"),
    [
        ("ann@example.com", {"ann@example.com"}),
        ("ANN@example.com", {"ann@example.com"}),
        ("ann", {"ann@example.com", "Ann@work.example"}),
        ("Bob", {"bob"}),
        ("a%n", {"a%n@example.com"}),
        ("a", set()),
        ("", set()),
        ("nobody", set()),
    ],
)
def test_who_is_a_name_or_what_stands_before_the_at(store: Path, who: str, found: set[str]) -> None:
    with History(store) as history:
        assert {run.name for run in history.runs(who=who)} == found
        assert history.count(who=who) == len(found)


def test_nobody_is_me_where_nobody_said_who_asks(store: Path) -> None:
    with History(store) as history, pytest.raises(QueryError, match="name an actor"):
        history.runs(who="me")


def test_mine_are_those_of_the_name_that_recording_gives(store: Path) -> None:
    code, said, _ = ask("runs", str(store), "-A", "--mine", "--csv", HISTHOOKS_ACTOR="bob")
    assert code == 0
    assert len(said.splitlines()) == 2
    code, _, errors = ask("runs", str(store), "--mine", "--who", "ann")
    assert code == 2
    assert "give one of them" in errors
    code, said, _ = ask("runs", str(store), "-A", "--who", "carl")
    assert "ann@example.com" in said
