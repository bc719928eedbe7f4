"""The values that a DMatrix is made of are recorded by content, and the DMatrix stays what it is."""

from __future__ import annotations

import gc
import inspect
import time
import weakref
from functools import partial
from pathlib import Path

import pytest

import histhooks
from helpers import programs
from histhooks.testing import query

xgboost = pytest.importorskip("xgboost")
numpy = pytest.importorskip("numpy")

SETUP = """
import histhooks
histhooks.autolog("xgboost")
import numpy as np
import xgboost as xgb
X = np.random.default_rng(0).normal(size=(600, 5))
y = (X[:, 0] > 0).astype(float)
few = {"nthread": 1, "max_depth": 2}
"""
DIGESTS = (
    "SELECT r.role, d.part, d.digest, d.coverage FROM run_datasets AS r JOIN dataset_digests AS d "
    "ON d.dataset_id = r.dataset_id AND d.run_id = r.run_id WHERE d.algorithm = 'xxh3_128' AND d.part = 'features' "
    "ORDER BY d.time"
)
record = partial(programs.record, setup=SETUP, is_warm=True)


def test_a_matrix_has_the_content_of_what_it_was_made_of(store_path: Path) -> None:
    body = """
for kind in (xgb.DMatrix, xgb.QuantileDMatrix):
    xgb.train(few, kind(X[:500], y[:500]), 2, evals=[(xgb.DMatrix(X[450:], y[450:]), "valid")], verbose_eval=False)
with histhooks.start_run("arrays") as run:
    run.log_dataset("train", X[:500], y[:500])
    run.log_dataset("valid", X[450:], y[450:])
"""
    record(store_path, body)
    found = query(store_path, DIGESTS)
    by_role = {role: {digest for name, _, digest, _ in found if name == role} for role in ("train", "valid")}
    assert [len(digests) for digests in by_role.values()] == [1, 1]
    assert {coverage for *_, coverage in found} == {"all"}
    overlaps = query(store_path, "SELECT n_rows, n_equal, method FROM dataset_overlaps")
    assert overlaps == [(150, 50, "exact")] * 3
    rows = query(store_path, "SELECT DISTINCT kind, coverage FROM datasets WHERE kind LIKE '%DMatrix' ORDER BY kind")
    assert rows == [("DMatrix", "all"), ("QuantileDMatrix", "all")]


def test_matrices_of_one_shape_are_told_apart(store_path: Path) -> None:
    body = """
xgb.train(few, xgb.DMatrix(X[:300], y[:300]), 2, evals=[(xgb.DMatrix(X[300:], y[300:]), "valid")], verbose_eval=False)
"""
    record(store_path, body)
    assert query(store_path, "SELECT count(DISTINCT dataset_id) FROM run_datasets") == [(2,)]
    assert len(query(store_path, DIGESTS)) == 2


def test_what_estimators_make_for_themselves_is_recorded_once(store_path: Path) -> None:
    record(store_path, "xgb.XGBClassifier(n_estimators=2, n_jobs=1).fit(X, y).predict(X)")
    assert query(store_path, "SELECT count(*), count(DISTINCT dataset_id) FROM run_datasets") == [(1, 1)]
    assert len(query(store_path, DIGESTS)) == 1


def test_a_matrix_of_an_iterator_is_said_not_to_be_read(store_path: Path) -> None:
    body = """
class Parts(xgb.DataIter):
    def __init__(self):
        self.n = 0
        super().__init__()
    def reset(self):
        self.n = 0
    def next(self, give):
        if self.n == 2:
            return False
        give(data=X[self.n * 300:][:300], label=y[self.n * 300:][:300])
        self.n += 1
        return True

xgb.train(few, xgb.QuantileDMatrix(Parts()), 2)
"""
    record(store_path, body)
    assert query(store_path, "SELECT coverage FROM datasets") == [("none",)]
    (note,) = query(store_path, "SELECT status, note FROM captures WHERE collector = 'data'")
    assert note[0] == "skipped"


def test_a_constructor_stays_as_it_is_and_keeps_nothing(store_path: Path) -> None:
    kinds = (xgboost.DMatrix, xgboost.QuantileDMatrix)
    before = [(kind.__init__, inspect.signature(kind)) for kind in kinds]
    histhooks.autolog("xgboost", store=store_path)
    assert [(kind.__init__, inspect.signature(kind)) for kind in kinds] == before

    class Own(xgboost.DMatrix):
        def __init__(self, data: object) -> None:
            super().__init__(data)

    for n in (100, 100_000):
        X = numpy.random.default_rng(0).normal(size=(n, 4))
        values, held = X.copy(), weakref.ref(X)
        matrix = Own(X)
        assert numpy.array_equal(matrix.get_data().toarray(), values.astype("f4"))
        gone = weakref.ref(matrix)
        del X, matrix
        until = time.monotonic() + 60
        while (held() is not None or gone() is not None) and time.monotonic() < until:
            gc.collect()  # large data is looked at beside the program, which takes a moment
        assert held() is None
        assert gone() is None
    with pytest.raises(ValueError, match="group"):
        xgboost.DMatrix(values, group=[1], qid=[1])
    histhooks.disable()
    assert [(kind.__init__, inspect.signature(kind)) for kind in kinds] == before
