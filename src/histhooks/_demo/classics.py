"""The program that ``histhooks demo`` runs: scikit-learn as anyone writes it, recorded by its first line."""

import histhooks

histhooks.autolog()

import warnings

from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

warnings.simplefilter("ignore")

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
search = GridSearchCV(model, {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]}, cv=5)
search.fit(X_train, y_train)

cross_validate(make_pipeline(StandardScaler(), SVC(gamma=0.01)), X, y, cv=5, return_train_score=True)

digits, labels = load_digits(return_X_y=True)
MLPClassifier((32,), max_iter=30, random_state=0).fit(digits, labels)

diabetes, target = load_diabetes(return_X_y=True)
RandomForestRegressor(50, random_state=0).fit(diabetes, target)

with histhooks.start_run("learning rates", tags={"demo": "yes"}) as run:
    for epoch, alpha in enumerate([1e-5, 1e-3, 1e-1]):
        fitted = MLPClassifier((16,), alpha=alpha, max_iter=20, random_state=0).fit(digits, labels)
        run.log({"loss": fitted.loss_, "train_accuracy": fitted.score(digits, labels)}, epoch=epoch)

try:
    LogisticRegression(C=-1.0).fit(X_train, y_train)
except ValueError:
    pass  # a fit that fails is part of a history too
