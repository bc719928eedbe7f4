"""Boosted trees of XGBoost, in both of its ways; past their best or not by an oracle of fresh rows."""

from __future__ import annotations

import kit
import numpy as np
import xgboost as xgb

Generator = np.random.Generator
FRESH = 8000


def world(rng: Generator, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two classes whose border is curved, and many more of the same for the oracle."""
    n = 700 + FRESH
    X = rng.normal(size=(n, 10))
    score = X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * X[:, 3]
    return X, (score + noise * rng.logistic(size=n) > 0).astype(int)


def loss(y: np.ndarray, p: np.ndarray) -> float:
    """Log loss."""
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(y == 1, np.log(p), np.log(1 - p))))


def rise(booster: xgb.Booster, X: np.ndarray, y: np.ndarray, rounds: int) -> float:
    """By how much the last round is worse than the best one, on fresh rows."""
    fresh = xgb.DMatrix(X)
    with kit.histhooks.paused():
        at = sorted({*range(1, rounds, max(1, rounds // 25)), rounds})
        losses = [loss(y, booster.predict(fresh, iteration_range=(0, n))) for n in at]
    return losses[-1] / min(losses) - 1


def curves(truth: kit.Truth, rng: Generator) -> None:
    """Trainings of many rounds, of few, with small steps and large ones."""
    for name, noise, depth, eta, rounds in (
        ("large steps, deep", 1.0, 7, 0.4, 100), ("large steps, noisy", 2.0, 6, 0.5, 60),
        ("deep, long", 1.5, 8, 0.3, 150),
        ("small steps", 0.3, 2, 0.05, 60), ("stumps", 0.5, 1, 0.2, 60), ("few rounds", 0.3, 3, 0.3, 20),
    ):  # fmt: skip
        X, y = world(rng, noise)
        own, other = xgb.DMatrix(X[:400], y[:400]), xgb.DMatrix(X[400:700], y[400:700])
        params = {"objective": "binary:logistic", "max_depth": depth, "eta": eta, "seed": 0, "nthread": 1}
        with truth.training(f"rounds, {name}"):
            booster = xgb.train(params, own, rounds, [(own, "train"), (other, "valid")], verbose_eval=False)
            truth.oracle("fit.past_best", rise(booster, X[700:], y[700:], rounds), 0.05, 0.2)


def judging(truth: kit.Truth, rng: Generator) -> None:
    """Early stopping, on rows of its own and on test rows; judged on training rows alone."""
    X, y = kit.classes(rng, int(rng.choice([0, 3])))
    a, b, c, d = kit.split(X, y, rng)
    e, f, g, h = kit.split(a, c, rng)
    how = {"n_estimators": 60, "max_depth": 2, "learning_rate": 0.2, "random_state": 0, "n_jobs": 1}
    with truth.training("stopped by validation rows"):
        xgb.XGBClassifier(early_stopping_rounds=8, **how).fit(e, g, eval_set=[(f, h)], verbose=False).score(b, d)
    with truth.training("training and validation rows watched"):
        short = xgb.XGBClassifier(n_estimators=15, max_depth=2, learning_rate=0.2, random_state=0, n_jobs=1)
        short.fit(e, g, eval_set=[(e, g), (f, h)], verbose=False).score(b, d)
    with truth.training("stopped by test rows", ["select.on_test"]):
        xgb.XGBClassifier(early_stopping_rounds=8, **how).fit(a, c, eval_set=[(b, d)], verbose=False).score(b, d)
    with truth.training("stopped by test rows, a metric", ["select.on_test"]):
        model = xgb.XGBClassifier(early_stopping_rounds=8, **how).fit(a, c, eval_set=[(b, d)], verbose=False)
        model.predict(b)
        model.score(b, d)
    with truth.training("stopped by its training rows", ["valid.is_train"], also=["valid.none"]):
        xgb.XGBClassifier(early_stopping_rounds=8, **how).fit(a, c, eval_set=[(a.copy(), c.copy())], verbose=False)
    with truth.training("watched on its training rows", also=["valid.is_train"]):
        xgb.XGBClassifier(n_estimators=15, max_depth=2, random_state=0).fit(a, c, eval_set=[(a, c)], verbose=False)
    with truth.training("training rows among the validation rows", ["leak.rows"]):
        n = int(rng.integers(5, 30))
        X, y = np.r_[b, a[:n]], np.r_[d, c[:n]]
        own, other = xgb.DMatrix(a, c), xgb.DMatrix(X, y)
        params = {"objective": "binary:logistic", "max_depth": 2, "eta": 0.1, "nthread": 1}
        xgb.train(params, own, 12, [(other, "valid")], verbose_eval=False)


if __name__ == "__main__":
    kit.run(curves, judging)
