"""A web service that knows nothing of histhooks: `histhooks run --watch credit@production -m uvicorn app:app`."""

import joblib
import pandas as pd
from fastapi import FastAPI

app = FastAPI()
model = joblib.load("model.joblib")


@app.post("/score")
def score(applicants: list[dict[str, float]]) -> list[float]:
    """The chance of each applicant to pay."""
    scores: list[float] = model.predict_proba(pd.DataFrame(applicants))[:, 1].tolist()
    return scores
