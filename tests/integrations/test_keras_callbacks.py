"""What callbacks of the program do inside a fit of Keras: to logs, to lists, to models; all in one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("keras")

PROGRAM = """
import histhooks
histhooks.autolog("keras")
import json, os, sys
import keras, numpy as np
K = keras.callbacks
keras.utils.set_random_seed(0)
x = np.random.RandomState(0).rand(16, 3).astype("float32"); y = x.sum(1, keepdims=True)
def made(optimizer="sgd", loss="mse", **more):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer, loss, **more)
    return model
told = {}
def plain(value):
    return float(value) if getattr(value, "ndim", None) == 0 else str(value)
def fit(name, *, model=None, **more):
    model = model or made()
    more = {"epochs": 3, "batch_size": 8, "verbose": 0} | more
    with histhooks.start_run(name):
        try:
            history = model.fit(x, y, **more).history
        except RuntimeError as error:
            history = str(error)
    told[name] = json.loads(json.dumps(history, default=plain))
    return model
class At(K.Callback):
    "Calls a function at the end of each epoch."
    def __init__(self, function):
        super().__init__()
        self.function = function
    def on_epoch_end(self, epoch, logs=None):
        self.function(self, epoch, logs)
at = At

# --- logs
auc = at(lambda self, epoch, logs: logs.update(auc=0.5 + epoch / 10))
halving = K.LearningRateScheduler(lambda epoch, rate: rate / 2)
fit("added", callbacks=[auc, halving])
fit("added behind", callbacks=[K.History(), auc, halving])
fit("altered", callbacks=[at(lambda self, epoch, logs: logs.update(loss=7.0)), K.ReduceLROnPlateau("loss", patience=1)])
fit("removed", model=made(metrics=["mae"]), callbacks=[at(lambda self, epoch, logs: logs.pop("mae"))])
class Odd:
    def __float__(self):
        raise RuntimeError("not now")
def odd(self, epoch, logs):
    logs.update({"word": "high", "none": None, "odd": Odd(), 5: 1.0, "whole": 3, "array": np.arange(3.0) + epoch})
    logs.update(matrix=np.eye(2), several={"a": 1.0, "b": np.float32(2)}, wide=np.zeros(500), one=np.array([[0.25]]))
    logs.update(lr=float(epoch), tuple=(1.0, 2.0), empty=np.zeros(0), truth=np.bool_(True))
fit("odd", callbacks=[at(odd)])
def broken(self, epoch, logs):
    if epoch == 1:
        raise RuntimeError("broken")
fit("raising behind", callbacks=[auc, at(broken)])

# --- calls inside
def calls(self, epoch, logs):
    self.model.predict(x[:4], verbose=0)
    logs["score"] = self.model.evaluate(x[:4] * 2, y[:4], verbose=0)
stopping = K.EarlyStopping("val_loss", patience=1, min_delta=10.0)
saving = K.ModelCheckpoint("w{epoch}.weights.h5", save_weights_only=True)
fit("evaluated inside", callbacks=[stopping, at(calls), saving], validation_data=(x, y), epochs=5)
def probe(self, epoch, logs):
    made(loss="mae", metrics=["mse"]).fit(x, y * 5, epochs=2, verbose=0)
fit("another inside", callbacks=[at(probe)], epochs=2)
def again(self, epoch, logs):
    if epoch == 0:
        self.model.fit(x, y, epochs=1, verbose=0, callbacks=[auc])
fit("itself inside", callbacks=[at(again), auc], epochs=2)
def step(self, epoch, logs):
    other.train_on_batch(x, y)
other = made()
fit("batches inside", callbacks=[at(step)], epochs=2)

# --- lists
seen = []
def look(self, epoch, logs):
    seen.append([type(c).__name__ for c in given.callbacks])
for name, kind in {"list": K.CallbackList, "super": type("Own", (K.CallbackList,), {
    "on_epoch_end": lambda self, epoch, logs=None: K.CallbackList.on_epoch_end(self, epoch, logs)})}.items():
    model = made()
    given = kind([at(look), auc], add_history=True, model=model, epochs=3, verbose=0, steps=2)
    own = given.callbacks
    fit(name, model=model, callbacks=given)
    assert given.callbacks is own and vars(given)["callbacks"] is own
    assert seen[-1] == ["At", "At", "History"], seen
class Alone(K.CallbackList):
    def on_epoch_end(self, epoch, logs=None):
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)
model = made()
fit("alone", model=model, callbacks=Alone([auc], add_history=True, model=model, epochs=3, verbose=0, steps=2))
fit("tuple", callbacks=(auc, halving))
fit("single", callbacks=auc)
fit("dict", callbacks={"a": auc})
fit("none", callbacks=None)

# --- a backup of the first epoch
class Cut(K.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            raise RuntimeError("cut")
for name, more in {"cut": [Cut()], "taken up": []}.items():
    fit(name, callbacks=[K.BackupAndRestore("backup", save_freq=1), *more], batch_size=4)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    store = tmp_path_factory.mktemp("keras") / "histhooks.db"
    code, out, err = run_program(PROGRAM, store, KERAS_BACKEND="torch")
    assert code == 0, err
    report = verify(store)
    assert report.ok, report.problems
    assert query(store, "SELECT hook_errors FROM sessions") == [(0,)]
    return store, json.loads(out)


def curves(store: Path, name: str) -> dict[str, list[object]]:
    """Series of the first fit inside a block, in order."""
    found: dict[str, list[object]] = {}
    sql = f"""SELECT m.name, m.value FROM metrics AS m JOIN (SELECT r.id FROM runs AS r JOIN runs AS p
              ON p.id = r.parent_id WHERE p.name = '{name}' ORDER BY r.started_at LIMIT 1) ON id = m.run_id
              WHERE m.split IS NOT 'system' ORDER BY m.name, m.n"""
    for series, value in query(store, sql):
        found.setdefault(str(series), []).append(value)
    return found


def inside(store: Path, name: str, columns: str) -> list[tuple[object, ...]]:
    """Of the fits inside a block."""
    sql = f"SELECT {columns} FROM runs AS r JOIN runs AS p ON p.id = r.parent_id WHERE p.name = '{name}'"
    return query(store, f"{sql} ORDER BY r.started_at")


@pytest.mark.parametrize(
    "name", ["added", "altered", "removed", "list", "super", "alone", "tuple", "single", "dict", "none"]
)
def test_the_record_has_what_history_has(record: tuple[Path, dict[str, Any]], name: str) -> None:
    store, told = record
    found = curves(store, name)
    rates = found.pop("lr", [])
    assert found == told[name]
    assert len(rates) == (0 if name == "alone" else 3)  # a list that calls callbacks by itself is heard by History
    assert inside(store, name, "r.status, r.epochs_done") == [("finished", 3)]
    if name == "added":
        assert list(told[name]) == ["loss", "auc", "learning_rate"]


def test_what_comes_behind_history_is_in_the_record(record: tuple[Path, dict[str, Any]]) -> None:
    store, told = record
    found = curves(store, "added behind")
    assert list(told["added behind"]) == ["loss"]
    assert found["loss"] == told["added behind"]["loss"]
    assert found["auc"] == [0.5, 0.6, 0.7]
    assert found["learning_rate"] == [pytest.approx(0.01 / 2**n) for n in (1, 2, 3)]


def test_an_odd_value_costs_itself_and_several_are_one_series_each(record: tuple[Path, dict[str, Any]]) -> None:
    store, told = record
    found = curves(store, "odd")
    assert found["loss"] == told["odd"]["loss"]
    assert found["whole"] == [3.0] * 3
    assert found["truth"] == [1.0] * 3
    assert [found[f"array/{n}"] for n in range(3)] == [[n + 0.0, n + 1.0, n + 2.0] for n in range(3)]
    assert [found[f"matrix/{n}"][0] for n in ("0.0", "0.1", "1.0", "1.1")] == [1.0, 0.0, 0.0, 1.0]
    assert (found["several/a"], found["several/b"], found["tuple/1"]) == ([1.0] * 3, [2.0] * 3, [2.0] * 3)
    assert found["one"] == [0.25] * 3
    assert found["lr"] == [0.0, 1.0, 2.0]  # the program's own
    assert len(found["lr/0.0"]) == 3
    assert len([name for name in found if name.startswith("wide/")]) == 100
    assert not {"word", "none", "odd", "5"} & found.keys()
    notes = [str(note) for (note,) in query(store, "SELECT note FROM captures WHERE collector = 'metrics'")]
    for expected in ("word: ", "none: ", "odd: RuntimeError: not now", "5: ", "wide: the first 100", "of 500"):
        assert [note for note in notes if expected in note], (expected, notes)


def test_an_epoch_whose_callbacks_raise_is_kept_with_what_they_added(record: tuple[Path, dict[str, Any]]) -> None:
    store, told = record
    assert told["raising behind"] == "broken"
    assert inside(store, "raising behind", "r.status, r.error_message, r.epochs_done") == [("failed", "broken", 2)]
    assert curves(store, "raising behind")["auc"] == [0.5, 0.6]


def test_calls_inside_a_fit_cost_nothing_of_it_and_their_scores_are_points(
    record: tuple[Path, dict[str, Any]],
) -> None:
    store, told = record
    ((run_id, epochs),) = inside(store, "evaluated inside", "r.id, r.epochs_done")
    assert epochs == 2
    found = curves(store, "evaluated inside")
    assert {name: found[name] for name in told["evaluated inside"]} == told["evaluated inside"]
    sql = f"SELECT value, split, epoch, step FROM metrics WHERE run_id = '{run_id}' AND name = 'test_loss' ORDER BY n"
    scores = told["evaluated inside"]["score"]
    assert query(store, sql) == [(score, "test", n, 2 * n + 1) for n, score in enumerate(scores)]
    ((names,),) = query(store, f"SELECT value FROM params WHERE run_id = '{run_id}' AND key = 'callbacks'")
    assert [name.rpartition(".")[2] for name in json.loads(str(names))] == ["EarlyStopping", "At", "ModelCheckpoint"]
    results = dict(query(store, f"SELECT key, value FROM results WHERE run_id = '{run_id}'"))
    assert results["stopped_epoch"] == "1"
    files = query(store, f"SELECT path FROM run_artifacts WHERE run_id = '{run_id}' ORDER BY path")
    assert [Path(str(path)).name for (path,) in files] == ["w1.weights.h5", "w2.weights.h5"]


def test_a_fit_inside_a_fit_is_a_run_inside_it(record: tuple[Path, dict[str, Any]]) -> None:
    store, told = record
    for name, count in {"another inside": 2, "itself inside": 1}.items():
        ((outer, status, epochs),) = inside(store, name, "r.id, r.status, r.epochs_done")
        assert (status, epochs) == ("finished", 2)
        found = curves(store, name)
        found.pop("lr")
        assert found == told[name]
        sql = f"SELECT kind, status, epochs_done FROM runs WHERE parent_id = '{outer}'"
        assert query(store, sql) == [("fit", "finished", count)] * count
    ((outer,),) = inside(store, "batches inside", "r.id")
    sql = f"SELECT kind, status, steps_done FROM runs WHERE parent_id = '{outer}'"
    assert query(store, sql) == [("loop", "finished", 2)]


def test_a_backup_of_the_first_epoch_is_a_link(record: tuple[Path, dict[str, Any]]) -> None:
    store, _ = record
    ((first,),) = inside(store, "cut", "r.id")
    ((second, planned, done),) = inside(store, "taken up", "r.id, r.epochs_planned, r.epochs_done")
    assert (planned, done) == (3, 3)
    ((kind, sha256),) = query(store, f"SELECT kind, sha256 FROM run_links WHERE run_id = '{second}'")
    assert kind == "resumes"
    sql = f"SELECT run_id FROM run_artifacts WHERE sha256 = '{sha256}' AND direction = 'out'"
    assert query(store, sql) == [(first,)]
