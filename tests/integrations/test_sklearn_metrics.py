"""Metrics that a program computes of what a recorded model predicted are points of the model's run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import programs
from helpers.warm import run_warm
from histhooks.testing import query

pytest.importorskip("sklearn")

SETUP = """
from sklearn.metrics import *
import warnings
import histhooks, numpy, json
histhooks.autolog("sklearn")
from sklearn.calibration import calibration_curve
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score, train_test_split
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_breast_cancer(return_X_y=True)
a, b, c, d = train_test_split(StandardScaler().fit_transform(X), y, random_state=0)
def model():
    return LogisticRegression(max_iter=500)
"""
POINTS = """
SELECT m.name, m.split, value, step FROM metrics AS m JOIN runs ON runs.id = run_id
WHERE m.split IS NOT 'system' ORDER BY started_at, m.time, m.name
"""
SERIES = """
SELECT m.name, metric, split, direction, count FROM metric_summaries AS m JOIN runs ON runs.id = run_id
WHERE split IS NOT 'system' ORDER BY started_at, m.name
"""


def record(store: Path, body: str, setup: str = SETUP) -> list[Any]:
    out = programs.record(store, body, setup, is_warm=True)
    assert query(store, "SELECT kind, title FROM events WHERE kind IN ('hook_error', 'refused')") == []
    assert query(store, "SELECT note FROM captures WHERE status = 'failed'") == []
    return [json.loads(line) for line in out.splitlines() if line.startswith("[")]


def results(store: Path, key: str) -> list[Any]:
    return [json.loads(str(row[0])) for row in query(store, f"SELECT value FROM results WHERE key = '{key}'")]


def series(store: Path) -> dict[object, tuple[object, ...]]:
    return {row[0]: row[1:] for row in query(store, SERIES)}


def test_a_metric_is_a_point_of_the_run_with_the_split_of_its_data(store_path: Path) -> None:
    body = """
fitted = model().fit(a, c)
p, q = fitted.predict(b), fitted.predict_proba(b)
print(json.dumps([
    f1_score(d, p), f1_score(d, p, average="macro"), f1_score(d, p, average="binary"),
    fbeta_score(d, p, beta=2, average="micro"), log_loss(d, q), roc_auc_score(d, q[:, 1]), roc_auc_score(d, p),
    roc_auc_score(d, fitted.decision_function(b)), brier_score_loss(d, q[:, 0]), accuracy_score(p, d),
    accuracy_score(c, fitted.predict(a)), accuracy_score(c[:40], fitted.predict(a[:40])),
]))
"""
    (shown,) = record(store_path, body)
    names = ["f1_score", "f1_score/macro", "f1_score", "fbeta_score/beta=2,micro", "log_loss", "roc_auc_score"]
    names += ["roc_auc_score/predict", "roc_auc_score/decision_function", "brier_score_loss/column=0"]
    names += ["accuracy_score/swapped", "train_accuracy_score", "unsaid_accuracy_score"]
    rows = query(store_path, POINTS)
    assert [(row[0], row[2]) for row in rows] == [*zip(names, shown, strict=True)]
    assert [row[1] for row in rows] == [*["test"] * 10, "train", None]
    known = series(store_path)
    assert known["f1_score"] == ("f1_score", "test", 1, 2)
    assert known["log_loss"] == ("log_loss", "test", -1, 1)
    assert known["train_accuracy_score"] == ("accuracy_score", "train", 1, 1)
    assert query(store_path, "SELECT kind, status FROM runs WHERE kind != 'preprocess'") == [("fit", "finished")]
    # The data of each prediction once, however many metrics were computed of it.
    roles = query(store_path, "SELECT role, count(*) FROM run_datasets JOIN runs ON runs.id = run_id "
                  "WHERE kind = 'fit' GROUP BY role ORDER BY role")  # fmt: skip
    assert roles == [("evaluated", 1), ("test", 3), ("train", 2)]


def test_what_belongs_to_no_known_model_leaves_nothing(store_path: Path) -> None:
    body = """
with histhooks.paused():
    other = model().fit(a, c)
fitted = model().fit(a, c)
p, q = fitted.predict(b), fitted.predict_proba(b)
accuracy_score(d, other.predict(b))                  # of a model that was not recorded
accuracy_score(d, d)                                 # of none
accuracy_score(d, (q[:, 1] > 0.5).astype(int))       # a new array
accuracy_score(d, q.argmax(axis=1)), accuracy_score(d, list(p)), accuracy_score(d[:9], p[:9])
cohen_kappa_score(model().fit(a, c).predict(b), p)   # of two models
mean_squared_error(p, p)
euclidean_distances(b[:3]), pairwise_distances(b[:3])
"""
    record(store_path, body)
    assert query(store_path, POINTS) == []
    assert query(store_path, "SELECT DISTINCT kind FROM runs ORDER BY kind") == [("fit",), ("preprocess",)]


def test_a_metric_is_recorded_once(store_path: Path) -> None:
    """``score`` and a search call the same functions, and one metric calls another."""
    body = """
fitted = model().fit(a, c)
fitted.score(b, d)
get_scorer("f1")(fitted, b, d), get_scorer("neg_log_loss")(fitted, b, d)
search = GridSearchCV(model(), {"C": [1.0]}, cv=2, scoring="f1").fit(a, c)
search.score(b, d)
f1_score(d, search.predict(b)), f1_score(d, search.best_estimator_.predict(b))
cross_val_score(model(), X[:80], y[:80], cv=2, scoring=make_scorer(f1_score))
make_pipeline(StandardScaler(), model()).fit(a, c).predict(b)
"""
    record(store_path, body)
    assert [row[:2] for row in query(store_path, POINTS) if row[0] not in ("test_score",)] == [
        *[("score", "test"), ("f1_score", "test"), ("log_loss", "test")],
        *[("score", "test"), ("f1_score", "test"), ("f1_score/LogisticRegression", "test")],
    ]
    kinds = query(store_path, "SELECT kind, count(*) FROM runs WHERE kind != 'preprocess' GROUP BY kind ORDER BY kind")
    assert kinds == [("candidate", 1), ("fit", 2), ("search", 1), ("validate", 1)]


def test_the_split_does_not_depend_on_whether_data_is_there_still(store_path: Path) -> None:
    """Data up to 256 KiB is copied; of larger data some rows show that it is new, or that nobody can say."""
    body = """
for train, test in KFold(2, shuffle=True, random_state=0).split(X):
    part = model().fit(X[train], y[train])
    predicted = part.predict(X[test])                # whose data is gone
    accuracy_score(y[test], predicted)
rng = numpy.random.default_rng(0)
big, target = rng.normal(size=(4000, 50)), rng.integers(0, 2, 4000)
fitted = Ridge().fit(big, target)
here = rng.normal(size=(3000, 50))
p = fitted.predict(here); r2_score(target[:3000], p)
p = fitted.predict(rng.normal(size=(3000, 50))); max_error(target[:3000], p)
p = fitted.predict(big[:3000].copy()); median_absolute_error(target[:3000], p)
p = fitted.predict(here); here[:] = big[:3000]; mean_squared_error(target[:3000], p)
p = fitted.predict(big); mean_absolute_error(target, p)
"""
    record(store_path, body)
    assert [row[:2] for row in query(store_path, POINTS)] == [
        *[("accuracy_score", "test")] * 2,
        ("r2_score", "test"),
        ("max_error", "test"),
        ("unsaid_median_absolute_error", None),
        ("mean_squared_error", "test"),
        ("train_mean_absolute_error", "train"),
    ]
    notes = query(store_path, "SELECT status, note FROM captures WHERE collector = 'split' ORDER BY ordinal")
    assert [row[0] for row in notes] == ["truncated", "skipped"]


def test_texts_lists_and_sparse_rows_have_a_split_also_if_they_are_gone(store_path: Path) -> None:
    """They are copied like arrays, or known by some rows; a list that holds objects of the program is not."""
    body = """
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
y = numpy.arange(240) % 2
texts = [f"word{n % 7} {'left' if n % 2 else 'right'} number{n}" for n in range(240)]
def text_model(texts):
    return make_pipeline(CountVectorizer(), MultinomialNB()).fit(texts, y[:160])
accuracy_score(y[160:], text_model(texts[:160]).predict(texts[160:]))
objects = numpy.array(texts, dtype=object)
accuracy_score(y[160:], text_model(objects[:160]).predict(objects[160:]))
words = TfidfVectorizer()
fitted = model().fit(words.fit_transform(texts[:160]), y[:160])
accuracy_score(y[160:], fitted.predict(words.transform(texts[160:])))
rows = numpy.random.default_rng(0).normal(size=(240, 3)).tolist()
fitted = model().fit(rows[:160], y[:160])
p, q = fitted.predict(rows[160:]), fitted.predict(rows[:160])
accuracy_score(y[160:], p), zero_one_loss(y[:160], q)
part = rows[160:]
p = fitted.predict(part); part[0][0] = 7.0; brier_score_loss(y[160:], p)
class Number(float):
    pass
p = fitted.predict([[Number(value) for value in row] for row in rows[160:]]); hamming_loss(y[160:], p)
big = sparse.random(9000, 50, 0.2, "csr", random_state=0)
target = numpy.arange(9000) % 2
fitted = SGDClassifier(random_state=0).fit(big[:5000], target[:5000])
accuracy_score(target[5000:], fitted.predict(big[5000:]))
p = fitted.predict(big[:4000]); hamming_loss(target[:4000], p)
many = numpy.random.default_rng(1).normal(size=(4000, 3)).tolist()
target = numpy.arange(4000) % 2
fitted = model().fit(many[:3000], target[:3000])
accuracy_score(target[3000:], fitted.predict(many[3000:]))
"""
    record(store_path, body)
    assert [row[:2] for row in query(store_path, POINTS)] == [
        *[("accuracy_score", "test")] * 4,
        ("train_zero_one_loss", "train"),
        ("brier_score_loss/predict", "test"),
        ("unsaid_hamming_loss", None),
        ("accuracy_score", "test"),
        ("unsaid_hamming_loss", None),
        ("accuracy_score", "test"),
    ]


def test_tables_and_curves_are_results_that_are_bounded(store_path: Path) -> None:
    body = """
fitted = model().fit(a[:, :1], c)
p, q = fitted.predict(b[:, :1]), fitted.predict_proba(b[:, :1])[:, 1]
matrix = confusion_matrix(d, p)
report = classification_report(d, p, output_dict=True)
fpr, tpr, _ = roc_curve(d, q, drop_intermediate=False)
precision, recall, _ = precision_recall_curve(d, q)
calibration_curve(d, q), precision_recall_fscore_support(d, p), classification_report(d, p)
confusion_matrix(d, p, normalize="true"), f1_score(d, p, average=None)
areas = auc(fpr, tpr), auc(recall, precision)
print(json.dumps([matrix.tolist(), report, len(fpr), areas]))
"""
    ((matrix, report, n_points, areas),) = record(store_path, body)
    assert results(store_path, "confusion_matrix") == [{"matrix": matrix, "labels": [0, 1]}]
    assert results(store_path, "classification_report")[0] == report
    assert "precision" in results(store_path, "classification_report")[1]
    (curve,) = results(store_path, "roc_curve")
    assert (curve["n_points"], len(curve["fpr"]), curve["fpr"][0], curve["fpr"][-1]) == (n_points, 100, 0.0, 1.0)
    assert n_points > 100
    assert {"precision", "recall", "fscore", "support"} == set(
        results(store_path, "precision_recall_fscore_support")[0]
    )
    assert set(results(store_path, "calibration_curve")[0]) == {"n_points", "prob_true", "prob_pred"}
    assert len(results(store_path, "f1_score/average=None")[0]) == 2
    assert results(store_path, "confusion_matrix/normalize=true")[0]["matrix"][0][0] <= 1
    rows = {row[0]: row[2] for row in query(store_path, POINTS)}
    assert rows == {"auc/roc_curve": areas[0], "auc/precision_recall_curve": areas[1]}
    notes = query(store_path, "SELECT note FROM captures WHERE status = 'truncated' ORDER BY ordinal")
    assert notes[0] == (f"roc_curve: 100 of {n_points} points",)


def test_clusterings_and_out_of_fold_predictions_have_their_run_too(store_path: Path) -> None:
    body = """
k = KMeans(3, n_init=1, random_state=0).fit(b)
silhouette_score(b, k.labels_), davies_bouldin_score(b, k.predict(b)), adjusted_rand_score(d, k.labels_)
silhouette_score(b, AgglomerativeClustering(2).fit_predict(b))
z = cross_val_predict(model(), a, c, cv=3)
accuracy_score(c, z)
roc_auc_score(c, cross_val_predict(model(), a, c, cv=3, method="predict_proba")[:, 1])
several = MultiOutputClassifier(model()).fit(a, numpy.c_[c, 1 - c])
for number, proba in enumerate(several.predict_proba(b)):
    roc_auc_score(d if number == 0 else 1 - d, proba[:, 1])
f1_score(d, several.predict(b)[:, 0])
"""
    record(store_path, body)
    kinds = (
        "SELECT kind, m.name, m.split FROM metrics AS m JOIN runs ON runs.id = run_id WHERE m.split IS NOT 'system' "
    )
    assert query(store_path, kinds + "ORDER BY started_at, m.name") == [
        ("fit", "train_adjusted_rand_score", "train"),
        ("fit", "train_davies_bouldin_score", "train"),
        ("fit", "train_silhouette_score", "train"),
        ("fit", "train_silhouette_score", "train"),
        ("validate", "valid_accuracy_score", "valid"),
        ("validate", "valid_roc_auc_score", "valid"),
        ("fit", "f1_score/column=0", "test"),
        ("fit", "roc_auc_score/output=0", "test"),
        ("fit", "roc_auc_score/output=1", "test"),
    ]
    assert series(store_path)["train_davies_bouldin_score"][2] == -1


def test_threads_and_loops_of_partial_fit_keep_their_points_apart(store_path: Path) -> None:
    body = """
import threading
def work(C):
    fitted = LogisticRegression(C=C, max_iter=300).fit(a, c)
    for _ in range(20):
        accuracy_score(d, fitted.predict(b))
threads = [threading.Thread(target=work, args=(C,)) for C in (0.1, 1.0, 10.0)]
[t.start() for t in threads]; [t.join() for t in threads]
loop = SGDClassifier(random_state=0)
for rows in numpy.array_split(numpy.arange(len(a)), 3):
    loop.partial_fit(a[rows], c[rows], classes=[0, 1])
    f1_score(d, loop.predict(b))
"""
    record(store_path, body)
    counts = query(store_path, "SELECT count(*) FROM metrics WHERE name = 'accuracy_score' GROUP BY run_id")
    assert counts == [(20,)] * 3
    assert query(store_path, "SELECT step FROM metrics WHERE name = 'f1_score' ORDER BY n") == [(0,), (1,), (2,)]


SAME = """
import sys, inspect, pickle, random, warnings, hashlib
import numpy
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, get_scorer, log_loss, roc_auc_score, roc_curve
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
X, y = load_iris(return_X_y=True)
RECORD
said = []
def attempt(function, *args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            result = type(error).__name__, str(error)
    said.append((pickle.dumps(result), [str(one.message) for one in caught]))
class Own(DecisionTreeClassifier):
    def predict(self, X, check_input=True, *, twice=False):
        "Own words."
        return super().predict(X, check_input)
for kind in (LogisticRegression, DecisionTreeClassifier, Own):
    fitted = kind(random_state=0).fit(X, y)
    attempt(fitted.predict, X), attempt(fitted.predict_proba, X), attempt(fitted.predict, X[:, :2])
    attempt(fitted.predict), attempt(fitted.predict, X=X)
    p, q = fitted.predict(X), fitted.predict_proba(X)
    for function in (accuracy_score, f1_score, confusion_matrix, log_loss, roc_auc_score, roc_curve):
        attempt(function, y, p), attempt(function, y, q), attempt(function, y, p, average="macro"), attempt(function)
        attempt(function, y == 0, q[:, 0]), attempt(function, y_true=y, y_pred=p)
    for one in (fitted, fitted.predict, kind.predict, p):
        attempt(pickle.dumps, one)
    attempt(lambda: sorted(vars(fitted))), attempt(lambda: sys.getrefcount(p))
predicts = LogisticRegression.predict, DecisionTreeClassifier.predict_proba, Own.predict
for function in (accuracy_score, f1_score, roc_curve, *predicts):
    said.append((str(inspect.signature(function)), function.__doc__, function.__name__, function.__qualname__))
    said.append((function.__module__, function.__code__.co_firstlineno, sorted(vars(function))))
said.append((random.random(), numpy.random.random()))
print("same", hashlib.sha256(repr(said).encode()).hexdigest())
"""


def test_results_errors_signatures_and_pickles_are_the_same_with_and_without(store_path: Path) -> None:
    recorded = SAME.replace("RECORD", "import histhooks; histhooks.autolog('sklearn')")
    seeded = "import random, numpy; random.seed(0); numpy.random.seed(0)\n"
    outcomes = [run_warm(seeded + body, store_path) for body in (recorded, SAME.replace("RECORD", ""))]
    assert [code for code, _, _ in outcomes] == [0, 0], outcomes
    said = [[line for line in out.splitlines() if line.startswith("same")] for _, out, _ in outcomes]
    assert said[0] == said[1]
    assert query(store_path, "SELECT count(*) > 10 FROM metrics") == [(1,)]


def test_disable_gives_every_function_its_own_code_again() -> None:
    body = """
import sklearn.metrics as m
from sklearn.linear_model import LogisticRegression
from sklearn.datasets import load_iris
codes = {name: getattr(m, name).__code__ for name in m.__all__ if hasattr(getattr(m, name), "__code__")}
held = {name: getattr(m, name) for name in codes}
predict = LogisticRegression.predict, LogisticRegression.predict.__code__
import histhooks
for _ in range(2):
    histhooks.autolog("sklearn")
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=300).fit(X, y)
    p = model.predict(X)
    assert LogisticRegression.predict is predict[0] and predict[0].__code__ is not predict[1]
    assert m.f1_score is held["f1_score"] and m.f1_score.__code__ is not codes["f1_score"]
    histhooks.disable()
    assert all(getattr(m, name) is held[name] and held[name].__code__ is codes[name] for name in codes)
    assert LogisticRegression.predict is predict[0] and predict[0].__code__ is predict[1]
    m.accuracy_score(y, p)
from histhooks.integrations import _predictions
import gc, weakref
del p, model; gc.collect()
assert not _predictions.is_any_known(), "predictions go with their arrays"
print("done")
"""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        code, out, err = run_warm(body, Path(folder) / "histhooks.db")
        assert (code, out.splitlines()[-1:]) == (0, ["done"]), err
        assert query(Path(folder) / "histhooks.db", "SELECT count(*) FROM metrics WHERE split = 'test'") == [(0,)]


def test_data_goes_with_what_was_predicted_on_it(store_path: Path) -> None:
    body = """
import gc, weakref
from sklearn.base import BaseEstimator
from histhooks.integrations import _predictions
class Thing(numpy.ndarray):
    pass
fitted = model().fit(a, c)
for make in (b.copy, lambda: numpy.zeros((5000, 30)), lambda: b.astype(object), lambda: b.copy().view(Thing)):
    data = make()
    gone = weakref.ref(data)
    p = fitted.predict(data)
    del data
    gc.collect()
    print([int(gone() is None)])
class Table(BaseEstimator):
    def fit(self, X, y=None):
        return self
    def predict(self, X):
        return X[:, 0]                               # memory that is not the model's alone
own = numpy.random.default_rng(0).normal(size=(30, 2))
p = Table().fit(own).predict(own)
r2_score(own[:, 1], own[:, 0]), r2_score(own[:, 1], p)
"""
    assert record(store_path, body) == [[1]] * 4
    assert [row[0] for row in query(store_path, POINTS)] == ["train_r2_score"]
