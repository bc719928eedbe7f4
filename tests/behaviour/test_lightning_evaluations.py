"""``validate`` and ``test`` without a fit: the run has every value and hyperparameter that ``CSVLogger`` wrote.

The kinds are those of Lightning's own tests of loggers and of ``self.log`` that call no ``fit``.
"""

from __future__ import annotations

import csv
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import histhooks
from histhooks import recorder

pytest.importorskip("lightning")

import lightning
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

Say = Callable[[lightning.LightningModule, torch.Tensor], object]


def rows(n: int) -> DataLoader[Any]:
    return DataLoader(list(torch.randn(n, 3, generator=torch.Generator().manual_seed(n))), 4)  # type: ignore[arg-type]


class Net(lightning.LightningModule):
    def __init__(self, say: Say, width: int = 3, optim: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="say")
        self.layer, self.say = torch.nn.Linear(3, 1), say

    def _step(self, batch: Any, n: int, dataloader_idx: int = 0) -> None:
        self.say(self, self.layer(batch).square().mean())

    validation_step = test_step = _step

    def on_validation_epoch_end(self) -> None:
        self.log("at_the_end", 7.0)

    on_test_epoch_end = on_validation_epoch_end


class Rows(lightning.LightningDataModule):
    def __init__(self, fold: int = 0) -> None:
        super().__init__()
        self.save_hyperparameters()

    def val_dataloader(self) -> Any:
        return rows(8)

    test_dataloader = val_dataloader


WAYS: dict[str, Say] = {
    "as it comes": lambda net, loss: net.log("loss", loss),
    "by step": lambda net, loss: net.log("loss", loss, on_step=True, on_epoch=False),
    "both": lambda net, loss: net.log("loss", loss, on_step=True, on_epoch=True),
    "many at once": lambda net, loss: net.log_dict({"a": loss, "b": loss + 1}, prog_bar=True),
    "reduced by max": lambda net, loss: net.log("loss", loss, reduce_fx="max"),
    "of another batch size": lambda net, loss: net.log("loss", loss, batch_size=1),
    "not a number": lambda net, loss: net.log("loss", loss * float("nan")),
}
DATA: dict[str, Callable[[], dict[str, Any]]] = {
    "a loader": lambda: {"dataloaders": rows(8)},
    "two loaders": lambda: {"dataloaders": [rows(8), rows(12)]},
    "a DataModule": lambda: {"datamodule": Rows(2)},
    "a DataModule in the place of loaders": lambda: {"dataloaders": Rows(3)},
}


def evaluate(verb: str, way: str, data: str, folder: Path) -> tuple[list[dict[str, str]], dict[str, Any], list[Any]]:
    lightning.seed_everything(1, verbose=False)
    logger = CSVLogger(folder, name="log")
    trainer = lightning.Trainer(
        accelerator="cpu", logger=logger, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    scores = getattr(trainer, verb)(Net(WAYS[way], optim={"lr": 0.5}), verbose=False, **DATA[data]())
    logger.save()
    written = list(csv.DictReader((Path(logger.log_dir) / "metrics.csv").read_text().splitlines()))
    return written, yaml.safe_load((Path(logger.log_dir) / "hparams.yaml").read_text()), scores


def values_of(written: list[dict[str, str]]) -> Counter[tuple[str, str]]:
    """How often each value of each column stands in the file of a logger."""
    cells = (cell for row in written for cell in row.items() if cell[0] not in ("step", "epoch"))
    return Counter((name, repr(float(text))) for name, text in cells if text)


def flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", ["validate", "test"])
def test_an_evaluation_alone_has_what_the_logger_wrote(tmp_path: Path, verb: str, way: str, data: str) -> None:
    for name in ("pytorch", "fabric"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.ERROR)
    plain = evaluate(verb, way, data, tmp_path / "plain")
    store = tmp_path / "histhooks.db"
    histhooks.autolog("lightning", store=store)
    try:
        written, hyperparameters, scores = evaluate(verb, way, data, tmp_path / "recorded")
        assert recorder.flush()
    finally:
        histhooks.disable()
    assert repr((written, hyperparameters, scores)) == repr(plain)
    connection = sqlite3.connect(store)
    points = connection.execute("SELECT name, value, special, split FROM metrics WHERE split IS NOT 'system'")
    recorded = [(name, repr(float(special or value)), split) for name, value, special, split in points]
    params = {key: json.loads(value) for key, value in connection.execute("SELECT key, value FROM params")}
    assert connection.execute("SELECT kind, status FROM runs").fetchall() == [("evaluate", "finished")]
    connection.close()
    assert written
    assert values_of(written) <= Counter((name, value) for name, value, _ in recorded)
    known = {text for row in written for text in row.values()} | {str(v) for score in scores for v in score.values()}
    assert {value for _, value, _ in recorded} <= {repr(float(text)) for text in known if text}
    assert {split for _, _, split in recorded} == {"valid" if verb == "validate" else "test"}
    assert hyperparameters
    assert flat(hyperparameters).items() <= params.items()
