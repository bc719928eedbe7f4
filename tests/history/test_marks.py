"""Short names of what tells runs apart: their data and their code."""

from __future__ import annotations

import histhooks
from histhooks.history._marks import code_names, data_names, data_of, shortest


def test_hashes_are_as_short_as_they_can_be() -> None:
    assert shortest(["abcdef", "abcd12", "1234ff"]) == {"abcdef": "abcde", "abcd12": "abcd1", "1234ff": "1234f"}
    assert shortest(["abcdef", "123456"]) == {"abcdef": "abcd", "123456": "1234"}


def test_data_are_told_apart_by_whole_digests_if_all_runs_have_one() -> None:
    assert data_names({"x": ("aaaa1", "d1"), "y": ("bbbb1", "d1")}) == {}
    assert data_names({"x": ("aaaa1", "d1"), "y": ("bbbb1", None)}) == {"x": "aaaa", "y": "bbbb"}
    assert data_names({"x": ("aaaa1", "d1111"), "y": ("bbbb1", "d2222")}) == {"x": "aaaa", "y": "bbbb"}
    assert data_names({"x": ("aaaa1", "d1111"), "y": ("aaaa1", "d2222")}) == {"x": "d111", "y": "d222"}
    assert data_names({}) == {}


def test_code_is_named_by_its_commit_and_by_a_hash_where_that_is_not_enough() -> None:
    assert code_names([("a" * 64, "1111111"), ("b" * 64, "1111111+")]) == {"a" * 64: "1111111", "b" * 64: "1111111+"}
    assert code_names([("a" * 64, "1111111+"), ("b" * 64, "1111111+")]) == {
        "a" * 64: "1111111+aaaa",
        "b" * 64: "1111111+bbbb",
    }
    assert code_names([("a" * 64, ""), ("b" * 64, "")]) == {"a" * 64: "aaaa", "b" * 64: "bbbb"}


def test_the_same_values_in_another_container_are_the_same_data(store_path) -> None:  # type: ignore[no-untyped-def]
    import numpy as np

    histhooks.autolog(store=store_path)
    rows = np.arange(12.0).reshape(6, 2)
    ids = []
    for X in (rows, rows.copy(order="F"), rows + 1):
        with histhooks.start_run("train") as run:
            run.log_dataset("train", X)
            ids.append(run.id)
    histhooks.flush()
    histhooks.disable()
    with histhooks.History(store_path) as history:
        names = data_names({i: told["train"] for i, told in data_of(history, ids).items()})
    assert names[ids[0]] == names[ids[1]] != names[ids[2]]
