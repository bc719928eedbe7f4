"""Runs trainings of Keras that it is told on stdin, a JSON plan a line, and says what was true of each.

With HISTHOOKS_HERE=1 they are recorded, each inside a run that is called as the plan. What is said does not come from
histhooks: the logs are those that callbacks saw, the steps and rates those of the optimizer.
"""

from __future__ import annotations

import csv
import gc
import hashlib
import json
import os
import random
import sys
from contextlib import nullcontext
from typing import Any

IS_RECORDED = os.environ.get("HISTHOOKS_HERE") == "1"
if IS_RECORDED:
    import histhooks

    histhooks.autolog("keras")
import keras  # noqa: E402
import numpy as np  # noqa: E402

K = keras.callbacks
gc.freeze()  # what was imported need not be looked at in each collection
HOOKS = ("on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_test_end", "on_epoch_end", "on_train_end")
DATA = {
    name: (x := np.random.RandomState(seed).rand(12, 2).astype("float32"), x.sum(1, keepdims=True))
    for seed, name in enumerate(("train", "valid", "new"))
}


class Broken(RuntimeError):
    """What callbacks of a plan raise."""


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of the program's own, whose calls move a random stream: another call would be another training."""

    def __init__(self) -> None:
        self.given: list[float] = []

    def __call__(self, step: Any) -> Any:
        """Called by Keras for each step."""
        self.given.append(0.1 * random.random())
        return self.given[-1]


class First(K.Callback):
    """In front of all others: the dict that logs are, and how far the optimizer is, before anybody changes them."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__()
        self.told = told

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self.told["now"] = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        schedule = optimizer._learning_rate
        steps = int(optimizer.iterations)
        if isinstance(schedule, Halving):
            rate = schedule.given[-1] if schedule.given else None
        elif isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            together = optimizer.gradient_accumulation_steps or 1
            rate = float(schedule(max(0, steps * together - 1)))
        else:
            rate = float(schedule.value)
        self.told["epochs"].append({"epoch": epoch, "step": steps - 1 if steps else None, "rate": rate, "logs": logs})


class Copying(K.History):
    """A ``History`` that also keeps what the logs were when it was called."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__()
        self.told = told

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        super().on_epoch_end(epoch, logs)
        if self.told["epochs"]:
            self.told["epochs"][-1].setdefault("histories", []).append(dict(logs or {}))


class Acting(K.Callback):
    """Does something in one hook, at one epoch or at each."""

    def __init__(self, hook: str, what: dict[str, Any], world: World) -> None:
        super().__init__()
        self.what, self.world, self.epoch = what, world, -1
        if hook != "on_epoch_begin":
            setattr(self, hook, self.act)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self.epoch = epoch
        if self.what["hook"] == "on_epoch_begin":
            self.act(epoch, logs)

    def act(self, *args: Any, logs: Any = None) -> None:
        """Called by Keras as any of its hooks."""
        logs = args[-1] if args and isinstance(args[-1], dict) else logs
        if self.what.get("at") is None or self.what["at"] == self.epoch:
            self.world.do(self.what, self, logs)


class World:
    """All that one plan does."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.fits: list[dict[str, Any]] = []
        self.open: list[int] = []
        self.scores: list[dict[str, Any]] = []
        self.models: list[Any] = []
        self.refused: list[str] = []

    def do(self, what: dict[str, Any], callback: Any, logs: Any) -> None:
        """One act of a callback."""
        kind = what["do"]
        if kind == "add" and logs is not None:
            logs[what["name"]] = what["value"] + self.fits[self.open[-1]]["count"]
        elif kind == "alter" and logs is not None and "loss" in logs:
            logs["loss"] = logs["loss"] + 1.0
        elif kind == "remove" and logs is not None:
            logs.pop(what["name"], None)
        elif kind == "odd" and logs is not None:
            logs.update(word="high", nothing=None, several=np.arange(2.0), object=object())
        elif kind == "predict":
            callback.model.predict(DATA["new"][0], verbose=0)
        elif kind == "evaluate":
            self.evaluate(callback.model, what["data"])
        elif kind == "fit" and len(self.open) < 2:
            self.fit(callback.model if what["same"] else self.made(), what["fit"])
        elif kind == "stop":
            callback.model.stop_training = True
        elif kind == "raise":
            raise Broken(what["hook"])
        elif kind == "params":
            callback.params["epochs"] = 99
        elif kind == "model":
            callback.set_model(callback.model)

    def evaluate(self, model: Any, data: str) -> None:
        """Score a model on some data."""
        outer = [n for n, told in enumerate(self.fits) if told["parent"] is None]
        place = self.open[-1] if self.open else outer[-1]
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        steps = int(optimizer.iterations)
        scores = model.evaluate(*DATA[data], verbose=0, return_dict=True)
        epoch = self.fits[place]["now"] if self.open else None
        score = {
            "fit": place,
            "split": self.split_of(model, data),
            "epoch": epoch,
            "step": steps - 1 if steps else None,
        }
        self.scores.append({**score, "scores": scores})

    def split_of(self, model: Any, data: str) -> str:
        """What data is to a model."""
        fits = [told for told in self.fits if told["of"] == id(model)]
        if data == "train" and any(told["data"] == "arrays" for told in fits):
            return "train"
        if data == "valid" and any(told["validates"] for told in fits):
            return "valid"
        # Of what generators gave nothing is known.
        return "unsaid" if any(told["data"] == "generator" for told in fits) else "test"

    def made(self) -> Any:
        """A model of the plan's kind."""
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(1)])
        schedules = keras.optimizers.schedules
        kind = {
            "sgd": lambda: keras.optimizers.SGD(0.05),
            "adam": lambda: keras.optimizers.Adam(0.01),
            "decay": lambda: keras.optimizers.SGD(schedules.ExponentialDecay(0.1, 3, 0.5)),
            "own": lambda: keras.optimizers.SGD(Halving()),
            "together": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
            "together decay": lambda: keras.optimizers.SGD(
                schedules.ExponentialDecay(0.1, 3, 0.5), gradient_accumulation_steps=2
            ),
            "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05)),
            "ema": lambda: keras.optimizers.SGD(0.05, use_ema=True),
        }
        model.compile(kind[self.plan["optimizer"]](), "mse", metrics=self.plan["metrics"])
        return model

    def callbacks(self, plan: dict[str, Any], told: dict[str, Any]) -> list[Any]:
        """What ``fit`` is given."""
        out: list[Any] = [First(told)]
        for position, what in enumerate(plan["callbacks"]):
            kind = what["do"]
            if kind == "history":
                out.append(Copying(told))
            elif kind == "csv":
                name = f"log {len(self.fits)} {position}.csv"
                out.append(K.CSVLogger(name))
                told["files"].append((name, sorted(_touched(plan["callbacks"][position + 1 :]))))
            elif kind == "early":
                out.append(K.EarlyStopping("loss", patience=what["at"] or 0, min_delta=0.01))
            elif kind == "plateau":
                out.append(K.ReduceLROnPlateau("loss", patience=1, min_delta=10.0))
            elif kind == "rate":
                out.append(K.LearningRateScheduler(lambda epoch, rate: rate * 0.5))
            elif kind == "swap":
                out.append(K.SwapEMAWeights())
            elif kind == "nan":
                out.append(K.TerminateOnNaN())
            else:
                out.append(Acting(what["hook"], what, self))
        return [*out, _Counting(told)]

    def fit(self, model: Any, plan: dict[str, Any]) -> None:
        """One call of ``fit``, and what was true of it."""
        told: dict[str, Any] = {"epochs": [], "count": 0, "now": None, "parent": self.open[-1] if self.open else None}
        told["files"] = []
        told |= {"of": id(model), "data": plan["data"], "validates": plan["more"]["validates"]}
        self.models.append(model)  # so that no id comes twice
        self.open.append(len(self.fits))
        self.fits.append(told)
        more = dict(plan["more"])
        more["validation_data"] = DATA["valid"] if more.pop("validates") else None
        given: Any = self.callbacks(plan, told)
        shape = plan["shape"]
        if shape == "CallbackList":
            given = K.CallbackList(given, add_history=True, model=model, epochs=more["epochs"], verbose=0, steps=3)
        elif shape == "tuple":
            given = tuple(given)
        x, y = DATA["train"]
        if plan["data"] == "generator":
            x, y = endless(more["batch_size"]), None
            more |= {"steps_per_epoch": 2, "batch_size": None}
        try:
            model.fit(x, y, verbose=0, callbacks=given, **more)
            told["end"] = "finished"
        except BaseException as error:
            told["end"] = "failed" if isinstance(error, Exception) else "interrupted"
            told["error"] = str(error)
            raise
        finally:
            self.open.pop()
            told["files"] = [(_rows_of(name), later) for name, later in told["files"]]

    def run(self) -> dict[str, Any]:
        """Do all of it."""
        keras.utils.set_random_seed(0)
        model = self.made()
        for plan in self.plan["fits"]:
            try:
                self.fit(model, plan)
            except Exception as error:
                self.refused.append(type(error).__name__)
        if self.plan["evaluates"]:
            self.evaluate(model, self.plan["evaluates"])
        weights = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
        stream = [random.random(), float(np.random.random()), float(keras.random.uniform(()))]
        for told in self.fits:
            del told["of"]
        return {"fits": self.fits, "scores": self.scores, "weights": weights, "stream": stream, "refused": self.refused}


class _Counting(K.Callback):
    """Behind all others of the program."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__()
        self.told = told

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self.told["count"] += 1


def _touched(acts: list[dict[str, Any]]) -> set[str]:
    """The names in logs that callbacks change."""
    names = {"alter": {"loss"}, "plateau": {"learning_rate"}, "rate": {"learning_rate"}}
    names["odd"] = {"word", "nothing", "several", "object"}
    return set().union(*(names.get(act["do"], {act.get("name", "")}) for act in acts))


def _rows_of(name: str) -> list[dict[str, str]]:
    """What a ``CSVLogger`` wrote."""
    if not os.path.exists(name):
        return []
    with open(name) as file:
        rows = list(csv.DictReader(file))
    os.unlink(name)
    return rows


def endless(size: int) -> Any:
    """Batches without end."""
    x, y = DATA["train"]
    while True:
        yield x[:size], y[:size]


def plain(value: Any) -> Any:
    """For JSON."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if hasattr(value, "item"):
        return value.item()
    return {"odd": type(value).__name__}


def main() -> None:
    """Answer each line."""
    for line in sys.stdin:
        plan = json.loads(line)
        with histhooks.start_run(plan["name"]) if IS_RECORDED else nullcontext():
            truth = World(plan).run()
        if IS_RECORDED:
            assert histhooks.flush()
        print(json.dumps(truth, default=plain), flush=True)


main()
