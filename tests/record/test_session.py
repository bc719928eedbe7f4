"""A session's life: which event leads from which phase to which, and that a second session is a new object."""

from __future__ import annotations

import threading
from typing import get_args

import pytest

from histhooks._record.session import TRANSITIONS, Event, Phase, Session

# What each event does in each phase, in this order; `.` for nothing.
EVENTS = ("begin", "take_back", "end", "stop", "written", "abandon")
TABLE = """
new        recording .    .       .       .     .
recording  .         new  ending  stopped .     .
stopped    .         .    failed  .       .     .
ending     .         .    .       failed  ended abandoned
failed     .         .    .       .       .     abandoned
abandoned  .         .    .       .       ended .
ended      .         .    .       .       .     .
"""
CASES = [
    (row.split()[0], event, after)
    for row in TABLE.strip().splitlines()
    for event, after in zip(EVENTS, row.split()[1:], strict=True)
]


@pytest.mark.parametrize(("before", "event", "after"), CASES)
def test_an_event_leads_to_one_phase_or_changes_nothing(before: str, event: Event, after: str) -> None:
    session = Session()
    session.phase = Phase(before)
    assert session.advance(event) == (after != ".")
    assert session.phase is Phase(before if after == "." else after)


def test_the_table_has_every_phase_and_every_event() -> None:
    assert {before for before, _, _ in CASES} == {phase.value for phase in Phase}
    assert set(EVENTS) == set(get_args(Event)) == set(TRANSITIONS)


def test_no_phase_but_the_last_is_a_dead_end() -> None:
    left = {before for moves in TRANSITIONS.values() for before in moves}
    assert set(Phase) - left == {Phase.ENDED}


def test_of_many_threads_that_end_a_session_one_does() -> None:
    session = Session()
    session.advance("begin")
    together, moved = threading.Barrier(8), []

    def end() -> None:
        together.wait()
        moved.append(session.advance("end"))

    threads = [threading.Thread(target=end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(moved) == [False] * 7 + [True]


@pytest.mark.parametrize("phase", Phase)
def test_a_session_is_over_from_its_end_on_and_not_where_only_the_writer_stopped(phase: Phase) -> None:
    session = Session()
    session.phase = phase
    assert session.is_over == (phase not in (Phase.NEW, Phase.RECORDING, Phase.STOPPED))


def test_a_second_session_is_a_new_one_that_takes_what_nobody_has_written() -> None:
    first = Session()
    first.n_runs, first.hook_errors, first.dropped_points, first.actor = 3, 1, 2, "someone"
    first.known_contents.add("content")
    first.event("odd", "of the first")
    second = Session(first)
    assert (second.id != first.id, second.phase, second.n_runs, second.hook_errors, second.dropped_points) == (
        True, Phase.NEW, 0, 0, 0,
    )  # fmt: skip
    assert (second.actor, second.known_contents, len(first.buffer), len(second.buffer)) == ("someone", set(), 0, 1)
    first.event("odd", "said after its end")
    assert (len(first.buffer), len(second.buffer)) == (0, 2)
