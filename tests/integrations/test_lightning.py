"""What Lightning's own calls leave in the store, under both of its names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.lightning_programs import BOTH, logged, params, points, record, setup
from histhooks.testing import query

pytest.importorskip("lightning")


@pytest.mark.parametrize("root", BOTH)
def test_epochs_steps_rates_and_settings_are_told(store_path: Path, root: str) -> None:
    body = """
class Keep(pl.Callback):
    def __init__(self): self.rows = []
    def on_train_epoch_start(self, trainer, module): self.keep(trainer)
    def on_train_end(self, trainer, module): self.keep(trainer)
    def keep(self, trainer):
        self.rows.append({k: float(v) for k, v in trainer.callback_metrics.items()})
keep = Keep()
trainer(callbacks=[keep]).fit(Net(width=7), data, data)
print(json.dumps(keep.rows[1:]))
"""
    rows = json.loads(record(store_path, body, setup(root)))
    assert len(rows) == 3
    for name in ("val_loss", "train_loss_epoch", "late"):
        expected = [(4 * n + 3, n, row[name]) for n, row in enumerate(rows)]
        assert points(store_path, name) == expected, name
    assert [step for step, _, _ in points(store_path, "train_loss_step")] == [1, 3, 5, 7, 9, 11]
    rates = {epoch: value for _, epoch, value in points(store_path, "lr")}
    assert rates == {0: 0.1, 1: 0.05, 2: 0.025}
    sql = "SELECT kind, status, framework, epochs_planned, epochs_done, steps_done FROM runs"
    assert query(store_path, sql) == [("fit", "finished", "lightning", 3, 3, 12)]
    found = params(store_path)
    assert found["width"] == (7, "argument")
    assert found["trainer.max_epochs"] == (3, "resolved")
    assert found["trainer.accumulate_grad_batches"] == (1, "default")
    assert found["data.batch_size"] == (8, "argument")
    assert found["data.shuffle"] == (True, "argument")
    ((name, scheduler, lr, n_parameters),) = query(
        store_path,
        "SELECT class_name, scheduler, lr, n_parameters FROM optimizers JOIN optimizer_groups ON optimizer_id = id",
    )
    assert (name, lr, n_parameters) == ("SGD", 0.1, 4)
    assert json.loads(str(scheduler))["class"] == "StepLR"
    assert query(store_path, "SELECT n_parameters, n_trainable FROM architectures") == [(4, 4)]
    sql = "SELECT role, kind, n_rows FROM run_datasets JOIN datasets ON id = dataset_id ORDER BY role"
    assert query(store_path, sql) == [("train", "TensorDataset", 32), ("valid", "TensorDataset", 32)]
    assert ("lightning", "seed_everything", "3") in query(store_path, "SELECT library, call, value FROM seeds")


def test_checkpoints_are_kept_and_a_resumed_fit_links_to_who_wrote_them(store_path: Path) -> None:
    body = """
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
saving = ModelCheckpoint("kept", monitor="val_loss", save_top_k=2)
stopping = EarlyStopping("val_loss", patience=1, min_delta=10.0)
net = Net()
trainer(enable_checkpointing=True, max_epochs=9, callbacks=[saving, stopping]).fit(net, data, data)
state = torch.load(saving.best_model_path, weights_only=False)
assert not any("istory" in key for key in state["callbacks"]), state["callbacks"]
trainer(max_epochs=12).fit(Net(), data, data, ckpt_path=saving.best_model_path)
print(saving.best_model_path)
"""
    best = record(store_path, body).strip()
    runs = [row[0] for row in query(store_path, "SELECT id FROM runs ORDER BY started_at")]
    results = dict(query(store_path, f"SELECT key, value FROM results WHERE run_id = '{runs[0]}'"))
    assert json.loads(str(results["best_model_path"])) == best
    assert json.loads(str(results["stopped_epoch"])) == 1
    assert query(store_path, f"SELECT main_metric FROM runs WHERE id = '{runs[0]}'") == [("val_loss",)]
    written = query(store_path, f"SELECT path FROM run_artifacts WHERE run_id = '{runs[0]}' AND direction = 'out'")
    assert len(written) == 2
    links = query(store_path, "SELECT run_id, kind, other_run_id FROM run_links")
    assert links == [(runs[1], "resumes", runs[0])]
    read = query(store_path, "SELECT run_id, path FROM run_artifacts WHERE direction = 'in'")
    assert read == [(runs[1], best)]
    # The checkpoint is that of the second epoch, of 12.
    assert query(store_path, f"SELECT epochs_planned, epochs_done FROM runs WHERE id = '{runs[1]}'") == [(10, 10)]
    found = params(store_path)
    assert found["early_stopping.monitor"] == ("val_loss", "argument")
    assert found["early_stopping.min_delta"] == (10.0, "argument")
    assert found["early_stopping.patience"] == (1, "argument")
    assert found["early_stopping.mode"] == ("min", "default")
    assert found["early_stopping.check_on_train_epoch_end"][1] == "default"
    assert found["model_checkpoint.save_top_k"] == (2, "argument")
    assert found["model_checkpoint.every_n_epochs"] == (1, "default")
    assert found["model_checkpoint.every_n_train_steps"] == (0, "default")
    assert found["model_checkpoint.save_last"] == (None, "default")


def test_evaluations_belong_to_the_run_that_trained_the_module(store_path: Path) -> None:
    body = """
net, fitter = Net(), trainer(max_epochs=1)
fitter.fit(net, data, data)
new = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x + 1, x.sum(1, keepdim=True)), 8)
tested = [fitter.test(net, new, verbose=False)[0]["test_loss"] for _ in range(2)]
fitter.validate(net, data, verbose=False)
trainer().test(Net(), data, verbose=False)
print(json.dumps(tested))
"""
    tested = json.loads(record(store_path, body))
    sql = "SELECT kind, status FROM runs ORDER BY started_at"
    assert query(store_path, sql) == [("fit", "finished"), ("evaluate", "finished")]
    sql = "SELECT value, split FROM metrics JOIN runs ON id = run_id WHERE metrics.name = 'test_loss' AND kind = 'fit'"
    assert query(store_path, sql) == [(value, "test") for value in tested]
    sql = "SELECT split, count FROM metric_summaries WHERE name = 'validate_val_loss'"
    assert query(store_path, sql) == [("valid", 1)]


@pytest.mark.parametrize(
    ("error", "status", "seen"),
    [("RuntimeError('odd')", "failed", "RuntimeError"), ("KeyboardInterrupt()", "interrupted", "SystemExit")],
)
def test_epochs_before_a_failure_or_an_interrupt_are_kept(store_path: Path, error: str, status: str, seen: str) -> None:
    body = f"""
class Stop(pl.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.current_epoch == 2:
            raise {error}
try:
    trainer(max_epochs=9, callbacks=[Stop()]).fit(Net(), data, data)
except BaseException as error:
    print(type(error).__name__)
"""
    assert record(store_path, body).strip() == seen
    assert query(store_path, "SELECT status, epochs_done FROM runs") == [(status, 2)]
    assert [epoch for _, epoch, _ in points(store_path, "late")] == [0, 1]


@pytest.mark.parametrize("root", BOTH)
@pytest.mark.parametrize("beside", ["", "histhooks.autolog()"])
def test_a_callback_records_alone_and_beside_autolog_once(store_path: Path, root: str, beside: str) -> None:
    body = f"""
import histhooks
from histhooks.integrations.lightning import HistoryCallback
{beside}
callbacks = [HistoryCallback()]
before = list(callbacks)
for _ in range(2):
    trainer(max_epochs=1, callbacks=callbacks).fit(Net(), data, data)
assert callbacks[0] is before[0]
if not {beside!r}:
    trainer(max_epochs=1).fit(Net(), data)
"""
    record(store_path, body, setup(root, is_recorded=False))
    assert query(store_path, "SELECT kind, status, epochs_done FROM runs") == [("fit", "finished", 1)] * 2


def test_what_a_program_prints_after_a_fit_is_the_last_point_of_each_metric(store_path: Path) -> None:
    body = """
from lightning.pytorch.callbacks import GradientAccumulationScheduler, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
class Plain(Net):
    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        self.log("by_step", loss)
        self.log("also_by_step", 2 * loss)
        self.log("by_epoch", loss, on_step=False, on_epoch=True)
        return loss
given = [LearningRateMonitor("step"), GradientAccumulationScheduler({2: 2}), ModelCheckpoint("kept", every_n_epochs=2)]
fitter = trainer(
    logger=CSVLogger("csv"), log_every_n_steps=3, max_epochs=2, callbacks=given, enable_checkpointing=True
)
fitter.fit(Plain(), data, data)
print(json.dumps({k: float(v) for k, v in fitter.callback_metrics.items()}))
"""
    seen = json.loads(record(store_path, body))
    assert {"by_step", "by_epoch", "train_loss", "train_loss_step", "train_loss_epoch", "val_loss"} <= seen.keys()
    for name, value in seen.items():
        assert points(store_path, name)[-1] == (7, 1, value), name
    # Batches 3 and 6, as in the CSV, and the last of each epoch.
    assert [step for step, _, _ in points(store_path, "by_step")] == [2, 3, 5, 7]
    rows = [float(row["by_step"]) for row in logged(store_path.parent / "csv") if row["by_step"]]
    assert [value for step, _, value in points(store_path, "by_step") if step in (2, 5)] == rows
    found = params(store_path)
    assert found["learning_rate_monitor.logging_interval"] == ("step", "argument")
    assert found["learning_rate_monitor.log_momentum"] == (False, "default")
    assert found["gradient_accumulation_scheduler.scheduling.2"] == (2, "argument")
    assert found["model_checkpoint.every_n_epochs"] == (2, "argument")
    assert found["model_checkpoint.every_n_train_steps"] == (0, "default")


def test_validations_stand_at_the_step_that_they_were_for(store_path: Path) -> None:
    body = """
from {root}.loggers import CSVLogger
class Twice(Net):
    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        self.log("other", loss)
        return loss
trainer(
    logger=CSVLogger("csv"), check_val_every_n_epoch=None, val_check_interval=3, accumulate_grad_batches=2,
    log_every_n_steps=1,
).fit(Twice(), data, data)
""".replace("{root}", "lightning.pytorch")
    record(store_path, body)
    rows = logged(store_path.parent / "csv")
    found = [float(row["val_loss"]) for row in rows if row["val_loss"]]
    assert len(found) == 4  # 12 batches, a validation after each third
    # Two batches make a step, and four an epoch.
    places = [(0, 0), (2, 1), (3, 2), (5, 2)]
    expected = [(*place, pytest.approx(value)) for place, value in zip(places, found, strict=True)]
    assert points(store_path, "val_loss") == expected
    rates = [step for step, _, _ in points(store_path, "lr")]
    assert rates == sorted(set(rates))
    assert [step for step, _, _ in points(store_path, "other")] == list(range(6))


def test_two_optimizers_that_a_module_steps_itself_are_logged_as_the_trainer_logs(store_path: Path) -> None:
    body = """
from lightning.pytorch.loggers import CSVLogger
class Pair(pl.LightningModule):
    def __init__(self, lr=0.01):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.maker, self.judge = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    def training_step(self, batch, index):
        for_maker, for_judge = self.optimizers()
        fake = self.maker(torch.randn(len(batch[0]), 2))
        for name, optimizer, loss_of in (
            ("judge_loss", for_judge, lambda: self.judge(fake.detach()).mean() - self.judge(batch[0]).mean()),
            ("maker_loss", for_maker, lambda: -self.judge(fake).mean()),
        ):
            loss = loss_of()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.log(name, loss)
        if self.trainer.is_last_batch:
            self.lr_schedulers().step()
    def configure_optimizers(self):
        first = torch.optim.Adam(self.maker.parameters(), self.hparams.lr)
        second = torch.optim.SGD(self.judge.parameters(), 0.1)
        return [first, second], [torch.optim.lr_scheduler.StepLR(first, 1, 0.5)]
trainer(logger=CSVLogger("csv"), log_every_n_steps=3).fit(Pair(lr=0.02), data)
"""
    record(store_path, body)
    rows = logged(store_path.parent / "csv")
    # Of each third batch; the Trainer counts the steps of both optimizers.
    expected = [(6 * n + 5, int(row["epoch"]), float(row["judge_loss"])) for n, row in enumerate(rows)]
    assert len(expected) == 4
    found = points(store_path, "judge_loss")
    assert [point for point in found if point[0] not in (7, 15)] == expected
    assert [step for step, _, _ in found] == [5, 7, 11, 15, 17, 23]  # the last steps of epochs too
    rates = {epoch: value for _, epoch, value in points(store_path, "lr/0.0")}
    assert rates == {0: 0.02, 1: 0.01, 2: 0.005}
    assert {value for _, _, value in points(store_path, "lr/1.0")} == {0.1}
    assert params(store_path)["lr"] == (0.02, "argument")
    sql = "SELECT position, class_name, scheduler IS NULL FROM optimizers ORDER BY position"
    assert query(store_path, sql) == [(0, "Adam", 0), (1, "SGD", 1)]
    assert query(store_path, "SELECT status, epochs_done, steps_done FROM runs") == [("finished", 3, 24)]


def test_fits_of_a_tuner_are_runs_that_say_what_they_found(store_path: Path) -> None:
    body = """
from lightning.pytorch.tuner import Tuner
class Sized(Net):
    def __init__(self, batch_size=2):
        super().__init__()
        self.batch_size, self.lr = batch_size, 0.1
    def train_dataloader(self):
        return torch.utils.data.DataLoader(data.dataset, self.batch_size)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)
    validation_step = None
fitter, net = trainer(max_epochs=1), Sized()
tuner = Tuner(fitter)
size = tuner.scale_batch_size(net, max_trials=2)
rates = tuner.lr_find(net, num_training=12, update_attr=False).results["lr"]
fitter.fit(net)
print(json.dumps([size, rates]))
"""
    size, rates = json.loads(record(store_path, body).splitlines()[-1])
    runs = query(store_path, "SELECT id, status FROM runs ORDER BY started_at, id")
    assert [status for _, status in runs] == ["finished"] * 3
    found = {
        (run, key): json.loads(str(value))
        for run, key, value in query(store_path, "SELECT run_id, key, value FROM results")
    }
    assert found[runs[0][0], "batch_size"] == size
    assert found[runs[1][0], "tried_lr"] == rates
    assert (runs[2][0], "tuner") not in found


def test_a_seam_that_moves_is_noticed() -> None:
    import inspect

    import lightning.pytorch
    from lightning.pytorch.loops import fit_loop
    from lightning.pytorch.loops.fit_loop import _FitLoop
    from lightning.pytorch.strategies import launchers
    from lightning.pytorch.trainer import call
    from lightning.pytorch.trainer.connectors import signal_connector
    from lightning.pytorch.trainer.connectors.logger_connector import logger_connector

    source = inspect.getsource(_FitLoop.on_advance_end)
    assert source.index("on_train_epoch_end") < source.index("update_train_epoch_metrics")
    parameters = [str(p) for p in inspect.signature(call._call_callback_hooks).parameters.values()]
    assert [p.partition(":")[0] for p in parameters] == [
        "trainer", "hook_name", "*args", "monitoring_callbacks", "**kwargs"
    ]  # fmt: skip
    for hook in ("on_train_start", "on_train_epoch_end"):
        assert f'call._call_callback_hooks(trainer, "{hook}"' in inspect.getsource(fit_loop)
    log_metrics = logger_connector._LoggerConnector.log_metrics
    assert list(inspect.signature(log_metrics).parameters) == ["self", "metrics", "step"]
    for update in ("update_train_step_metrics", "update_train_epoch_metrics", "update_eval_step_metrics",
                   "log_eval_end_metrics"):  # fmt: skip
        assert "self.log_metrics(" in inspect.getsource(getattr(logger_connector._LoggerConnector, update)), update
    assert "on_exception" in inspect.getsource(call._interrupt)
    source = inspect.getsource(signal_connector._SignalConnector.register_signal_handlers)
    assert "self._has_already_handler(sigusr)" in source
    connector = vars(lightning.pytorch.Trainer(logger=False, accelerator="cpu")._logger_connector)
    assert {"_callback_metrics", "_first_loop_iter"} <= connector.keys()
    for launcher in ("_MultiProcessingLauncher", "_XLALauncher"):
        assert launcher in vars(launchers)
