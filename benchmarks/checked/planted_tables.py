"""Planted faults in programs of scikit-learn, each in three ways or more, on data of several kinds."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pandas as pd
from clean_tables import words
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, SelectPercentile, f_regression
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, QuantileTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

Generator = np.random.Generator
REAL = (0, 3, 4, 7)  # data whose rows differ, with enough of them


def judged(model: Any, a: Any, b: Any, c: Any, d: Any, rng: Generator) -> None:
    """Fit and judge, by `score` or by a metric."""
    model.fit(a, c)
    if rng.random() < 0.5:
        model.score(b, d)
    else:
        print(accuracy_score(d, model.predict(b)))


def forest(rng: Generator) -> Any:
    """Some classifier that takes data as it is."""
    return [
        RandomForestClassifier(15, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=100)),
        make_pipeline(MinMaxScaler(), SVC()),
        GaussianNB(),
    ][int(rng.integers(4))]


def some(rng: Generator, kinds: tuple[int, ...] = REAL) -> tuple[np.ndarray, np.ndarray]:
    """Data of one of some kinds."""
    return kit.classes(rng, int(rng.choice(kinds)))


def rows(truth: kit.Truth, rng: Generator) -> None:
    """Test rows that are in the training data."""
    X, y = some(rng)
    a, b, c, d = kit.split(X, y, rng)
    n = int(rng.integers(3, 20))
    with truth.training("rows appended", ["leak.rows"]):
        judged(forest(rng), a, np.vstack([b, a[:n]]), c, np.hstack([d, c[:n]]), rng)
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("rows appended to training", ["leak.rows"]):
        judged(
            forest(rng), np.vstack([b[:n], a]).astype(np.float32), b.astype(np.float32), np.hstack([d[:n], c]), d, rng
        )
    frame = pd.DataFrame(X).add_prefix("f").assign(y=y)
    frame = pd.concat([frame, frame.sample(frac=0.2, random_state=int(rng.integers(999)))], ignore_index=True)
    a, b, c, d = kit.split(frame.drop(columns="y"), frame.y, rng)
    with truth.training("repeated before the split", ["leak.rows", "data.twins"]):
        judged(forest(rng), a, b, c, d, rng)
    rare = np.flatnonzero(y == 1)
    up = np.r_[np.arange(len(y)), rng.choice(rare, len(rare) // 2)]
    a, b, c, d = kit.split(X[up], y[up], rng)
    with truth.training("a class drawn up before the split", ["leak.rows"], also=["data.twins"]):
        judged(forest(rng), a, b, c, d, rng)


def target(truth: kit.Truth, rng: Generator) -> None:
    """The target among the features: as it is, scaled, renamed; of a regression."""
    X, y = some(rng)
    also = ("leak.feature",)
    frame = pd.DataFrame(X).add_prefix("f").assign(outcome=y)
    with truth.training("target left in the frame", ["leak.target"], also):
        judged(forest(rng), *kit.split(frame, frame.outcome, rng), rng)
    with truth.training("target scaled", ["leak.target"], also):
        judged(forest(rng), *kit.split(np.column_stack([X, 2.5 * y - 1]), y, rng), rng)
    code = rng.permutation(100)[: int(y.max()) + 1]
    with truth.training("target renamed", ["leak.target"], also):
        judged(forest(rng), *kit.split(np.column_stack([code[y], X]), y, rng), rng)
    X, y = kit.numbers(rng)
    a, b, c, d = kit.split(np.column_stack([X, y * 1.2 + 3]), y, rng)
    with truth.training("target of a regression", ["leak.target"], also):
        Ridge().fit(a, c).score(b, d)


def feature(truth: kit.Truth, rng: Generator) -> None:
    """A feature that knows the answer, nearly."""
    X, y = kit.classes(rng, 3)
    weak = X * rng.normal(size=X.shape)
    flag = np.where(rng.random(len(y)) < 0.01, 1 - y, y)
    with truth.training("a flag", ["leak.feature"]):
        judged(forest(rng), *kit.split(np.column_stack([weak, flag]), y, rng), rng)
    with truth.training("a reading taken afterwards", ["leak.feature"]):
        judged(forest(rng), *kit.split(np.column_stack([y + 0.12 * rng.normal(size=len(y)), weak]), y, rng), rng)
    X, y = kit.numbers(rng, int(rng.choice([0, 1, 3])))
    late = y + 0.08 * y.std() * rng.normal(size=len(y))
    a, b, c, d = kit.split(pd.DataFrame(X).add_prefix("f").assign(late=late), y, rng)
    with truth.training("a late number", ["leak.feature"]):
        RandomForestRegressor(15, random_state=0).fit(a, c).score(b, d)


def prepared(truth: kit.Truth, rng: Generator) -> None:
    """Preprocessing of all rows before the split."""
    ways: list[tuple[str, Any]] = [
        ("standard", StandardScaler()), ("min and max", MinMaxScaler()), ("power", PowerTransformer()),
        ("components", PCA(4, random_state=0)), ("quantiles", QuantileTransformer(n_quantiles=50, random_state=0)),
        ("chain", make_pipeline(StandardScaler(), PCA(4, random_state=0))),
    ]  # fmt: skip
    for number in rng.permutation(len(ways))[:2]:
        name, way = ways[number]
        X, y = some(rng)
        with truth.training(f"{name} before the split", ["leak.prep"]):
            judged(forest(rng), *kit.split(way.fit_transform(X), y, rng), rng)
    X, y = some(rng, (0, 3, 7))
    scaler = StandardScaler().fit(X)
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("fitted to all, used on both parts", ["leak.prep"]):
        judged(LogisticRegression(max_iter=100), scaler.transform(a), scaler.transform(b), c, d, rng)
    with truth.training("a frame through set_output", ["leak.prep"]):
        way = StandardScaler().set_output(transform="pandas")
        judged(forest(rng), *kit.split(way.fit_transform(pd.DataFrame(X).add_prefix("f")), y, rng), rng)


def chosen(truth: kit.Truth, rng: Generator) -> None:
    """Features chosen, gaps filled and words counted with all rows."""
    X, y = some(rng, (0, 3, 4))
    with truth.training("features chosen before the split", ["leak.prep"]):
        judged(forest(rng), *kit.split(SelectKBest(k=5).fit_transform(X, y), y, rng), rng)
    X, y = some(rng, (0, 3, 4))
    X = np.where(rng.random(X.shape) < 0.03, np.nan, X)
    way = SimpleImputer() if rng.random() < 0.5 else KNNImputer()
    with truth.training("gaps filled before the split", ["leak.prep"]):
        judged(forest(rng), *kit.split(way.fit_transform(X), y, rng), rng)
    texts, y = words(rng)
    with truth.training("words counted before the split", ["leak.prep"]):
        judged(LogisticRegression(max_iter=100), *kit.split(TfidfVectorizer().fit_transform(texts), y, rng), rng)


def folds(truth: kit.Truth, rng: Generator) -> None:
    """Cross-validation of data that was prepared as a whole."""
    X, y = some(rng, (0, 3))
    with truth.training("folds of chosen features", ["leak.fold"]):
        cross_val_score(LogisticRegression(max_iter=50), SelectKBest(k=4).fit_transform(X, y), y, cv=3)
    with truth.training("folds of scaled rows", ["leak.fold"]):
        cross_validate(GaussianNB(), StandardScaler().fit_transform(X), y, cv=KFold(4, shuffle=True, random_state=0))
    X, y = kit.numbers(rng, int(rng.choice([0, 1])))
    with truth.training("grid over chosen features", ["leak.fold"]):
        X = SelectPercentile(f_regression, percentile=60).fit_transform(X, y)
        GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=3).fit(X, y)


def people(truth: kit.Truth, rng: Generator) -> None:
    """Rows of one patient on both sides; rows of the future in the training data."""
    n = 400
    for each in (2, 5, 20):
        patient = rng.permutation(n) // each
        X = pd.DataFrame(rng.normal(size=(n, 4))).add_prefix("c").assign(patient=patient)
        y = (X.c0 + X.c1 + 0.5 * rng.normal(size=n) > 0).astype(int)
        with truth.training(f"patients of {each} rows", ["leak.groups"]):
            judged(forest(rng), *kit.split(X, y, rng), rng)
    X, y = some(rng, (0, 3))
    dated = pd.DataFrame(X).add_prefix("c").assign(day=rng.permutation(len(y)).astype(float))
    with truth.training("days mixed", ["leak.time"]):
        judged(forest(rng), *kit.split(dated, y, rng), rng)
    dated["day"] = rng.integers(0, 60, len(y)) * 1.0
    with truth.training("days of many rows mixed", ["leak.time"]):
        judged(forest(rng), *kit.split(dated, y, rng), rng)
    late = dated.day >= 20  # trained on the future, tested on the past
    with truth.training("days backwards", ["leak.time"]):
        judged(forest(rng), dated[late], dated[~late], y[late], y[~late], rng)


def nothing(truth: kit.Truth, rng: Generator) -> None:
    """Models that know nothing: targets that do not belong to their rows."""
    X, y = some(rng, (0, 3, 4, 5, 7))
    a, b, c, d = kit.split(X, rng.permutation(y), rng)
    with truth.training("shuffled target", ["fit.no_better"], also=["fit.gap"]):
        judged(forest(rng), a, b, c, d, rng)
    with truth.training("noise", ["fit.no_better"]):
        X = rng.normal(size=(500, 6))
        judged(DecisionTreeClassifier(max_depth=4, random_state=0), *kit.split(X, rng.integers(0, 2, 500), rng), rng)
    X, y = kit.numbers(rng, int(rng.choice([1, 2, 3])))
    a, b, c, d = kit.split(X, rng.permutation(y), rng)
    with truth.training("shuffled numbers", ["fit.no_better"]):
        RandomForestRegressor(15, random_state=0).fit(a, c).score(b, d)


def splits(truth: kit.Truth, rng: Generator) -> None:
    """Parts that differ in their classes or features."""
    also = ("split.drift", "split.classes", "fit.no_better", "fit.gap")
    X, y = kit.classes(rng, 0)
    order = np.argsort(y, kind="stable")
    cut = int(len(y) * 0.7)
    with truth.training("sorted by class", ["split.classes"], also):
        judged(forest(rng), X[order[:cut]], X[order[cut:]], y[order[:cut]], y[order[cut:]], rng)
    X, y = kit.classes(rng, 3)
    a, b, c, d = kit.split(X, y, rng)
    keep = (d == 0) | (rng.random(len(d)) < 0.3)
    with truth.training("test rows of one class lost", ["split.classes"], also):
        judged(forest(rng), a, b[keep], c, d[keep], rng)
    X, y = kit.classes(rng, 4)
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("a class missing in training", ["split.classes"], also):
        judged(forest(rng), a[c != 2], b, c[c != 2], d, rng)
    X, y = some(rng, (0, 3))
    a, b, c, d = kit.split(X, y, rng)
    b = b.copy()
    b[:, int(rng.integers(X.shape[1]))] += 0
    b = b + a.std(0) * (np.arange(b.shape[1]) == int(rng.integers(b.shape[1]))) * 1.0
    with truth.training("one column moved", ["split.drift"], also):
        judged(forest(rng), a, b, c, d, rng)
    with truth.training("other units", ["split.drift"], also):
        judged(forest(rng), a, b * 2.54, c, d, rng)
    near = np.argsort(X[:, 0] + 0.3 * X[:, 0].std() * rng.normal(size=len(y)))
    with truth.training("another site", ["split.drift"], also):
        cut = int(0.7 * len(y))
        judged(forest(rng), X[near[:cut]], X[near[cut:]], y[near[:cut]], y[near[cut:]], rng)


def columns(truth: kit.Truth, rng: Generator) -> None:
    """Columns that are empty, mostly missing, or a number of the row; rows that repeat."""
    X, y = some(rng, (3, 7))
    n = len(y)
    with truth.training("constant columns", ["data.constant"]):
        judged(forest(rng), *kit.split(np.hstack([X, np.full((n, X.shape[1]), 7.0)]), y, rng), rng)
    failed = pd.DataFrame(X).add_prefix("c")
    for k in range(4):
        failed[f"joined{k}"] = np.nan
    tree = make_pipeline(SimpleImputer(keep_empty_features=True), RandomForestClassifier(10, random_state=0))
    with truth.training("a join that failed", ["data.constant"], also=["data.missing"]):
        judged(tree, *kit.split(failed, y, rng), rng)
    with truth.training("one target", ["data.constant"], also=["fit.no_better", "leak.target", "leak.feature"]):
        a, b, _, _ = kit.split(*kit.numbers(rng, 1), rng)
        Ridge().fit(a, np.zeros(len(a))).score(b, np.zeros(len(b)))
    gaps = pd.DataFrame(X).add_prefix("c")
    gaps.loc[rng.random(n) < rng.uniform(0.55, 0.8), "c1"] = np.nan
    with truth.training("mostly missing", ["data.missing"]):
        judged(tree, *kit.split(gaps, y, rng), rng)
    a, b, c, d = kit.split(pd.DataFrame(X).add_prefix("c"), y, rng)
    b.loc[rng.random(len(b)) < 0.4, "c0"] = np.nan
    with truth.training("missing in test rows", ["data.missing"], also=["split.drift"]):
        judged(tree, a, b, c, d, rng)
    a = a.copy()
    a.loc[rng.random(len(a)) < 0.35, "c2"] = np.nan
    with truth.training("missing in training rows", ["data.missing"], also=["split.drift"]):
        judged(tree, a, b.fillna(0.0), c, d, rng)


def numbered(truth: kit.Truth, rng: Generator) -> None:
    """Numbers of rows among the features, and rows that repeat in the training data."""
    X, y = some(rng, (0, 3, 7))
    n = len(y)
    cut = int(0.8 * n)
    also = ("split.drift", "split.classes")
    for name, number in (("numbered", np.arange(n)), ("numbered from a million", 10**6 + np.arange(n) * 3)):
        frame = pd.DataFrame(X).add_prefix("c").assign(id=number)
        with truth.training(name, ["data.id"], also):
            judged(forest(rng), frame[:cut], frame[cut:], y[:cut], y[cut:], rng)
    whole = np.column_stack([np.arange(n), (X * 10).round()]).astype(int)
    with truth.training("numbered whole numbers", ["data.id"], also):
        judged(forest(rng), whole[:cut], whole[cut:], y[:cut], y[cut:], rng)
    for share in (0.08, 0.15, 0.3):
        a, b, c, d = kit.split(X, y, rng)
        more = rng.permutation(len(c))[: int(share * len(c))]
        with truth.training(f"rows twice, {share:.0%}", ["data.twins"]):
            judged(forest(rng), a[np.r_[0 : len(c), more]], b, c[np.r_[0 : len(c), more]], d, rng)


if __name__ == "__main__":
    kit.run(rows, target, feature, prepared, chosen, folds, people, nothing, splits, columns, numbered)
