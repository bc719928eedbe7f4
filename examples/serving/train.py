"""Train a model: `histhooks run train.py`, then `histhooks promote model.joblib --model credit --reason first`."""

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(0)
applicants = pd.DataFrame(
    {
        "income": rng.normal(3000.0, 800.0, 4000),
        "debt": rng.gamma(2.0, 900.0, 4000),
        "age": rng.integers(18, 80, 4000).astype(float),
    }
)
pays = (applicants["income"] - 0.5 * applicants["debt"] + rng.normal(0.0, 600.0, 4000) > 2000.0).astype(int)
X_train, X_test, y_train, y_test = train_test_split(applicants, pays, random_state=0)

model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train)
print(f"accuracy: {model.score(X_test, y_test):.3f}")
joblib.dump(model, "model.joblib")
