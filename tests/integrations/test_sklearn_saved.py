"""What `joblib.dump` wrote is known by the run that trained it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers import programs
from histhooks.cli._whence import whence
from histhooks.testing import query

pytest.importorskip("sklearn")

SETUP = """
import joblib, os, sys
from joblib import dump
import numpy as np
import histhooks
histhooks.autolog("sklearn")
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_iris(return_X_y=True)
def model():
    return LogisticRegression(max_iter=500)
"""
ARTIFACTS = """
SELECT kind, status, role, direction, path FROM run_artifacts JOIN runs ON runs.id = run_id
ORDER BY run_artifacts.time, path
"""


def record(store: Path, body: str, setup: str = SETUP) -> str:
    out = programs.record(store, body, setup, is_warm=True)
    assert query(store, "SELECT kind, title FROM events WHERE kind IN ('hook_error', 'refused')") == []
    return out


def saved(store: Path) -> list[tuple[str, str]]:
    rows = query(store, ARTIFACTS)
    assert {row[1:4] for row in rows} <= {("finished", "model", "out")}
    return [(str(row[0]), Path(str(row[4])).name) for row in rows]


def test_a_saved_model_leads_to_the_run_that_trained_it(store_path: Path) -> None:
    body = """
fitted = model().fit(X, y)
assert joblib.dump(fitted, "model.joblib") == ["model.joblib"]
search = GridSearchCV(model(), {"C": [0.1, 1.0]}, cv=2).fit(X, y)
dump(value=search.best_estimator_, filename="best.joblib", compress=3)
dump({"model": make_pipeline(StandardScaler(), model()).fit(X, y), "columns": [1, 2]}, "both.joblib")
joblib.load("model.joblib").score(X, y)
"""
    record(store_path, body)
    assert saved(store_path) == [("fit", "model.joblib"), ("search", "best.joblib"), ("fit", "both.joblib")]
    for name, kind in (("model.joblib", "LogisticRegression"), ("best.joblib", "GridSearchCV")):
        found = CliRunner().invoke(whence, [str(store_path), str(store_path.parent / name)])
        assert found.exit_code == 0, found.output
        assert kind in found.output


def test_nothing_else_that_is_dumped_is_a_model_of_a_run(store_path: Path) -> None:
    body = """
memory = joblib.Memory("cache", verbose=0)
make_pipeline(StandardScaler(), model(), memory=memory).fit(X, y)
fitted = model().fit(X, y)
memory.cache(lambda: fitted)()                                    # joblib's own cache
big = np.ones(300_000)
joblib.Parallel(n_jobs=2, max_nbytes=1000)(joblib.delayed(np.sum)(big) for _ in range(2))  # joblib's own transport
dump(big, "array.joblib")
dump(model(), "unfitted.joblib")
with open("open.joblib", "wb") as file:
    dump(fitted, file)
try:
    dump(fitted, "no/such/folder.joblib")
except FileNotFoundError as error:
    print(error)
with histhooks.paused():
    dump(fitted, "paused.joblib")
kept = [joblib.dump]
histhooks.disable()
assert dump is joblib.dump is joblib.numpy_pickle.dump is kept[0]
dump(fitted, "late.joblib")
kept[0](fitted, "later.joblib")
"""
    assert "no/such/folder" in record(store_path, body)
    assert saved(store_path) == []
    assert (store_path.parent / "cache").is_dir()


def test_the_file_is_the_same_as_without_us_and_loads_without_us(store_path: Path) -> None:
    body = """
fitted = RandomForestClassifier(3, random_state=0).fit(X, y)
dump(fitted, "ours.joblib", compress=("gzip", 3))
histhooks.disable()
dump(fitted, "plain.joblib", compress=("gzip", 3))
"""
    record(store_path, body)
    folder = store_path.parent
    assert (folder / "ours.joblib").read_bytes() == (folder / "plain.joblib").read_bytes()
    assert saved(store_path) == [("fit", "ours.joblib")]


def test_joblib_that_comes_later_and_one_recorded_estimator(store_path: Path) -> None:
    setup = SETUP.replace('histhooks.autolog("sklearn")', "from histhooks.integrations.sklearn import recorded")
    body = """
fitted, plain = recorded(model()).fit(X, y), model().fit(X, y)
dump(fitted, "recorded.joblib")
dump(plain, "plain.joblib")
assert type(joblib.load("recorded.joblib")) is LogisticRegression
"""
    record(store_path, body, setup)
    assert saved(store_path) == [("fit", "recorded.joblib")]
