"""Loops of PyTorch, written by hand: curves judged by an oracle of fresh rows, and faults of the program."""

from __future__ import annotations

from typing import Any

import kit
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split
from worlds import FRESH, World, constant_of, cross_entropy, judge

Generator = np.random.Generator
torch.set_num_threads(1)


def losses_of(net: nn.Module, X: torch.Tensor, y: torch.Tensor) -> float:
    """The loss of some rows, without a trace in the record."""
    with torch.no_grad(), kit.histhooks.paused():
        return cross_entropy(torch.softmax(net(X), 1).double().numpy(), y.numpy())


def loop(
    truth: kit.Truth, rng: Generator, name: str, planted: tuple[str, ...] = (), also: tuple[str, ...] = (), *,
    noise: float = 0.5, n: int = 600, hidden: int = 16, lr: float = 0.05, epochs: int = 12, kind: str = "SGD",
    more: int = 0, has_oracle: bool = True, parts: Any = None, **how: Any,
) -> None:  # fmt: skip
    """Train one network, and tell what is true of it."""
    world = World(rng, noise)
    X, y = (torch.tensor(part) for part in world.rows(n))
    a, b = (torch.tensor(part) for part in world.rows(300))
    fresh = [torch.tensor(part) for part in world.rows(FRESH)]
    inside, outside = parts if parts is not None else (TensorDataset(X, y), TensorDataset(a, b))
    if parts is not None:
        X, y = (torch.stack([inside[k][0] for k in range(len(inside))]), torch.stack([one[1] for one in inside]))
    net = nn.Sequential(nn.Linear(16, hidden), nn.ReLU(), nn.Linear(hidden, 3))
    trained = nn.Sequential(nn.Linear(16, hidden), nn.ReLU(), nn.Linear(hidden, 3)) if how.get("other") else net
    net.requires_grad_(not how.get("frozen", False))
    head = nn.Parameter(torch.zeros(1))
    optimizer = getattr(torch.optim, kind)([*trained.parameters()] if not how.get("frozen") else [head], lr=lr)
    schedule = how["schedule"](optimizer) if "schedule" in how else None
    of_fresh, of_train = [losses_of(net, *fresh)], [losses_of(net, X, y)]
    loader = DataLoader(inside, 60, shuffle=True)
    with truth.training(name, planted, also) as run:
        step = 0
        for epoch in range(epochs):
            for x, t in loader:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(net(x), t) + (0 * head.sum() if how.get("frozen") else 0)
                if how.get("nan_at") == step:
                    loss = loss * float("nan")
                loss.backward()
                optimizer.step()
                step += 1
                if schedule is not None:
                    schedule.step()
                if how.get("jump_at") == step:
                    optimizer.param_groups[0]["lr"] *= 20
            with torch.no_grad():
                losses = [nn.functional.cross_entropy(net(x), t).item() for x, t in DataLoader(outside, 150)]
            run.log({"val_loss": sum(losses) / len(losses)}, epoch=epoch, step=step - 1)
            of_fresh.append(losses_of(net, *fresh))
            of_train.append(losses_of(net, X, y))
        with kit.histhooks.paused():
            for _ in range(more):
                for x, t in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(net(x), t).backward()
                    optimizer.step()
                of_fresh.append(losses_of(net, *fresh))
        if has_oracle:
            judge(truth, of_fresh, of_train, constant_of(fresh[1].numpy()), more)


def curves(truth: kit.Truth, rng: Generator) -> None:
    """Trainings that people mean well, and others; the oracle says what they came to."""
    loop(truth, rng, "plain", lr=0.1, epochs=15, more=6)
    loop(truth, rng, "Adam", kind="Adam", lr=0.005, noise=0.2, n=1200, epochs=15, more=6)
    loop(truth, rng, "AdamW, weak decay", kind="AdamW", lr=0.003, noise=0.8, n=1000, hidden=32)
    loop(truth, rng, "momentum", lr=0.3, noise=0.3, n=900, more=6)
    loop(truth, rng, "noisy classes", kind="Adam", lr=0.002, noise=2.0, n=1500, epochs=10)
    loop(truth, rng, "large net, few rows", kind="Adam", lr=0.01, noise=1.5, n=150, hidden=128, epochs=40)
    loop(truth, rng, "large net, noise", kind="Adam", lr=0.02, noise=2.5, n=300, hidden=128, epochs=30)
    loop(truth, rng, "large net, clear classes", kind="Adam", lr=0.01, noise=0.1, n=300, hidden=128, epochs=25)
    loop(truth, rng, "short", lr=0.03, noise=0.1, n=1200, epochs=12, more=12)
    loop(truth, rng, "short Adam", kind="Adam", lr=0.001, noise=0.1, n=1200, epochs=12, more=12)
    loop(truth, rng, "rate 40", lr=40.0, epochs=10, also=("lr.odd",))
    loop(truth, rng, "rate 20", lr=20.0, epochs=10, noise=0.3)
    loop(truth, rng, "rate 8", lr=8.0, epochs=12, noise=0.3)
    loop(truth, rng, "Adam, rate 3", kind="Adam", lr=3.0, epochs=12)
    loop(truth, rng, "Adam, rate 10, noise", kind="Adam", lr=10.0, epochs=8, noise=1.5)
    loop(truth, rng, "RMSprop, rate 2", kind="RMSprop", lr=2.0, epochs=10, noise=1.0)
    loop(truth, rng, "rate 1e-8", lr=1e-8, also=("fit.frozen",))
    loop(truth, rng, "Adam, rate 1e-9", kind="Adam", lr=1e-9, also=("fit.frozen",))
    loop(truth, rng, "rate 1e-7", lr=1e-7, also=("fit.frozen",), n=1500)


def faults(truth: kit.Truth, rng: Generator) -> None:
    """Faults of the program, known by construction."""
    follows = ("loss.flat",)
    bad = ("loss.nonfinite", "weights.nonfinite")
    loop(truth, rng, "nan", bad, nan_at=int(rng.integers(20, 90)), has_oracle=False, also=("fit.gap", "loss.diverged"))
    loop(truth, rng, "nan early", bad, nan_at=3, has_oracle=False, also=("fit.gap", "loss.diverged"))
    loop(truth, rng, "rate 0", ("fit.frozen",), ("lr.odd", *follows), lr=0.0, has_oracle=False)
    loop(truth, rng, "no gradients", ("fit.frozen",), follows, frozen=True, has_oracle=False)
    loop(truth, rng, "weights of another model", ("fit.frozen",), follows, other=True, has_oracle=False)
    linear = {"schedule": lambda opt: torch.optim.lr_scheduler.LambdaLR(opt, lambda k: max(0.0, 1 - k / 60))}
    loop(truth, rng, "schedule too short", ("lr.odd",), **linear)
    loop(truth, rng, "rate jumps", ("lr.odd",), ("loss.diverged", "fit.past_best"), lr=0.05, jump_at=70)
    loop(
        truth,
        rng,
        "rate jumps, Adam",
        ("lr.odd",),
        ("loss.diverged", "fit.past_best"),
        kind="Adam",
        lr=0.005,
        jump_at=60,
    )
    cosine = {"schedule": lambda opt: torch.optim.lr_scheduler.CosineAnnealingLR(opt, 120)}
    loop(truth, rng, "cosine", lr=0.2, **cosine)
    once = {"schedule": lambda opt: torch.optim.lr_scheduler.OneCycleLR(opt, 0.3, total_steps=121)}
    loop(truth, rng, "one cycle", **once)


def samples(truth: kit.Truth, rng: Generator) -> None:
    """Parts of one Dataset: apart, and with some samples in both."""
    world = World(rng, 0.5)
    data = TensorDataset(*(torch.tensor(part) for part in world.rows(800)))
    order = rng.permutation(800).tolist()
    with_all = {"has_oracle": False, "epochs": 6, "also": ("leak.rows", "fit.gap")}
    loop(truth, rng, "random_split", parts=random_split(data, [600, 200]), has_oracle=False, epochs=6)
    loop(
        truth,
        rng,
        "Subsets apart",
        parts=(Subset(data, order[:600]), Subset(data, order[600:])),
        has_oracle=False,
        epochs=6,
    )
    for name, inside, outside in (
        ("ranges that meet", range(600), range(580, 800)), ("numbers drawn twice", order[:600], order[595:]),
        ("a part of the whole", range(800), order[:200]),
    ):  # fmt: skip
        loop(truth, rng, name, ("leak.index",), parts=(Subset(data, inside), Subset(data, outside)), **with_all)


if __name__ == "__main__":
    kit.run(curves, faults, samples)
