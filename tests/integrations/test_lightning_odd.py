"""What Lightning programs have that is odd is left alone and told, and what loggers get is the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.lightning_programs import logged, record
from histhooks.testing import query

pytest.importorskip("lightning")


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
