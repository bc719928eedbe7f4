"""`recorded(estimator)`: still that estimator to everything, and recorded."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from helpers import programs
from histhooks.testing import query, run_program

pytest.importorskip("sklearn")

SETUP = """
import copy, pickle
from histhooks.integrations.sklearn import recorded
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_iris(return_X_y=True)
"""
CHECKED = (
    "linear_model.LogisticRegression(max_iter=200)",
    "linear_model.Ridge()",
    "linear_model.SGDClassifier(max_iter=20)",
    "naive_bayes.GaussianNB()",
    "tree.DecisionTreeClassifier()",
    "neighbors.KNeighborsClassifier()",
    "svm.LinearSVC(max_iter=50)",
    "cluster.KMeans(n_init=1, max_iter=5)",
    "preprocessing.StandardScaler()",
    "preprocessing.OneHotEncoder()",
    "decomposition.PCA()",
    "impute.SimpleImputer()",
)


record = partial(programs.record, setup=SETUP, is_warm=True)


def test_every_outer_fit_leaves_a_run_also_of_clones_and_copies(store_path: Path) -> None:
    body = """
plain = LogisticRegression(max_iter=500, C=2.0)
model = recorded(plain)
assert type(plain) is LogisticRegression and isinstance(model, LogisticRegression)
assert model is not plain and repr(model) == repr(plain) and model.get_params() == plain.get_params()
for other in (model, clone(model), copy.copy(model), copy.deepcopy(model), recorded(model), recorded(plain)):
    assert type(other) is type(model), other
    other.fit(X, y)
plain.fit(X, y)
assert model.predict(X).tolist() == plain.predict(X).tolist()
"""
    record(store_path, body)
    sql = "SELECT kind, status, model_class FROM runs"
    expected = ("fit", "finished", "sklearn.linear_model._logistic.LogisticRegression")
    assert query(store_path, sql) == [expected] * 6
    assert query(store_path, "SELECT count(*) FROM params WHERE key = 'C' AND value = '2.0'") == [(6,)]


def test_it_nests_and_is_recorded_once_beside_autolog(store_path: Path) -> None:
    body = """
model = recorded(LogisticRegression(max_iter=500))
make_pipeline(StandardScaler(), model).fit(X, y)         # the pipeline is not recorded, this step of it is
recorded(make_pipeline(StandardScaler(), model)).fit(X, y)
GridSearchCV(model, {"C": [1, 2]}, cv=2).fit(X, y)          # only what it fits last, on all data
GridSearchCV(model, {"C": [1, 2]}, cv=2, n_jobs=2).fit(X, y)
recorded(GridSearchCV(model, {"C": [1, 2]}, cv=2)).fit(X, y)
import histhooks
histhooks.autolog()
model.fit(X, y)
make_pipeline(StandardScaler(), model).fit(X, y)
"""
    record(store_path, body)
    sql = "SELECT model_class, kind FROM runs WHERE kind <> 'candidate' ORDER BY started_at, id"
    names = [(str(name).rpartition(".")[2], kind) for name, kind in query(store_path, sql)]
    assert names == [
        ("LogisticRegression", "fit"),
        ("Pipeline", "fit"),
        ("LogisticRegression", "fit"),
        ("LogisticRegression", "fit"),
        ("GridSearchCV", "search"),
        ("LogisticRegression", "fit"),
        ("Pipeline", "fit"),
    ]


def test_methods_that_an_estimator_may_lack_are_there_or_not_as_without_us(store_path: Path) -> None:
    body = """
for plain in (make_pipeline(StandardScaler()), make_pipeline(LogisticRegression()), SGDClassifier(), StandardScaler()):
    model = recorded(plain)
    for name in ("fit", "fit_predict", "fit_transform", "partial_fit", "predict", "transform"):
        assert hasattr(model, name) == hasattr(plain, name), (plain, name)
import inspect
assert inspect.signature(recorded(SGDClassifier()).fit) == inspect.signature(SGDClassifier().fit)
scaled = recorded(StandardScaler()).set_output(transform="default").fit_transform(X)
assert scaled.tolist() == StandardScaler().fit_transform(X).tolist()
loop = recorded(SGDClassifier(random_state=0))
for _ in range(3):
    loop.partial_fit(X, y, classes=[0, 1, 2])
del loop
"""
    record(store_path, body)
    kinds = query(store_path, "SELECT kind, count(*) FROM runs GROUP BY kind ORDER BY kind")
    assert dict(kinds)["preprocess"] == 1
    assert query(store_path, "SELECT count FROM metric_summaries WHERE name = 'n_samples'") == [(3,)]


def test_a_pickle_gives_the_plain_class(store_path: Path) -> None:
    body = """
plain = LogisticRegression(max_iter=500).fit(X, y)
model = recorded(LogisticRegression(max_iter=500)).fit(X, y)
for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    loaded = pickle.loads(pickle.dumps(model, protocol))
    assert type(loaded) is LogisticRegression
    assert pickle.dumps(loaded) == pickle.dumps(pickle.loads(pickle.dumps(plain)))
pickle.dump(model, open("model.pickle", "wb"))
"""
    record(store_path, body)
    program = "import sys; sys.modules['histhooks'] = None; import pickle; pickle.load(open('model.pickle', 'rb'))"
    subprocess.run([sys.executable, "-c", program], cwd=store_path.parent, check=True, timeout=300)


@pytest.mark.parametrize(("thing", "says"), [("LogisticRegression", "the class LogisticRegression"), ("7", "of int")])
def test_what_is_no_estimator_is_refused(store_path: Path, thing: str, says: str) -> None:
    out = run_program(f"{SETUP}\ntry:\n    recorded({thing})\nexcept TypeError as error:\n    print(error)", store_path)
    assert says in out[1]


def test_check_estimator_says_the_same_as_of_the_plain_estimator(store_path: Path) -> None:
    # scikit-learn repeats some checks with more parameters for its own classes, which it looks up by exact class: of
    # those, and of no other, the plain estimator has a few more.
    body = f"""
import importlib, warnings
from collections import Counter
import histhooks
from sklearn.utils._test_common.instance_generator import PER_ESTIMATOR_CHECK_PARAMS
from sklearn.utils.estimator_checks import check_estimator
warnings.simplefilter("ignore")
def outcomes(estimator):
    return [(r["check_name"], r["status"]) for r in check_estimator(estimator, on_fail=None)]
total = 0
for name in {CHECKED!r}:
    module = name.partition(".")[0]
    plain = eval(name, {{module: importlib.import_module("sklearn." + module)}})
    without, ours = outcomes(plain), outcomes(recorded(plain))
    repeated = PER_ESTIMATOR_CHECK_PARAMS.get(type(plain), {{}})
    assert set(ours) == set(without), (name, set(ours) ^ set(without))
    difference = (Counter(without) - Counter(ours)) + (Counter(ours) - Counter(without))
    assert {{check for check, _ in difference}} <= set(repeated), (name, difference)
    total += len(ours)
print(total)
"""
    assert int(record(store_path, body)) > 400
    assert int(str(query(store_path, "SELECT count(*) FROM runs WHERE status = 'finished'")[0][0])) > 400
