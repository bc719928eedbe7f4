"""Where the entries of a run go: which change leads from where to where."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from histhooks._record.outlet import CHANGES, Change, Outlet, Way, late

ORDER = ("slow", "release", "keep_ends", "relay", "end", "reopen", "inherit", "close")
# What each change leads to, in this order; `.` for nowhere.
TABLE = """
open      | slowed | .    | ends only | .       | late | .    | not ours | closed
slowed    | .      | open | ends only | .       | late | open | not ours | closed
ends only | .      | .    | .         | .       | late | open | not ours | closed
relayed   | .      | .    | .         | .       | late | .    | .        | closed
late      | .      | .    | .         | .       | .    | open | not ours | closed
not ours  | .      | .    | .         | .       | .    | .    | .        | .
closed    | .      | .    | .         | relayed | .    | .    | .        | .
"""
ROWS = [[cell.strip() for cell in row.split("|")] for row in TABLE.strip().splitlines()]
CASES = [(row[0], change, after) for row in ROWS for change, after in zip(ORDER, row[1:], strict=True)]


@pytest.mark.parametrize(("before", "change", "after"), CASES)
def test_a_change_leads_to_one_way_or_nowhere(before: str, change: Change, after: str) -> None:
    kept: list[Any] = []
    taken: list[Any] = []
    outlet = Outlet(kept.append)
    outlet.way = Way(before)
    assert outlet.lead(change, taken.append) == (after != ".")
    assert outlet.way is Way(before if after == "." else after)
    outlet.put("entry")
    assert (taken, kept) == (([], ["entry"]) if after == "." else (["entry"], []))


def test_the_table_has_every_way_and_every_change() -> None:
    assert {before for before, _, _ in CASES} == {way.value for way in Way}
    assert set(ORDER) == set(get_args(Change)) == set(CHANGES)


def test_an_outlet_that_leads_nowhere_is_closed() -> None:
    outlet = Outlet(None)
    outlet.put("entry")
    assert outlet.way is Way.CLOSED


def test_a_closed_one_takes_what_comes_without_a_word_and_stays_closed() -> None:
    kept: list[Any] = []
    outlet = Outlet(kept.append)
    outlet.close()
    assert not outlet.lead("end", late)
    outlet.put("entry")
    assert kept == []
