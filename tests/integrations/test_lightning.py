"""What Lightning's own calls leave in the store, under both of its names."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from helpers import programs
from helpers.networks import LIGHTNING as DATA
from helpers.warm import run_warm
from histhooks.testing import query
from histhooks.verify import verify

pytest.importorskip("lightning")

BOTH = ("lightning.pytorch", "pytorch_lightning")


def setup(root: str = "lightning.pytorch", *, is_recorded: bool = True) -> str:
    return ("import histhooks\nhisthooks.autolog()\n" if is_recorded else "") + DATA.format(root=root)


def record(store: Path, body: str, program: str | None = None) -> str:
    return programs.record(store, body, program or setup(), is_warm=True)


def params(store: Path) -> dict[str, tuple[object, object]]:
    found = query(store, "SELECT key, value, source FROM params")
    return {str(key): (json.loads(str(value)), source) for key, value, source in found}


def points(store: Path, name: str) -> list[tuple[object, ...]]:
    return query(store, f"SELECT step, epoch, value FROM metrics WHERE name = '{name}' ORDER BY n")


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


def logged(folder: Path) -> list[dict[str, str]]:
    """What Lightning's own logger got, row by row."""
    with open(folder / "lightning_logs" / "version_0" / "metrics.csv") as file:
        return list(csv.DictReader(file))


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


# A training whose processes wait for each other when an epoch is reduced, in an order of the module's own.
TOGETHER = """
class Together(Net):
    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True, sync_dist=True)
        return loss
    def on_train_epoch_end(self):
        self.all_gather(torch.ones(1))
        self.late += 1.0
        self.log("late", self.late)
    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]), sync_dist=True)
if __name__ == "__main__":
    net, fitter = Together(), trainer(devices=2, strategy="{strategy}", max_epochs=2)
    fitter.fit(net, data, data)
    if fitter.global_rank == 0:
        print(json.dumps([float(fitter.callback_metrics[k]) for k in ("val_loss", "train_loss_epoch", "late")]))
    {after}
"""


def run_script(program: str, store: Path) -> str:
    Path("train.py").write_text(program)
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "PL_TORCH_DISTRIBUTED_BACKEND": "gloo"}
    environment |= {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "train.py"], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_of_one_training_leave_one_run_and_two_sessions(store_path: Path) -> None:
    plain = run_script(setup(is_recorded=False) + TOGETHER.format(strategy="ddp", after=""), store_path)
    assert run_script(setup() + TOGETHER.format(strategy="ddp", after=""), store_path) == plain
    val_loss, train_loss, late = json.loads(plain.splitlines()[0])
    assert query(store_path, "SELECT kind, status, epochs_done FROM runs") == [("fit", "finished", 2)]
    assert points(store_path, "val_loss")[1] == (3, 1, val_loss)
    assert points(store_path, "train_loss_epoch")[1] == (3, 1, train_loss)
    assert points(store_path, "late")[1] == (3, 1, late)
    assert query(store_path, "SELECT rank, world_size FROM sessions ORDER BY rank") == [(0, 2), (1, 2)]
    sql = "SELECT count(*) FROM runs JOIN sessions AS s ON s.id = session_id WHERE s.rank = 0"
    assert query(store_path, sql) == [(1,)]
    assert verify(store_path).problems == []


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork"])
def test_a_training_in_processes_that_lightning_starts_is_the_callers_run(store_path: Path, strategy: str) -> None:
    # Each of its stages starts the processes anew, which takes long where they import all again.
    after = "fitter.test(net, data, verbose=False)" if strategy == "ddp_fork" else ""
    program = TOGETHER.format(strategy=strategy, after=after)
    plain = run_script(setup(is_recorded=False) + program, store_path)
    assert run_script(setup() + program, store_path) == plain
    val_loss, train_loss, late = json.loads(plain.splitlines()[0])
    sql = "SELECT kind, status, framework, epochs_planned, epochs_done, steps_done FROM runs"
    assert query(store_path, sql) == [("fit", "finished", "lightning", 2, 2, 4)]
    assert points(store_path, "val_loss")[1] == (3, 1, val_loss)
    assert points(store_path, "train_loss_epoch")[1] == (3, 1, train_loss)
    assert points(store_path, "late") == [(1, 0, 1.0), (3, 1, late)]
    assert [place[:2] for place in points(store_path, "train_loss_step")] == [(1, 0), (3, 1)]
    # It is tested on what it was trained on.
    splits = query(store_path, "SELECT split FROM metrics WHERE name = 'train_test_loss'")
    assert splits == ([("train",)] if after else [])
    assert query(store_path, "SELECT class_name FROM optimizers") == [("SGD",)]
    assert verify(store_path).problems == []


def test_a_failure_in_a_process_that_lightning_starts_ends_the_callers_run(store_path: Path) -> None:
    body = """
class Odd(Net):
    def on_train_epoch_start(self):
        if self.trainer.current_epoch == 1:
            raise ArithmeticError("odd")
if __name__ == "__main__":
    try:
        trainer(devices=2, strategy="ddp_spawn").fit(Odd(), data, data)
    except Exception as error:
        print(type(error).__name__)
"""
    assert run_script(setup() + body, store_path).strip() == "ProcessRaisedException"
    ((status, message, done),) = query(store_path, "SELECT status, error_message, epochs_done FROM runs")
    assert (status, done) == ("failed", 1)
    assert "ArithmeticError: odd" in str(message)
    assert [epoch for _, epoch, _ in points(store_path, "late")] == [0]


def test_a_training_that_was_killed_and_resumed_links_to_who_wrote_the_checkpoint(store_path: Path) -> None:
    body = """
import os, signal
class Kill(pl.Callback):
    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 2 and os.environ["HOW"] == "kill":
            histhooks.flush(60)
            os.kill(os.getpid(), signal.SIGKILL)
saving = pl.callbacks.ModelCheckpoint("kept", save_last=True)
fitter = trainer(enable_checkpointing=True, max_epochs=4, callbacks=[saving, Kill()])
fitter.fit(Net(), data, data, ckpt_path=None if os.environ["HOW"] == "kill" else "last")
"""
    assert run_warm(setup() + body, store_path, HOW="kill")[0] == -9
    code, _, err = run_warm(setup() + body, store_path, HOW="resume")
    assert code == 0, err
    first, second = query(store_path, "SELECT id, status, epochs_done, steps_done FROM runs ORDER BY started_at")
    assert (first[1:], second[1:]) == (("killed", 2, 8), ("finished", 2, 16))
    assert [place[:2] for place in sorted(points(store_path, "val_loss"))] == [(4 * n + 3, n) for n in range(4)]
    with histhooks.History(store_path) as history:
        run = history.run("last")
        (link,) = run.links
        assert (link["kind"], run.writers_of(str(link["sha256"]))) == ("resumes", [first[0]])
    assert verify(store_path).problems == []


@pytest.mark.parametrize(
    ("plugin", "number", "status"),
    [("", "SIGTERM", "interrupted"), ("SIGTERM", "SIGTERM", "interrupted"), ("SIGUSR1", "SIGUSR1", "finished")],
)
def test_signals_that_lightning_handles_end_as_without_us(
    store_path: Path, plugin: str, number: str, status: str
) -> None:
    body = f"""
import os, signal, sys
plugins = None
if {plugin!r}:
    os.environ.update(SLURM_JOB_ID="7", SLURM_NTASKS="1", SLURM_JOB_NAME="train", SLURM_PROCID="0")
    os.environ.update(SLURM_NODELIST="localhost", SLURM_LOCALID="0", SLURM_NODEID="0")
    from lightning.pytorch.plugins.environments import SLURMEnvironment
    plugins = [SLURMEnvironment(requeue_signal=signal.{plugin or "SIGTERM"})]
class Told(pl.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == 6:
            os.kill(os.getpid(), signal.{number})
    def on_train_epoch_end(self, trainer, module):
        print("epoch", trainer.current_epoch, flush=True)
try:
    trainer(plugins=plugins, callbacks=[Told()]).fit(Net(), data, data)
finally:
    print(os.path.exists("hpc_ckpt_1.ckpt"), flush=True)
"""
    outcomes = []
    for is_recorded in (False, True):
        outcome = run_warm(setup(is_recorded=is_recorded) + body, store_path)
        outcomes.append(outcome[:2])
        (store_path.parent / "hpc_ckpt_1.ckpt").unlink(missing_ok=True)
    assert outcomes[0] == outcomes[1]
    assert ("True" in outcomes[1][1]) == bool(plugin)
    assert query(store_path, "SELECT status FROM runs") == [(status,)]


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


def test_a_signal_after_a_fit_is_ours_again(store_path: Path) -> None:
    body = """
import os, signal
trainer(max_epochs=1).fit(Net(), data, data)
histhooks.flush()  # a signal leaves no time for the beginning of a session
with histhooks.start_run("after"):
    os.kill(os.getpid(), signal.SIGTERM)
"""
    code, _, _ = run_warm(setup() + body, store_path)
    assert code == -15
    sql = "SELECT status FROM runs ORDER BY started_at, id"
    assert query(store_path, sql) == [("finished",), ("killed",)]


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


# Each part is a program of its own kind; together they cost one process.
MANY = """
import gc, os, pickle, sqlite3, weakref
def rows(sql):
    histhooks.flush()
    connection = sqlite3.connect(os.environ["HISTHOOKS_STORE"])
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
def other(n, size=8):
    points = torch.randn(n, 3, generator=torch.Generator().manual_seed(n))
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(points, points.sum(1, keepdim=True)), size)
last = "(SELECT id FROM runs ORDER BY started_at DESC, id DESC LIMIT 1)"
"""

CALLBACKS = """
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
class Odd(pl.Callback):
    asked = []
    @property
    def monitor(self): Odd.asked.append("monitor"); raise ArithmeticError("odd")
    @property
    def best_model_path(self): Odd.asked.append("best_model_path"); raise ArithmeticError("odd")
class Own(Net):
    def configure_callbacks(self):
        return [EarlyStopping("val_loss", patience=7, mode="max")]
    def on_fit_start(self):
        first, *_, last = self.trainer.callbacks
        assert (type(first), type(last), len(self.trainer.callbacks)) == (Odd, ModelCheckpoint, 4)
        assert self.trainer.early_stopping_callback.patience == 7
        assert len(self.trainer.checkpoint_callbacks) == 2
        assert b"istory" not in pickle.dumps(self.trainer.callbacks)
given = [Odd(), ModelCheckpoint("one", monitor="val_loss"), ModelCheckpoint("two", every_n_epochs=1)]
fitter, net = trainer(enable_checkpointing=True, callbacks=given), Own()
kept = vars(fitter).keys()
fitter.fit(net, data, data)
assert given == given[:3] and vars(fitter).keys() == kept and Odd.asked == []
fitter.save_checkpoint("after.ckpt")
told = dict(rows(f"SELECT key, value FROM params WHERE run_id = {last}"))
assert told["early_stopping.patience"] == "7" and told["early_stopping.mode"] == '"max"', told
assert told["model_checkpoint.monitor"] == '"val_loss"' and "model_checkpoint_2.dirpath" in told, told
found = dict(rows(f"SELECT key, value FROM results WHERE run_id = {last}"))
assert "one" in found["best_model_path"] and "two" in found["best_model_path_2"], found
assert rows("SELECT role, step FROM run_artifacts WHERE path LIKE '%after.ckpt'") == [("checkpoint", 11)]
"""

PARAMS = """
class Odd(dict):
    def __getitem__(self, key):
        if key == "odd": raise ArithmeticError("odd")
        return dict.__getitem__(self, key)
class Data(pl.LightningDataModule):
    def __init__(self, batch_size=8, width=9, root="here"):
        super().__init__()
        self.save_hyperparameters()
    def train_dataloader(self): return other(16, self.hparams.batch_size)
class Strange(Net):
    validation_step = None
    def __init__(self):
        super().__init__(width=5)
        self._hparams = Odd(width=5, odd=1, none=None)
    @property
    def example_input_array(self): raise ArithmeticError("asked")
    def configure_optimizers(self):
        optimizer, schedulers = torch.optim.SGD(self.parameters(), 0.1), torch.optim.lr_scheduler
        return [optimizer], [schedulers.StepLR(optimizer, 1, 0.5), schedulers.ExponentialLR(optimizer, 0.9)]
trainer(max_epochs=1).fit(Strange(), Data(batch_size=4))
told = dict(rows(f"SELECT key, value FROM params WHERE run_id = {last}"))
assert [told[k] for k in ("width", "datamodule.width", "batch_size", "root")] == ["5", "9", "4", '"here"'], told
assert "none" in told and "odd" not in told
((note,),) = rows(f"SELECT note FROM captures WHERE run_id = {last} AND status = 'failed'")
assert "odd" in note and "ArithmeticError" in note, note
((schedulers,),) = rows(f"SELECT scheduler FROM optimizers WHERE run_id = {last}")
assert [s["class"] for s in json.loads(schedulers)] == ["StepLR", "ExponentialLR"], schedulers
assert rows(f"SELECT status FROM runs WHERE id = {last}") == [("finished",)]
"""

SPLITS = """
class Shared(Net):
    def test_step(self, batch, index, dataloader_idx=0): self.log("train_loss", self.step(batch))
    def step(self, batch): return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
class Rows(torch.utils.data.Dataset):
    def __init__(self, n): self.n = n
    def __len__(self): return self.n
    def __getitem__(self, n): return torch.ones(3) * n, torch.ones(1)
def splits(net, fitter, *loaders):
    before = len(rows(f"SELECT 1 FROM metrics WHERE run_id = {last}"))
    for loader in loaders:
        fitter.test(net, loader, verbose=False)
    sql = f"SELECT split, metrics.name FROM metrics WHERE run_id = {last} ORDER BY time, metrics.name"
    return rows(sql)[before:]
net, fitter, valid = Shared(), trainer(max_epochs=1), other(16)
fitter.fit(net, data, valid)
found = splits(net, fitter, data, valid, other(24))
assert [split for split, _ in found] == ["train", "valid", "test"], found
assert len({name for _, name in found}) == 3, found
taken = {name for name, in rows(f"SELECT name FROM metric_summaries WHERE run_id = {last} AND count > 1")}
assert not taken & {name for _, name in found}, found
net, rows_of, loader = Shared(), Rows(8), torch.utils.data.DataLoader
trainer(max_epochs=1).fit(net, loader(rows_of, 4), valid)
found = splits(net, trainer(), loader(rows_of, 2), loader(Rows(8), 2), loader(Rows(6), 2))
assert [split for split, _ in found] == ["train", None, "test"], found
sql = "SELECT role FROM run_datasets JOIN datasets ON datasets.id = dataset_id WHERE n_rows = 40"
for module in (net, Shared()):
    trainer().validate(module, other(40), verbose=False)
trainer().test(net, other(40), verbose=False)
assert rows(f"{sql} ORDER BY role") == [("test",), ("valid",), ("valid",)], rows(sql)
"""

ENDS = """
class Nested(pl.Callback):
    def on_train_epoch_start(self, fitter, module):
        trainer(max_epochs=1).fit(Net(3), other(8))
        try:
            fitter.strategy.barrier(1 / 0)
        except ZeroDivisionError:
            pass
trainer(max_epochs=1, callbacks=[Nested()]).fit(Net(2), data, data)
sql = "SELECT r.kind, r.status, p.id IS NULL FROM runs AS r LEFT JOIN runs AS p ON p.id = r.parent_id"
assert rows(sql)[-2:] == [("fit", "finished", 1), ("fit", "finished", 0)], rows(sql)
class Fails(Net):
    def on_train_end(self): raise ArithmeticError("at the end")
net = Fails()
def fit():
    try:
        trainer(max_epochs=1).fit(net, data, data)
    except ArithmeticError:
        return True
assert fit()
sql = f"SELECT status, error_message, epochs_done FROM runs WHERE id = {last}"
assert rows(sql) == [("failed", "at the end", 1)], rows(sql)
gone = weakref.ref(net)
del net
gc.collect()
assert gone() is None
"""

TRIALS = """
from lightning.pytorch.callbacks import LearningRateFinder
class Rated(Net):
    validation_step = None
    def __init__(self):
        super().__init__()
        self.lr = 0.01
    def configure_optimizers(self): return torch.optim.SGD(self.parameters(), self.lr)
finder = LearningRateFinder(num_training_steps=10, update_attr=False)
trainer(max_epochs=2, enable_checkpointing=True, callbacks=[finder], log_every_n_steps=1).fit(Rated(), data)
assert [step for step, in rows(f"SELECT step FROM metrics WHERE run_id = {last} AND name = 'lr'")] == list(range(8))
assert not rows(f"SELECT path FROM run_artifacts WHERE run_id = {last} AND path LIKE '%lr_find%'")
found = json.loads(rows(f"SELECT value FROM results WHERE run_id = {last} AND key = 'tried_lr'")[0][0])
assert found == finder.optimal_lr.results["lr"]
"""


def test_what_a_program_has_is_left_alone_and_told(store_path: Path) -> None:
    record(store_path, MANY + CALLBACKS + PARAMS + ENDS)


def test_trials_of_a_tuner_are_no_training_and_scores_say_on_which_data(store_path: Path) -> None:
    record(store_path, MANY + TRIALS + SPLITS)


def test_what_loggers_get_is_the_record(store_path: Path) -> None:
    body = """
from lightning.pytorch.loggers import CSVLogger
class Plenty(Net):
    def training_step(self, batch, index):
        loss = self.step(batch)
        self.log("loss", loss, on_step=True, on_epoch=False)
        if self.current_epoch % 2 == 0:
            self.log("even", loss, on_step=False, on_epoch=True, reduce_fx="max")
            self.log("hidden", loss, logger=False)
        return loss
    def step(self, batch): return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
    def on_train_start(self): self.log("start", 7.0)
    def validation_step(self, batch, index, dataloader_idx=0):
        if dataloader_idx == 0:
            self.log("loss", self.step(batch) * 10, add_dataloader_idx=False, on_step=False, on_epoch=True)
        self.log("deep", self.step(batch), on_step=True, on_epoch=True)
logger = CSVLogger("csv")
settings = dict(max_epochs=4, check_val_every_n_epoch=2, log_every_n_steps=3)
trainer(logger=logger if {has_logger} else False, **settings).fit(Plenty(), data, [data, data])
"""
    bodies = [body.replace("{has_logger}", word) for word in ("True", "False")]
    record(store_path, bodies[0] + "\npl.seed_everything(3, verbose=False)" + bodies[1])
    runs = [row[0] for row in query(store_path, "SELECT id FROM runs ORDER BY started_at, id")]
    sql = "SELECT name, step, epoch, value FROM metrics WHERE run_id = '{}' AND split IS NOT 'system' ORDER BY name, n"
    first, second = (query(store_path, sql.format(run)) for run in runs)
    assert [row[:3] for row in first] == [row[:3] for row in second]
    csv_rows = logged(store_path.parent / "csv")
    for name in csv_rows[0].keys() - {"step", "epoch"}:
        wanted = [(int(row["step"]), float(row[name])) for row in csv_rows if row[name]]
        there = {(row[1], row[3]) for row in first if str(row[0]).partition("/valid")[0] == name}
        assert wanted, name
        assert set(wanted) <= there, name
    names = ("start", "even", "hidden", "loss/valid")
    epochs = {name: [row[2] for row in first if row[0] == name] for name in names}
    assert epochs["loss/valid"] == [1, 3]
    assert epochs["start"] == [0]
    assert epochs["even"] == epochs["hidden"] == [0, 2]
    split = query(store_path, "SELECT DISTINCT name, split FROM metrics WHERE name LIKE 'loss%' ORDER BY name")
    assert ("loss", "train") in split
