"""What scikit-learn's own calls leave in the store."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from helpers import programs
from histhooks.testing import query, run_program

pytest.importorskip("sklearn")

SETUP = """
import histhooks
histhooks.autolog()
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_iris(return_X_y=True, as_frame=True)
"""
RUNS = "SELECT kind, status FROM runs WHERE parent_id IS NULL ORDER BY started_at, id"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "histhooks.db"


record = partial(programs.record, setup=SETUP, is_warm=True)


def params(store: Path) -> dict[str, tuple[object, object]]:
    return {str(k): (json.loads(str(v)), s) for k, v, s in query(store, "SELECT key, value, source FROM params")}


def test_params_are_typed_and_say_whether_they_were_chosen(store: Path) -> None:
    record(store, "Pipeline([('s', StandardScaler()), ('c', LogisticRegression(C=0.5, max_iter=300))]).fit(X, y)")
    found = params(store)
    assert found["c__C"] == (0.5, "argument")
    assert found["c__max_iter"] == (300, "argument")
    assert found["s__with_mean"] == (True, "default")
    assert found["c"] == ({"$object": "sklearn.linear_model._logistic.LogisticRegression"}, "argument")


def test_positional_arguments_mean_the_same_as_keywords(store: Path) -> None:
    record(store, "LogisticRegression(max_iter=500).fit(X, y, np.ones(150))")
    assert params(store)["fit.sample_weight"] == ({"$array": {"shape": [150], "dtype": "float64"}}, "argument")


def test_the_call_site_is_the_line_of_the_program(store: Path) -> None:
    program = store.parent / "train.py"
    program.write_text(SETUP + "\n\nRandomForestClassifier(3).fit(X, y)  # here\n")
    line = program.read_text().splitlines().index("RandomForestClassifier(3).fit(X, y)  # here") + 1
    assert run_program(f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')", store)[0] == 0
    assert query(store, "SELECT call_site FROM runs") == [(f"train.py:{line}",)]


def test_data_is_described_and_not_kept(store: Path) -> None:
    body = """
import gc, weakref
data = X.to_numpy().copy()
alive = weakref.ref(data)
RandomForestClassifier(2).fit(data, y)
histhooks.flush()
del data; gc.collect()
assert alive() is None
KMeans(2, n_init=1).fit(X)
"""
    record(store, body)
    columns = "kind, n_rows, n_columns, coverage, content_hash IS NOT NULL"
    rows = query(store, f"SELECT {columns} FROM datasets ORDER BY kind")
    assert rows == [("DataFrame", 150, 4, "all", 1), ("ndarray", 150, 4, "all", 1)]
    (schema,) = query(store, "SELECT schema FROM datasets WHERE kind = 'DataFrame'")[0]
    assert json.loads(str(schema))["X"]["columns"]["sepal length (cm)"] == "float64"


def test_one_outer_fit_is_one_run_whatever_fits_inside(store: Path) -> None:
    body = """
make_pipeline(StandardScaler(), PCA(2), LogisticRegression()).fit(X, y)
VotingClassifier([("a", LogisticRegression(max_iter=500)), ("b", RandomForestClassifier(3))], n_jobs=2).fit(X, y)
RandomForestClassifier(5, n_jobs=2).fit(X, y)
make_pipeline(StandardScaler(), PCA(2)).fit_transform(X)
PCA(2).fit_transform(X)
KMeans(2, n_init=1).fit_predict(X)
"""
    record(store, body)
    assert query(store, RUNS) == [
        *[("fit", "finished")] * 3,
        *[("preprocess", "finished")] * 2,
        ("fit", "finished"),
    ]
    assert query(store, "SELECT count(*) FROM runs WHERE parent_id IS NOT NULL") == [(0,)]


@pytest.mark.parametrize("backend", ["threading", "loky", "sequential"])
def test_a_search_has_a_child_per_candidate_and_its_folds_as_points(store: Path, backend: str) -> None:
    body = f"""
import joblib
with joblib.parallel_config({backend!r}, n_jobs=2):
    search = GridSearchCV(LogisticRegression(max_iter=500), {{"C": [0.1, 1.0, 10.0]}}, cv=4).fit(X, y)
print(search.best_score_, search.cv_results_["split2_test_score"][1])
"""
    best, split = record(store, body).split()
    assert query(store, RUNS) == [("search", "finished")]
    rows = query(store, "SELECT key, value FROM results JOIN runs ON id = run_id WHERE kind = 'search'")
    results = {str(key): json.loads(str(value)) for key, value in rows}
    assert results["best_score"] == float(best)
    assert results["n_candidates"] == 3
    assert query(store, "SELECT count(*), min(kind), max(kind) FROM runs WHERE parent_id IS NOT NULL") == [
        (3, "candidate", "candidate")
    ]
    points = "SELECT value FROM metrics WHERE name = 'test_score' AND step = 2"
    assert (float(split),) in query(store, points)
    sql = "SELECT DISTINCT split, count FROM metric_summaries WHERE name = 'test_score'"
    assert query(store, sql) == [("valid", 4)]


def test_what_a_search_chose_is_an_argument(store: Path) -> None:
    record(store, 'GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=2).fit(X, y)')
    sql = "SELECT key, value, source FROM params JOIN runs ON id = run_id WHERE kind = 'candidate' ORDER BY value"
    assert query(store, sql) == [("C", "0.1", "argument"), ("C", "1.0", "argument")]


PREDICTORS = (
    'StackingClassifier([("a", LogisticRegression(max_iter=500)), ("b", GaussianNB())], cv=2)',
    'StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor())], cv=2)',
    'VotingClassifier([("a", LogisticRegression(max_iter=500)), ("b", GaussianNB())])',
    'VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor())])',
    'make_pipeline(StandardScaler(), StackingClassifier([("a", GaussianNB()), ("b", GaussianNB())], cv=2))',
    'make_pipeline(PCA(2), VotingClassifier([("a", GaussianNB()), ("b", GaussianNB())]))',
    "KMeans(2, n_init=1)",
    "make_pipeline(StandardScaler(), KMeans(2, n_init=1))",
    "IsolationForest(n_estimators=5)",
    "LinearDiscriminantAnalysis()",
    "TransformedTargetRegressor(Ridge())",
    "SelfTrainingClassifier(GaussianNB())",
    "CalibratedClassifierCV(GaussianNB(), cv=2)",
    "OneVsRestClassifier(GaussianNB())",
)
TRANSFORMERS = (
    "PCA(2)",
    "StandardScaler()",
    "make_pipeline(StandardScaler(), PCA(2))",
    'ColumnTransformer([("s", StandardScaler(), [0, 1])])',
    'FeatureUnion([("p", PCA(1)), ("s", StandardScaler())])',
)


def test_what_predicts_is_a_fit_and_what_only_transforms_is_preprocessing(store: Path) -> None:
    setup = """
import histhooks
histhooks.autolog()
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest, StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.tree import DecisionTreeRegressor
X, y = load_iris(return_X_y=True)
"""
    body = "\n".join(f"({estimator}).fit(X, y)" for estimator in (*PREDICTORS, *TRANSFORMERS))
    record(store, body, setup=setup)
    kinds = [kind for kind, _ in query(store, RUNS)]
    expected = ["fit"] * len(PREDICTORS) + ["preprocess"] * len(TRANSFORMERS)
    assert list(zip((*PREDICTORS, *TRANSFORMERS), kinds, strict=True)) == list(
        zip((*PREDICTORS, *TRANSFORMERS), expected, strict=True)
    )


def test_a_validation_that_is_called_wrongly_leaves_no_run(store: Path) -> None:
    body = """
from sklearn.model_selection import cross_validate
for function, given in ((cross_validate, (LogisticRegression(),)), (cross_val_score, ())):
    try:
        function(*given)
    except TypeError as error:
        print(error)
cross_val_score(LogisticRegression(max_iter=500), X, y, cv=2)
"""
    assert "'X'" in record(store, body)
    assert query(store, "SELECT kind, status FROM runs") == [("validate", "finished")]


def test_names_bound_before_autolog_are_recorded(store: Path) -> None:
    setup = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, cross_validate as validate
original = validate
X, y = load_iris(return_X_y=True)
import histhooks
histhooks.autolog("sklearn")
"""
    body = """
scores = cross_val_score(LogisticRegression(max_iter=500), X, y, cv=3)
validate(LogisticRegression(max_iter=500), X, y, cv=3, return_train_score=True)
histhooks.disable()
validate(LogisticRegression(max_iter=500), X, y, cv=3)
print(*scores)
"""
    scores = [float(word) for word in record(store, body, setup=setup).split()]
    assert query(store, RUNS) == [("validate", "finished")] * 2
    sql = "SELECT value FROM metrics WHERE name = 'test_score' ORDER BY run_id, step LIMIT 3"
    assert [value for (value,) in query(store, sql)] == scores


def test_partial_fit_is_one_run_per_object_and_a_point_per_call(store: Path) -> None:
    body = """
model = SGDClassifier(random_state=0)
for start in range(0, 150, 50):
    model.partial_fit(X[start:start + 50], y[start:start + 50], classes=[0, 1, 2])
del model
"""
    record(store, body)
    assert query(store, RUNS) == [("fit", "finished")]
    assert query(store, "SELECT count, last FROM metric_summaries WHERE name = 'n_samples'") == [(3, 50.0)]


def test_third_party_classes_defined_later_are_recorded(store: Path) -> None:
    body = """
class Mine(ClassifierMixin, BaseEstimator):
    def __init__(self, depth=3):
        self.depth = depth
    def fit(self, X, y):
        self.inner_ = RandomForestClassifier(2, max_depth=self.depth).fit(X, y)
        return self
    def predict(self, X):
        return self.inner_.predict(X)
clone(Mine(depth=2)).fit(X, y)
cross_val_score(Mine(), X, y, cv=2)
"""
    record(store, body)
    assert query(store, RUNS) == [("fit", "finished"), ("validate", "finished")]
    assert query(store, "SELECT DISTINCT model_class FROM runs") == [("__main__.Mine",)]


def test_a_fit_that_fails_or_is_interrupted_says_so(store: Path) -> None:
    body = """
class Stops(BaseEstimator):
    def fit(self, X, y=None):
        raise KeyboardInterrupt
for estimator in (LogisticRegression(C=-1), Stops()):
    try:
        estimator.fit(X, y)
    except (ValueError, KeyboardInterrupt):
        pass
"""
    record(store, body)
    assert query(store, "SELECT status, error_type, traceback LIKE '%C%' FROM runs ORDER BY started_at") == [
        ("failed", "InvalidParameterError", 1),
        ("interrupted", None, None),
    ]


def test_a_seam_that_moves_is_noticed() -> None:
    import inspect

    import joblib.parallel
    import sklearn.model_selection._validation
    import sklearn.utils.parallel
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

    assert "__init_subclass__" not in vars(BaseEstimator)
    assert inspect.isfunction(joblib.parallel.BatchedCalls.__call__)
    assert "BatchedCalls(" in inspect.getsource(joblib.parallel.Parallel.dispatch_one_batch)
    assert "self.items" in inspect.getsource(joblib.parallel.BatchedCalls.__reduce__)
    assert inspect.isfunction(sklearn.utils.parallel._FuncWrapper.__call__)
    assert "self.function(" in inspect.getsource(sklearn.utils.parallel._FuncWrapper.__call__)
    failures = sklearn.model_selection._validation._warn_or_raise_about_fit_failures
    assert 'result["fit_error"]' in inspect.getsource(failures)
    assert inspect.isfunction(inspect.getattr_static(Pipeline, "fit_transform").fn)
