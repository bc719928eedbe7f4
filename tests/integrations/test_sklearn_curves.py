"""Curves that estimators keep of their own training, and what else a fit leaves in them, are the run's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import programs
from histhooks.testing import query

pytest.importorskip("sklearn")

SETUP = """
import warnings
warnings.simplefilter("ignore")
import histhooks, numpy, json
histhooks.autolog("sklearn")
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import *
from sklearn.linear_model import BayesianRidge, LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, learning_curve, permutation_test_score, validation_curve
from sklearn.multioutput import ClassifierChain, MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
X, y = load_iris(return_X_y=True)
D, d = load_diabetes(return_X_y=True, as_frame=True)
def shown(*values):
    print(json.dumps([numpy.asarray(value).tolist() for value in values]))
"""
SERIES = """
SELECT s.name, metric, split, direction, count FROM metric_summaries AS s JOIN runs ON runs.id = run_id
WHERE s.name NOT IN ('call_s', 'n_samples') ORDER BY started_at, s.name
"""


def record(store: Path, body: str) -> list[Any]:
    out = programs.record(store, body, SETUP, is_warm=True)
    assert query(store, "SELECT kind, title FROM events WHERE kind IN ('hook_error', 'refused')") == []
    assert query(store, "SELECT note FROM captures WHERE status = 'failed'") == []
    return [json.loads(line) for line in out.splitlines() if line.startswith("[")]


def values_of(store: Path, name: str) -> list[list[float]]:
    """The points of a series, run by run, each of which has the steps from 0 on, or goes on with them."""
    runs: dict[object, list[float]] = {}
    sql = "SELECT run_id, value FROM metrics m JOIN runs ON runs.id = run_id WHERE m.name = ? ORDER BY started_at, n"
    for run_id, value in query(store, sql.replace("?", f"'{name}'")):
        runs.setdefault(run_id, []).append(float(str(value)))
    return list(runs.values())


def results(store: Path, key: str) -> list[Any]:
    sql = f"SELECT value FROM results JOIN runs ON runs.id = run_id WHERE key = '{key}' ORDER BY started_at, ordinal"
    return [json.loads(str(row[0])) for row in query(store, sql)]


def test_a_network_leaves_its_loss_and_its_validation_scores(store_path: Path) -> None:
    body = (
        "m = MLPClassifier((4,), max_iter=6, early_stopping=True).fit(X, y); shown(m.loss_curve_, m.validation_scores_)"
    )
    ((loss, scores),) = record(store_path, body)
    assert query(store_path, SERIES) == [
        ("loss_curve_", "loss", "train", -1, len(loss)),
        ("validation_scores_", "score", "valid", 1, len(scores)),
    ]
    assert values_of(store_path, "loss_curve_") == [loss]
    assert values_of(store_path, "validation_scores_") == [scores]


def test_losses_and_scores_of_boosted_trees_say_which_way_is_better(store_path: Path) -> None:
    body = """
a = GradientBoostingRegressor(n_estimators=5, subsample=0.5).fit(D, d)
b = HistGradientBoostingRegressor(max_iter=5, early_stopping=True).fit(D, d)
c = HistGradientBoostingClassifier(max_iter=5, early_stopping=True, scoring="roc_auc_ovr").fit(X, y)
HistGradientBoostingClassifier(max_iter=5, early_stopping=False).fit(X, y)
shown(a.train_score_, a.oob_scores_, a.oob_improvement_, b.train_score_, b.validation_score_, c.train_score_)
"""
    ((loss, oob, improvement, train, valid, auc),) = record(store_path, body)
    assert query(store_path, SERIES) == [
        ("oob_improvement_", "oob_improvement", None, 1, 5),
        ("oob_scores_", "oob_loss", None, -1, 5),
        ("train_score_", "loss", "train", -1, 5),
        ("train_score_", "neg_loss", "train", 1, 5),
        ("validation_score_", "neg_loss", "valid", 1, 5),
        ("train_score_", "roc_auc_ovr", "train", 1, 5),
        ("validation_score_", "roc_auc_ovr", "valid", 1, 5),
    ]
    assert values_of(store_path, "train_score_") == [loss, train[1:], auc[1:]]
    assert values_of(store_path, "oob_scores_") == [oob]
    assert values_of(store_path, "oob_improvement_") == [improvement]
    assert values_of(store_path, "validation_score_")[0] == valid[1:]
    assert results(store_path, "validation_score_.initial")[0] == valid[0]
    assert results(store_path, "n_iter") == [5, 5, 5]


def test_a_curve_that_goes_on_is_not_repeated(store_path: Path) -> None:
    body = """
m = MLPRegressor(hidden_layer_sizes=(4,), max_iter=4, warm_start=True).fit(D, d)
m.fit(D, d)
shown(m.loss_curve_)
m = MLPRegressor(hidden_layer_sizes=(4,), max_iter=4).fit(D, d)
m.fit(D, d)
shown(m.loss_curve_)
m = MLPClassifier((4,))
for _ in range(3):
    m.partial_fit(X, y, classes=[0, 1, 2])
shown(m.loss_curve_)
"""
    (warm,), (anew,), (parts,) = record(store_path, body)
    kept = values_of(store_path, "loss_curve_")
    assert [len(one) for one in kept] == [4, 4, 4, 4, 3]
    assert kept[0] + kept[1] == warm
    assert kept[3] == anew
    assert kept[4] == parts
    steps = query(store_path, "SELECT step FROM metrics JOIN runs ON runs.id = run_id ORDER BY started_at, n LIMIT 8")
    assert [row[0] for row in steps] == [*range(4), *range(4, 8)]


def test_curves_of_members_stand_apart_in_the_one_run_of_their_ensemble(store_path: Path) -> None:
    body = """
net = MLPClassifier((3,), max_iter=3)
make_pipeline(StandardScaler(), net).fit(X, y)
GridSearchCV(net, {"alpha": [0.1, 1.0]}, cv=2).fit(X, y)
VotingClassifier([("a", net), ("b", LogisticRegression())]).fit(X, y)
StackingClassifier([("a", net)], final_estimator=net, cv=2).fit(X, y)
CalibratedClassifierCV(net, cv=2).fit(X, y)
MultiOutputRegressor(GradientBoostingRegressor(n_estimators=3)).fit(D, numpy.c_[d, -d])
ClassifierChain(net).fit(X, numpy.c_[y == 0, y == 1].astype(int))
"""
    record(store_path, body)
    assert [row[0] for row in query(store_path, SERIES) if str(row[0]).startswith(("loss_curve_", "train_score_"))] == [
        *["loss_curve_"] * 2,
        "loss_curve_/a",
        *["loss_curve_/a", "loss_curve_/final_estimator"],
        *["loss_curve_/0", "loss_curve_/1"],
        *["train_score_/0", "train_score_/1"],
        *["loss_curve_/0", "loss_curve_/1"],
    ]
    kinds = query(store_path, "SELECT kind, count(*) FROM runs GROUP BY kind ORDER BY kind")
    assert kinds == [("candidate", 2), ("fit", 6), ("search", 1)]


def test_importances_are_those_of_the_estimator_by_feature(store_path: Path) -> None:
    body = """
for kind in (RandomForestClassifier, ExtraTreesClassifier, GradientBoostingClassifier):
    shown(kind(n_estimators=7, random_state=0).fit(X, y).feature_importances_)
shown(DecisionTreeClassifier(max_depth=3).fit(X, y).feature_importances_)
F, t = load_breast_cancer(return_X_y=True, as_frame=True)
shown(make_pipeline(StandardScaler(), RandomForestClassifier(5)).fit(F, t)[-1].feature_importances_, F.columns)
RandomForestClassifier(3).fit(numpy.random.default_rng(0).normal(size=(40, 80)), numpy.arange(40) % 2)
"""
    *shown, (values, names) = record(store_path, body)
    kept = results(store_path, "feature_importances")
    for number, (expected,) in enumerate(shown):
        assert kept[number] == pytest.approx({f"x{n}": value for n, value in enumerate(expected)}, rel=1e-5)
    assert kept[4] == pytest.approx(dict(zip(names, values, strict=True)), rel=1e-5)
    assert len(kept[5]) == 50
    notes = query(store_path, "SELECT note FROM captures WHERE status = 'truncated'")
    assert notes == [("feature_importances: the 50 largest of 80",)]


def test_coefficients_stand_by_feature_and_class(store_path: Path) -> None:
    body = """
m = Ridge().fit(D, d)
shown(m.coef_, D.columns, m.intercept_)
m = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, numpy.array(["a", "b", "c"])[y])[-1]
shown(m.coef_, m.intercept_)
"""
    (coef, names, intercept), (several, intercepts) = record(store_path, body)
    of_ridge, of_classes = results(store_path, "coef")
    assert of_ridge == pytest.approx(dict(zip(names, coef, strict=True)), rel=1e-5)
    assert list(of_classes) == ["a", "b", "c"]
    for row, expected in zip(of_classes.values(), several, strict=True):
        assert row == pytest.approx({f"x{n}": value for n, value in enumerate(expected)}, rel=1e-5)
    of_one, of_three = results(store_path, "intercept")
    assert (of_one, of_three) == (pytest.approx(intercept, rel=1e-5), pytest.approx(intercepts, rel=1e-5))
    assert results(store_path, "class_counts") == [{"a": 50, "b": 50, "c": 50}]


def test_what_is_read_of_an_estimator_runs_no_code_of_its_class(store_path: Path) -> None:
    body = """
from sklearn.base import BaseEstimator
class Odd(BaseEstimator):
    def fit(self, X, y=None):
        self.estimators_, self.steps, self.loss_curve_, self.classes_ = [1, "a"], [("x",)], "none", 3
        self.coef_, self.scores_, self.train_score_ = "none", [1.0, 2.0], [1.0, 2.0]
        self.estimator_ = self
        return self
    @property
    def feature_importances_(self):
        raise SystemExit
    coef = best_estimator_ = property(lambda self: 1 / 0)
Odd().fit(X, y)
"""
    record(store_path, body)
    assert query(store_path, SERIES) == []
    assert query(store_path, "SELECT status FROM runs") == [("finished",)]


def test_validation_curves_say_what_their_points_stand_for(store_path: Path) -> None:
    body = """
m = LogisticRegression(max_iter=500)
sizes, train, test = learning_curve(m, X, y, cv=3, train_sizes=[0.5, 1.0], shuffle=True, random_state=0)
shown(sizes, train.mean(axis=1), test.mean(axis=1))
train, test = validation_curve(m, X, y, param_name="C", param_range=[0.1, 1.0], cv=3)
shown(train.mean(axis=1), test.mean(axis=1))
score, permuted, p = permutation_test_score(m, X, y, cv=3, n_permutations=4, random_state=0)
shown(score, permuted.max(), p)
"""
    (sizes, train, test), (by_value, test_by_value), (score, best, p) = record(store_path, body)
    (curve,), (by_param,) = results(store_path, "learning_curve"), results(store_path, "validation_curve")
    assert (curve["train_sizes"], curve["train_score"], curve["test_score"]) == (sizes, train, test)
    assert (by_param["C"], by_param["train_score"], by_param["test_score"]) == ([0.1, 1.0], by_value, test_by_value)
    points = query(store_path, "SELECT step, value FROM metrics WHERE name = 'test_score' ORDER BY rowid")
    assert points == [*zip(sizes, test, strict=True), *enumerate(test_by_value)]
    assert (results(store_path, "score"), results(store_path, "pvalue")) == ([score], [p])
    assert results(store_path, "permutation_scores")[0]["max"] == best
    assert query(store_path, "SELECT DISTINCT kind FROM runs") == [("validate",)]
