"""Which rows went through which transformers, and which of them these had been fitted on."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")

from histhooks._collect.content import hold, row_hashes  # noqa: E402
from histhooks._collect.flows import Flows, Step, Transformer, sample_of  # noqa: E402

KEY = b"k" * 16


class World:
    """Transformers of one program: each call is seen as the recorder sees it."""

    def __init__(self) -> None:
        self.flows = Flows()

    def fit(self, name: str, X: Any, **more: Any) -> Transformer:
        rows = row_hashes(X, KEY)
        given = {"requires_fit": True, "uses_target": False, **more}
        return Transformer(name, name, dataset_id=name, fitted=lambda: rows, **given)

    def passed(self, transformer: Transformer, X: Any, out: Any) -> Any:
        self.flows.passed(transformer, hold(X), hold(out), KEY)
        return out

    def trace(self, X: Any) -> list[Step]:
        rows = row_hashes(X, KEY)
        assert rows is not None
        return self.flows.trace(rows, sample_of(hold(X)))

    def told(self, X: Any) -> list[tuple[str, int, int | None, str]]:
        return [(step.transformer.class_name, step.n_rows, step.n_fitted, step.by) for step in self.trace(X)]


@pytest.fixture
def world() -> World:
    return World()


def data(n: int = 100, width: int = 4, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(n, width))


def test_of_a_transformer_that_was_fitted_on_all_rows_each_row_of_the_test_set_is_found(world: World) -> None:
    X = data()
    scaled = world.passed(world.fit("scaler", X), X, (X - 1) / 2)
    assert world.told(scaled[80:]) == [("scaler", 20, 20, "rows")]
    assert world.told(scaled[:80]) == [("scaler", 80, 80, "rows")]


def test_of_one_that_was_fitted_on_the_training_rows_no_row_of_the_test_set_is(world: World) -> None:
    X = data()
    scaler = world.fit("scaler", X[:80])
    world.passed(scaler, X[:80], (X[:80] - 1) / 2)
    assert world.told(world.passed(scaler, X[80:], (X[80:] - 1) / 2)) == [("scaler", 20, 0, "rows")]


def test_a_chain_is_followed_to_its_beginning_and_told_in_its_order(world: World) -> None:
    X = data()
    scaled = world.passed(world.fit("scaler", X), X, X / 2)
    reduced = world.passed(world.fit("pca", scaled[:80]), scaled, scaled[:, :2] + 1)
    assert world.told(reduced[80:]) == [("scaler", 20, 20, "rows"), ("pca", 20, 0, "rows")]


def test_rows_are_known_in_another_precision_and_container(world: World) -> None:
    X = data()
    scaled = world.passed(world.fit("scaler", X), X, X / 2)
    assert world.told(scaled[80:].astype("float32")) == [("scaler", 20, 20, "rows")]
    assert world.told(scaled[80:].tolist()) == [("scaler", 20, 20, "rows")]


def test_columns_that_were_taken_out_or_put_beside_others_are_known_by_their_values(world: World) -> None:
    X = data()
    scaled = world.passed(world.fit("scaler", X), X, X / 2)
    assert world.told(scaled[80:, [2, 0]]) == [("scaler", 20, 20, "columns")]
    assert world.told(np.hstack([X, scaled])[80:]) == [("scaler", 20, 20, "columns")]


def test_data_that_no_transformer_made_is_found_in_none(world: World) -> None:
    X = data()
    world.passed(world.fit("scaler", X), X, X / 2)
    assert world.told(data(seed=1)) == []
    assert world.told(X[80:]) == []


def test_a_row_is_that_of_the_transformer_that_made_it_last(world: World) -> None:
    X = data()
    world.passed(world.fit("first", X), X, X / 2)
    world.passed(world.fit("second", X[:80]), X, X / 2)
    assert world.told(X[80:] / 2) == [("second", 20, 0, "rows")]
    assert world.told(X[80:, [1, 3]] / 2) == [("second", 20, 0, "columns")]


def test_rows_and_columns_that_came_out_as_they_went_in_show_nothing(world: World) -> None:
    X = data()
    filled = X.copy()
    filled[:30] = 0.5
    filled[:30, 1:] += np.arange(90).reshape(30, 3)
    world.passed(world.fit("imputer", X), X, filled)
    assert world.told(filled) == [("imputer", 30, 30, "rows")]
    assert world.told(X) == []
    world.passed(world.fit("selector", X), X, X[:, :2])
    assert world.told(X[:, [3, 1]]) == []


def test_one_that_never_learns_was_fitted_on_nothing(world: World) -> None:
    X = data()
    out = world.passed(world.fit("normalizer", X, requires_fit=False), X, X / 2)
    assert world.told(out[80:]) == [("normalizer", 20, 0, "rows")]


def test_rows_that_repeat_themselves_say_nothing_of_what_was_fitted(world: World) -> None:
    X = np.random.default_rng(0).integers(0, 2, size=(100, 3)).astype(float)
    scaler = world.fit("scaler", X[:80])
    world.passed(scaler, X[:80], X[:80] + 1)
    assert world.told(world.passed(scaler, X[80:], X[80:] + 1)) == [("scaler", 20, None, "rows")]


def test_a_result_of_other_length_and_data_of_no_rows_are_no_pass(world: World) -> None:
    X = data()
    world.passed(world.fit("resampler", X), X, X[:50])
    world.passed(world.fit("nothing", X), X[:0], X[:0])
    assert world.told(X[:50]) == []


def test_of_very_many_rows_some_are_followed_and_that_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histhooks._collect.flows._MOST_CELLS", 100)
    X = data()
    scaler = world.fit("scaler", X)
    assert world.flows.passed(scaler, hold(X[:25]), hold(X[:25] / 2), KEY)
    assert not world.flows.passed(scaler, hold(X), hold(X * 3), KEY)
    ((name, n_rows, n_fitted, by),) = world.told(X * 3)
    assert (name, n_rows, n_fitted, by) == ("scaler", 25, 25, "rows")


def test_memory_is_bounded_and_the_oldest_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histhooks._collect.flows._MOST_BYTES", 20_000)
    X = data()
    first = world.passed(world.fit("first", X), X, X / 2)
    for number in range(10):
        last = world.passed(world.fit(str(number), X), X, X * (number + 3))
    assert world.told(first) == []
    assert world.told(last) == [("9", 100, 100, "rows")]
    assert world.flows._nbytes <= 20_000


def test_data_of_which_single_rows_cannot_be_picked_has_no_sample_and_still_its_rows(world: World) -> None:
    arrow = pytest.importorskip("pyarrow")
    X = data()
    scaled = world.passed(world.fit("scaler", X), X, X / 2)
    table = arrow.table({f"c{n}": scaled[:, n] for n in range(4)})
    assert sample_of(hold(table)) == []
    assert world.told(table) == [("scaler", 100, 100, "rows")]


def test_rows_that_come_while_others_are_traced_are_followed_from_then_on(world: World) -> None:
    X, late = data(), data(seed=9)
    rows = row_hashes(X, KEY)

    def fitted() -> Any:
        # Data that a transformer was fitted on may have to be looked at first, and with it what waits before that.
        world.passed(Transformer("late", "late", True, False, "late"), late, late * 3 + 1)
        return rows

    first = Transformer("first", "first", True, False, "first", fitted)
    second = world.fit("second", X * 2)
    world.passed(second, X * 2, X * 4)
    out = world.passed(first, X, X * 2 + 1)
    assert [name for name, *_ in world.told(out)] == ["first"]
    assert [name for name, *_ in world.told(late * 3 + 1)] == ["late"]
