"""Draw docs/pictures/ from what the command line really prints: ``python docs/tools/make_pictures.py``.

A small project is made in a temporary folder, trained twice with a change between, and asked; nothing is drawn by hand.
Needs scikit-learn and PyTorch.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
WIDTH = 96
ENVIRONMENT = {
    "HISTHOOKS_ACTOR": "ada",
    "HISTHOOKS_QUIET": "1",
    "HISTHOOKS_SYSTEM_S": "0",  # whether a sample fell into so short a run is chance
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
}

TRAIN = """
import random

import histhooks
import numpy
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split

random.seed(7), numpy.random.seed(7), torch.manual_seed(7)
EPOCHS, LR = 12, 0.003
X, y = load_digits(return_X_y=True)
X = X / X.max()
data = TensorDataset(torch.tensor(X, dtype=torch.float32), torch.tensor(y))
train, valid = random_split(data, [1500, 297])
train_loader, valid_loader = DataLoader(train, 64, shuffle=True), DataLoader(valid, 297)
model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)

for epoch in range(EPOCHS):
    for inputs, targets in train_loader:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
    scheduler.step()
    with torch.no_grad():
        ((inputs, targets),) = valid_loader
        scores = model(inputs)
        val_loss = torch.nn.functional.cross_entropy(scores, targets).item()
        val_accuracy = (scores.argmax(1) == targets).float().mean().item()
    histhooks.log({"val_loss": val_loss, "val_accuracy": val_accuracy}, epoch=epoch)
torch.save(model.state_dict(), "digits.pt")
"""
# What is changed, and not committed, before the second training.
CHANGES = {"X = X / X.max()": "X = (X - X.mean()) / X.std()", "LR = 12, 0.003": "LR = 12, 0.01"}

# Name of the picture: what is asked.
ASKED = {
    "runs": "histhooks runs",
    "show": "histhooks show last",
    "diff": "histhooks diff last~1 last",
    "plot": "histhooks plot last~1 last val_loss",
}


def history(folder: Path) -> None:
    """Train twice, with a change that is not committed before the second time."""
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    environment = {**os.environ, **ENVIRONMENT}
    program = folder / "train.py"
    program.write_text(TRAIN.lstrip())
    remote = ["remote", "add", "origin", "https://git.example.org/ada/digits.git"]
    for command in (["init", "-q", "-b", "main"], remote, ["add", "-A"], ["commit", "-q", "-m", "digits"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    train = ["histhooks", "run", "train.py"]
    subprocess.run(train, cwd=folder, env=environment, check=True)
    text = program.read_text()
    for before, after in CHANGES.items():
        text = text.replace(before, after)
    program.write_text(text)
    subprocess.run(train, cwd=folder, env=environment, check=True)


def ask(command: str, folder: Path) -> str:
    """What a command prints on a terminal."""
    words = [sys.executable, "-m", "histhooks", *command.split()[1:]]
    ours, theirs = pty.openpty()
    environment = {**os.environ, **ENVIRONMENT, "COLUMNS": str(WIDTH), "LINES": "60", "TERM": "xterm-256color"}
    process = subprocess.Popen(words, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says EIO where the last writer has gone
            break
        if not part:
            break
        output += part
    os.close(ours)
    process.wait()
    return output.decode().replace("\r\n", "\n")


def draw(title: str, text: str) -> str:
    """A terminal's text as an SVG that needs nothing from elsewhere."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w", encoding="utf-8"), force_terminal=True)  # noqa: SIM115
    text = text.replace(f"{Path(sys.executable).parent}{os.sep}", "")  # where Python lies here is nobody's business
    console.print(Text.from_ansi(f"$ {title}\n{text.rstrip()}"))
    svg = console.export_svg(title=title, unique_id="histhooks")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> None:
    """Draw every picture."""
    PICTURES.mkdir(exist_ok=True)
    folder = Path(tempfile.gettempdir()) / "digits"  # its name is in the pictures
    folder.mkdir()
    try:
        history(folder)
        for picture, command in ASKED.items():
            (PICTURES / f"{picture}.svg").write_text(draw(command, ask(command, folder)), encoding="utf-8")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
