"""What a page shows is in its address: reading what was written gives the same."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histhooks import QueryError
from histhooks.ui._state import ChartState, ExploreState, LineageState, PageState, RunsState, State

WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=20).map(str.strip)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
OF_TYPE: dict[type, Any] = {
    str: WORDS,
    bool: st.booleans(),
    float: NUMBERS,
    tuple: st.lists(WORDS.filter(bool), max_size=4, unique=True).map(tuple),
    type(None): st.none() | NUMBERS,
}


def states(kind: type[State]) -> st.SearchStrategy[State]:
    return st.builds(kind, **{one.name: OF_TYPE[type(one.default)] for one in fields(kind)})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.one_of(*(states(kind) for kind in (RunsState, ChartState, PageState, ExploreState, LineageState))))
def test_an_address_gives_back_what_was_written(state: State) -> None:
    assert type(state).parse(state.write()) == state


@pytest.mark.parametrize("kind", [RunsState, ChartState, PageState, ExploreState, LineageState])
def test_defaults_are_left_out_of_an_address(kind: type[State]) -> None:
    assert kind().write() == ""
    assert kind.parse("unknown=1&token=x") == kind()


def test_a_form_may_send_a_word_several_times() -> None:
    assert PageState.parse("runs=a&runs=b,c&runs=a").runs == ("a", "b", "c")
    assert ChartState.parse("m=a\\,b,c").m == ("a,b", "c")


@pytest.mark.parametrize("query", ["from=x", "smooth=nan", "to=inf", "from=1e999"])
def test_what_is_no_number_is_refused(query: str) -> None:
    with pytest.raises(QueryError, match="number"):
        ChartState.parse(query)


def test_an_address_has_one_order_and_readable_words() -> None:
    state = RunsState.parse("sort=val_loss&where=val_loss < 0.3 and tags.team = 'red'&project=demo")
    assert state.write() == "where=val_loss+%3C+0.3+and+tags.team+=+'red'&project=demo&sort=val_loss"
