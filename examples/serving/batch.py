"""A job of the night, unchanged too: `histhooks run --watch credit@production batch.py applicants.csv scores.csv`."""

import sys

import joblib
import pandas as pd

applicants = pd.read_csv(sys.argv[1])
model = joblib.load("model.joblib")
applicants["score"] = model.predict_proba(applicants[["income", "debt", "age"]])[:, 1]
applicants.to_csv(sys.argv[2], index=False)
print(f"{len(applicants)} applicants scored")
