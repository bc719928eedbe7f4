"""Models, layers, optimizers and callbacks of the program that do odd things: none is asked, and each costs itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("keras")

# Each of these counts that somebody asked: with the hooks as often as without.
PROGRAM = """
import collections, gc, json, random, sys, weakref
import keras, numpy as np
asked = collections.Counter()
def asking(name, of, *, fails=False):
    def get(self):
        asked[name] += 1
        if fails:
            raise RuntimeError(name)
        return of.fget(self)
    return property(get, getattr(of, "fset", None))
keras.utils.set_random_seed(0)
x = np.random.RandomState(0).rand(16, 3).astype("float32"); y = x.sum(1, keepdims=True)

class Odd(keras.layers.Dense):
    # `weights` is read by Keras itself, so it answers.
    weights = asking("weights", keras.layers.Layer.weights)
    output = asking("output", keras.layers.Layer.output, fails=True)
    trainable = asking("trainable", keras.layers.Layer.trainable)
    def count_params(self):
        asked["count_params"] += 1
        raise RuntimeError("count_params")
    def get_config(self):
        asked["get_config"] += 1
        raise RuntimeError("get_config")
class Rate(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        asked["schedule"] += 1
        return 0.1 * random.random()
class Stepping(keras.optimizers.SGD):
    iterations = asking("iterations", keras.optimizers.SGD.iterations)
    learning_rate = asking("learning_rate", keras.optimizers.SGD.learning_rate)
class Model(keras.Model):
    metrics = asking("metrics", keras.Model.metrics)
    metrics_names = asking("metrics_names", keras.Model.metrics_names, fails=True)
    trainable_weights = asking("trainable_weights", keras.layers.Layer.trainable_weights)
    def __init__(self):
        super().__init__()
        self.parts = [Odd(2), keras.layers.Dense(1)]
    def __getattr__(self, name):
        asked["__getattr__"] += 1
        raise AttributeError(name)
    def call(self, x):
        asked["call"] += 1
        return self.parts[1](self.parts[0](x))
    def summary(self, *args, **kwargs):
        asked["summary"] += 1
    def count_params(self):
        asked["count_params"] += 1
        raise RuntimeError("count_params")
class Watching(keras.callbacks.Callback):
    @property
    def monitor(self):
        asked["monitor"] += 1
        raise RuntimeError("monitor")
    def __eq__(self, other):
        asked["__eq__"] += 1
        raise RuntimeError("__eq__")
    __hash__ = None
    def __bool__(self):
        asked["__bool__"] += 1
        raise RuntimeError("__bool__")
class Stopping(keras.callbacks.EarlyStopping):
    @property
    def best_epoch(self):
        asked["best_epoch"] += 1
        return self.__dict__["mine"]
    @best_epoch.setter
    def best_epoch(self, value):
        self.__dict__["mine"] = value

model = Model()
model.compile(Stepping(Rate()), "mse", metrics=["mae"])
stopping = Stopping("loss", patience=5)
checkpoint = keras.callbacks.ModelCheckpoint("never.keras", save_freq=1000)
del checkpoint.filepath
history = model.fit(x, y, epochs=2, batch_size=8, verbose=0, callbacks=[Watching(), stopping, checkpoint])
model.train_on_batch(x, y)
model.evaluate(x, y, verbose=0)
unbuilt = keras.Sequential([keras.layers.Dense(1)])
unbuilt.compile("sgd", "mse")
try:
    unbuilt.fit(None, None)
except Exception:
    asked["refused"] += 1
assert not unbuilt.built
told = [history.history, sorted(asked.items()), random.random(), sorted(vars(model)), sorted(vars(stopping))]
dead = [weakref.ref(thing) for thing in (model, stopping, model.optimizer)]
del model, history, stopping, checkpoint
gc.collect()
print(json.dumps([*told, [reference() is None for reference in dead]]))
"""


def test_nothing_of_the_programs_own_is_asked_and_what_is_odd_costs_itself(store_path: Path) -> None:
    code, plain, err = run_program(PROGRAM, store_path, KERAS_BACKEND="torch")
    assert code == 0, err
    code, recorded, err = run_program(
        f"import histhooks; histhooks.autolog()\n{PROGRAM}", store_path, KERAS_BACKEND="torch"
    )
    assert code == 0, err
    assert json.loads(recorded) == json.loads(plain)
    assert json.loads(recorded)[-1] == [True, True, True]
    report = verify(store_path)
    assert report.ok, report.problems
    kinds = query(store_path, "SELECT kind, status, framework FROM runs ORDER BY started_at")
    assert kinds == [("fit", "finished", "keras"), ("loop", "finished", "keras"), ("fit", "failed", "keras")]
    sql = "SELECT name, count(*) FROM metrics WHERE epoch IS NOT NULL GROUP BY name"
    assert query(store_path, sql) == [("loss", 2), ("lr", 2), ("mae", 2)]
    assert query(store_path, "SELECT DISTINCT hook_errors FROM sessions") == [(0,)]
    notes = [str(note) for (note,) in query(store_path, "SELECT note FROM captures WHERE status = 'failed'")]
    assert any("ModelCheckpoint" in note for note in notes), notes
    ((layers,),) = query(store_path, "SELECT layers FROM architectures")
    assert [(layer["class"], layer["parameters"]) for layer in json.loads(str(layers))] == [("Odd", 8), ("Dense", 3)]
    assert json.loads(str(layers))[0]["config"]["units"] == 2
