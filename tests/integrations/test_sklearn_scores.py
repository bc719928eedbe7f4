"""`score` belongs to the run that trained the estimator, and what goes on from an earlier fit says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers import programs
from histhooks.history import History
from histhooks.history._ranking import main_of
from histhooks.testing import query

pytest.importorskip("sklearn")

SETUP = """
import copy, pickle
import histhooks
histhooks.autolog("sklearn")
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_iris(return_X_y=True)
def model():
    return LogisticRegression(max_iter=500)
"""
SCORES = """
SELECT kind, m.name, split, step, value FROM metrics AS m JOIN runs ON runs.id = run_id
WHERE metric = 'score' AND kind NOT IN ('candidate', 'validate') ORDER BY started_at, step, m.name
"""
SUMMARIES = "SELECT name, split, direction, count FROM metric_summaries WHERE metric = 'score' ORDER BY name"


def record(store: Path, body: str, setup: str = SETUP) -> str:
    out = programs.record(store, body, setup, is_warm=True)
    assert query(store, "SELECT kind, title FROM events WHERE kind IN ('hook_error', 'refused')") == []
    return out


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


def test_score_after_a_fit_is_a_point_of_that_run_a_call(store_path: Path) -> None:
    body = """
fitted = model().fit(X[::2], y[::2])
print(fitted.score(X[1::2], y[1::2]), fitted.score(X=X[1:20:2], y=y[1:20:2]))
print(Ridge().fit(X, y).score(X, y), KMeans(2, n_init=1).fit(X).score(X), PCA(2).fit(X).score(X))
"""
    printed = numbers(record(store_path, body))
    rows = query(store_path, SCORES)
    assert [row[4] for row in rows] == printed
    new, seen = ("score", "test"), ("train_score", "train")
    assert [(row[0], row[1], row[2]) for row in rows] == [
        *[("fit", *new)] * 2,
        *[("fit", *seen)] * 2,
        ("preprocess", *seen),
    ]
    assert [row[3] for row in rows] == [0, 1, 0, 0, 0]
    assert query(store_path, SUMMARIES)[0] == ("score", "test", 1, 2)
    sql = """
    SELECT n_rows, role FROM run_datasets JOIN datasets ON datasets.id = dataset_id JOIN runs ON runs.id = run_id
    ORDER BY started_at, run_datasets.ordinal
    """
    both = [(150, "train")] * 2
    assert query(store_path, sql) == [(75, "train"), (75, "test"), (10, "test"), *both * 3]
    assert query(store_path, "SELECT DISTINCT status FROM runs") == [("finished",)]


def test_a_score_on_the_data_of_the_training_is_another_series_and_ranks_no_run(store_path: Path) -> None:
    body = """
import numpy, pandas
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier
a, b, c, d = train_test_split(X, y, random_state=0)
tree = DecisionTreeClassifier(random_state=0, max_depth=2).fit(a, c)
print(tree.score(a, c), tree.score(b, d), tree.score(pandas.DataFrame(a).to_numpy(), list(c)))
search = GridSearchCV(model(), {"C": [1.0]}, cv=2).fit(a, c)
print(search.score(a, c), search.score(b, d), search.best_estimator_.score(a.copy(order="F"), c))
loop = SGDClassifier(random_state=0)
for _ in range(2):
    for rows in numpy.array_split(numpy.arange(len(a)), 4):
        loop.partial_fit(a[rows], c[rows], classes=[0, 1, 2])
print(loop.score(a[rows], c[rows]), loop.score(b, d), loop.score(a, c), loop.score(a[:20], c[:20]))
"""
    first, new, again, *searched, of_batch, new_of_loop, of_all, of_part = numbers(record(store_path, body))
    of_search, new_of_search, of_best = searched
    assert query(store_path, SCORES) == [
        ("fit", "score", "test", 0, new),
        ("fit", "train_score", "train", 0, first),
        ("fit", "train_score", "train", 1, again),
        ("search", "score", "test", 0, new_of_search),
        ("search", "train_score", "train", 0, of_search),
        ("search", "train_score/LogisticRegression", "train", 0, of_best),
        ("fit", "score", "test", 7, new_of_loop),
        ("fit", "train_score", "train", 7, of_batch),
        ("fit", "train_score", "train", 7, of_all),
        ("fit", "unsaid_score", None, 7, of_part),
    ]
    ranked = [main_of(run.summaries) for run in History(store_path).runs(kind="fit")]
    assert [metric["name"] for metric in ranked if metric] == ["score", "score"]


def test_a_pipeline_and_a_search_score_once_and_their_parts_under_their_own_name(store_path: Path) -> None:
    body = """
pipeline = make_pipeline(StandardScaler(), model()).fit(X, y)
scaled = pipeline[0].transform(X)
search = GridSearchCV(pipeline, {"logisticregression__C": [0.01, 1.0]}, cv=3, scoring="neg_log_loss").fit(X, y)
print(pipeline.score(X, y), pipeline[-1].score(scaled, y), search.score(X, y), search.best_estimator_.score(X, y))
"""
    printed = numbers(record(store_path, body))
    expected = [
        ("fit", "train_score", "train"),
        ("fit", "unsaid_score/LogisticRegression", None),  # its data came out of the step before
        ("search", "train_score", "train"),
        ("search", "train_score/Pipeline", "train"),
    ]
    assert query(store_path, SCORES) == [(*who, 0, value) for who, value in zip(expected, printed, strict=True)]
    kinds = "SELECT kind, count(*) FROM runs GROUP BY kind ORDER BY kind"
    assert query(store_path, kinds) == [("candidate", 2), ("fit", 1), ("search", 1)]


def test_what_scikit_learn_calls_inside_is_no_call_of_the_program(store_path: Path) -> None:
    body = """
fitted = model().fit(X, y)
permutation_importance(fitted, X, y, n_repeats=2, n_jobs=2)
cross_val_score(model(), X, y, cv=2)
GridSearchCV(model(), {"C": [1.0]}, cv=2, n_jobs=2).fit(X, y)
class Checks(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = [0, 1, 2]
        self.inner_ = model().fit(X, y)
        self.seen_ = self.inner_.score(X, y)
        return self
    def predict(self, X):
        return self.inner_.predict(X)
    def score(self, X, y):
        assert self.inner_.score(X, y) == super().score(X, y)
        return 0.125
print(Checks().fit(X, y).score(X, y))
"""
    record(store_path, body)
    assert query(store_path, SCORES) == [("fit", "train_score", "train", 0, 0.125)]


def test_what_was_not_trained_here_is_evaluated_in_a_run_of_its_own(store_path: Path) -> None:
    setup = SETUP.replace('histhooks.autolog("sklearn")', "")
    body = """
import os
if not os.path.exists("model.pickle"):
    pickle.dump(model().fit(X, y), open("model.pickle", "wb"))
histhooks.autolog("sklearn")
loaded = pickle.load(open("model.pickle", "rb"))
print(loaded.score(X, y))
try:
    clone(loaded).score(X, y)
except NotFittedError:
    pass
with histhooks.paused():
    fitted = model().fit(X, y)
    fitted.score(X, y)
try:
    loaded.score(X)
except TypeError as error:
    print(error)
"""
    out = record(store_path, body, setup)
    assert "'y'" in out
    assert query(store_path, SCORES) == [("evaluate", "score", "test", 0, float(out.split()[0]))]
    sql = "SELECT kind, status, error_type, model_class LIKE '%.LogisticRegression' FROM runs ORDER BY started_at"
    assert query(store_path, sql) == [("evaluate", "finished", None, 1), ("evaluate", "failed", "NotFittedError", 1)]
    assert query(store_path, "SELECT count(*) FROM params WHERE key = 'max_iter' AND value = '500'") == [(2,)]


def test_an_estimator_is_held_weakly_and_one_that_compares_by_value_is_itself(store_path: Path) -> None:
    body = """
import gc, weakref
class Alike(LogisticRegression):
    __hash__ = None
    def __eq__(self, other):
        return True
first, second = Alike(max_iter=500).fit(X, y), Alike(max_iter=500, C=1e-6).fit(X, y)
print(first.score(X, y), second.score(X, y))
gone = weakref.ref(first)
del first; gc.collect()
assert gone() is None
from histhooks.integrations import _estimators
del second; gc.collect()
assert not _estimators._trained
before = set(vars(model().fit(X, y)))
fitted = model().fit(X, y)
fitted.score(X, y)
assert set(vars(fitted)) == before
"""
    printed = numbers(record(store_path, body))
    assert [row[4] for row in query(store_path, SCORES)][:2] == printed


def test_score_works_with_one_recorded_estimator(store_path: Path) -> None:
    setup = SETUP.replace('histhooks.autolog("sklearn")', "from histhooks.integrations.sklearn import recorded")
    body = """
plain = model().fit(X, y)
plain.score(X, y)
fitted = recorded(model()).fit(X, y)
assert fitted.score(X, y) == plain.score(X, y)
pipeline = recorded(make_pipeline(StandardScaler(), model())).fit(X, y)
pipeline.score(X, y)
histhooks.autolog("sklearn")
fitted.score(X, y)
"""
    record(store_path, body, setup)
    rows = [(kind, name, step) for kind, name, _, step, _ in query(store_path, SCORES)]
    assert rows == [("fit", "train_score", 0), ("fit", "train_score", 1), ("fit", "train_score", 0)]


def test_partial_fit_scores_as_it_goes_and_continues_what_was_fitted_before(store_path: Path) -> None:
    body = """
loop = SGDClassifier(random_state=0)
for number in range(4):
    loop.partial_fit(X, y, classes=[0, 1, 2])
    if number % 2:
        loop.score(X, y)
loop.fit(X, y)           # begins anew
loop.partial_fit(X, y)   # goes on from there
warm = RandomForestClassifier(2, warm_start=True).fit(X, y)
warm.set_params(n_estimators=4).fit(X, y)
model().fit(X, y).fit(X, y)
"""
    record(store_path, body)
    assert [row[3] for row in query(store_path, SCORES)] == [1, 3]
    names = [str(run) for (run,) in query(store_path, "SELECT id FROM runs ORDER BY started_at, id")]
    links = query(store_path, "SELECT run_id, kind, other_run_id FROM run_links ORDER BY time")
    assert links == [(names[2], "continues", names[1]), (names[4], "continues", names[3])]
    assert query(store_path, "SELECT status FROM runs ORDER BY started_at")[0] == ("finished",)


def test_threads_that_score_one_model_lose_nothing(store_path: Path) -> None:
    body = """
import threading
fitted = model().fit(X, y)
def work():
    for _ in range(25):
        fitted.score(X, y)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    record(store_path, body)
    assert query(store_path, SUMMARIES) == [("train_score", "train", 1, 100)]
    assert query(store_path, "SELECT count(*) FROM runs") == [(1,)]


def test_after_disable_and_in_a_forked_child_nothing_of_the_old_run_is_touched(store_path: Path) -> None:
    body = """
import os, sys
fitted = model().fit(X, y)
fitted.score(X, y)
histhooks.flush()
if (child := os.fork()) == 0:
    fitted.score(X, y)
    histhooks.flush()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
histhooks.disable()
fitted.score(X, y)
"""
    record(store_path, body)
    rows = [(kind, split, step) for kind, _, split, step, _ in query(store_path, SCORES)]
    assert rows == [("fit", "train", 0), ("evaluate", "train", 0)]
    sql = "SELECT l.kind, r.kind FROM run_links AS l JOIN runs AS r ON r.id = other_run_id"
    assert query(store_path, sql) == [("uses", "fit")]


def test_an_estimator_of_xgboost_is_scored_in_the_run_that_trained_it(store_path: Path) -> None:
    pytest.importorskip("xgboost")
    setup = SETUP.replace('"sklearn"', "") + "import joblib, xgboost\n"
    body = """
def boosted():
    return xgboost.XGBClassifier(n_estimators=2, n_jobs=1)
fitted = boosted().fit(X, y)
fitted.save_model("model.json")
pipeline = make_pipeline(StandardScaler(), boosted()).fit(X, y)
scaled = pipeline[0].transform(X)
print(fitted.score(X, y), pipeline.score(X, y), pipeline[-1].score(scaled, y))
print(xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(X, y).score(X, y))
joblib.dump(fitted, "model.joblib")
fitted.load_model("model.json")   # it is another model now
fitted.score(X, y)
cross_val_score(boosted(), X, y, cv=2)
"""
    printed = numbers(record(store_path, body, setup))
    seen, unsaid = ("train_score", "train"), ("unsaid_score/XGBClassifier", None)
    expected = [seen, seen, unsaid, seen]
    assert query(store_path, SCORES) == [("fit", *how, 0, v) for how, v in zip(expected, printed, strict=True)]
    sql = "SELECT framework, path LIKE '%.joblib' FROM run_artifacts JOIN runs ON runs.id = run_id ORDER BY path DESC"
    assert ("xgboost", 1) in query(store_path, sql)
    assert query(store_path, "SELECT count(*) FROM runs") == [(4,)]
