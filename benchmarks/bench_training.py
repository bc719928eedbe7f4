"""What recording costs a whole training: Keras, Lightning and a PyTorch loop, with and without `autolog()`.

`python benchmarks/bench_training.py [--only torch] [--repeats 7]`

Each turn is a fresh process, with and without taking turns, which trains once to warm up and then tells how long a
second training took: wall clock, and CPU time of all threads, the writer's included. `torch` is the worst case, 5,000
steps of a model of a few numbers; `torch-wide` is the same loop with a model whose step takes about a millisecond.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TORCH = """
import torch
torch.set_num_threads(1)
torch.manual_seed(0)
data = torch.utils.data.TensorDataset(torch.randn({rows}, {width}), torch.randn({rows}, 1))
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
import logging, warnings
warnings.simplefilter("ignore")
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
# Program, epochs, and what one training is.
CONTENDERS = {
    "keras": (KERAS, 5, "400 steps, 5 epochs"),
    "lightning": (LIGHTNING, 4, "2,000 steps, 4 epochs"),
    "torch": (TORCH.format(rows=4000, width=4, hidden=8, batch=4), 5, "5,000 steps, 5 epochs"),
    "torch-wide": (TORCH.format(rows=4000, width=512, hidden=1024, batch=64), 8, "504 steps, 8 epochs"),
}
MEASURE = """
import time
train(1)
begin, cpu = time.perf_counter(), time.process_time()
train({epochs})
print(time.perf_counter() - begin, time.process_time() - cpu)
"""
AUTOLOG = {"without": "", "with": "import histhooks; histhooks.autolog()\n"}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="cost of recording whole trainings, as ratios")
    parser.add_argument("--only", choices=CONTENDERS, help="one of them")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    names = [options.only] if options.only else list(CONTENDERS)
    print(f"medians of {options.repeats} turns\n")
    print(f"{'':12}{'':24}{'without s':>11}{'with s':>9}{'ratio':>8}{'CPU ratio':>11}{'µs a step':>11}")
    for name in names:
        program, epochs, what = CONTENDERS[name]
        taken: dict[str, list[tuple[float, float]]] = {key: [] for key in AUTOLOG}
        for repeat in range(options.repeats):
            for key in ("with", "without") if repeat % 2 else ("without", "with"):
                taken[key].append(_turn(AUTOLOG[key] + program + MEASURE.format(epochs=epochs), key == "with"))
        wall = {key: statistics.median(turn[0] for turn in turns) for key, turns in taken.items()}
        cpu = {key: statistics.median(turn[1] for turn in turns) for key, turns in taken.items()}
        steps = int(what.split()[0].replace(",", ""))
        more = (wall["with"] - wall["without"]) / steps * 1e6
        ratios = f"{wall['with'] / wall['without']:8.3f}{cpu['with'] / cpu['without']:11.3f}"
        print(f"{name:12}{what:24}{wall['without']:11.3f}{wall['with']:9.3f}{ratios}{more:11.1f}", flush=True)


def _turn(program: str, is_recorded: bool) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        environment = {**os.environ, "HISTHOOKS_QUIET": "1", "HISTHOOKS_STORE": str(store)}
        command = [sys.executable, "-W", "ignore", "-c", program]
        done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        if is_recorded:
            connection = sqlite3.connect(store)
            rows = connection.execute("SELECT status FROM runs").fetchall()
            connection.close()
            if rows != [("finished",)] * 2:
                raise SystemExit(f"two trainings left {rows}")
        wall, cpu = map(float, done.stdout.split())
        return wall, cpu


if __name__ == "__main__":
    main()
