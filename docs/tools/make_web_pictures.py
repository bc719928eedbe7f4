"""Photograph the pages of `histhooks ui` for docs/guide/web.md: ``python docs/tools/make_web_pictures.py``.

Small networks are trained on digits with several learning rates, and Chromium shows their pages. Needs scikit-learn,
the extra `ui`, playwright and Chromium.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from histhooks.ui import serve

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
SIZE = {"width": 1200, "height": 760}

TRAIN = """
import pickle
from pathlib import Path

import histhooks
import numpy
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_valid, y_train, y_valid = train_test_split(X / 16, y, random_state=0)
for lr, width in ((0.1, 32), (0.03, 32), (0.01, 32), (0.003, 32), (0.01, 8), (0.01, 128)):
    with histhooks.start_run("digits", params={"lr": lr, "width": width}, tags={"team": "vision"}) as run:
        run.log_dataset("train", X_train, y_train)
        run.log_dataset("valid", X_valid, y_valid)
        model = MLPClassifier((width,), solver="sgd", learning_rate_init=lr, momentum=0.5, random_state=0)
        order = numpy.random.default_rng(0)
        for epoch in range(12):
            for step, rows in enumerate(numpy.array_split(order.permutation(len(X_train)), 40)):
                model.partial_fit(X_train[rows], y_train[rows], classes=range(10))
                run.log({"loss": model.loss_}, step=epoch * 40 + step, epoch=epoch)
            scores = model.predict_proba(X_valid)
            told = {"val_loss": log_loss(y_valid, scores), "val_accuracy": (scores.argmax(1) == y_valid).mean()}
            run.log(told, step=epoch * 40 + 39, epoch=epoch)
        Path("digits.pkl").write_bytes(pickle.dumps(model))
        run.log_artifact("digits.pkl", role="model")
with histhooks.start_run("judge") as run:
    run.log_artifact("digits.pkl", role="model", direction="in")
    run.log_dataset("test", X_valid[:100], y_valid[:100])
    run.log({"test_accuracy": (scores[:100].argmax(1) == y_valid[:100]).mean()})
try:
    with histhooks.start_run("digits", params={"lr": 30.0, "width": 32}):
        raise FloatingPointError("loss is nan at epoch 0")
except FloatingPointError:
    pass
"""


def main() -> None:
    """Train, serve, and photograph."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "digits"
        project.mkdir()
        (project / "train.py").write_text(TRAIN, encoding="utf-8")
        store = project / "histhooks.db"
        variables = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_ACTOR": "ada", "HISTHOOKS_QUIET": "1"}
        variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        for words in (("init", "-q"), ("add", "train.py"), (*author, "commit", "-qm", "digits")):
            subprocess.run(["git", *words], cwd=project, check=True)
        promote = ["histhooks", "promote", "digits.pkl", "--model", "digits", "--reason", "the widest", "--no-check"]
        for words in (["python", "train.py"], promote):
            subprocess.run(words, cwd=project, env=variables, check=True)
        server = serve([store])
        try:
            _photograph(server.url)
        finally:
            server.close()


def _photograph(url: str) -> None:
    root = url.partition("?")[0] + "s/histhooks/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(url)
        rows = page.locator("tr[data-run]")
        ids = [rows.nth(n).get_attribute("data-run") for n in range(rows.count())]
        page.goto(root + "runs?sort=val_loss&cols=val_accuracy")
        for n in (1, 2, 3):
            page.check(f"tr[data-run]:nth-child({n}) input")
        page.screenshot(path=PICTURES / "web_runs.png", clip={"x": 0, "y": 0, "width": SIZE["width"], "height": 710})
        page.goto(root + f"charts?runs={','.join(str(i)[-8:] for i in ids[2:7])}&smooth=0.8")
        page.wait_for_selector(":nth-match(.card.drawn canvas, 2)")
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / "web_charts.png")
        page.goto(root + f"runs/{ids[2]}/lineage")
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / "web_lineage.png", clip={"x": 0, "y": 0, "width": SIZE["width"], "height": 650})
        page.goto(root + "explore?where=has+val_loss")
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / "web_explore.png", clip={"x": 0, "y": 0, "width": SIZE["width"], "height": 690})
        page = browser.new_page(viewport=SIZE, color_scheme="dark")
        page.goto(url)
        page.goto(root + f"runs/{ids[2]}")
        page.wait_for_selector(".card.drawn canvas")
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURES / "web_run.png")
        browser.close()


if __name__ == "__main__":
    main()
