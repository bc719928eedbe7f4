"""Ranks of a distributed job: only the first has runs; another one leaves a session, and a question begins nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from histhooks.testing import query, run_program

ASKS = """
import threading
import histhooks
from histhooks import recorder
print(recorder.is_recording(), recorder.ensure_session() if {is_fit} else None)
print(len(threading.enumerate()) > 1)
"""
OTHER = {"RANK": "1", "WORLD_SIZE": "2"}


def ask(store: Path, *, is_fit: bool, **variables: str) -> list[str]:
    code, out, err = run_program(ASKS.format(is_fit=is_fit), store, **variables)
    assert code == 0, err
    return out.split()


@pytest.mark.parametrize(("variables", "answer"), [({}, "True"), (OTHER, "False"), ({"HISTHOOKS": "off"}, "False")])
def test_a_question_begins_no_thread_and_makes_no_store(
    store_path: Path, variables: dict[str, str], answer: str
) -> None:
    assert ask(store_path, is_fit=False, **variables) == [answer, "None", "False"]
    assert not store_path.exists()


def test_a_fit_on_another_rank_leaves_a_session_without_runs(store_path: Path) -> None:
    assert ask(store_path, is_fit=True, **OTHER) == ["False", "False", "True"]
    assert query(store_path, "SELECT rank, world_size, status FROM sessions") == [(1, 2, "finished")]
    assert query(store_path, "SELECT count(*) FROM runs") == [(0,)]


def test_on_the_first_rank_the_run_begins_the_session(store_path: Path) -> None:
    assert ask(store_path, is_fit=True) == ["True", "True", "False"]
    assert not store_path.exists()


def test_what_is_off_has_no_session_on_any_rank(store_path: Path) -> None:
    assert ask(store_path, is_fit=True, HISTHOOKS="off", **OTHER) == ["False", "False", "False"]
    assert not store_path.exists()


def test_a_run_that_a_program_opens_on_another_rank_is_inert_and_leaves_the_session(store_path: Path) -> None:
    program = "import histhooks\nwith histhooks.start_run() as run: print(run.id)"
    assert run_program(program, store_path, **OTHER)[:2] == (0, "None\n")
    assert query(store_path, "SELECT rank FROM sessions") == [(1,)]
