"""Identifiers: those of RFC 9562, in the order in which they were made."""

import time
import uuid

from histhooks._base.ids import new_id, short_id


def test_an_identifier_is_a_uuid_of_version_7_that_holds_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after


def test_identifiers_of_one_millisecond_sort_in_the_order_in_which_they_were_made() -> None:
    made = []
    for _ in range(3_000):
        made.append(new_id())
        last = time.time_ns()
        while time.time_ns() < last + 500:  # the fraction counts quarters of a microsecond
            pass
    assert made == sorted(made)
    assert len({identifier[:13] for identifier in made}) < len(made) / 10  # many share their millisecond


def test_people_see_a_random_tail() -> None:
    made = [new_id() for _ in range(1_000)]
    assert len({short_id(identifier) for identifier in made}) == 1_000
