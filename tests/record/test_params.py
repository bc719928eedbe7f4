"""Params that are told again: they become what they became the first time, for the same values and no others."""

import gc
import json
import math
import sqlite3
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import histhooks
from helpers.programs import wait_for
from histhooks._base.encoding import encoder_of
from histhooks._store.ledger import canonical, digest_rows
from histhooks._store.params import as_written, told_before
from histhooks.verify import verify

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from([0, 0.0, -0.0, False, 1, 1.0, True]),
)


@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=8), plain, max_size=4), min_size=1, max_size=4))
def test_params_told_many_times_are_kept_as_they_are_the_first_time(several: list[dict[str, Any]]) -> None:
    found = []
    for _ in range(2):
        for params in several:
            entries = []
            run = histhooks.Run(None, {"name": "x"})
            run.relay(entries.append, "r", None)
            run.log_params(params)
            found.append([pair for entry in entries if entry[0] == "params" for pair in entry[3]])
    assert found[: len(several)] == found[len(several) :]
    for params, pairs in zip(several, found, strict=False):
        told = {name: text for name, text, _ in pairs}
        for key in params.keys() & told.keys():
            value, text = params[key], told[key]
            if type(value) is float and math.isfinite(value):
                assert (type(json.loads(text)), math.copysign(1, json.loads(text))) == (float, math.copysign(1, value))
            elif type(value) in (int, bool, type(None)):
                assert text == json.dumps(value)


def test_a_value_that_is_equal_and_of_another_kind_is_another_value() -> None:
    known = told_before({"a": 0.0}, "user")
    known.keep((("a", "0.0", "user"),), ())
    assert told_before({"a": 0.0}, "user").rows == (("a", "0.0", "user"),)
    assert told_before({"a": -0.0}, "user") is None
    assert [told_before({"a": value}, "user").rows for value in (0, False)] == [None, None]
    assert told_before({"a": 0.0}, "default").rows is None
    assert told_before({"a": [0.0]}, "user") is None


def test_a_secret_is_not_kept_to_be_told_again() -> None:
    known = told_before({"password": "hunter2"}, "user")
    known.keep((("password", '"[masked]"', "user"),), ())
    assert told_before({"password": "hunter2"}, "user").rows is None


@given(st.lists(st.tuples(st.integers(0, 2**50), st.lists(st.tuples(*[st.text(max_size=30)] * 3), max_size=4))))
def test_rows_put_together_have_the_digest_that_verify_computes(told: Any) -> None:
    values, digest = as_written("a-run", 3, told)
    rows = [values[n : n + 6] for n in range(0, len(values), 6)]
    assert digest == digest_rows(rows)
    assert [row[1] for row in rows] == list(range(3, 3 + len(rows)))


@given(st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_one_encoder_for_all_calls_writes_what_a_new_one_does(value: Any) -> None:
    encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    try:
        expected = encoder.encode(value)
    except ValueError:
        return
    assert encoder_of(encoder)(value) == expected
    assert canonical(value) == expected.encode("ascii")


def test_a_loop_of_runs_keeps_all_params_and_seeds_of_each(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    for _ in range(3):
        with histhooks.start_run("x", params={"lr": 0.1, "random_state": 3, "nested": None}):
            pass
    histhooks.flush()
    connection = sqlite3.connect(store_path)
    params = connection.execute("SELECT key, value, source, count(*) FROM params GROUP BY 1, 2, 3").fetchall()
    seeds = connection.execute("SELECT call, value, count(*) FROM seeds GROUP BY 1, 2").fetchall()
    connection.close()
    assert not verify(store_path).problems
    assert params == [("lr", "0.1", "user", 3), ("nested", "null", "user", 3), ("random_state", "3", "user", 3)]
    assert seeds == [("random_state", "3", 3)]


def test_a_run_that_has_ended_is_gone_without_the_collector(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    gc.disable()
    try:
        with histhooks.start_run("x", params={"lr": 0.1}) as run:
            pass
        gone = weakref.ref(run)
        del run
        wait_for(lambda: gone() is None)  # the writer may look through the runs that are live in this moment
    finally:
        gc.enable()


def test_data_is_told_once_and_belongs_to_every_run_that_had_it(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    for _ in range(3):
        with histhooks.start_run("x") as run:
            run.log_dataset("train", [[1.0], [2.0]], [0, 1])
    histhooks.flush()
    connection = sqlite3.connect(store_path)
    sql = "SELECT count(*), count(DISTINCT d.id) FROM run_datasets AS r JOIN datasets AS d ON d.id = r.dataset_id"
    assert connection.execute(sql).fetchall() == [(3, 1)]
    connection.close()
