"""Programs of other people: judged by hand, series, evened classes, flags: what they mean well is no alarm."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.checked import Told, checked

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

PROGRAM = """
import warnings
warnings.simplefilter("ignore")
import histhooks
histhooks.autolog("sklearn")
import numpy as np, pandas as pd
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer, max_error
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler
from sklearn.semi_supervised import LabelSpreading
from sklearn.tree import DecisionTreeClassifier

rng = np.random.default_rng(0)

def judge(name, a, b, c, d, model=None):
    with histhooks.start_run(name):
        (model or LogisticRegression(max_iter=50)).fit(a, c).score(b, d)
        histhooks.flush()

n = 600
value = np.sin(np.arange(n) / 40) * 3 + np.arange(n) / 100 + 0.3 * rng.normal(size=n)
frame = pd.DataFrame({f"lag_{k}": pd.Series(value).shift(k) for k in (1, 2, 7)}).assign(y=value).dropna()
judge("a series, in order", frame[:450].drop(columns="y"), frame[450:].drop(columns="y"), frame.y[:450], frame.y[450:],
      Ridge())
judge("two sites", frame[:450][["lag_1"]].rename(columns={"lag_1": "x"}).assign(z=1.0 * rng.normal(size=450)),
      frame[450:][["lag_1"]].rename(columns={"lag_1": "x"}).assign(z=1.0 * rng.normal(size=143)), frame.y[:450],
      frame.y[450:], Ridge())

X, y = make_classification(1600, 6, weights=[0.9], class_sep=2.0, random_state=0)
a, b, c, d = train_test_split(X, y, stratify=y, random_state=0)
often = np.flatnonzero(c == 0)[: (c == 1).sum()]
keep = rng.permutation(np.r_[np.flatnonzero(c == 1), often])
judge("evened in training", a[keep], b, c[keep], d)

X, y = load_breast_cancer(return_X_y=True)
scaler = MinMaxScaler()
a, b, c, d = train_test_split(X * 1.01, y, random_state=1)
judge("scaled", scaler.fit_transform(a), scaler.transform(b), c, d)
flags = np.column_stack([X[:, :5], (X[:, 5:9] > X[:, 5:9].mean(0)).astype(float)])
judge("flags of 0 and 1", *train_test_split(flags, y, random_state=0))

image = np.zeros((569, 10, 10)); image[:, 2:8, 2:7] = X.reshape(-1, 6, 5)
judge("images with a border", *train_test_split(image.reshape(569, -1), y, random_state=0))

order = rng.permutation(569)  # the file has more of one class first
X, y = X[order], y[order]
drawn = rng.integers(0, 400, 400)
judge("a bootstrap sample", X[drawn], X[400:], y[drawn], y[400:])
twice = np.r_[0:400, 0:400]
judge("concatenated twice", X[twice], X[400:], y[twice], y[400:])

a, b, c, d = train_test_split(rng.normal(size=(500, 5)), rng.integers(0, 2, 500), random_state=3)
with histhooks.start_run("luck, by a metric"):
    model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(a, c)
    accuracy_score(d, model.predict(b))
    histhooks.flush()
far = rng.normal(size=(500, 5))
far[:, 1] = 1.7e9 + rng.uniform(0, 900, 500)
far[:, 2] = 5812345 + rng.uniform(0, 1, 500)
value = far[:, 0] + rng.normal(size=500)
judge("times and places, far from zero and close together", far[:350], far[350:], value[:350], value[350:], Ridge())
times = pd.DataFrame(far[:, [0, 3, 4]]).assign(at=1_700_000_000_000 + rng.integers(0, 900, 500)).rename(columns=str)
judge("times in whole numbers", times[:350], times[350:], value[:350], value[350:], Ridge())
rare = (far[:, 0] + 0.3 * rng.normal(size=500) > 1.9).astype(int)
few = far[:, [0, 3, 4]]
judge("a penalty of weights", few[:350], few[350:], rare[:350], rare[350:],
      MLPClassifier(16, alpha=30.0, max_iter=20, random_state=0))
half = (far[:, 0] + rng.normal(size=500) > 0).astype(int)
judge("most rows without a label", few[:350], few[350:], np.where(np.arange(350) % 3, -1, half[:350]), half[350:],
      LabelSpreading())
sought = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, scoring=make_scorer(max_error, greater_is_better=False))
judge("searched by an error", few[:350], few[350:], value[:350], value[350:], sought)
rarer = (far[:, 0] + rng.normal(size=500) > 0.9).astype(int)
sought = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring="f1")
judge("searched by F1", few[:350], few[350:], rarer[:350], rarer[350:], sought)
a, b, c, d = train_test_split(X, y, random_state=5)
b, d = np.vstack([b, a[:60]]), np.r_[d, c[:60]]
judge("evaluated on rows of both", a, b, c, d)
"""
ALONE = """
import histhooks
histhooks.autolog("sklearn")
import numpy as np
from sklearn.linear_model import LogisticRegression
rng = np.random.default_rng(0)
X = rng.normal(size=(300, 3))
y = X[:, 0] + rng.normal(size=300) > 0
with histhooks.start_run("alone"):
    model = LogisticRegression().fit(X[:200], y[:200])
    PREDICT
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return checked(PROGRAM, tmp_path_factory.mktemp("strangers") / "histhooks.db")


@pytest.mark.parametrize(
    ("name", "alarms"),
    [
        ("a series, in order", set()),
        ("two sites", {"split.drift"}),
        ("evened in training", set()),
        ("scaled", set()),
        ("flags of 0 and 1", set()),
        ("images with a border", set()),
        ("a bootstrap sample", set()),
        ("concatenated twice", {"data.twins"}),
        ("luck, by a metric", {"fit.no_better"}),
        ("times and places, far from zero and close together", set()),
        ("times in whole numbers", set()),
        ("a penalty of weights", set()),
        ("most rows without a label", set()),
        ("searched by an error", set()),
        ("searched by F1", set()),
        ("evaluated on rows of both", {"leak.rows"}),
    ],
)
def test_what_is_meant_well_is_no_alarm(told: dict[str, Told], name: str, alarms: set[str]) -> None:
    chance = set() if name.startswith("searched") else {"fit.no_better"}
    assert told[name].alarms - chance == alarms - chance
    assert alarms <= told[name].alarms


@pytest.mark.parametrize(
    ("predict", "level"),
    [
        ("", "warn"),
        ("model.predict(X[:200])", "warn"),
        ("(model.predict(X[200:]) == y[200:]).mean()", "info"),
        ("model.predict_proba(X[200:])", "info"),
    ],
)
def test_a_model_that_predicted_on_other_rows_may_be_judged_by_hand(
    predict: str, level: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one = checked(ALONE.replace("PREDICT", predict or "pass"), tmp_path_factory.mktemp("alone") / "histhooks.db")
    assert ("valid.none", level) in one["alone"].found


BOOSTED = """
import histhooks
histhooks.autolog("xgboost", "sklearn")
import numpy as np, xgboost as xgb
rng = np.random.default_rng(0)
X = rng.normal(size=(300, 4))
y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
how = {"n_estimators": 20, "max_depth": 2, "random_state": 0, "n_jobs": 1}
with histhooks.start_run("stopped by its own rows"):
    xgb.XGBClassifier(early_stopping_rounds=4, **how).fit(X, y, eval_set=[(X, y)], verbose=False)
with histhooks.start_run("stopped by its own rows, then tested"):
    model = xgb.XGBClassifier(early_stopping_rounds=4, **how)
    model.fit(X[:200], y[:200], eval_set=[(X[:200], y[:200])], verbose=False).score(X[200:], y[200:])
with histhooks.start_run("watched, then tested"):
    model = xgb.XGBClassifier(**how)
    model.fit(X[:200], y[:200], eval_set=[(X[:200], y[:200])], verbose=False).score(X[200:], y[200:])
with histhooks.start_run("stopped by other rows"):
    model = xgb.XGBClassifier(early_stopping_rounds=4, **how)
    model.fit(X[:200], y[:200], eval_set=[(X[200:], y[200:])], verbose=False)
with histhooks.start_run("watched by name"):
    data = xgb.DMatrix(X, y)
    xgb.train({"max_depth": 2, "nthread": 1}, data, 10, [(data, "train")], verbose_eval=False)
"""


def test_trees_that_their_training_rows_stop_are_judged_by_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pytest.importorskip("xgboost")
    one = checked(BOOSTED, tmp_path_factory.mktemp("boosted") / "histhooks.db")
    assert ("valid.is_train", "fail") in one["stopped by its own rows"].found
    assert ("valid.is_train", "warn") in one["stopped by its own rows, then tested"].found
    assert ("valid.is_train", "info") in one["watched, then tested"].found
    for name in ("stopped by other rows", "watched by name", "watched, then tested"):
        assert one[name].alarms == set(), name


ONE_CLASS = """
import histhooks
histhooks.autolog("keras")
import keras
from sklearn.datasets import load_iris
keras.utils.set_random_seed(0)
X, y = load_iris(return_X_y=True)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
with histhooks.start_run("one class"):
    model.fit(X[:110], y[:110], validation_data=(X[110:], y[110:]), epochs=8, verbose=0)
"""


def test_validation_data_of_one_class_break_no_check(tmp_path: Path) -> None:
    one = checked(ONE_CLASS, tmp_path / "histhooks.db")["one class"]
    assert "fit.gap" in one.skipped, one.unknown
    assert not any("check failed" in reason for reason in one.unknown.values())
