"""Models that nobody judged, each in a session of its own, and sessions whose last fit needs no judge."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import kit
import numpy as np
import xgboost as xgb
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

Generator = np.random.Generator


def apart(flow: Callable[..., None], *arguments: object) -> None:
    """Call a function in a process of its own, which is a session of its own."""
    child = multiprocessing.get_context("fork").Process(target=flow, args=arguments)
    child.start()
    child.join(120)
    assert child.exitcode == 0, flow.__name__


def fitted(truth: kit.Truth, name: str, planted: list[str], model: object, X: np.ndarray, y: np.ndarray) -> None:
    """A fit, and nothing else."""
    with truth.training(name, planted):
        model.fit(X, y)  # type: ignore[attr-defined]


def alone(truth: kit.Truth, rng: Generator) -> None:
    """A fit, and nothing else."""
    for name, model in (
        ("alone", LogisticRegression(max_iter=100)),
        ("alone in a pipeline", make_pipeline(StandardScaler(), SVC())),
    ):
        apart(fitted, truth, name, ["valid.none"], model, *kit.classes(rng, int(rng.choice([0, 3, 7]))))
    apart(fitted, truth, "alone, a regression", ["valid.none"], Ridge(), *kit.numbers(rng))


def scored(truth: kit.Truth, X: np.ndarray, y: np.ndarray) -> None:
    with truth.training("scored on its own rows", ["valid.none"]):
        RandomForestClassifier(10, random_state=0).fit(X, y).score(X, y)


def measured(truth: kit.Truth, X: np.ndarray, y: np.ndarray) -> None:
    with truth.training("a metric of its own rows", ["valid.none"]):
        model = LogisticRegression(max_iter=100).fit(X, y)
        print(accuracy_score(y, model.predict(X)))


def on_train(truth: kit.Truth, rng: Generator) -> None:
    """A score of the rows that it was fitted to, and none of others."""
    for flow in (scored, measured, watched):
        apart(flow, truth, *kit.classes(rng, int(rng.choice([0, 3, 7]))))


def folds_first(truth: kit.Truth, X: np.ndarray, y: np.ndarray) -> None:
    with truth.training("folds before the last fit, apart"):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100))
        cross_val_score(model, X, y, cv=3)
        model.fit(X, y)


def searched(truth: kit.Truth, X: np.ndarray, y: np.ndarray) -> None:
    with truth.training("a search alone"):
        GridSearchCV(LogisticRegression(max_iter=100), {"C": [0.1, 1.0]}, cv=3).fit(X, y)


def clustered(truth: kit.Truth, X: np.ndarray, y: np.ndarray) -> None:
    with truth.training("clusters"):
        KMeans(3, n_init=2, random_state=0).fit(X)
        PCA(2).fit(X)


def by_hand(truth: kit.Truth, X: np.ndarray, y: np.ndarray) -> None:
    a, b, c, d = kit.split(X, y, np.random.default_rng(truth.seed))
    with truth.training("judged by hand"):
        model = RandomForestClassifier(10, random_state=0).fit(a, c)
        print((model.predict(b) == d).mean())


def watched(truth: kit.Truth, X: np.ndarray, y: np.ndarray) -> None:
    with truth.training("watched on its own rows", ["valid.is_train"], also=["valid.none"]):
        xgb.XGBClassifier(n_estimators=8, random_state=0, n_jobs=1).fit(X, y, eval_set=[(X, y)], verbose=False)


def sessions(truth: kit.Truth, rng: Generator) -> None:
    """Sessions without a fault: folds before the last fit, a search, nothing that has a target, rows judged by hand."""
    for flow in (folds_first, searched, clustered, by_hand):
        apart(flow, truth, *kit.classes(rng, int(rng.choice([0, 3, 7]))))


if __name__ == "__main__":
    kit.run(alone, on_train, sessions)
