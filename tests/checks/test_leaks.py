"""Leaks: each planted one is found, and its clean twin is silent, in real trainings."""

from __future__ import annotations

import pytest

from helpers.checked import Told, checked

pytest.importorskip("sklearn")

PROGRAM = """
import warnings
warnings.simplefilter("ignore")
import histhooks
histhooks.autolog("sklearn")
import time
import numpy as np, pandas as pd
from sklearn.datasets import load_breast_cancer, make_blobs
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

seed = 0
y = load_breast_cancer().target

def data():
    global seed
    seed += 1
    return load_breast_cancer().data * (1 + 0.01 * np.random.default_rng(seed).normal(size=(569, 30)))

def judge(name, parts, model=None):
    train, test, y_train, y_test = parts
    with histhooks.start_run(name):
        model = model or LogisticRegression(max_iter=30)
        model.fit(train, y_train)
        model.score(test, y_test)
        histhooks.flush()

def split(X, y=y):
    return train_test_split(X, y, random_state=0)

judge("clean", split(data()))
a, b, c, d = split(data())
judge("rows", (a, np.vstack([b, a[:20]]), c, np.hstack([d, c[:20]])))
a, b, c, d = split(data())
judge("one row", (a, np.vstack([b, a[:1]]), c, np.hstack([d, c[:1]])))
table = np.random.default_rng(0).integers(0, 3, (600, 4))
judge("rows by chance", split(table, table.sum(1) % 2))
line = np.random.default_rng(1).integers(0, 900, (600, 1))
judge("one column", split(line, line[:, 0] % 2))
a, b, c, d = split(data())
judge("judged on train", (a, a, c, c))
X = data()
judge("target", split(np.column_stack([X, y * 2.0 + 1])))
flag = np.where(np.random.default_rng(2).random(569) < 0.01, 1 - y, y)
judge("feature", split(np.column_stack([X * np.random.default_rng(3).normal(size=X.shape), flag])))
judge("blobs", split(*make_blobs(500, centers=2, n_features=6, random_state=0)), DecisionTreeClassifier(random_state=0))
judge("scaled before", split(StandardScaler().fit_transform(data())))
a, b, c, d = split(StandardScaler().fit_transform(data())); judge("scaled before, two judged", (a, b[:2], c, d[:2]))
a, b, c, d = split(data()); s = StandardScaler()
judge("scaled after", (s.fit_transform(a), s.transform(b), c, d))
judge("in a pipeline", split(data()), make_pipeline(StandardScaler(), LogisticRegression(max_iter=30)))
X = data(); judge("selected before", split(SelectKBest(k=5).fit_transform(X, y)))
words = pd.DataFrame({"a": np.random.default_rng(4).integers(0, 900, 569), "b": range(569)}).astype(str)
judge("encoded before", split(OneHotEncoder(handle_unknown="ignore").fit_transform(words)))
coarse = np.random.default_rng(5).integers(0, 3, (600, 5)).astype(float)
a, b, c, d = split(coarse, coarse.sum(1) % 2); s = StandardScaler()
judge("coarse rows, scaled after", (s.fit_transform(a), s.transform(b), c, d))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return checked(PROGRAM, tmp_path_factory.mktemp("leaks") / "histhooks.db")


def test_rows_of_the_test_set_in_the_training_set_are_found_and_counted(told: dict[str, Told]) -> None:
    assert ("leak.rows", "fail") in told["rows"].found
    assert told["rows"].says["leak.rows"].startswith("20 of 163 test rows are in the training data (12.3%")
    assert ("leak.rows", "warn") in told["one row"].found


@pytest.mark.parametrize("name", ["clean", "rows by chance", "one column", "coarse rows, scaled after", "blobs"])
def test_rows_that_are_equal_by_chance_are_no_alarm(told: dict[str, Told], name: str) -> None:
    found = told[name].alarms
    assert found - {"fit.no_better"} == set()  # a target that nobody can learn


def test_a_model_whose_only_score_is_of_its_training_data_is_found(told: dict[str, Told]) -> None:
    assert {name for name, one in told.items() if "valid.none" in one.alarms} == {"judged on train"}
    assert told["judged on train"].says["valid.none"].endswith("is of the 426 rows that it was fitted to")
    assert "leak.rows" not in told["judged on train"].alarms


def test_a_column_that_is_the_target_or_tells_nearly_all_is_found(told: dict[str, Told]) -> None:
    assert ("leak.target", "fail") in told["target"].found
    assert ("leak.feature", "warn") in told["feature"].found
    assert {name for name, one in told.items() if {"leak.target", "leak.feature"} & one.alarms} == {"target", "feature"}


def test_preprocessing_that_saw_the_test_rows_is_found_and_clean_flows_are_silent(told: dict[str, Told]) -> None:
    assert ("leak.prep", "warn") in told["scaled before"].found
    assert ("leak.prep", "fail") in told["selected before"].found
    assert ("leak.prep", "info") in told["encoded before"].found
    alarmed = {name for name, one in told.items() if "leak.prep" in one.alarms}
    assert alarmed == {"scaled before", "selected before"}
