"""Clean programs of scikit-learn, as different people write them."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LogisticRegression, Ridge, RidgeCV, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupShuffleSplit,
    RandomizedSearchCV,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor

Generator = np.random.Generator


def models(truth: kit.Truth, rng: Generator) -> None:
    """One model of each of several families, on data of another kind each."""
    families = [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
        make_pipeline(MinMaxScaler(), SVC(random_state=0)),
        RandomForestClassifier(25, random_state=0),
        make_pipeline(StandardScaler(), KNeighborsClassifier()),
        HistGradientBoostingClassifier(max_iter=25, random_state=0),
        make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=60, random_state=0)),
        AdaBoostClassifier(n_estimators=15, random_state=0),
        make_pipeline(StandardScaler(), SGDClassifier(random_state=0)),
    ]
    for number in range(3):
        which = int(rng.integers(len(families)))
        X, y = kit.classes(rng)
        a, b, c, d = kit.split(X, y, rng, test_size=float(rng.choice([0.2, 0.25, 0.4])))
        with truth.training(f"family {number}"):
            families[which].fit(a, c)
            families[which].score(b, d)


def scores_by_hand(truth: kit.Truth, rng: Generator) -> None:
    """Predictions and functions of sklearn.metrics, in place of `score`."""
    a, b, c, d = kit.split(*kit.classes(rng), rng, stratify=None)
    with truth.training("metrics"):
        model = RandomForestClassifier(25, random_state=3).fit(a, c)
        guess = model.predict(b)
        print(accuracy_score(d, guess), f1_score(d, guess, average="macro"))


def imbalance(truth: kit.Truth, rng: Generator) -> None:
    """A rare class with weights, and one that was drawn down to balance in the training part alone."""
    X, y = datasets.make_classification(1500, 8, weights=[0.93], class_sep=1.3, random_state=int(rng.integers(1 << 30)))
    a, b, c, d = kit.split(X, y, rng, stratify=y)
    with truth.training("class weights"):
        model = LogisticRegression(class_weight="balanced", max_iter=200).fit(a, c)
        roc_auc_score(d, model.decision_function(b))
        model.score(b, d)
    rare = np.flatnonzero(c == 1)
    often = rng.permutation(np.flatnonzero(c == 0))[: len(rare)]
    keep = rng.permutation(np.r_[rare, often])
    with truth.training("drawn down to balance"):
        model = RandomForestClassifier(20, random_state=0).fit(a[keep], c[keep])
        model.score(b, d)


def oversampled(truth: kit.Truth, rng: Generator) -> None:
    """A rare class drawn up to balance, after the split: rows repeat in the training part, and nowhere else."""
    X, y = datasets.make_classification(900, 8, weights=[0.85], class_sep=1.5, random_state=int(rng.integers(1 << 30)))
    a, b, c, d = kit.split(X, y, rng, stratify=y)
    rare = np.flatnonzero(c == 1)
    more = rng.choice(rare, (c == 0).sum() - len(rare))
    with truth.training("drawn up to balance"):
        keep = np.r_[np.arange(len(c)), more]
        LogisticRegression(max_iter=200).fit(a[keep], c[keep]).score(b, d)


def bootstrap(truth: kit.Truth, rng: Generator) -> None:
    """Bootstrap samples of the training part, judged on rows that were not drawn."""
    X, y = kit.classes(rng, 0)
    drawn = rng.integers(0, len(y), len(y))
    out = np.setdiff1d(np.arange(len(y)), drawn)
    with truth.training("bootstrap"):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100)).fit(X[drawn], y[drawn])
        model.score(X[out], y[out])


def series(truth: kit.Truth, rng: Generator) -> None:
    """A series with lags, split in time, by hand and by TimeSeriesSplit."""
    n = 700
    noise = rng.normal(size=n)
    value = np.zeros(n)
    for t in range(1, n):
        value[t] = 0.8 * value[t - 1] + noise[t]
    value += 2 * np.sin(np.arange(n) / 30)
    frame = pd.DataFrame({f"lag{k}": pd.Series(value).shift(k) for k in (1, 2, 3, 7)}).assign(
        day=np.arange(n, dtype=float), y=value
    )
    frame = frame.dropna()
    X, y = frame.drop(columns="y"), frame.y
    past = X.day < 550
    with truth.training("series"):
        Ridge().fit(X[past], y[past]).score(X[~past], y[~past])
    with truth.training("series folds"):
        cross_val_score(Ridge(), X, y, cv=TimeSeriesSplit(4))


def few_rows(truth: kit.Truth, rng: Generator) -> None:
    """Small data: a regression on 40 rows, iris with 30 test rows."""
    X = rng.normal(size=(40, 3))
    y = X @ [2.0, -1.0, 0.5] + 0.3 * rng.normal(size=40)
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("40 rows"):
        Ridge(alpha=0.1).fit(a, c).score(b, d)
    a, b, c, d = kit.split(*datasets.load_iris(return_X_y=True), rng, test_size=0.2)
    with truth.training("iris"):
        KNeighborsClassifier().fit(a, c).score(b, d)


def pixels(truth: kit.Truth, rng: Generator) -> None:
    """Images with constant pixels, flattened; eigen images inside a pipeline."""
    X, y = kit.classes(rng, 2)
    a, b, c, d = kit.split(X / 16, y, rng)
    with truth.training("digits"):
        SVC(gamma=0.05).fit(a, c).score(b, d)
    big = np.zeros((len(a) + len(b), 12, 12), dtype=np.uint8)
    big[:, 2:10, 2:10] = np.r_[a, b].reshape(-1, 8, 8) * 255
    with truth.training("digits with a border"):
        model = make_pipeline(PCA(20, random_state=0), LogisticRegression(max_iter=200))
        flat = big.reshape(len(big), -1)
        model.fit(flat[: len(a)], c)
        model.score(flat[len(a) :], d)


def words(rng: Generator, n: int = 400) -> tuple[list[str], np.ndarray]:
    """Made-up messages of two kinds."""
    common = [f"word{k}" for k in range(150)]
    own = ([f"red{k}" for k in range(25)], [f"blue{k}" for k in range(25)])
    y = rng.integers(0, 2, n)
    texts = []
    for kind in y:
        here = list(rng.choice(common, 12)) + list(rng.choice(own[kind], int(rng.integers(0, 4))))
        texts.append(" ".join(rng.permutation(here)))
    return texts, y


def texts(truth: kit.Truth, rng: Generator) -> None:
    """Texts: a vectorizer in a pipeline, and one that is fitted on the training texts alone."""
    X, y = words(rng)
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("texts in a pipeline"):
        make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(a, c).score(b, d)
    with truth.training("texts, vectorizer on training texts"):
        vectors = TfidfVectorizer(min_df=2)
        LogisticRegression(max_iter=200).fit(vectors.fit_transform(a), c).score(vectors.transform(b), d)


def table(rng: Generator, n: int = 600) -> tuple[pd.DataFrame, pd.Series]:
    """A table with categories, missing values, a small whole number and a date of birth."""
    frame = pd.DataFrame({
        "age": rng.integers(18, 90, n), "income": rng.lognormal(10, 0.6, n).round(2),
        "city": rng.choice(["Bern", "Genf", "Basel", "Chur"], n, p=[0.4, 0.3, 0.2, 0.1]),
        "children": rng.poisson(1.1, n), "smoker": rng.random(n) < 0.25,
        "born": pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 18000, n), unit="D"),
    })  # fmt: skip
    logit = 0.04 * (frame.age - 50) + 1.2 * frame.smoker + (frame.city == "Bern") - 0.5
    y = pd.Series((rng.random(n) < 1 / (1 + np.exp(-2 * logit))).astype(int), name="claim")
    frame.loc[rng.random(n) < 0.06, "income"] = np.nan
    return frame, y


def frames(truth: kit.Truth, rng: Generator) -> None:
    """A frame of mixed columns through a ColumnTransformer, and one that is encoded by hand after the split."""
    X, y = table(rng)
    X = X.drop(columns="born")
    prepare = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income", "children"]),
        ("words", OneHotEncoder(handle_unknown="ignore"), ["city"]),
    ], remainder="passthrough")  # fmt: skip
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("mixed frame"):
        make_pipeline(prepare, LogisticRegression(max_iter=200)).fit(a, c).score(b, d)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    with truth.training("encoded after the split"):
        a, b = a.fillna({"income": a.income.median()}), b.fillna({"income": a.income.median()})
        a, b = (
            pd.concat([each.drop(columns="city").astype(float).reset_index(drop=True), pd.DataFrame({"city": city})],
                      axis=1)
            for each, city in ((a, encoder.fit_transform(a[["city"]])[:, 0]), (b, encoder.transform(b[["city"]])[:, 0]))
        )  # fmt: skip
        RandomForestClassifier(30, random_state=0).fit(a, c).score(b, d)


def by_hand(truth: kit.Truth, rng: Generator) -> None:
    """Statistics of the training rows, by hand and by a scaler, on both parts."""
    a, b, c, d = kit.split(*kit.classes(rng), rng)
    with truth.training("scaled by hand"):
        mean, std = a.mean(0), a.std(0) + 1e-9
        SVC().fit((a - mean) / std, c).score((b - mean) / std, d)
    with truth.training("scaled after the split"):
        scaler = StandardScaler().fit(a)
        LogisticRegression(max_iter=200).fit(scaler.transform(a), c).score(scaler.transform(b), d)
    with truth.training("chain after the split"):
        scaler, pca = StandardScaler(), PCA(min(3, a.shape[1]), random_state=0)
        low = pca.fit_transform(scaler.fit_transform(a))
        GaussianNB().fit(low, c).score(pca.transform(scaler.transform(b)), d)
    with truth.training("rows to unit length before the split"):  # which learns nothing
        X, y = kit.classes(rng, 0)
        e, f, g, h = kit.split(Normalizer().fit_transform(X), y, rng)
        LogisticRegression(max_iter=200, C=100.0).fit(e, g).score(f, h)


def searches(truth: kit.Truth, rng: Generator) -> None:
    """Searches with a pipeline inside, then the test data once."""
    a, b, c, d = kit.split(*kit.classes(rng, int(rng.choice([0, 1, 3, 7]))), rng)
    with truth.training("grid"):
        model = make_pipeline(StandardScaler(), SelectKBest(k=4), SVC())
        GridSearchCV(model, {"svc__C": [0.3, 3.0]}, cv=StratifiedKFold(3)).fit(a, c).score(b, d)
    with truth.training("random search, whole model again"):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100))
        search = RandomizedSearchCV(model, {"logisticregression__C": [0.1, 1, 10]}, n_iter=2, cv=3, random_state=0)
        best = search.fit(a, c).best_params_
        model.set_params(**best).fit(a, c).score(b, d)
    X, y = kit.classes(rng, 0)
    with truth.training("folds, then all rows"):
        model = make_pipeline(StandardScaler(), SelectKBest(k=8), LogisticRegression(max_iter=100))
        cross_validate(model, X, y, cv=4, return_train_score=True)
        model.fit(X, y)
    X, y = kit.numbers(rng, 0)
    with truth.training("alphas by leave one out"):
        e, f, g, h = kit.split(X, y, rng)
        RidgeCV(np.logspace(-3, 1, 5)).fit(e, g).score(f, h)


def three_parts(truth: kit.Truth, rng: Generator) -> None:
    """Models chosen by validation rows, the best one judged on test rows."""
    a, b, c, d = kit.split(*kit.classes(rng, 4), rng)
    e, f, g, h = kit.split(a, c, rng)
    with truth.training("chosen by validation rows"):
        scored = []
        for depth in (2, 6):
            model = RandomForestClassifier(20, max_depth=depth, random_state=0).fit(e, g)
            scored.append((model.score(f, h), depth, model))
        max(scored)[2].score(b, d)


def groups(truth: kit.Truth, rng: Generator) -> None:
    """Rows by patient, split by patient; the group as a column."""
    n = 480
    patient = np.arange(n) // 4
    X = pd.DataFrame(rng.normal(size=(n, 5)) + rng.normal(size=(n // 4, 5))[patient]).add_prefix("c")
    y = (X.sum(axis=1) + rng.normal(size=n) > 0).astype(int)
    X["patient"] = patient
    here, there = next(GroupShuffleSplit(1, test_size=0.3, random_state=int(rng.integers(999))).split(X, y, patient))
    with truth.training("groups apart"):
        model = make_pipeline(ColumnTransformer([("values", "passthrough", [f"c{k}" for k in range(5)])]),
                              LogisticRegression())  # fmt: skip
        model.fit(X.iloc[here], y.iloc[here]).score(X.iloc[there], y.iloc[there])


def many_targets(truth: kit.Truth, rng: Generator) -> None:
    """Two targets at once; several labels for a row."""
    X = rng.normal(size=(300, 6))
    y = np.column_stack([X[:, 0] * 2 - X[:, 1], X[:, 2] + X[:, 3]]) + 0.2 * rng.normal(size=(300, 2))
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("two numbers"):
        Ridge().fit(a, c).score(b, d)
    X, y = datasets.make_multilabel_classification(400, 12, n_classes=4, random_state=int(rng.integers(1 << 30)))
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("several labels"):
        RandomForestClassifier(25, random_state=0).fit(a, c).score(b, d)


def sparse(truth: kit.Truth, rng: Generator) -> None:
    """Sparse counts, many of whose columns are empty in a part."""
    X = sp.random(500, 300, density=0.03, random_state=int(rng.integers(1 << 30)), format="csr")
    weight = rng.normal(size=300) * (rng.random(300) < 0.2)
    y = (X @ weight + 0.02 * rng.normal(size=500) > 0).astype(int)
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("sparse"):
        LogisticRegression(C=50, max_iter=300).fit(a, c).score(b, d)


def coarse(truth: kit.Truth, rng: Generator) -> None:
    """Few values, so that rows repeat by chance: a survey, two ratings, binary flags."""
    X = rng.integers(1, 6, (600, int(rng.integers(2, 6))))
    y = (X.sum(1) + rng.normal(size=600) * 1.5 > 3 * X.shape[1]).astype(int)
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("survey"):
        HistGradientBoostingClassifier(max_iter=15, max_depth=3, random_state=0).fit(a, c).score(b, d)
    X = (rng.random((500, 12)) < rng.uniform(0.05, 0.5, 12)).astype(float)
    y = X[:, :4].sum(1) + 0.3 * rng.normal(size=500)
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("flags"):
        Lasso(alpha=0.01).fit(a, c).score(b, d)


def large_ints(truth: kit.Truth, rng: Generator) -> None:
    """Whole numbers that differ in nearly every row and are measurements; rounded prices; times of day."""
    n = 400
    X = pd.DataFrame({
        "steps": rng.integers(0, 20_000, n), "price": rng.gamma(3, 40, n).round(),
        "second": rng.integers(0, 86_400, n), "weight": rng.normal(70, 9, n).round(1),
    })  # fmt: skip
    y = X.steps / 4000 + X.price / 60 + rng.normal(size=n)
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("whole numbers"):
        GradientBoostingRegressor(n_estimators=30, random_state=0).fit(a, c).score(b, d)


def ensembles(truth: kit.Truth, rng: Generator) -> None:
    """Models of models."""
    a, b, c, d = kit.split(*kit.classes(rng, int(rng.choice([0, 3, 5, 7]))), rng)
    members: list[tuple[str, Any]] = [("nb", GaussianNB()), ("rf", RandomForestClassifier(10, random_state=0))]
    with truth.training("voting"):
        VotingClassifier(members).fit(a, c).score(b, d)
    with truth.training("stacking"):
        StackingClassifier(members, LogisticRegression(), cv=3).fit(a, c).score(b, d)
    with truth.training("bagging"):
        BaggingClassifier(n_estimators=8, random_state=0).fit(a, c).score(b, d)


def both_scores(truth: kit.Truth, rng: Generator) -> None:
    """Scores of training and test rows side by side; an oracle of fresh rows says whether the gap is large."""
    seed = int(rng.integers(1 << 30))
    X, y = datasets.make_classification(5000, 10, n_informative=6, class_sep=1.5, flip_y=0.02, random_state=seed)
    a, b, c, d = X[:500], X[500:800], y[:500], y[500:800]
    with truth.training("both scores"):
        model = LogisticRegression(max_iter=200).fit(a, c)
        here = model.score(a, c)
        model.score(b, d)
        with histhooks_paused():
            truth.oracle("fit.gap", here - float((model.predict(X[800:]) == y[800:]).mean()), 0.08, 0.15)


def baselines(truth: kit.Truth, rng: Generator) -> None:
    """A constant model before the real one: the constant is what it says."""
    a, b, c, d = kit.split(*kit.classes(rng, 0), rng)
    with truth.training("a constant first", also=["fit.no_better"]):
        DummyClassifier().fit(a, c).score(b, d)
        LogisticRegression(max_iter=50, C=0.1).fit(a / (a.std(0) + 1e-9), c).score(b / (a.std(0) + 1e-9), d)


def trees(truth: kit.Truth, rng: Generator) -> None:
    """Regressions of trees and of processes, which fit their training rows."""
    X, y = kit.numbers(rng, int(rng.choice([1, 3])))
    a, b, c, d = kit.split(X, y, rng)
    with truth.training("a tree"):
        DecisionTreeRegressor(max_depth=5, random_state=0).fit(a, c).score(b, d)
    X = rng.uniform(-3, 3, (120, 1))
    a, b, c, d = kit.split(X, np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=120), rng)
    with truth.training("a process"):
        GaussianProcessRegressor(alpha=0.01, random_state=0).fit(a, c).score(b, d)


def histhooks_paused() -> Any:
    """Nothing is recorded in it."""
    return kit.histhooks.paused()


if __name__ == "__main__":
    kit.run(
        models, scores_by_hand, imbalance, oversampled, bootstrap, series, few_rows, pixels, texts, frames, by_hand,
        searches, three_parts, groups, many_targets, sparse, coarse, large_ints, ensembles, both_scores, baselines,
        trees,
    )  # fmt: skip
