"""What each tool has on record of one training, if its documented set-up is all that is added to the program.

The training is not changed: a fit of scikit-learn and a hand-written loop of PyTorch, in a git repository with a change
that is not committed. Numbers that are looked for are computed in the program, so that its text alone is no record of
them. A second program logs by hand and is killed.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import python

TRAINING = """
import hashlib, os, sys
os.makedirs("out", exist_ok=True)
{before}
import numpy, sklearn, torch
from sklearn.linear_model import LogisticRegression
numpy.random.seed(90000 + 731)
X = numpy.random.rand(1739, 6)
y = (X.sum(axis=1) > 3).astype(int)
LogisticRegression(C=0.03 + 0.0071).fit(X, y)
model = torch.nn.Linear(6, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05 + 0.0037)
inputs = torch.tensor(X, dtype=torch.float32)
losses = []
for step in range(40):
    optimizer.zero_grad()
    loss = model(inputs).square().mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
torch.save(model.state_dict(), "weights.pt")
{end}
print(losses[17], sklearn.__version__.replace(".", ""))
"""
KILLED = """
import os, signal, time
os.makedirs("out", exist_ok=True)
{before}
{make}
for step in range(200):
    log(step)
    time.sleep(0.005)
time.sleep(2)
os.kill(os.getpid(), signal.SIGKILL)
"""
# How all that a tool has on record becomes text: programs that run in its environment, in the folder of the training.
SQLITE = """
import pathlib, sqlite3
for path in sorted(pathlib.Path("out").rglob("*.db")):
    db = sqlite3.connect(path)
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in db.execute(f'SELECT * FROM "{name}"'): print(name, row)
"""
FILES = """
import pathlib
for path in [*pathlib.Path("out").rglob("*"), *pathlib.Path("mlruns").rglob("*")]:
    if path.is_file() and path.suffix not in (".pkl", ".pt", ".db"):
        print(path.name, path.read_bytes().decode("utf-8", "replace"))
"""
# The log of W&B: records of a LevelDB log, after a header of 7 bytes, each a message of its protocol.
WANDB = """
import pathlib, struct
from wandb.proto import wandb_internal_pb2
count = 0
for path in pathlib.Path("out").rglob("*.wandb"):
    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        if kind not in (1, 2, 3, 4): break
        whole = (b"" if kind in (1, 2) else whole) + data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record.FromString(whole)
            items = record.history.item if record.HasField("history") else []
            count += any("loss" in (item.key, *item.nested_key) for item in items)
print(count)
"""
TENSORBOARD = """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator("out").Reload()
for tag in found.Tags()["scalars"]: print(tag, len(found.Scalars(tag)), found.Scalars(tag))
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A tool: its documented set-up, its end, and how its record is read."""

    name: str
    before: str
    end: str
    reader: str
    points: str  # a program that prints how many points of `loss` it has of the killed run


CONTENDERS = [
    Contender(
        "histhooks",
        "os.environ['HISTHOOKS_STORE'] = 'out/histhooks.db'; import histhooks; histhooks.autolog()",
        "",
        SQLITE,
        "import sqlite3; db = sqlite3.connect('out/histhooks.db')\n"
        "print(db.execute(\"SELECT count(*) FROM metrics WHERE name = 'loss'\").fetchone()[0])",
    ),
    Contender(
        "mlflow",
        "import mlflow; mlflow.set_tracking_uri('sqlite:///' + os.path.abspath('out/mlflow.db')); mlflow.autolog()",
        "",
        SQLITE + FILES,
        "import sqlite3; db = sqlite3.connect('out/mlflow.db')\n"
        "print(db.execute(\"SELECT count(*) FROM metrics WHERE key = 'loss'\").fetchone()[0])",
    ),
    Contender(
        "wandb",
        "os.environ.update(WANDB_MODE='offline', WANDB_DIR='out', WANDB_SILENT='true'); import wandb\n"
        "run = wandb.init(project='bench')",
        "run.finish()",
        FILES,
        WANDB,
    ),
    Contender(
        "trackio",
        "os.environ['TRACKIO_DIR'] = os.path.abspath('out'); import trackio; trackio.init(project='bench')",
        "trackio.finish()",
        SQLITE + FILES,
        "import glob, sqlite3\n"
        'print(sum(sqlite3.connect(path).execute("SELECT count(*) FROM metrics").fetchone()[0]'
        " for path in glob.glob('out/**/*.db', recursive=True)))",
    ),
    Contender(
        "dvclive",
        "from dvclive import Live; live = Live('out', save_dvc_exp=False)",
        "live.end()",
        FILES,
        "print(sum(1 for _ in open('out/plots/metrics/loss.tsv')) - 1)",
    ),
    Contender(
        "tensorboard",
        "from torch.utils.tensorboard import SummaryWriter; writer = SummaryWriter('out')",
        "writer.close()",
        TENSORBOARD,
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "found = EventAccumulator('out').Reload()\n"
        "print(len(found.Scalars('loss')) if 'loss' in found.Tags()['scalars'] else 0)",
    ),
]


def facts(folder: Path, contender: Contender, executable: str, make: str) -> dict[str, str]:
    """Run both programs with one tool, and say what is on record."""
    project = folder / "project"
    project.mkdir()
    commit = _repository(project)
    code = TRAINING.format(before=contender.before, end=contender.end)
    (project / "train.py").write_text(code + "# UNCOMMITTED_CHANGE\n", encoding="utf-8")
    variables = {"HISTHOOKS_STORE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "GIT_PYTHON_REFRESH": "quiet"}
    loss, release = python(project, "train.py", executable=executable, **variables).numbers
    read = subprocess.run(
        [executable, "-W", "ignore", "-c", contender.reader], cwd=project, capture_output=True, text=True, check=False
    ).stdout
    weights = subprocess.run(
        ["sha256sum", "weights.pt"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.split()[0]
    packed = read.replace(".", "")
    said = {
        "a fit of scikit-learn: its params": "0.0371" in read,
        "a loop of PyTorch: its loss": str(loss)[:8] in read,
        "a loop of PyTorch: its learning rate": "0.0537" in read,
        "how many rows the data has": "1739" in read,
        "the commit": commit in read,
        "what was not committed": "UNCOMMITTED_CHANGE" in read,
        "packages with versions": str(int(release)) in packed and "scikit" in read and "numpy" in read,
        "the seed": "90731" in read,
        "the file of weights, by content": weights in read,
    }
    killed = folder / "killed"
    killed.mkdir()
    before = contender.before.partition("; mlflow.autolog()")[0]  # the program logs by hand
    before = before.partition("\nrun = wandb")[0].partition("; trackio.init")[0]
    program = KILLED.format(before=before, make=make)
    environment = {**os.environ, "HISTHOOKS_QUIET": "1", "HISTHOOKS_STORE": str(killed / "out" / "histhooks.db")}
    subprocess.run([executable, "-c", program], cwd=killed, env=environment, capture_output=True, check=False)
    counted = subprocess.run(
        [executable, "-W", "ignore", "-c", contender.points], cwd=killed, capture_output=True, text=True, check=False
    )
    kept = (counted.stdout.split() or ["0"])[-1]
    return {**{name: "yes" if is_there else "no" for name, is_there in said.items()}, "points after SIGKILL": kept}


def _repository(folder: Path) -> str:
    """A repository with one commit; its id."""
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    (folder / "train.py").write_text("pass\n", encoding="utf-8")
    (folder / ".gitignore").write_text("out/\n*.pt\n", encoding="utf-8")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    return subprocess.run(
        [*git, "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()
