"""What Keras's own calls leave in the store, on the torch backend."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import histhooks
from helpers import programs
from helpers.networks import KERAS as DATA
from helpers.networks import KERAS_BATCHES as BATCHES
from helpers.stores import params, points
from histhooks.testing import query, run_program

pytest.importorskip("keras")

SETUP = "import histhooks\nhisthooks.autolog()\n" + DATA
record = partial(programs.record, setup=SETUP, is_warm=True)


def results(store: Path) -> dict[str, object]:
    return {str(key): json.loads(str(value)) for key, value in query(store, "SELECT key, value FROM results")}


def test_every_epoch_is_a_point_at_its_last_step_and_all_else_is_told(store_path: Path) -> None:
    body = """
schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
model = build(keras.optimizers.SGD(schedule, momentum=0.5))
history = model.fit(x, y, 16, 4, verbose=0, validation_split=0.2, initial_epoch=1, class_weight=None)
print(json.dumps([history.history, [float(schedule(n)) for n in range(15)]]))
"""
    seen, rates = json.loads(record(store_path, body))
    for name in ("loss", "mae", "val_loss", "val_mae"):
        expected = [(5 * n + 4, n + 1, value) for n, value in enumerate(seen[name])]
        assert points(store_path, name) == expected, name
    # The rate of the last update of each epoch, not of the one to come.
    assert points(store_path, "lr") == [(5 * n + 4, n + 1, pytest.approx(rates[5 * n + 4])) for n in range(3)]
    sql = "SELECT kind, status, framework, epochs_planned, epochs_done, steps_done FROM runs"
    assert query(store_path, sql) == [("fit", "finished", "keras", 3, 3, 15)]
    found = params(store_path)
    assert found["batch_size"] == (16, "argument")
    assert found["epochs"] == (4, "argument")
    assert found["shuffle"] == (True, "default")
    assert found["compile.loss"] == ("mse", "argument")
    assert found["optimizer.name"] == ("SGD", "argument")
    assert found["optimizer.momentum"] == (0.5, "argument")
    assert found["optimizer.schedule.decay_steps"] == (5, "argument")
    assert found["backend"] == ("torch", "resolved")
    assert found["data.class_weight"] == (False, "default")
    ((class_name, settings, scheduler, lr),) = query(
        store_path,
        "SELECT class_name, o.settings, scheduler, lr FROM optimizers AS o JOIN optimizer_groups ON optimizer_id = id",
    )
    assert (class_name, lr) == ("SGD", pytest.approx(0.1))
    assert json.loads(str(scheduler))["class"] == "ExponentialDecay"
    assert json.loads(str(settings))["momentum"] == 0.5
    ((layers, n_parameters, n_trainable),) = query(
        store_path, "SELECT layers, n_parameters, n_trainable FROM architectures"
    )
    assert (n_parameters, n_trainable) == (49, 49)
    assert [layer["class"] for layer in json.loads(str(layers))] == ["InputLayer", "Dense", "Dense"]
    assert [layer["output"] for layer in json.loads(str(layers))] == [[None, 4], [None, 8], [None, 1]]
    sql = "SELECT role, n_rows FROM run_datasets JOIN datasets ON id = dataset_id ORDER BY role"
    rows = query(store_path, sql)
    assert rows == [("train", 80), ("valid", 20)]
    assert query(store_path, "SELECT call, value FROM seeds WHERE library = 'keras'") == [("set_random_seed", "3")]


def test_callbacks_tell_what_stopped_and_which_files_they_left(store_path: Path) -> None:
    body = """
from keras import callbacks as kc
open("old-1-0.00.keras", "w").close()
import os
os.utime("old-1-0.00.keras", (0, 0))
stopping = kc.EarlyStopping("val_loss", patience=1, min_delta=10.0, restore_best_weights=True)
given = [stopping, kc.ModelCheckpoint("old-{epoch}-{loss:.2f}.keras"), kc.ReduceLROnPlateau(patience=1, min_delta=10.0)]
build().fit(x, y, epochs=9, verbose=0, validation_data=(x, y), callbacks=given)
assert len(given) == 3
"""
    record(store_path, body)
    found = results(store_path)
    assert (found["best_epoch"], found["stopped_epoch"], found["restored_best"]) == (0, 1, True)
    told = params(store_path)
    assert told["early_stopping.patience"] == (1, "argument")
    assert told["early_stopping.min_delta"] == (10.0, "argument")
    assert told["early_stopping.restore_best_weights"] == (True, "argument")
    assert told["early_stopping.mode"] == ("auto", "default")
    assert told["early_stopping.start_from_epoch"] == (0, "default")
    assert told["early_stopping.baseline"] == (None, "default")
    assert told["model_checkpoint.filepath"] == ("old-{epoch}-{loss:.2f}.keras", "argument")
    assert told["model_checkpoint.save_best_only"] == (False, "default")
    assert told["reduce_lr_on_plateau.factor"] == (0.1, "default")
    assert told["reduce_lr_on_plateau.patience"] == (1, "argument")
    names = told["callbacks"][0]
    assert isinstance(names, list)
    assert [name.rpartition(".")[2] for name in names][:3] == ["EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau"]
    assert query(store_path, "SELECT main_metric, epochs_planned, epochs_done FROM runs") == [("val_loss", 9, 2)]
    paths = [str(row[0]) for row in query(store_path, "SELECT path FROM run_artifacts WHERE role = 'checkpoint'")]
    assert sorted(Path(path).name[:6] for path in paths) == ["old-1-", "old-2-"]
    assert not any(path.endswith("old-1-0.00.keras") for path in paths)
    assert [epoch for _, epoch, _ in points(store_path, "lr")] == [0, 1]
    assert len({value for _, _, value in points(store_path, "lr")}) == 1  # moved after the last epoch's updates
    roles = query(store_path, "SELECT role FROM run_datasets ORDER BY ordinal")
    assert roles == [("train",), ("valid",)]


def test_evaluations_belong_to_the_run_that_trained_the_model(store_path: Path) -> None:
    body = """
model = build()
model.fit(x, y, epochs=1, verbose=0, validation_split=0.5)
new = x[::-1] * 0.5
scores = [model.evaluate(new, y, verbose=0, return_dict=True), model.evaluate(x[:50], y[:50], verbose=0)]
scores += [model.evaluate(x[50:].copy(), y[50:], verbose=0), model.evaluate(new, y, verbose=0)]
assert list(scores[0]) == ["loss", "mae"] and len(scores[1]) == 2
other = build()
other.evaluate(new, y, verbose=0)
other.evaluate(x[:50], y[:50], verbose=0)
print(json.dumps([scores[0]["mae"], *(score[1] for score in scores[1:])]))
"""
    expected = json.loads(record(store_path, body))
    sql = (
        "SELECT r.kind, m.name, m.split, m.value FROM metrics AS m JOIN runs AS r ON r.id = m.run_id "
        "WHERE m.metric = 'mae' AND m.step = 1 AND m.epoch IS NULL ORDER BY r.started_at, m.n"
    )
    found = query(store_path, sql)
    assert [row[:3] for row in found] == [
        ("fit", f"{split}_mae", split) for split in ("test", "train", "valid", "test")
    ]
    assert [row[3] for row in found] == [pytest.approx(value) for value in expected]
    assert query(store_path, "SELECT kind, status FROM runs ORDER BY started_at") == [
        ("fit", "finished"),
        ("evaluate", "finished"),
        ("evaluate", "finished"),
    ]
    sql = "SELECT m.name, m.split FROM metrics AS m JOIN runs AS r ON r.id = m.run_id WHERE r.kind = 'evaluate'"
    assert query(store_path, f"{sql} AND m.metric = 'mae' ORDER BY r.started_at") == [
        ("test_mae", "test"),  # a model that was not trained here, on data that nothing here was trained on
        ("unsaid_mae", None),
    ]


@pytest.mark.parametrize(
    ("error", "status", "error_type"),
    [("RuntimeError('odd')", "failed", "RuntimeError"), ("KeyboardInterrupt()", "interrupted", None)],
)
def test_epochs_before_a_failure_or_an_interrupt_are_kept(
    store_path: Path, error: str, status: str, error_type: str | None
) -> None:
    body = f"""
class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise {error}
try:
    build().fit(x, y, epochs=9, verbose=0, callbacks=[Stop()])
except BaseException as error:
    print(type(error).__name__)
"""
    assert record(store_path, body).strip() == error.partition("(")[0]
    assert query(store_path, "SELECT status, error_type, epochs_done FROM runs") == [(status, error_type, 3)]
    assert len(points(store_path, "loss")) == 3


@pytest.mark.parametrize("beside", ["", "histhooks.autolog()"])
def test_a_callback_records_alone_and_beside_autolog_once(store_path: Path, beside: str) -> None:
    body = f"""
import histhooks
from histhooks.integrations.keras import HistoryCallback
{beside}
callbacks = [HistoryCallback(every=2)]
before = list(callbacks)
for _ in range(2):
    build().fit(x, y, epochs=1, verbose=0, callbacks=callbacks)
assert callbacks == before
if not {beside!r}:
    build().fit(x, y, epochs=1, verbose=0)
"""
    record(store_path, body, setup=DATA)
    assert query(store_path, "SELECT kind, status FROM runs") == [("fit", "finished")] * 2
    sql = "SELECT count FROM metric_summaries WHERE name = 'batch_loss'"
    assert query(store_path, sql) == [(2,), (2,)]
    assert query(store_path, "SELECT count FROM metric_summaries WHERE name = 'loss'") == [(1,), (1,)]


def test_a_callback_that_is_made_in_the_call_records_it(store_path: Path) -> None:
    body = """
import histhooks
from histhooks.integrations.keras import HistoryCallback
build().fit(x, y, epochs=1, verbose=0, callbacks=[HistoryCallback()])
histhooks.autolog("keras")
histhooks.disable()
build().fit(x, y, epochs=1, verbose=0, callbacks=[HistoryCallback()])
"""
    code, _, err = run_program(DATA + body, store_path, HISTHOOKS_QUIET="0")
    assert code == 0, err
    # Also where `fit` was looked up before the hooks were in: the function that was found has other code by then.
    assert query(store_path, "SELECT kind, status FROM runs") == [("fit", "finished")] * 2
    assert "not recorded" not in err


def test_batches_on_request_leave_the_host_its_asynchronous_dispatch(store_path: Path) -> None:
    record(store_path, f"import histhooks\n{BATCHES}", setup=DATA)
    # 100 rows in batches of 16 and two batches a step: 3 steps an epoch, and half of one goes on in the next.
    expected = [(1, 0), (2, 0), (4, 1), (6, 1)]
    assert [(step, epoch) for step, epoch, _ in points(store_path, "batch_loss")] == expected


def test_optimizers_of_a_train_step_of_its_own_are_told_and_not_the_default(store_path: Path) -> None:
    body = """
import torch
class Pair(keras.Model):
    def __init__(self):
        super().__init__()
        self.maker, self.judge = (
            keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(width)]) for width in (4, 1)
        )
    def compile(self, for_judge, for_maker):
        super().compile()
        self.for_judge, self.for_maker = for_judge, for_maker
    def take(self, optimizer, part, loss):
        self.zero_grad()
        loss.backward()
        gradients = [v.value.grad for v in part.trainable_weights]
        with torch.no_grad():
            optimizer.apply(gradients, part.trainable_weights)
    def train_step(self, data):
        real = data[0]
        judged = keras.ops.mean(self.judge(self.maker(real)) - self.judge(real))
        self.take(self.for_judge, self.judge, judged)
        made = -keras.ops.mean(self.judge(self.maker(real)))
        self.take(self.for_maker, self.maker, made)
        return {"judge_loss": judged.detach(), "maker_loss": made.detach()}
pair = Pair()
pair.built = True
pair.compile(keras.optimizers.Adam(0.001), keras.optimizers.SGD(0.01, momentum=0.5))
history = pair.fit(x, y, epochs=2, batch_size=25, verbose=0)
print(json.dumps(history.history["judge_loss"]))
"""
    losses = json.loads(record(store_path, body))
    assert points(store_path, "judge_loss") == [(4 * n + 3, n, loss) for n, loss in enumerate(losses)]
    assert [place[:2] for place in points(store_path, "lr/1.0")] == [(3, 0), (7, 1)]
    assert points(store_path, "lr") == []
    found = params(store_path)
    assert found["for_judge.learning_rate"] == (0.001, "default")
    assert (found["for_maker.name"][0], found["for_maker.momentum"]) == ("SGD", (0.5, "argument"))
    assert "optimizer.name" not in found
    sql = "SELECT o.position, class_name FROM optimizers AS o ORDER BY o.position"
    assert query(store_path, sql) == [(0, "Adam"), (1, "SGD")]
    assert query(store_path, "SELECT status, epochs_done, steps_done FROM runs") == [("finished", 2, 8)]


def test_a_training_that_was_killed_and_taken_up_links_to_who_wrote_the_backup(store_path: Path) -> None:
    body = """
import os, signal, sys
class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2 and sys.argv[-1] == "kill":
            histhooks.flush(60)
            os.kill(os.getpid(), signal.SIGKILL)
sys.argv.append(os.environ.get("HOW", ""))
given = [keras.callbacks.BackupAndRestore("backup"), Kill()]
build().fit(x, y, epochs=5, batch_size=25, verbose=0, callbacks=given)
"""
    assert run_program(SETUP + body, store_path, HOW="kill")[0] == -9
    record(store_path, body)
    sql = "SELECT id, status, epochs_planned, epochs_done, steps_done FROM runs ORDER BY started_at"
    first, second = query(store_path, sql)
    assert first[1:] == ("killed", 5, 2, 8)
    assert second[1:] == ("finished", 3, 3, 20)
    assert sorted(place[:2] for place in points(store_path, "loss")) == [(4 * n + 3, n) for n in range(5)]
    with histhooks.History(store_path) as history:
        run = history.run("last")
        (link,) = run.links
        assert (link["kind"], run.writers_of(str(link["sha256"]))) == ("resumes", [first[0]])
    sql = f"SELECT path, role FROM run_artifacts WHERE direction = 'in' AND run_id = '{second[0]}'"
    assert query(store_path, sql) == [(str(store_path.parent / "backup" / "latest.weights.h5"), "backup")]


def test_settings_of_each_callback_are_told_also_when_it_serves_a_second_fit(store_path: Path) -> None:
    body = """
from keras import callbacks as kc
def halve(epoch, rate):
    return rate / 2
given = [
    kc.EarlyStopping("loss", min_delta=0.5, patience=9),
    kc.ModelCheckpoint("a.keras", "mae", save_best_only=True, mode="max"),
    kc.ModelCheckpoint("b.weights.h5", save_weights_only=True),
    kc.LearningRateScheduler(halve),
]
model = build()
for _ in range(2):
    model.fit(x, y, epochs=1, verbose=0, callbacks=given)
"""
    record(store_path, body)
    for run_id in [row[0] for row in query(store_path, "SELECT id FROM runs")]:
        rows = query(store_path, f"SELECT key, value, source FROM params WHERE run_id = '{run_id}'")
        found = {str(key): (json.loads(str(value)), source) for key, value, source in rows}
        assert found["early_stopping.min_delta"] == (0.5, "argument")
        assert found["model_checkpoint.mode"] == ("max", "argument")
        assert found["model_checkpoint.save_freq"] == ("epoch", "default")
        assert found["model_checkpoint_2.filepath"] == ("b.weights.h5", "argument")
        assert "halve" in str(found["learning_rate_scheduler.schedule"][0])


@pytest.mark.parametrize(
    "make", ["x, y", "torch.tensor(x), torch.tensor(y)", "pandas.DataFrame(x), pandas.DataFrame(y)"]
)
def test_both_parts_of_a_validation_split_are_data(store_path: Path, make: str) -> None:
    body = f"""
import torch, pandas
from keras.src.trainers.data_adapters.array_slicing import train_validation_split
given = {make}
build().fit(*given, epochs=1, verbose=0, validation_split=0.15)
from histhooks._collect.fingerprint import describe
parts = train_validation_split((x, y), validation_split=0.15)
print(json.dumps([[len(part[0]), describe(*part)["content_hash"]] for part in parts]))
"""
    expected = json.loads(record(store_path, body))
    sql = "SELECT role, n_rows, content_hash FROM run_datasets JOIN datasets ON id = dataset_id ORDER BY role"
    rows = query(store_path, sql)
    assert [(role, n_rows) for role, n_rows, _ in rows] == [("train", expected[0][0]), ("valid", expected[1][0])]
    if make == "x, y":
        assert [found for _, _, found in rows] == [found for _, found in expected]


@pytest.mark.parametrize("mode", ["full", "off"])
def test_an_evaluation_of_the_whole_of_a_split_fit_is_neither_training_nor_test_data(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("HISTHOOKS_DATA", mode)
    body = """
model = build()
model.fit(x, y, epochs=1, verbose=0, validation_split=0.25)
model.evaluate(x, y, verbose=0)
model.evaluate(x[:len(x) * 3 // 4], y[:len(x) * 3 // 4], verbose=0)
"""
    record(store_path, body)
    roles = query(store_path, "SELECT role, count(*) FROM run_datasets GROUP BY role ORDER BY role")
    assert dict(roles)["evaluated"] >= 1
    assert "test" not in dict(roles)
    names = {name for (name,) in query(store_path, "SELECT DISTINCT name FROM metrics")}
    assert "unsaid_loss" in names
    assert "test_loss" not in names
    if mode == "full":
        assert "train_loss" in names
        with histhooks.History(store_path) as history:
            found = {one.id: one.level for one in history.run("last").check().findings}
        assert found.get("leak.rows", "info") == "info"


def test_weights_and_precision_are_told(store_path: Path) -> None:
    body = """
keras.config.set_dtype_policy("mixed_float16")
model = build(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.25, 14)))
weights = np.ones(100)
model.fit(x, y, epochs=2, batch_size=50, verbose=0, sample_weight=weights, validation_data=(x, y, weights))
print(int(model.optimizer.iterations))
"""
    steps = int(record(store_path, body))  # those whose gradients were finite
    found = params(store_path)
    assert found["dtype_policy"] == ("mixed_float16", "resolved")
    assert found["data.sample_weight"] == (True, "argument")
    assert found["data.class_weight"] == (False, "default")
    assert (found["optimizer.name"][0], found["optimizer.schedule.decay_steps"][0]) == ("Adam", 14)
    assert query(store_path, "SELECT kind, status, steps_done FROM runs") == [("fit", "finished", steps)]
    assert len(points(store_path, "lr")) == 2


def test_a_loop_of_batches_is_one_run_and_a_second_fit_another_with_a_link(store_path: Path) -> None:
    body = """
model = build()
for _ in range(3):
    loss, mae = model.train_on_batch(x, y)
with histhooks.start_run("outer"):
    other = build()
    other.fit(x, y, epochs=1, verbose=0)
    other.fit(x, y, epochs=1, verbose=0)
print(loss, mae)
"""
    mae = float(record(store_path, body, is_warm=False).split()[1])  # the end of the program ends the loop
    sql = "SELECT step, epoch, value FROM metrics JOIN runs ON id = run_id WHERE metrics.name = 'mae' AND kind = 'loop'"
    assert query(store_path, f"{sql} ORDER BY n")[2:] == [(2, None, pytest.approx(mae))]
    sql = "SELECT kind, status, parent_id IS NULL, steps_done FROM runs ORDER BY started_at"
    assert query(store_path, sql) == [
        ("loop", "finished", 1, 3),
        ("block", "finished", 1, None),
        ("fit", "finished", 0, 4),
        ("fit", "finished", 0, 8),
    ]
    sql = "SELECT step, value FROM metrics JOIN runs ON id = run_id WHERE metrics.name = 'lr' AND kind = 'loop'"
    assert query(store_path, f"{sql} ORDER BY n") == [(n, pytest.approx(0.01)) for n in range(3)]
    links = query(store_path, "SELECT l.kind, r.kind FROM run_links AS l JOIN runs AS r ON r.id = l.other_run_id")
    assert links == [("continues", "fit")]


def test_files_of_a_model_lead_to_the_run_that_trained_it(store_path: Path) -> None:
    body = """
from keras.models import load_model
saving, save_weights = keras.saving.save_model, keras.saving.save_weights
class Mine(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.save("mine.keras")
untrained, model = build(), build()
untrained.save("untrained.keras")
model.fit(x, y, epochs=1, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint("best.keras"), Mine()])
model.save("model.keras")
model.save_weights("model.weights.h5")
taken = load_model("model.keras")
taken.fit(x, y, epochs=1, verbose=0)
other = build()
other.load_weights("model.weights.h5")
other.train_on_batch(x, y)
keras.saving.save_model(other, "other.keras")
histhooks.disable()
assert (load_model, keras.models.save_model) == (ORIGINAL, SAVING)
model.save("late.keras")
"""
    setup = DATA + "from keras.models import load_model\nORIGINAL, SAVING = load_model, keras.saving.save_model\n"
    record(store_path, body, setup=setup + "import histhooks\nhisthooks.autolog()\n")
    sql = "SELECT kind, path, role, direction FROM run_artifacts JOIN runs ON id = run_id ORDER BY started_at, path"
    found = [(kind, Path(str(path)).name, role, way) for kind, path, role, way in query(store_path, sql)]
    assert found == [
        ("fit", "best.keras", "checkpoint", "out"),
        ("fit", "mine.keras", "checkpoint", "out"),
        ("fit", "model.keras", "model", "out"),
        ("fit", "model.weights.h5", "model", "out"),
        ("fit", "model.keras", "model", "in"),
        ("loop", "model.weights.h5", "model", "in"),
        ("loop", "other.keras", "model", "out"),
    ]
    first = query(store_path, "SELECT id FROM runs ORDER BY started_at LIMIT 1")[0][0]
    command = [
        sys.executable,
        "-m",
        "histhooks",
        "whence",
        str(store_path.parent / "model.keras"),
        "--store",
        str(store_path),
        "--json",
    ]
    assert str(first) in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_seam_that_moves_is_noticed() -> None:
    import inspect

    import keras

    source = inspect.getsource(keras.callbacks.CallbackList)
    assert "self.callbacks = tree.flatten(callbacks)" in source
    assert "self._configure_async_dispatch(callbacks)" in source
    trainer = next(kind for kind in keras.Model.__mro__ if "fit" in vars(kind))
    assert "isinstance(callbacks, callbacks_module.CallbackList)" in inspect.getsource(vars(trainer)["evaluate"])
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert model._compile_config.config["loss"] == "mse"
    assert "_learning_rate" in vars(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 5)))
