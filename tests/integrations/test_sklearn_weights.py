"""What estimators and boosters hold of their fit, by content."""

from __future__ import annotations

import gc
import pickle
import weakref
from pathlib import Path
from typing import Any

import pytest

import histhooks
from helpers.weights import captured, rows
from histhooks._collect.weights import Unreadable, read

pytest.importorskip("sklearn")
import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from sklearn.svm import SVC

X, y = make_classification(60, 6, random_state=0)
ESTIMATORS = [
    LogisticRegression(),
    make_pipeline(StandardScaler(), SVC(probability=False)),
    RandomForestClassifier(12, random_state=0),
    GradientBoostingClassifier(n_estimators=6, random_state=0),
    HistGradientBoostingClassifier(max_iter=6, random_state=0),
    IsolationForest(n_estimators=8, random_state=0),
    VotingClassifier([("one", LogisticRegression()), ("other", RandomForestClassifier(3, random_state=0))]),
    GaussianProcessClassifier(random_state=0),
    KNeighborsClassifier(),
    KernelDensity(),
    SplineTransformer(),
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
    MLPClassifier((4,), max_iter=3, random_state=0),
]


def digest(estimator: Any) -> str | None:
    from histhooks.integrations.sklearn._weights import fitted_values

    found = read(fitted_values(estimator))
    assert found is not None
    assert len(found.parts) <= 24
    return found.digest


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_equal_fits_and_what_is_saved_and_loaded_share_a_digest_that_other_data_has_not(estimator: Any) -> None:
    first, second, other = (clone(estimator).fit(data, y) for data in (X, X.copy(), X + 0.125 * X[::-1]))
    before = pickle.dumps(first)
    assert digest(first) == digest(second) == digest(pickle.loads(before))
    assert digest(first) != digest(other)
    assert pickle.dumps(first) == before


def test_one_bit_of_a_coefficient_and_one_threshold_of_a_tree_are_seen() -> None:
    linear = LogisticRegression().fit(X, y)
    before = digest(linear)
    linear.coef_.view("u8")[0, 0] ^= 1
    assert digest(linear) != before
    forest = RandomForestClassifier(12, random_state=0).fit(X, y)
    before = digest(forest)
    state = forest.estimators_[7].tree_.__getstate__()
    state["nodes"]["threshold"][0] += 0.5
    assert digest(forest) != before


def test_texts_and_their_numbers_are_known_by_content() -> None:
    texts = ["a red fox", "a blue fox", "a blue sky"]
    first, second = TfidfVectorizer().fit(texts), TfidfVectorizer().fit([*texts])
    assert digest(first) == digest(second) != digest(TfidfVectorizer().fit(["a red fox", "a blue fox", "a blue fly"]))


class Odd(BaseEstimator):
    """Of a program: what it holds may run code when it is asked."""

    def fit(self, X: Any, y: Any = None) -> Odd:
        self.thing_ = Loud()
        self.coef_ = X.mean(axis=0)
        return self


class Loud:
    def __reduce__(self) -> Any:
        raise AssertionError("it was pickled")

    @property
    def shape(self) -> Any:
        raise AssertionError("it was asked")


def test_what_nobody_knows_leaves_no_digest_and_runs_no_code(store_path: Path) -> None:
    from histhooks.integrations.sklearn._weights import fitted_values

    with pytest.raises(Unreadable, match=r"thing_ is a test_sklearn_weights\.Loud, whose content nobody knows"):
        fitted_values(Odd().fit(X))
    histhooks.autolog("sklearn", store=str(store_path))
    Odd().fit(X)
    histhooks.flush()
    assert rows(store_path) == []
    why = "not recorded at the end: thing_ is a test_sklearn_weights.Loud, whose content nobody knows"
    assert captured(store_path) == [("skipped", why)]


def test_fits_leave_their_end_and_what_goes_on_its_start(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=str(store_path))
    scaler = StandardScaler().fit(X)
    X_scaled = scaler.transform(X)
    model = SGDClassifier(random_state=0, warm_start=True, max_iter=5, tol=None).fit(X_scaled, y)
    middle = digest(model)
    model.fit(X_scaled, y)
    histhooks.flush()
    found = rows(store_path)
    assert [one.point for one in found] == ["end", "end", "start", "end"]
    assert [one.digest for one in found] == [digest(scaler), middle, middle, digest(model)]
    assert found[0].tensors.keys() == {"mean_", "n_samples_seen_", "scale_", "var_"}
    exact = float(np.sqrt((model.coef_**2).sum() + (model.intercept_**2).sum()))
    assert found[3].l2 == pytest.approx(exact)
    assert found[3].nonfinite == 0


def test_a_loop_of_partial_fit_leaves_where_it_ended_if_the_estimator_is_there(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=str(store_path))
    model, gone = SGDClassifier(random_state=0), SGDClassifier(random_state=0)
    for one in (model, gone):
        one.partial_fit(X[:30], y[:30], classes=[0, 1])
    begun = digest(model)
    model.partial_fit(X[30:], y[30:])
    ref = weakref.ref(gone)
    del gone, one
    gc.collect()
    assert ref() is None
    histhooks.flush()
    histhooks.disable()
    from histhooks._record.engine import engine

    engine.finish("finished")
    (end,) = rows(store_path)
    assert (end.point, end.digest) == ("end", digest(model))
    assert end.digest != begun
    assert captured(store_path) == [("skipped", "not recorded at the end: the estimator was let go of before")]


def test_a_booster_is_known_by_the_content_of_its_file(store_path: Path, tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    histhooks.autolog("xgboost", store=str(store_path))
    params = {"max_depth": 2, "nthread": 1, "seed": 3, "subsample": 0.5}
    data = xgboost.DMatrix(X, y, nthread=1)
    first, second = (xgboost.train(params, data, 3) for _ in range(2))
    place = tmp_path / "model.json"
    first.save_model(place)
    loaded = xgboost.Booster()
    loaded.load_model(place)
    xgboost.train(params, data, 1, xgb_model=loaded)
    classifier = xgboost.XGBClassifier(n_estimators=3, n_jobs=1, max_depth=2).fit(X, y)
    classifier.fit(X, y, xgb_model=classifier)
    xgboost.cv(params, data, 1, nfold=2)
    histhooks.flush()
    found = rows(store_path)
    assert [one.point for one in found] == ["end", "end", "start", "end", "end", "start", "end"]
    digests = [one.digest for one in found]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    assert digests[4] == digests[5] != digests[6]
    raw = bytes(second.save_raw("ubj"))
    assert (found[0].n_tensors, found[0].n_values, found[0].l2, found[0].nonfinite) == (1, len(raw), None, None)
    assert captured(store_path) == []
