"""scikit-learn, recorded by one line: run it, then look at `histhooks runs --all` and `histhooks show last`."""

import histhooks

histhooks.autolog()

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# One run, with its steps' params.
pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
pipeline.fit(X_train, y_train)

# One run with its folds as points.
cross_validate(pipeline, X_train, y_train, cv=5)

# One run with a child for each candidate.
search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0, 10.0]}, cv=5)
search.fit(X_train, y_train)
print(f"accuracy on data that it never saw: {search.score(X_test, y_test):.3f}")
