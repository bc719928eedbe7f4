"""Curves: each planted fault is found, and its clean twin is silent. Real trainings of PyTorch, Keras and XGBoost."""

from __future__ import annotations

import pytest

from helpers.checked import Told, checked

pytest.importorskip("torch")
pytest.importorskip("keras")
pytest.importorskip("xgboost")

DATA = """
import warnings
warnings.simplefilter("ignore")
import histhooks
histhooks.autolog()
import numpy as np
rng = np.random.default_rng(0)
W = rng.normal(size=(20, 3))

def data(n, noise=0.0):
    X = rng.normal(size=(n, 20)).astype("float32")
    y = (X @ W + noise * 5 * rng.normal(size=(n, 3))).argmax(1)
    return X, y
"""
TORCH = (
    DATA
    + """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

def train(name, lr=0.05, epochs=12, n=400, noise=0.2, hidden=32, frozen=False, nan_at=None, aux=False, kind="SGD",
          mask=False):
    torch.manual_seed(0)
    loaders = []
    for size in (n, 300):
        X, y = data(size, noise)
        loaders.append(DataLoader(TensorDataset(torch.tensor(X), torch.tensor(y)), 50, shuffle=size == n))
    model = nn.Sequential(nn.Linear(20, hidden), nn.ReLU(), nn.Linear(hidden, 3))
    if mask:
        model.register_buffer("mask", torch.full((7, 7), float("-inf")).triu(1))
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=lr)
    with histhooks.start_run(name) as run:
        step = 0
        for epoch in range(epochs):
            for x, y in loaders[0]:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                if nan_at is not None and step >= nan_at:
                    loss = loss * float("nan")
                loss.backward()
                optimizer.step()
                step += 1
            with torch.no_grad():
                losses = [nn.functional.cross_entropy(model(x), y).item() for x, y in loaders[1]]
            run.log({"val_loss": sum(losses) / len(losses)}, epoch=epoch, step=step - 1)
            if aux:
                run.log({"aux_loss": float("nan") if epoch == 3 else 1 / (1 + epoch)}, epoch=epoch, step=step - 1)

train("clean")
train("clean, Adam", lr=0.003, kind="Adam", n=1000)
train("clean, one epoch of a large set", n=4000, epochs=1)
train("clean, a mask", mask=True)
train("diverged", lr=30.0, epochs=8)
train("flat", lr=1e-9)
train("zero", lr=0.0)
train("not a number", nan_at=30, mask=True)
train("not a number once", aux=True)
train("overfits", n=100, noise=1.0, lr=0.01, hidden=256, epochs=60, kind="Adam")
"""
)
KERAS = (
    DATA
    + """
import keras

def train(name, n=400, noise=0.2, hidden=16, epochs=12, lr=0.01, loss="sparse_categorical_crossentropy", stop=False,
          trainable=True, own=False, nan=False):
    keras.utils.set_random_seed(1)
    (X, y), (a, b) = data(n, noise), data(500, noise)
    model = keras.Sequential([keras.layers.Input((20,)), keras.layers.Dense(hidden, activation="relu"),
                              keras.layers.Dense(3, activation="softmax")])
    model.trainable = trainable
    model.compile(keras.optimizers.Adam(lr), loss, metrics=["accuracy"], jit_compile=False)
    callbacks = [keras.callbacks.EarlyStopping(patience=8, restore_best_weights=True)] if stop else []
    if nan:
        X[3, 4] = np.nan
    with histhooks.start_run(name):
        model.fit(X, y, validation_data=(X, y) if own else (a, b), epochs=epochs, verbose=0, callbacks=callbacks)

train("clean", n=2000)
train("clean, stopped early", n=100, noise=1.0, hidden=128, epochs=60, stop=True)
train("overfits", n=100, noise=1.0, hidden=128, epochs=60)
train("diverged", lr=50.0)
train("not trainable", trainable=False)
train("not a number", nan=True)
train("judged on train", own=True)

X = rng.normal(size=(1200, 5))
y = (X[:, 0] + rng.normal(size=1200) > 1.5).astype(int)
for name, weights, penalty in (("weighted classes", {0: 1.0, 1: 6.0}, None), ("a penalty of weights", None, "l2")):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(32, kernel_regularizer=penalty),
                              keras.layers.Dense(1, activation="sigmoid", kernel_regularizer=penalty)])
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy", jit_compile=False)
    with histhooks.start_run(name):
        model.fit(X[:900], y[:900], validation_data=(X[900:], y[900:]), class_weight=weights, epochs=6, verbose=0)
"""
)
XGBOOST = (
    DATA
    + """
import xgboost as xgb
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

def train(name, X, y, rounds=60, stop=None, lists=("valid",), **params):
    a, b, c, d = train_test_split(X, y, random_state=0)
    t, v = xgb.DMatrix(a, c), xgb.DMatrix(b, d)
    with histhooks.start_run(name):
        xgb.train({"objective": "binary:logistic", "seed": 0, **params}, t, rounds, [(t, "train"), (v, "valid")],
                  early_stopping_rounds=stop, verbose_eval=False)

X, y = load_breast_cancer(return_X_y=True)
noisy = np.random.default_rng(0).random(len(y)) < 0.3
train("clean", X, y, max_depth=2, eta=0.1)
train("overfits", X, np.where(noisy, 1 - y, y), rounds=150, max_depth=8, eta=0.5)
train("stopped early", X, np.where(noisy, 1 - y, y), rounds=150, max_depth=8, eta=0.5, stop=20)
"""
)


@pytest.fixture(scope="module")
def torch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return checked(TORCH, tmp_path_factory.mktemp("torch") / "histhooks.db")


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return checked(KERAS, tmp_path_factory.mktemp("keras") / "histhooks.db")


@pytest.fixture(scope="module")
def xgboost(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return checked(XGBOOST, tmp_path_factory.mktemp("xgboost") / "histhooks.db")


def test_a_loop_of_pytorch_is_judged_by_its_curves(torch: dict[str, Told]) -> None:
    assert {name: one.alarms for name, one in torch.items()} == {
        "clean": set(),
        "clean, Adam": set(),
        "clean, one epoch of a large set": set(),
        "clean, a mask": set(),
        "diverged": {"loss.diverged", "loss.nonfinite", "weights.nonfinite"},
        "flat": {"loss.flat"},
        "zero": {"loss.flat", "fit.frozen", "lr.odd"},
        "not a number": {"loss.nonfinite", "weights.nonfinite"},
        "not a number once": {"loss.nonfinite"},
        "overfits": {"fit.past_best", "fit.gap"},
    }
    assert ("loss.nonfinite", "fail") in torch["not a number"].found
    assert ("loss.nonfinite", "warn") in torch["not a number once"].found
    assert torch["not a number once"].says["loss.nonfinite"] == "aux_loss went NaN at step 31 (epoch 3)"


def test_a_fit_of_keras_is_judged_by_its_curves(keras: dict[str, Told]) -> None:
    assert {name: one.alarms for name, one in keras.items()} == {
        "clean": set(),
        "clean, stopped early": set(),
        "overfits": {"fit.past_best", "fit.gap"},
        "weighted classes": set(),
        "a penalty of weights": set(),
        "diverged": {"loss.diverged", "fit.no_better"},
        "not trainable": {"fit.frozen", "loss.flat", "fit.no_better"},
        "not a number": {"loss.nonfinite", "weights.nonfinite", "fit.no_better"},
        "judged on train": {"valid.is_train"},
    }


def test_boosted_trees_are_judged_by_their_validation_curve(xgboost: dict[str, Told]) -> None:
    assert {name: one.alarms for name, one in xgboost.items()} == {
        "clean": set(),
        "overfits": {"fit.past_best"},
        "stopped early": set(),
    }
    assert ("fit.past_best", "info") in xgboost["stopped early"].found
