"""Whole trainings with and without recording, as the program sees them, each turn in a fresh process."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

from harness import median, place, python, table, take_turns

TORCH = """
import torch
torch.set_num_threads(1)
torch.manual_seed(0)
data = torch.utils.data.TensorDataset(torch.randn(4000, {width}), torch.randn(4000, 1))
def train(epochs):
    model = torch.nn.Sequential(
        torch.nn.Linear({width}, {hidden}), torch.nn.ReLU(), torch.nn.Linear({hidden}, 1)
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    for _ in range(epochs):
        for inputs, targets in torch.utils.data.DataLoader(data, {batch}):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(inputs), targets).backward()
            optimizer.step()
"""
LIGHTNING = """
import logging
import lightning, torch
torch.set_num_threads(1)
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
data = torch.utils.data.TensorDataset(torch.randn(4000, 16), torch.randn(4000, 1))
class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.001)
def train(epochs):
    lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(Module(), torch.utils.data.DataLoader(data, 8))
"""
KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy, torch
torch.set_num_threads(1)
x = numpy.random.default_rng(0).normal(size=(3200, 16)).astype("float32")
y = x.sum(axis=1, keepdims=True)
def train(epochs):
    model = keras.Sequential([keras.layers.Input((16,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, y, epochs=epochs, batch_size=32, validation_split=0.2, verbose=0)
"""
XGBOOST = """
import numpy, xgboost
X = numpy.random.default_rng(0).normal(size=(100_000, 20)); y = X[:, 0] > 0
data = xgboost.DMatrix(X, y)
def train(rounds):
    xgboost.train({"nthread": 1, "max_depth": 4}, data, rounds, evals=[(data, "train")], verbose_eval=False)
"""
SKLEARN = """
import numpy
from sklearn.linear_model import LogisticRegression
X = numpy.random.default_rng(0).normal(size=(200, 5)); y = (X[:, 0] > 0).astype(int)
def train(fits):
    for _ in range(fits): LogisticRegression().fit(X, y)
"""
# Program, how much of it, in how many steps, in how many runs.
CONTENDERS = {
    "sklearn, tiny fits: the worst case": (SKLEARN, 500, 500, 500),
    "xgboost, 200 rounds": (XGBOOST, 200, 200, 1),
    "keras on torch, 5 epochs": (KERAS, 5, 400, 1),
    "lightning, 4 epochs": (LIGHTNING, 4, 2000, 1),
    "torch, tiny steps: the worst case": (TORCH.format(width=4, hidden=8, batch=4), 5, 5000, 1),
    "torch, steps of some ms": (TORCH.format(width=512, hidden=1024, batch=64), 8, 504, 1),
}
MEASURE = """
import time
train(1)
begin, cpu = time.perf_counter(), time.process_time()
train({epochs})
print(time.perf_counter() - begin, time.process_time() - cpu)
"""


def training(repeats: int) -> None:
    """Each integration: wall and CPU time with and without, what a step costs more, what a run takes of the store."""
    for name, (program, epochs, steps, runs) in CONTENDERS.items():
        code = program + MEASURE.format(epochs=epochs)
        codes = {"without": code, "with": "import histhooks; histhooks.autolog()\n" + code}
        with place() as folder:
            contenders = {which: partial(_turn, folder, text) for which, text in codes.items()}
            taken = take_turns(contenders, repeats)
            size, found, told = _store(folder / "histhooks.db")
        if found != (repeats + 1) * (runs + 1):
            raise SystemExit(f"{name}: {found} finished runs are in the store")
        (wall, cpu), (wall_with, cpu_with) = ([median(c) for c in taken[which]] for which in ("without", "with"))
        more = (wall_with - wall) / steps * 1e6
        row = (wall, wall_with, wall_with / wall, cpu_with / cpu, more, size / found / 1000, told * 100)
        columns = ("without s", "with s", "ratio", "ratio of CPU", "µs/step more", "KB a run", "own cost %")
        table("a training", columns, {name: row})
    print("own cost: what the recorder itself says it took of its sessions, hooks and threads; the median")


def _turn(folder: Path, code: str) -> list[float]:
    return python(folder, code=code).numbers


def _store(path: object) -> tuple[int, int, float]:
    connection = sqlite3.connect(str(path))
    (found,) = connection.execute("SELECT count(*) FROM runs WHERE status = 'finished'").fetchone()
    sql = "SELECT overhead_s / ((julianday(ended_at) - julianday(started_at)) * 86400) FROM sessions"
    told = [share for (share,) in connection.execute(sql)]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    return pages * 4096, found, median(told)
