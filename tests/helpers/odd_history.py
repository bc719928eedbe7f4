"""A small history with what two databases may say differently: odd texts and numbers, and a row of most kinds."""

from __future__ import annotations

from pathlib import Path

from histhooks.testing import run_program

PROGRAM = r"""
import json
import histhooks

odd = {
    "nul": "a\0b", "mark": "\ue000e", "quote": "it's \"so\"", "percent": "50% _x\\y", "emoji": "naïve ☃ 😀",
    "sharp": "STRASSE", "small": "straße", "greek": "ΣΊΣΥΦΟΣ", "empty": "", "true": True, "false": "False",
    "none": None, "big": 2**63, "most": 2**63 - 1, "huge": 1e308, "tiny": 5e-324, "zero": -0.0, "inf": float("inf"),
    "nan": float("nan"), "text": "0.1", "under": "1_000", "list": [1, "two", None],
    "deep": {"a": {"b": [1, 2]}, "c": "x"},
    "long": "x" * 5000, "class": json.JSONDecoder, "line": "one\ntwo", "e": "1e400",
}
for number, lr in enumerate((0.1, 0.01, 1, 10, "0.5")):
    tags = {"team": ("red", "Red", "blue")[number % 3], "ta g": "é\0"}
    with histhooks.start_run(f"run {number}", params={"lr": lr, "number": number, **odd}, tags=tags) as run:
        for step in range(72 + 40 * number):  # the last epoch has two steps of its ten
            values = {"loss": 1 / (step + 1 + number), "score": (step * 7919) % 13 / 3, "odd": -0.0}
            if step % 9 == 4:
                values["odd"] = (float("nan"), float("inf"), float("-inf"))[step % 3]
            run.log(values, step=step * 2, epoch=step // 10)
        run.log({"val_loss": 0.5 + number, "wild": float("inf") if number % 2 else 1e-300}, step=1)
        run.log_results({"best_score": number / 7, "best_params": {"C": number, "kernel": "rbf"}})
        run.note(f"note {number} of É\0")
        run.tag("late", str(number))
        with histhooks.start_run(f"inner {number}", params={"depth": number}):
            histhooks.log({"loss": number}, step=0)
        with open("model.bin", "wb") as file:
            file.write(b"model %d" % (number // 2))
        run.log_artifact("model.bin", role="model")
        run.log_dataset("train", [[1.0, 2.0], [float(number // 3), 4.0]], [0, 1])
try:
    with histhooks.start_run("fails", params={"lr": 0.3}):
        histhooks.log({"loss": float("nan")}, step=0)
        raise ValueError("no \0 such ☃")
except ValueError:
    pass
with histhooks.start_run("many", tags={"team": "red"}) as run:
    for step in range(1500):
        run.log({"loss": ((step * 7919) % 1009) / 7}, step=step)
"""


def make(folder: Path) -> Path:
    """Record it."""
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "odd.db"
    code, _, error = run_program(PROGRAM, store, HISTHOOKS_PROJECT="odd", HISTHOOKS_ACTOR="Ann\u00c9@example.com")
    assert code == 0, error
    return store
