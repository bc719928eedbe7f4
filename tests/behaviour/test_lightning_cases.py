"""Ways to log in Lightning, one small program each: the record has every point that ``CSVLogger`` wrote.

The kinds are those that Lightning's own tests of loggers and of ``self.log`` go through, but for what needs another
device. Those without a fit are in ``test_lightning_evaluations``.
"""

from __future__ import annotations

import csv
import logging
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import histhooks
from histhooks import recorder

pytest.importorskip("lightning")

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

Hook = Callable[..., Any]


class Net(lightning.LightningModule):
    """A module whose hooks call those of a case."""

    def __init__(self, **hooks: Hook) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.hooks = hooks

    def then(self, name: str, *given: Any) -> Any:
        return self.hooks[name](self, *given) if name in self.hooks else None

    def step(self, batch: Any) -> Any:
        return self.layer(batch["x"] if isinstance(batch, dict) else batch).square().mean()

    def training_step(self, batch: Any, n: int) -> Any:
        loss = self.step(batch)
        self.then("train", loss, n)
        return loss

    def validation_step(self, batch: Any, n: int, dataloader_idx: int = 0) -> Any:
        loss = self.step(batch)
        self.then("valid", loss, n, dataloader_idx)
        return loss

    def configure_optimizers(self) -> Any:
        found = self.then("optimizers")
        return torch.optim.SGD(self.parameters(), 0.1) if found is None else found


def _own(name: str) -> Hook:
    def hook(self: Net, *given: Any) -> None:
        self.then(name)

    return hook


PLAIN = ("on_fit_start", "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end",
         "on_train_epoch_end", "on_validation_start", "on_validation_epoch_start", "on_validation_batch_start",
         "on_validation_batch_end", "on_validation_epoch_end", "on_before_zero_grad", "on_after_backward",
         "on_before_backward", "on_before_optimizer_step")  # fmt: skip
for _name in PLAIN:
    setattr(Net, _name, _own(_name))


class Says(Callback):
    """A callback that logs in the hooks that it is given."""

    def __init__(self, **hooks: Hook) -> None:
        for name, hook in hooks.items():
            setattr(self, name, self._calling(hook))

    def _calling(self, hook: Hook) -> Hook:
        return lambda trainer, module, *given: hook(self, trainer, module)


class Seen(Callback):
    """What ``callback_metrics`` and ``logged_metrics`` hold at each moment at which a program may look at it."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def look(self, trainer: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            connector = trainer._logger_connector
            for found in (connector._callback_metrics, connector._logged_metrics):
                for name, value in found.items():
                    self.values.setdefault(name, []).append(float(value))

    on_train_batch_start = on_train_batch_end = on_train_epoch_end = on_train_end = look
    on_validation_start = on_validation_batch_start = on_validation_epoch_end = on_validation_end = look


class Kept(Logger):
    """A logger of the program's own."""

    name, version = "kept", "0"

    def log_hyperparams(self, *given: Any, **more: Any) -> None: ...

    def log_metrics(self, metrics: Any, step: Any = None) -> None: ...


def rows(n: int = 12, as_dict: bool = False) -> DataLoader[Any]:
    points = torch.randn(n, 3, generator=torch.Generator().manual_seed(n))
    return DataLoader([{"x": point} for point in points] if as_dict else list(points), 4)  # type: ignore[arg-type]


STEP, EPOCH, BOTH = ({"on_step": a, "on_epoch": b} for a, b in ((True, False), (False, True), (True, True)))
QUIET = {"logger": False, "prog_bar": True}


def each_way(self: Net, loss: Any, n: int, *_: Any) -> None:
    self.log("default", loss)
    for name, how in (("s", STEP), ("e", EPOCH), ("se", BOTH)):
        self.log(f"l_{name}", loss, **how)
        self.log(f"p_{name}", loss, **how, **QUIET)


def counted(self: Net, loss: Any, n: int, *_: Any) -> None:
    self.log("seen", float(n), **BOTH)


def by_callback(self: Any, trainer: Any, module: Any) -> None:
    self.log(f"said/{module._current_fx_name}", float(trainer.global_step + 1), on_epoch=True)


def twice(self: Any, trainer: Any, module: Any) -> None:
    for how in (STEP, EPOCH, BOTH):
        name = "".join("sn"[not v] for v in how.values())
        module.log(f"{module._current_fx_name}/{name}", float(trainer.global_step + 1), **how)


def with_step(name: str) -> Hook:
    def hook(self: Net) -> None:
        self.log_dict({"step": float(10 * (self.current_epoch + 1)), name: float(self.global_step)})

    return hook


def fork(self: Net) -> Any:
    first, second = torch.optim.SGD([self.layer.weight], 0.1), torch.optim.Adam([self.layer.bias], 0.01)
    return [first, second]


def scheduled(self: Net) -> Any:
    optimizer = torch.optim.SGD(self.parameters(), 0.1)
    schedulers = [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5), torch.optim.lr_scheduler.StepLR(optimizer, 2)]
    return [optimizer], [{"scheduler": one, "interval": "step", "name": f"s{n}"} for n, one in enumerate(schedulers)]


def manual(self: Net, loss: Any, n: int) -> None:
    for optimizer in self.optimizers():
        optimizer.zero_grad()
        self.manual_backward(self.layer(torch.ones(1, 3)).sum() * (n + 1))
        optimizer.step()
    self.log("train_loss", loss)


def refused(value: Any, **how: Any) -> dict[str, Any]:
    return {"train": lambda self, *_: [self.log("good", 1.0, **STEP), self.log("foo", value, **how)]}


def said(self: Net, **values: float) -> None:
    for name, value in values.items():
        self.log(name, value)


# name: hooks of the module, settings of the trainer, the other callbacks, loaders
CASES: dict[str, dict[str, Any]] = {
    "each way in training": {"net": {"train": each_way}},
    "each way in validation": {"net": {"valid": each_way}},
    "each way in both under one name": {"net": {"train": each_way, "valid": each_way}},
    "one monitored": {"net": {"train": each_way}, "callbacks": lambda: [ModelCheckpoint(monitor="l_se")]},
    "a callback stops by it": {
        "net": {"train": each_way, "valid": lambda self, loss, *_: self.log("val_acc", loss, **BOTH)},
        "callbacks": lambda: [EarlyStopping("val_acc", patience=0, mode="max"), ModelCheckpoint(monitor="val_acc")],
        "trainer": {"max_epochs": 5},
    },
    "an epoch's end logs": {
        "net": {
            "train": lambda self, loss, n: [self.log("a", loss, **BOTH), self.log_dict({"a1": loss, "a2": loss})],
            "on_train_epoch_end": lambda self: [self.log("b1", 1.0), self.log("b", 2.0, prog_bar=True)],
        }
    },
    "a validation's end logs": {
        "net": {
            "train": lambda self, loss, n: self.log("b", loss, **BOTH),
            "valid": lambda self, loss, *_: [self.log("c", loss), self.log("d", loss, **BOTH)],
            "on_validation_epoch_end": lambda self: [self.log("g", torch.tensor(2)), self.log("d/e/f", 2)],
        }
    },
    **{
        f"reduced by {how}": {
            "net": {
                "train": lambda self, loss, n, how=how: self.log("foo", torch.tensor(n), reduce_fx=how, **EPOCH),
                "valid": lambda self, loss, n, _, how=how: self.log("bar", float(n), reduce_fx=how),
            }
        }
        for how in ("min", "max", "mean", "sum")
    },
    "batches that are dicts": {"net": {"train": counted, "valid": counted}, "as_dict": True},
    "a fast run": {"net": {"train": each_way, "valid": each_way}, "trainer": {"fast_dev_run": 2}},
    "callbacks in training": {
        "net": {"train": lambda self, loss, n: self.log("train_loss", loss, prog_bar=True)},
        "callbacks": lambda: [
            Says(**dict.fromkeys(("on_train_start", "on_train_epoch_start", "on_train_epoch_end"), by_callback)),
            Says(**dict.fromkeys(("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad"), twice)),
        ],
    },
    "callbacks in validation": {
        "net": {"train": each_way},
        "callbacks": lambda: [
            Says(**dict.fromkeys(("on_validation_start", "on_validation_epoch_end"), by_callback)),
            Says(**dict.fromkeys(("on_validation_batch_start", "on_validation_batch_end"), twice)),
        ],
    },
    "hooks of the module": {
        "net": {
            name: lambda self, name=name: self.log(name, self.global_step + 1.0, on_epoch=True)
            for name in PLAIN
            if name not in ("on_fit_start",)
        }
    },
    "summed over batches": {
        "net": {
            name: lambda self, name=name: self.log(name, 1.0, reduce_fx="sum", **EPOCH)
            for name in ("on_train_batch_start", "on_train_batch_end", "on_validation_batch_end")
        }
    },
    "the sanity check alone": {
        "net": {"valid": lambda self, loss, *_: self.trainer.sanity_checking and self.log("val_loss", loss)},
        "trainer": {"num_sanity_val_steps": 2},
    },
    "once as training starts": {"net": {"on_train_start": lambda self: said(self, foo=123.0)}},
    "epoch is a name": {"net": {"train": lambda self, loss, n: self.log("epoch", -float(n), **STEP)}},
    "step is a name": {
        "net": {"on_train_epoch_end": with_step("train_acc"), "on_validation_epoch_end": with_step("val_acc")}
    },
    "step is a name by step": {
        "net": {"train": lambda self, loss, n: self.log_dict({"step": 100.0 + self.global_step, "x": loss}, **STEP)}
    },
    "step is no place": {"net": {"train": lambda self, loss, n: self.log_dict({"step": -1.0, "x": loss}, **STEP)}},
    "stopped while it accumulates": {
        "net": {
            "train": lambda self, loss, n: setattr(self.trainer, "should_stop", self.current_epoch == 1 and n == 0),
            "on_train_batch_start": lambda self: self.log("acc", 1.0 + self.current_epoch, **STEP),
        },
        "trainer": {"accumulate_grad_batches": 3, "max_epochs": 3},
        "needs": {"acc": {1.0, 2.0}},
    },
    "two loaders": {"net": {"train": counted, "valid": counted}, "loaders": 2},
    "two loaders within an epoch": {
        "net": {"train": counted, "valid": lambda self, loss, n, d: self.log("val_loss", (n + 1.0) * (d + 1))},
        "loaders": 2,
        "trainer": {"val_check_interval": 1},
    },
    "two loaders under names of their own": {
        "net": {"valid": lambda self, loss, n, d: self.log(f"val_loss_{d}", loss, add_dataloader_idx=False)},
        "loaders": 2,
    },
    "rarely": {"net": {"train": each_way, "valid": each_way}, "trainer": {"log_every_n_steps": 2, "max_epochs": 3}},
    "accumulated": {"net": {"train": each_way}, "trainer": {"accumulate_grad_batches": 2}},
    "each second epoch validated": {
        "net": {"train": each_way, "valid": each_way},
        "trainer": {"check_val_every_n_epoch": 2, "max_epochs": 4},
    },
    "some steps": {"net": {"train": each_way, "valid": each_way}, "trainer": {"max_epochs": -1, "max_steps": 5}},
    "rates are monitored": {
        "net": {"train": each_way, "optimizers": scheduled},
        "callbacks": lambda: [LearningRateMonitor("step")],
    },
    "optimized by hand": {"net": {"train": manual, "optimizers": fork}, "by_hand": True},
    "many loggers": {"net": {"train": each_way, "valid": each_way}, "loggers": 3},
    "told to the logger": {
        "net": {"train": lambda self, loss, n: self.logger.log_metrics({"direct": float(n)}, step=7 + self.global_step)}
    },
    "not a number": {
        "net": {"train": lambda self, loss, n: self.log("x", float("nan") if n else float("inf"), **STEP)}
    },
    **{
        f"refused: {value!r}": {"net": refused(value), "raises": ValueError}
        for value in (None, {"a": 1}, "foo", [1, 2, 3], torch.tensor([1.0, 2.0]))
    },
    "refused: twice": {
        "net": {"train": lambda self, *_: [self.log("foo", -1.0), self.log("foo", -1.0, prog_bar=True)]},
        "raises": MisconfigurationException,
    },
    "refused: reduced by something": {"net": refused(1.0, reduce_fx=torch.argmax), "raises": MisconfigurationException},
    "refused: a name of a loader": {
        "net": {"train": lambda self, *_: self.log("foo/dataloader_idx_0", -1)},
        "raises": MisconfigurationException,
    },
    "refused: where nothing may log": {
        "net": {"on_fit_start": lambda self: self.log("foo", 1.0)},
        "raises": MisconfigurationException,
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("pytorch", "fabric"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.ERROR)
    return tmp_path_factory.mktemp("cases") / "histhooks.db"


def fit(case: dict[str, Any], folder: Path) -> tuple[list[dict[str, str]], Seen, list[bytes]]:
    lightning.seed_everything(1, verbose=False)
    net, seen = Net(**case["net"]), Seen()
    net.automatic_optimization = not case.get("by_hand", False)
    loggers: list[Any] = [CSVLogger(folder, name="log"), CSVLogger(folder, name="other"), Kept()]
    given = {"max_epochs": 2, "log_every_n_steps": 1, "num_sanity_val_steps": 0, **case.get("trainer", {})}
    callbacks = [*case.get("callbacks", list)(), seen]
    if not any(isinstance(one, ModelCheckpoint) for one in callbacks):
        given["enable_checkpointing"] = False
    fitter = lightning.Trainer(
        accelerator="cpu", logger=loggers[: case.get("loggers", 1)], callbacks=callbacks, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, **given,
    )  # fmt: skip
    train, valid = (rows(n, case.get("as_dict", False)) for n in (12, 8))
    if "raises" in case:
        with pytest.raises(case["raises"]):
            fitter.fit(net, train, [valid] * case.get("loaders", 1))
    else:
        fitter.fit(net, train, [valid] * case.get("loaders", 1))
    seen.look(fitter)
    path = folder / "log" / "version_0" / "metrics.csv"
    found = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
    return found, seen, [p.detach().numpy().tobytes() for p in net.parameters()]


def series_of(store: Path) -> tuple[str, dict[str, list[tuple[int, float]]]]:
    connection = sqlite3.connect(store)
    try:
        run, status = connection.execute("SELECT id, status FROM runs ORDER BY started_at DESC, id DESC").fetchone()
        sql = (
            "SELECT name, step, value, special FROM metrics WHERE run_id = ? AND split IS NOT 'system' ORDER BY name, n"
        )
        found: dict[str, list[tuple[int, float]]] = {}
        for name, step, value, special in connection.execute(sql, (run,)):
            found.setdefault(name, []).append((step, float(special) if special else value))
        return status, found
    finally:
        connection.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_the_record_has_what_the_logger_wrote(store: Path, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    plain = fit(case, tmp_path / "plain")
    histhooks.autolog("lightning", store=store)
    try:
        written, seen, weights = fit(case, tmp_path / "recorded")
        assert recorder.flush()
    finally:
        histhooks.disable()
    assert (written, repr(seen.values), weights) == (plain[0], repr(plain[1].values), plain[2])
    status, series = series_of(store)
    assert status == ("failed" if "raises" in case else "finished")
    assert written or "raises" in case or name in ("the sanity check alone", "a fast run")
    left = {one: list(points) for one, points in series.items()}
    for position, row in enumerate(written):
        step = int(row["step"]) * (2 if case.get("by_hand") else 1) + (1 if case.get("by_hand") else 0)
        step = position if step < 0 else step  # of no step at all, the record says which one it was
        for column, text in row.items():
            if not text or column == "step" or (column == "epoch" and name != "epoch is a name"):
                continue
            point = (step, float(text))
            homes = [one for one in (column, f"{column}/train", f"{column}/valid") if one in left]
            home = next((one for one in homes if _has(left[one], point)), None)
            assert home is not None, f"{column} {point} is in the logger's file, and not in {series}"
            left[home].remove(next(p for p in left[home] if _is(p, point)))
    columns = {column for row in written for column in row}
    for one, values in case.get("needs", {}).items():
        assert values == {value for _, value in series[one]}
    for one, points in left.items():
        bare = one.removesuffix("/train").removesuffix("/valid")
        if bare == "lr" or bare.startswith("lr/"):
            continue
        for _, value in points:
            known = seen.values.get(bare, [])
            assert any(_is((0, value), (0, other)) for other in known), (
                f"{one}: {value} of {points} is nowhere: {columns}"
            )


def _has(points: list[tuple[int, float]], point: tuple[int, float]) -> bool:
    return any(_is(one, point) for one in points)


def _is(one: tuple[int, float], other: tuple[int, float]) -> bool:
    return one[0] == other[0] and (one[1] == other[1] or (math.isnan(one[1]) and math.isnan(other[1])))
