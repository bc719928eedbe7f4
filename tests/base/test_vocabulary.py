"""How a session ended, of what it stated and what was seen of its process."""

from __future__ import annotations

import pytest

from histhooks._base.vocabulary import ENDS, STATUSES, UNDECIDED, UNFINISHED, ending

# stated, then what it becomes if nobody saw the end of a process that is gone, at exit code 0, at 3, at a signal.
TABLE = """
running     | killed      | finished    | failed      | killed
finished    | finished    | finished    | failed      | killed
failed      | failed      | failed      | failed      | failed
interrupted | interrupted | interrupted | interrupted | interrupted
killed      | killed      | killed      | killed      | killed
lost        | lost        | finished    | failed      | killed
ended       | ended       | finished    | failed      | killed
"""
ROWS = [[cell.strip() for cell in row.split("|")] for row in TABLE.strip().splitlines()]


@pytest.mark.parametrize(("stated", "unseen", "well", "badly", "by_signal"), ROWS)
def test_a_session_ends_as_it_states_and_else_as_was_seen(
    stated: str, unseen: str, well: str, badly: str, by_signal: str
) -> None:
    assert ending(stated) == unseen
    assert ending(stated, exit_code=0) == well
    assert ending(stated, exit_code=3) == badly
    assert ending(stated, signal=9) == by_signal


def test_the_table_has_every_status() -> None:
    assert tuple(row[0] for row in ROWS) == STATUSES == ("running", *ENDS)
    assert {*UNDECIDED, *UNFINISHED} < set(STATUSES)


@pytest.mark.parametrize(("seen", "became"), [({"exit_code": 0}, "finished"), ({"exit_code": 1}, "failed")])
def test_what_another_session_guessed_gives_way_to_what_was_seen(seen: dict[str, int], became: str) -> None:
    assert ending("killed", is_guess=True, **seen) == became


def test_a_process_that_lives_goes_on() -> None:
    assert ending("running", is_alive=True) == "running"


@pytest.mark.parametrize("stated", STATUSES)
def test_only_a_session_that_says_it_runs_is_lost_if_nothing_can_be_seen_of_it(stated: str) -> None:
    assert ending(stated, is_alive=None) == ("lost" if stated == "running" else stated)
