"""XGBoost, recorded by one line."""

import histhooks

histhooks.autolog()

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

X, y = load_breast_cancer(return_X_y=True)
X_train, X_valid, y_train, y_valid = train_test_split(X, y, random_state=0)
train, valid = xgboost.DMatrix(X_train, y_train), xgboost.DMatrix(X_valid, y_valid)
for depth in (2, 5):
    xgboost.train(
        {"objective": "binary:logistic", "max_depth": depth, "eta": 0.2, "seed": 0},
        train,
        num_boost_round=100,
        evals=[(train, "train"), (valid, "valid")],
        early_stopping_rounds=10,
        verbose_eval=False,
    )
