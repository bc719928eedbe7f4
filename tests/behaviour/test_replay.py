"""A program without a seed gives the same numbers again by `histhooks reproduce`, from what was recorded of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from histhooks.testing import query

HASH = """
import hashlib
def show(*arrays):
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(array if isinstance(array, bytes) else array.tobytes())
    print(whole.hexdigest())
"""
TORCH = """
import torch
from torch import nn
X = torch.arange(320.0).reshape(80, 4) / 100
y = X.sum(1, keepdim=True)
class Noisy(torch.utils.data.Dataset):
    def __len__(self):
        return len(X)
    def __getitem__(self, place):
        import random, numpy
        return X[place] + random.random() + float(numpy.random.rand()) + torch.rand(4), y[place]
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 1))
def weights(module):
    show(*(value.detach().numpy() for value in module.state_dict().values()))
"""
LOOP = """
optimizer = torch.optim.SGD(net.parameters(), 0.01)
for epoch in range(2):
    for a, b in loader:
        optimizer.zero_grad()
        ((net(a) - b) ** 2).mean().backward()
        optimizer.step()
weights(net)
"""
KERAS = """
import os
os.environ["KERAS_BACKEND"] = "{backend}"
import keras, numpy as np
X = np.random.normal(size=(64, 4))
model = keras.Sequential([keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(X, X.sum(1), epochs=2, validation_split=0.25, verbose=0)
show(*model.get_weights())
"""
PROGRAMS = {
    "sklearn": """
import numpy as np
from numpy.random import default_rng
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neural_network import MLPClassifier
X = default_rng().normal(size=(120, 4))
y = (X[:, 0] + default_rng().normal(size=120) > 0).astype(int)
a, b, c, d = train_test_split(X, y)
forest = RandomForestClassifier(10).fit(a, c)
search = GridSearchCV(MLPClassifier((4,), max_iter=5), {"alpha": [0.1, 1.0]}, cv=KFold(2, shuffle=True)).fit(a, c)
show(forest.predict_proba(b), *search.best_estimator_.coefs_)
""",
    "xgboost": """
import numpy as np, xgboost
noise = np.random.RandomState()
X = noise.normal(size=(200, 5))
order = np.random.permutation(200)
model = xgboost.XGBRegressor(n_estimators=5, subsample=0.5, random_state=np.random.randint(1000))
model.fit(X[order], X[order, 0])
show(model.predict(X))
""",
    "torch": TORCH + """
data = torch.utils.data.TensorDataset(X, y)
train, valid = torch.utils.data.random_split(data, [60, 20])
loader = torch.utils.data.DataLoader(train, batch_size=16, shuffle=True)
""" + LOOP,
    "torch, two workers": TORCH + """
loader = torch.utils.data.DataLoader(Noisy(), batch_size=16, shuffle=True, num_workers=2)
""" + LOOP,
    "lightning, two workers": TORCH + """
import warnings; warnings.simplefilter("ignore")
import lightning
class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = net
    def training_step(self, batch, number):
        return ((self.net(batch[0]) - batch[1]) ** 2).mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)
loader = torch.utils.data.DataLoader(Noisy(), batch_size=16, shuffle=True, num_workers=2)
module = Module()
lightning.Trainer(
    max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False,
).fit(module, loader)
weights(net)
""",
    "keras on torch": KERAS.format(backend="torch"),
    "keras on jax": KERAS.format(backend="jax"),
    "a set of words": """
import random
import histhooks
words = {"".join(random.choices("abcdef", k=5)) for _ in range(200)}
with histhooks.start_run("a"):
    show(" ".join(words).encode())
""",
    "all that seeds itself": """
import random, numpy as np, torch
from random import Random
import histhooks
def of(seed=None):
    return np.random.RandomState(seed).rand()  # one line: with entropy, and with a seed
class Own(np.random.RandomState):
    pass
class Mine(random.Random):
    pass
with histhooks.start_run("a"):
    found = [of(), of(3), of(), of([1, 2]), Own().rand(), np.random.Generator(np.random.Philox()).random()]
    found += [np.random.default_rng(s).random() for s in np.random.SeedSequence().spawn(2)]
    found += [Random().random(), Random().random(), Mine().random(), Mine(3).random()]
    np.random.seed(); random.seed(); torch.seed()
    found += [np.random.rand(), random.random(), torch.rand(1).item()]
    print(found)
""",
}  # fmt: skip
NEEDS = {"sklearn": "sklearn", "xgboost": "xgboost", "a": "histhooks", "all": "torch"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_unseeded_program_gives_the_same_bits_again(name: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS.get(name.partition(" ")[0].strip(","), name.partition(" ")[0].strip(",")))
    if name.endswith("jax"):
        pytest.importorskip("jax")
    program, store = tmp_path / "program.py", tmp_path / "histhooks.db"
    program.write_text(HASH + PROGRAMS[name])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONHASHSEED"}
    command = [sys.executable, "-m", "histhooks", "run", "--store", str(store), program.name]
    outputs = []
    for target in (store, tmp_path / "other.db"):
        command[-2] = str(target)
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs[0] != outputs[1], "a program that gives the same numbers by itself shows nothing"
    assert query(store, "SELECT count(*) > 0, sum(status <> 'finished') FROM runs") == [(1, 0)]
    assert query(store, "SELECT note FROM captures WHERE collector IN ('entropy', 'random states', 'hooks')") == []
    words = [sys.executable, "-m", "histhooks", "reproduce", str(store), "last", "--exec", "--yes", "--json"]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert outputs[0].strip() in found["output"], done.stderr
    if NEEDS.get(name.partition(" ")[0]) not in ("histhooks", "torch"):  # whose runs have no number to compare
        assert (done.returncode, found["level"], found["first"]) == (0, "bits", None), found
