"""Targets beside arrays: those of a TensorDataset, and classes that are texts. Seeds that a loop sets over and over."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.checked import Told, checked, told
from histhooks import History
from histhooks.testing import run_program

pytest.importorskip("sklearn")
pytest.importorskip("torch")

TENSORS = """
import histhooks
histhooks.autolog("torch")
import torch
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
X = torch.randn(900, 4)
classes = (X[:, 0] + 0.5 * torch.randn(900)).round().clamp(-1, 1).long() + 1

def train(name, y, order):
    X_, y_ = X[order], y[order]
    train_data = DataLoader(TensorDataset(X_[:600], y_[:600]), 50, shuffle=True)
    valid_data = DataLoader(TensorDataset(X_[600:], y_[600:]), 100)
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    with histhooks.start_run(name) as run:
        for epoch in range(5):
            model.train()
            for a, b in train_data:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(a), b).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                right = sum((model(a).argmax(1) == b).sum().item() for a, b in valid_data)
            run.log({"val_accuracy": right / 300}, epoch=epoch)
        histhooks.flush()

drawn = torch.randperm(900)
train("clean", classes, drawn)
train("sorted by class", classes, classes.argsort())
train("shares differ", classes, (classes + 5 * torch.rand(900)).argsort())
train("one class", torch.zeros(900, dtype=torch.long), drawn)
train("shuffled target", classes[torch.randperm(900)], drawn)
train("uneven classes, which a loss may weigh", (torch.rand(900) < 0.3).long() * 2, drawn)
"""
TEXTS = """
import histhooks
histhooks.autolog("sklearn")
import numpy as np
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(0)
X = rng.normal(size=(900, 4))
names = np.array(["blau", "grün", "rot"])
y = names[np.digitize(X[:, 0] + 0.3 * rng.normal(size=900), [-0.5, 0.9])]

def judge(name, y, order):
    with histhooks.start_run(name):
        LogisticRegression().fit(X[order[:600]], y[order[:600]]).score(X[order[600:]], y[order[600:]])
        histhooks.flush()

drawn = rng.permutation(900)
judge("clean", y, drawn)
judge("a class is in test data only", y, np.r_[drawn[y[drawn] != "rot"], drawn[y[drawn] == "rot"]])
judge("a class is in training data only", y, np.r_[drawn[y[drawn] == "rot"], drawn[y[drawn] != "rot"]])
judge("shuffled target", y[rng.permutation(900)], drawn)
judge("few of a class", np.where(np.arange(900) == drawn[700], "gelb", y), drawn)
"""
SEEDS = """
import histhooks
histhooks.autolog("torch")
import numpy as np, torch

def train(seed_of):
    torch.manual_seed(7)
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    X = torch.randn(60, 3)
    for epoch in range(4):
        np.random.seed(seed_of(epoch))
        for rows in np.array_split(np.random.permutation(60), 3):
            optimizer.zero_grad()
            ((model(X[rows]) - X[rows][:, :1]) ** 2).mean().backward()
            optimizer.step()

for seed_of in (lambda epoch: 5, lambda epoch: epoch, lambda epoch: 20 + epoch):
    train(seed_of)
"""
OF_TARGETS = {"split.classes", "data.constant"}


def of_targets(found: dict[str, Told]) -> dict[str, set[tuple[str, str]]]:
    return {name: {each for each in one.found if each[0] in OF_TARGETS} for name, one in found.items()}


def test_the_target_of_a_tensor_dataset_is_judged_as_that_of_arrays_is(tmp_path: Path) -> None:
    tensors = checked(TENSORS, tmp_path / "histhooks.db")
    assert of_targets(tensors) == {
        "clean": set(),
        "sorted by class": {("split.classes", "fail"), ("split.classes", "warn")},
        "shares differ": {("split.classes", "warn")},
        "one class": {("data.constant", "fail")},
        "shuffled target": set(),
        "uneven classes, which a loss may weigh": set(),
    }
    assert tensors["uneven classes, which a loss may weigh"].alarms <= {"loss.flat"}
    assert tensors["clean"].alarms == set()
    assert "fit.no_better" in tensors["shuffled target"].alarms


def test_classes_that_are_texts_are_judged_by_their_number_and_sizes(tmp_path: Path) -> None:
    found = checked(TEXTS, tmp_path / "histhooks.db")
    assert of_targets(found) == {
        "clean": set(),
        "a class is in test data only": {("split.classes", "fail")},
        "a class is in training data only": {("split.classes", "warn")},
        "shuffled target": set(),
        "few of a class": set(),
    }
    assert found["clean"].alarms == set()
    assert "fit.no_better" in found["shuffled target"].alarms
    says = found["a class is in test data only"].says["split.classes"]
    assert says == "the test data has 3 classes, and the training data 2"


def test_a_loop_of_pytorch_that_sets_one_seed_each_epoch_is_said(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(SEEDS, store)
    assert code == 0, err
    with History(store) as history:
        loops = history.runs(kind="loop", order_by="started_at asc")
        found = [told([run.check(only=["seed.reset"])]) for run in loops]
    assert [one.found for one in found] == [{("seed.reset", "info")}, set(), set()]
    assert found[0].says["seed.reset"] == "numpy was seeded again inside the run, by seed(5)"
