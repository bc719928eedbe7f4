"""Train a model that reads digits. Nothing in it knows histhooks.

histhooks run train.py scans.csv model.joblib
"""

import argparse

import joblib
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("scans", nargs="+")
parser.add_argument("model")
parser.add_argument("--trees", type=int, default=60)
parser.add_argument("--scale", type=float, default=1.0, help="what the pixels are divided by")
asked = parser.parse_args()

scans = pd.concat([pd.read_csv(path) for path in asked.scans], ignore_index=True)
pixels, digit = scans.drop(columns="digit") / asked.scale, scans["digit"]
train, test, digit_train, digit_test = train_test_split(pixels, digit, test_size=0.25, random_state=0, stratify=digit)
model = RandomForestClassifier(asked.trees, min_samples_leaf=2, random_state=0).fit(train, digit_train)
print(f"accuracy on {len(test)} scans that it never saw: {model.score(test, digit_test):.3f}")
joblib.dump(model, asked.model)
