"""Trainings of Lightning: curves judged by an oracle of fresh rows, and faults of the program."""

from __future__ import annotations

import logging
from typing import Any

import kit
import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split
from worlds import FRESH, World, constant_of, cross_entropy, judge

Generator = np.random.Generator
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.set_num_threads(1)


class Net(lightning.LightningModule):
    """A small network; `nan_at` is the step from which its loss is no number."""

    def __init__(self, lr: float, hidden: int, nan_at: int | None) -> None:
        super().__init__()
        self.lr, self.nan_at = lr, nan_at
        self.net = nn.Sequential(nn.Linear(16, hidden), nn.ReLU(), nn.Linear(hidden, 3))

    def _loss(self, batch: Any, name: str) -> torch.Tensor:
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        if self.nan_at is not None and self.global_step >= self.nan_at:
            loss = loss * float("nan")
        self.log(name, loss, on_epoch=True)
        return loss

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        return self._loss(batch, "train_loss")

    def validation_step(self, batch: Any, index: int) -> None:
        self._loss(batch, "val_loss")

    def test_step(self, batch: Any, index: int) -> None:
        self._loss(batch, "test_loss")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Oracle(lightning.Callback):
    """The loss of some rows before the training and after each epoch."""

    def __init__(self, *parts: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._parts, self.losses = parts, [[] for _ in parts]

    def on_train_start(self, trainer: Any, module: Any) -> None:
        for (X, y), losses in zip(self._parts, self.losses, strict=True):
            with torch.no_grad():
                losses.append(cross_entropy(torch.softmax(module.net(X), 1).double().numpy(), y.numpy()))

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.on_train_start(trainer, module)


def fit(
    truth: kit.Truth, rng: Generator, name: str, planted: tuple[str, ...] = (), also: tuple[str, ...] = (), *,
    noise: float = 0.5, n: int = 600, hidden: int = 16, lr: float = 0.01, epochs: int = 12, **how: Any,
) -> None:  # fmt: skip
    """Train one network, and tell what is true of it."""
    world = World(rng, noise)
    X, y = (torch.tensor(part) for part in world.rows(n))
    a, b = (torch.tensor(part) for part in world.rows(300))
    fresh = tuple(torch.tensor(part) for part in world.rows(FRESH))
    inside, outside = how.get("parts") or (TensorDataset(X, y), TensorDataset(a, b))
    oracle = Oracle(fresh, (X, y))
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[oracle, *how.get("callbacks", list)()],
    )  # fmt: skip
    judging = DataLoader(inside if how.get("on_train") else outside, 150)
    with truth.training(name, planted, also):
        model = Net(lr, hidden, how.get("nan_at"))
        trainer.fit(model, DataLoader(inside, 60, shuffle=True), judging)
        if how.get("has_test"):
            trainer.test(model, judging, verbose=False)
        if how.get("has_oracle", True):
            judge(truth, *oracle.losses, constant_of(fresh[1].numpy()))


def curves(truth: kit.Truth, rng: Generator) -> None:
    """Trainings that people mean well, and others."""
    fit(truth, rng, "lightning", noise=0.3, n=1200)
    fit(truth, rng, "lightning, noisy classes", noise=1.5, n=1500, lr=0.003, epochs=10)
    fit(truth, rng, "lightning, few rows", noise=2.0, n=150, hidden=128, epochs=30)
    fit(truth, rng, "lightning, rate 20", lr=20.0, epochs=10)
    fit(truth, rng, "lightning, rate 1e-9", lr=1e-9, also=("fit.frozen",))


def faults(truth: kit.Truth, rng: Generator) -> None:
    """Faults of the program, known by construction."""
    data = TensorDataset(*(torch.tensor(part) for part in World(rng, 0.5).rows(800)))
    stop = {"callbacks": lambda: [EarlyStopping("val_loss", patience=3)]}
    short = {"epochs": 4, "has_oracle": False}
    fit(truth, rng, "lightning, nan", ("loss.nonfinite", "weights.nonfinite"), nan_at=int(rng.integers(5, 25)), **short)
    fit(truth, rng, "lightning, rate 0", ("fit.frozen",), ("loss.flat", "lr.odd"), lr=0.0, **short)
    fit(truth, rng, "lightning, samples in both", ("leak.index",), ("leak.rows",),
        parts=(Subset(data, range(600)), Subset(data, range(570, 800))), **short)  # fmt: skip
    fit(truth, rng, "lightning, random_split", parts=random_split(data, [600, 200]), **short)
    fit(truth, rng, "lightning on train", ("valid.is_train",), on_train=True, **short)
    long = {"epochs": 12, "has_oracle": False, **stop}
    fit(truth, rng, "lightning, tested on validation rows", ("select.on_test",), has_test=True, **long)
    fit(truth, rng, "lightning, stopped", epochs=20, has_oracle=False, **stop)


if __name__ == "__main__":
    kit.run(curves, faults)
