"""Data by content as `History` reads it: found in the run that recorded it, judged, and compared."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histhooks
from helpers import content_store
from helpers.stores import alone
from histhooks.errors import QueryError
from histhooks.history import DataComparison
from histhooks.history.data.chance import judge
from histhooks.history.data.rows import Overlap

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return content_store.make(tmp_path_factory.mktemp("data") / "histhooks.db")


def test_what_was_recorded_fits_the_ledger(store: Path) -> None:
    from histhooks.verify import verify

    assert verify(store).ok
    assert alone(store)[0] == 0


def test_a_data_set_has_its_digests_columns_sketch_and_overlap(store: Path) -> None:
    with histhooks.History(store) as history:
        run = history.run("first")
        train, test = run.datasets
        assert {one.part for one in train.digests} == {"all", "features", "target", "rows", "order"}
        assert all(one.is_whole for one in train.digests)
        assert [column.position for column in train.columns] == [0, 1, 2, 3, 4]
        assert train.columns[0].facts["distinct"] == 800
        (sketch,) = train.sketches
        assert (sketch.n_rows, sketch.n_distinct, sketch.is_whole, sketch.share) == (800, 800, True, 1.0)
        assert train.overlaps == ()
        (overlap,) = test.overlaps
        assert (overlap.n_rows, overlap.n_equal, overlap.n_other) == (205, 5, 800)
        assert (overlap.roles, overlap.other_roles, overlap.is_identifying) == (("test",), ("train",), True)
        assert run.overlaps == [overlap]


def test_a_fingerprint_stays_a_mapping(store: Path) -> None:
    with histhooks.History(store) as history:
        (data,) = history.run("profile").datasets
        assert data["n_rows"] == 700
        assert json.loads(json.dumps(data))["role"] == "train"
        assert {**data}.keys() == json.loads(json.dumps(data)).keys()


def test_what_an_earlier_run_recorded_of_the_same_data_is_found(store: Path) -> None:
    with histhooks.History(store) as history:
        first, again = (history.run(name).datasets[0] for name in ("first", "again"))
        assert again.digests == first.digests
        assert again.columns == first.columns
        assert again.sketches == first.sketches


def test_of_a_fingerprint_of_a_sample_another_runs_digests_say_nothing(store: Path) -> None:
    """Its id is that of other data, too, whose values may differ where nobody looked."""
    with histhooks.History(store) as history:
        run = history.run("large")
        assert run.datasets[0]["coverage"] == "sample"
        assert run.datasets[0].digests == ()
        found = history.compare_data("large", "large")
        assert found.is_same is None


def test_splits_transforms_and_weights_are_rows_of_the_run(store: Path) -> None:
    with histhooks.History(store) as history:
        run = history.run("first")
        (split,) = run.splits
        assert split.arguments == {"test_size": 0.2, "random_state": 7}
        assert (split.function, split.n_in, split.n_out) == ("train_test_split", 1000, (800, 200))
        assert (split.is_before, split.is_shuffled, split.location) == (True, True, "train.py:3")
        (transform,) = run.transforms
        assert (transform.class_name, transform.n_fitted, transform.requires_fit) == ("StandardScaler", 5, True)
        assert transform.fitted_dataset_id == run.datasets[0]["id"]
        start, end = run.weights
        assert (start.point, end.point, start.tensors) == ("start", "end", {"w": "abababababab", "b": "000000000000"})
        assert history.run("profile").splits == [split]  # its session made it before
        told = run.as_json()
        assert [one["digest"] for one in told["weights"]] == [start.digest, end.digest]
        assert [len(one["digests"]) for one in told["datasets"]] == [6, 6]


def overlap(**changed: Any) -> Overlap:
    facts = {"n_rows": 200, "n_equal": 5, "n_twins": 0, "is_identifying": True, "n_other": 800, "part": "features"}
    return Overlap("a", "b", None, **{"method": "exact", **facts, **changed})


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({"n_equal": 0}, "none"),
        ({}, "warn"),
        ({"n_equal": 10}, "fail"),
        ({"n_rows": 20_000, "n_equal": 5}, "info"),
        ({"is_identifying": False, "n_equal": 140, "n_twins": 560}, "chance"),
        ({"is_identifying": False, "n_equal": 140, "n_twins": 80}, "fail"),
        ({"is_identifying": False, "n_rows": 75, "n_other": 300, "n_equal": 3}, "chance"),  # of a grid of 30,000 points
        ({"is_identifying": False, "n_twins": None}, "chance"),
        ({"is_identifying": False, "n_twins": 800, "n_equal": 200}, "chance"),
        ({"is_identifying": None, "n_other": None}, "chance"),
        ({"part": "index", "n_equal": 1, "is_identifying": None, "n_twins": None}, "fail"),
        ({"part": "index", "n_equal": 0, "is_identifying": None, "n_twins": None}, "none"),
        ({"part": "group:patient", "n_equal": 3, "is_identifying": False}, "fail"),
        ({"n_rows": 0, "n_equal": 0}, "none"),
    ],
)
def test_an_overlap_counts_if_chance_does_not_explain_it(changed: dict[str, Any], level: str) -> None:
    assert judge(overlap(**changed)).level == level


def test_clean_draws_of_few_values_are_chance() -> None:
    """Rows of four ternary columns repeat themselves: most of a test set is in the training data, and no alarm."""
    from histhooks._collect.content import hold, look
    from histhooks._collect.content import overlap as shared

    random = np.random.default_rng(0)
    for _ in range(200):
        rows = [look(hold(random.integers(0, 3, (n, 4)).astype(float)), key=b"k" * 16).rows for n in (300, 100)]
        assert rows[0] is not None
        assert rows[1] is not None
        found = judge(overlap(**shared(rows[1], rows[0]), n_other=300))
        assert found.level == "chance", found


def compared(store: Path, a: str, b: str, **roles: str) -> DataComparison:
    with histhooks.History(store) as history:
        return history.compare_data(a, b, **roles)


def test_the_same_data_is_the_same_in_every_part(store: Path) -> None:
    found = compared(store, "first", "again")
    assert found.is_same is True
    assert {one.is_same for one in found.answers} == {True}
    assert (found.columns, found.is_reordered) == ((), False)
    assert found.shared is not None
    assert (found.shared.n_equal, found.shared.is_exact) == (800, True)


def test_rows_in_another_order_are_known(store: Path) -> None:
    found = compared(store, "first", "reordered")
    assert (found.is_same, found.is_reordered) == (False, True)
    assert found.answer("rows").is_same is True
    assert found.answer("features").is_same is False
    assert found.columns == ()


def test_one_changed_cell_is_seen_and_its_column_named(store: Path) -> None:
    found = compared(store, "first", "changed")
    assert found.is_same is False
    assert found.answer("target").is_same is True
    assert found.answer("rows").is_same is False
    assert [one.name for one in found.columns] in ([], ["3"])  # the mean of 800 values may hide it
    assert found.shared is not None
    assert not found.shared.is_exact
    assert found.shared.low <= 799 <= found.shared.high


def test_rows_of_another_key_are_not_compared(store: Path) -> None:
    found = compared(store, "first", "other key")
    assert found.is_same is False
    assert found.answer("rows").is_same is None
    assert "another key" in found.answer("rows").why
    assert found.shared is None
    assert any("another key" in text for text in found.unknown)


def test_of_fingerprints_alone_shape_and_content_are_compared(store: Path) -> None:
    assert compared(store, "first", "profile").is_same is False
    assert compared(store, "profile", "profile").is_same is True
    assert compared(store, "profile", "profile").shared is None


def test_two_roles_of_one_run_are_compared(store: Path) -> None:
    found = compared(store, "first", "first", role="train", against="test")
    assert found.shared is not None
    assert (found.is_same, found.shared.n_equal) == (False, 5)
    assert (found.a.data["role"], found.b.data["role"]) == ("train", "test")


def test_data_is_named_by_its_id_or_by_a_hash_that_a_screen_showed(store: Path) -> None:
    with histhooks.History(store) as history:
        data = history.run("first").datasets[0]
        digest = data.digest()
        assert digest is not None
        assert digest.digest is not None
        for name in (data["id"], data["id"][:12], str(data["content_hash"])[:12], digest.digest[:12]):
            found = history.compare_data(name, "again")
            assert found.is_same is True
            assert found.a.run is None


def test_a_notebook_shows_a_comparison(store: Path) -> None:
    with histhooks.History(store) as history:
        text = history.compare_data("first", "changed")._repr_html_()
    assert "<strong>They differ in features.</strong>" in text
    assert "train of changed" in text
    assert text.count("<div") == text.count("</div>")


def test_what_cannot_be_compared_is_said(store: Path) -> None:
    with histhooks.History(store) as history:
        for words, text in (
            (("first", "none"), "no data was recorded of none"),
            (("first", "profile", "test"), "has no data of role 'test'; it has train"),
            (("first", "fedcba9876"), "no run is 'fedcba9876'"),
        ):
            with pytest.raises(QueryError, match=text):
                history.compare_data(words[0], words[1], against=words[2] if len(words) > 2 else None)


def test_diff_says_that_runs_were_split_in_another_way_and_began_with_other_weights(store: Path) -> None:
    with histhooks.History(store) as history:
        found = history.diff("first", "other start")
        (split,) = found.part("splits").changes
        assert (split.key, split.a, split.b, split.counts) == ("train_test_split random_state", 7, 8, True)
        weights = found.part("weights")
        assert [(one.key, one.a[:2], one.b[:2], one.counts) for one in weights.changes] == [
            ("at the start", "ab", "ef", True)
        ]
        assert weights.notes == ("start: 1 of 2 arrays differ: w",)
        assert found.part("preprocessing").notes == ("B: none was recorded",)
        assert found.part("preprocessing").changes == ()
        same = history.diff("first", "first")
        assert {"splits", "preprocessing", "weights"} <= set(same.same)


def test_weights_at_the_end_do_not_count_within_a_tolerance(store: Path) -> None:
    with histhooks.History(store) as history:
        found = history.diff("other start", "first", tolerance=1e-6).part("weights")
        assert [(one.key, one.counts) for one in found.changes] == [("at the start", True)]
        ended = history.diff("ended otherwise", "first", tolerance=1e-6).part("weights")
        assert [(one.key, one.counts) for one in ended.changes] == [("at the end", False)]
        ended = history.diff("ended otherwise", "first").part("weights")
        assert [(one.key, one.counts) for one in ended.changes] == [("at the end", True)]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_of_older_stores_nothing_of_it_was_recorded(version: str, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    path.write_bytes(gzip.decompress((DATA / f"store-{version}.db.gz").read_bytes()))
    with histhooks.History(path) as history:
        runs = history.runs()
        assert runs
        for run in runs:
            assert (run.overlaps, run.splits, run.transforms, run.weights) == ([], [], [], [])
            for data in run.datasets:
                assert (data.digests, data.columns, data.sketches, data.overlaps) == ((), (), (), ())
                assert data.digest() is None
        used = [run for run in runs if run.datasets]
        assert used
        found = history.compare_data(used[0], used[0])
        assert found.is_same is (True if used[0].datasets[0]["coverage"] == "all" else None)
        assert found.shared is None
