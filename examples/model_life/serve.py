"""Serve the model that is in production. The only line that knows histhooks asks which file that is.

histhooks run --watch digits@production serve.py 8000
"""

import sys

import joblib
import pandas as pd
import uvicorn
from fastapi import FastAPI

from histhooks import models

app = FastAPI()
model = joblib.load(models.path("digits@production"))


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/predict")
def predict(scans: list[dict[str, float]]) -> list[int]:
    return [int(digit) for digit in model.predict(pd.DataFrame(scans))]


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
