"""Trainings of Lightning in several processes, and signals that it handles itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from helpers.lightning_programs import points, setup
from helpers.warm import run_warm
from histhooks.testing import query
from histhooks.verify import verify

pytest.importorskip("lightning")


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
