"""Judging, splits, columns, seeds and files: each planted fault is found, and its clean twin is silent."""

from __future__ import annotations

import pytest

from helpers.checked import Told, checked

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("xgboost")

PROGRAM = """
import warnings
warnings.simplefilter("ignore")
import histhooks
histhooks.autolog("sklearn", "xgboost", groups="patient", time="day")
import joblib
import numpy as np, pandas as pd, xgboost as xgb
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.dummy import DummyClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GroupShuffleSplit, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

rng = np.random.default_rng(0)
X, y = load_breast_cancer(return_X_y=True)
X = X * (1 + 0.01 * rng.normal(size=X.shape))

def judge(name, a, b, c, d, model=None):
    model = model or make_pipeline(StandardScaler(), LogisticRegression(max_iter=50))
    with histhooks.start_run(name):
        model.fit(a, c)
        model.score(b, d)
        histhooks.flush()

def split(X, y=y, **how):
    return train_test_split(X, y, random_state=0, **how)

judge("clean", *split(X))
order = np.argsort(y, kind="stable")
judge("sorted by class", *split(X[order], y[order], shuffle=False))
near = np.argsort(X[:, 0])
judge("sorted by a feature", X[near[:430]], X[near[430:]], y[near[:430]], y[near[430:]])
judge("a constant model", *split(X), DummyClassifier())
a, b, c, d = split(X)
judge("shuffled target", a, b, rng.permutation(c), d, DecisionTreeClassifier(random_state=0))
judge("empty columns", *split(np.hstack([X[:, :5], np.zeros((len(X), 4))])))
gaps = pd.DataFrame(X[:, :5]).add_prefix("c")
gaps.loc[rng.random(len(gaps)) < 0.6, "c1"] = np.nan
judge("missing values", *split(gaps), xgb.XGBClassifier(n_estimators=5))
judge("an id", *split(pd.DataFrame(X[:, :5]).add_prefix("c").assign(number=range(len(X))), shuffle=False))
judge("repeated rows", *split(X[np.r_[0:569, 0:60]], y[np.r_[0:569, 0:60]]))
frame = pd.DataFrame(X[:, :4]).add_prefix("c").assign(patient=np.arange(len(X)) // 4)
judge("patients in both", *split(frame))
here, there = next(GroupShuffleSplit(1, random_state=0).split(frame, y, frame.patient))
judge("patients apart", frame.iloc[here], frame.iloc[there], y[here], y[there])
dated = pd.DataFrame(X[:, :4]).add_prefix("c").assign(day=rng.permutation(len(X)) * 1.0)
judge("days mixed", *split(dated))
past = dated.day < 400
judge("days in order", dated[past], dated[~past], y[past], y[~past])

with histhooks.start_run("folds preprocessed"):
    cross_val_score(LogisticRegression(max_iter=20), SelectKBest(k=5).fit_transform(X, y), y, cv=3)
with histhooks.start_run("folds in a pipeline"):
    cross_val_score(make_pipeline(SelectKBest(k=5), LogisticRegression(max_iter=20)), X, y, cv=3)

a, b, c, d = split(X)
e, f, g, h = train_test_split(a, c, random_state=0)
def boosted(name, watched, stop):
    with histhooks.start_run(name):
        model = xgb.XGBClassifier(n_estimators=30, max_depth=2, early_stopping_rounds=stop, random_state=0)
        model.fit(e, g, eval_set=[watched], verbose=False)
        model.score(b, d)
        histhooks.flush()
boosted("stopped by test data", (b, d), 5)
boosted("watched on test data", (b, d), None)
boosted("stopped by validation data", (f, h), 5)

with histhooks.start_run("no seed"):
    DecisionTreeClassifier(max_features=2).fit(X, y).score(X[:100], y[:100])
with histhooks.start_run("pickled") as run:
    joblib.dump(LogisticRegression(max_iter=20).fit(a, c), "model.joblib")
    run.log_artifact("model.joblib", role="model")
"""
ALONE = """
import histhooks
histhooks.autolog("sklearn")
import numpy as np
from sklearn.linear_model import LogisticRegression
X = np.random.default_rng(0).normal(size=(200, 3))
with histhooks.start_run("alone"):
    LogisticRegression().fit(X, X[:, 0] > 0)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return checked(PROGRAM, tmp_path_factory.mktemp("rules") / "histhooks.db")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("clean", set()),
        ("sorted by class", {("split.classes", "warn")}),
        ("sorted by a feature", {("split.drift", "warn")}),
        ("a constant model", {("fit.no_better", "warn")}),
        ("shuffled target", {("fit.no_better", "fail")}),
        ("empty columns", {("data.constant", "warn")}),
        ("missing values", {("data.missing", "warn")}),
        ("an id", {("data.id", "warn")}),
        ("repeated rows", {("data.twins", "warn"), ("leak.rows", "fail")}),
        ("patients in both", {("leak.groups", "fail")}),
        ("patients apart", set()),
        ("days mixed", {("leak.time", "warn")}),
        ("days in order", set()),
        ("folds preprocessed", {("leak.fold", "fail")}),
        ("folds in a pipeline", set()),
        ("stopped by test data", {("select.on_test", "fail")}),
        ("watched on test data", set()),
        ("stopped by validation data", set()),
    ],
)
def test_a_fault_is_found_and_its_twin_is_silent(told: dict[str, Told], name: str, found: set[tuple[str, str]]) -> None:
    alarms = {(check, level) for check, level in told[name].found if level != "info"}
    assert found <= alarms
    # What one fault brings with it: sorted rows differ in features and classes alike, and some are no better for it.
    follows = {"split.drift", "split.classes", "fit.no_better"} if found else set()
    assert {check for check, _ in alarms - found} <= follows


def test_what_is_worth_knowing_is_information(told: dict[str, Told]) -> None:
    assert ("select.on_test", "info") in told["watched on test data"].found
    assert ("seed.unset", "info") in told["no seed"].found
    assert ("model.unsafe", "info") in told["pickled"].found


def test_a_model_that_nobody_judged_is_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    told = checked(ALONE, tmp_path_factory.mktemp("alone") / "histhooks.db")
    assert told["alone"].alarms == {"valid.none", "leak.feature"} - {"leak.feature"}
