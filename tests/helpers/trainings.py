"""A git repository in which real trainings were recorded, twice with changes between: what readers of two runs read.

The programs do what people's do: scikit-learn fits and a search, a Keras fit, a PyTorch loop that is resumed, a run
that fails. Between the first and the second round there is a commit, then changes that nobody committed and a new file.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FEATURES_1 = '''"""What the models see."""

SCALE = 16.0


def prepare(X):
    return X / SCALE
'''
FEATURES_2 = '''"""What the models see."""

SCALE = 8.0


def prepare(X):
    """Pixels between 0 and 2."""
    return X / SCALE
'''
CLASSIC = """
import sys
import histhooks
histhooks.autolog("sklearn", tags={"team": "red <b>&"})
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from features import prepare
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(prepare(X), y, random_state=0)
model = make_pipeline(StandardScaler(), LogisticRegression(C=float(sys.argv[1]), max_iter=200))
model.fit(X_train, y_train)
search = GridSearchCV(LogisticRegression(max_iter=200), {"C": [0.01, 0.1, 1.0]}, cv=3)
search.fit(X_train[:300], y_train[:300])
"""
NETWORK = """
import sys
import histhooks
histhooks.autolog("keras")
import keras
from sklearn.datasets import load_digits
from features import prepare
keras.utils.set_random_seed(int(sys.argv[1]))
X, y = load_digits(return_X_y=True)
X = prepare(X)
width = int(sys.argv[2])
layers = keras.layers
model = keras.Sequential([layers.Input((64,)), layers.Dense(width, "relu"), layers.Dense(10, "softmax")])
model.compile(keras.optimizers.Adam(float(sys.argv[3])), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(X[:1200], y[:1200], epochs=4, batch_size=64, validation_data=(X[1200:1500], y[1200:1500]), verbose=0)
model.evaluate(X[1500:], y[1500:], verbose=0)
"""
LOOP = """
import pathlib
import sys
import histhooks
histhooks.autolog("torch")
import torch
from sklearn.datasets import load_digits
torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
data = torch.utils.data.TensorDataset(torch.tensor(X / 16.0, dtype=torch.float32), torch.tensor(y))
loader = torch.utils.data.DataLoader(data, 64, shuffle=True)
model = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
head, body = [*model[2].parameters()], [*model[0].parameters()]
optimizer = torch.optim.SGD([{"params": body}, {"params": head, "lr": 0.2}], lr=float(sys.argv[1]), momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
if pathlib.Path("last.pt").exists():
    model.load_state_dict(torch.load("last.pt"))
def train():
    for epoch in range(3):
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
        scheduler.step()
        histhooks.log({"val_loss": loss.item()}, epoch=epoch)
        torch.save(model.state_dict(), "last.pt")
train()
"""
BLOCK = """
import math
import histhooks
histhooks.start_run("plain", params={"lr": 0.1}).end()
hostile = "<script>alert(1)</script>"
try:
    with histhooks.start_run(f"bad {hostile} [bold]", params={hostile: hostile, "lr": 0.2}) as run:
        run.tag("key]", hostile)
        run.note(f"note {hostile}\\nsecond line")
        for step in range(300):
            odd = float("nan") if step == 7 else step
            run.log({f"loss {hostile}": math.exp(-step / 50), "unknown": odd}, step=step)
        raise ValueError(f"no good {hostile} [/bold]")
except ValueError:
    pass
"""


def _run(folder: Path, *words: str, **variables: str) -> None:
    identity = {
        f"GIT_{who}_{what}": "someone@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **identity, "KERAS_BACKEND": "torch", "HISTHOOKS_QUIET": "1", **variables}
    subprocess.run(words, cwd=folder, env=environment, check=True, timeout=300)


def _train(folder: Path, program: str, *words: str) -> None:
    _run(folder, sys.executable, "-W", "ignore", program, *words, HISTHOOKS_STRICT="1")


def make(folder: Path) -> Path:
    """Make the repository and train in it.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Returns
    -------
    Path
        The store. Runs are, in order: `classic` and a search at the first commit, `network`, `loop`; then, with a
        second commit, changes on top and a new file, the same again, the loop from the weights of the first one; then
        a plain block and one that fails.
    """
    programs = {"classic.py": CLASSIC, "network.py": NETWORK, "loop.py": LOOP, "block.py": BLOCK}
    for name, text in {**programs, "features.py": FEATURES_1, ".gitignore": "*.pt\n__pycache__/\n"}.items():
        (folder / name).write_text(text.lstrip())
    _run(folder, "git", "init", "-q", "-b", "main")
    _run(folder, "git", "add", ".")
    _run(folder, "git", "commit", "-q", "-m", "first")
    _train(folder, "classic.py", "1.0")
    _train(folder, "network.py", "1", "16", "0.01")
    _train(folder, "loop.py", "0.05")
    (folder / "features.py").write_text(FEATURES_2)
    _run(folder, "git", "commit", "-q", "-am", "second")
    text = (folder / "classic.py").read_text()
    (folder / "classic.py").write_text(text.replace("max_iter=200", "max_iter=300"))
    (folder / "helpers.py").write_text("def unused():\n    return 1\n")
    _train(folder, "classic.py", "0.5")
    _train(folder, "network.py", "2", "24", "0.003")
    _train(folder, "loop.py", "0.1")
    _train(folder, "block.py")
    return folder / "histhooks.db"
