"""Every integration is held to the contract with the host program."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from histhooks import integrations
from histhooks.testing import CHECKS, Case

CASES = {
    "sklearn": Case(
        name="sklearn",
        setup="""
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_iris(return_X_y=True)
""",
        train="""
model = make_pipeline(StandardScaler(), RandomForestClassifier(5)).fit(X, y)
result = (model, model.predict_proba(X), X, y)
""",
        failing="LogisticRegression(C=-1.0).fit(X, y)",
        functions=(
            "sklearn.linear_model._logistic:LogisticRegression.fit",
            "sklearn.pipeline:Pipeline.fit",
            "sklearn.model_selection._validation:cross_validate",
            "sklearn.model_selection:cross_val_score",
        ),
    ),
    "xgboost": Case(
        name="xgboost",
        setup="""
import xgboost
from sklearn.datasets import load_breast_cancer
X, y = load_breast_cancer(return_X_y=True)
""",
        train="""
train, valid = xgboost.DMatrix(X[:400], y[:400]), xgboost.DMatrix(X[400:], y[400:])
chosen = {"objective": "binary:logistic", "subsample": 0.5, "seed": 3, "nthread": 1}
evals = [(train, "train"), (valid, "valid")]
seen = {}
model = xgboost.train(
    chosen, train, 12, evals=evals, early_stopping_rounds=3, evals_result=seen, verbose_eval=False
)
result = (model, bytes(model.save_raw()), model.predict(valid), seen, chosen, len(evals))
""",
        failing="xgboost.train({}, xgboost.DMatrix(X, y), 3, callbacks=[object()])",
        functions=(
            "xgboost:train",
            "xgboost:cv",
            "xgboost.training:train",
            "xgboost.sklearn:train",
            "xgboost.sklearn:XGBModel.fit",
            "xgboost.sklearn:XGBClassifier.fit",
        ),
    ),
}


def test_every_integration_has_a_case() -> None:
    assert set(integrations.available()) <= set(CASES)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_the_contract_holds(case: Case, check: Callable[[Case], None]) -> None:
    pytest.importorskip(case.name)
    check(case)
