"""What a run takes on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from histhooks.testing import query, run_program

PROGRAM = """
import warnings
import histhooks
histhooks.autolog("sklearn")
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
warnings.simplefilter("ignore")
X, y = load_iris(return_X_y=True)
for number in range({}):
    LogisticRegression(C=1 + number, max_iter=20).fit(X, y)
"""


def test_a_run_of_known_data_takes_less_than_six_kilobytes(tmp_path: Path) -> None:
    """The same data, environment and code, 14 params, a random state of two libraries, and what is new in each run, its
    weights and coefficients: 5.4 KB, its ledger included."""
    pytest.importorskip("sklearn")
    sizes = {}
    for n in (100, 500):
        store = tmp_path / f"{n}.db"
        code, _, err = run_program(PROGRAM.format(n), store)
        assert code == 0, err
        assert query(store, "SELECT count(*) FROM runs") == [(n,)]
        assert query(store, "SELECT count(*) FROM params") == [(14 * n,)]
        ((pages,),) = query(store, "PRAGMA page_count")
        sizes[n] = int(str(pages)) * 4096
    assert (sizes[500] - sizes[100]) / 400 < 6000
