"""Fits of Keras: curves judged by an oracle of fresh rows, and faults of the program."""

from __future__ import annotations

from typing import Any

import keras
import kit
import numpy as np
from worlds import FRESH, World, constant_of, cross_entropy, judge

Generator = np.random.Generator


class Oracle(keras.callbacks.Callback):
    """The loss of some rows before the training and after each epoch, without a trace in the record."""

    def __init__(self, *parts: tuple[np.ndarray, np.ndarray]) -> None:
        super().__init__()
        self._parts, self.losses = parts, [[] for _ in parts]

    def on_train_begin(self, logs: Any = None) -> None:
        for (X, y), losses in zip(self._parts, self.losses, strict=True):
            guess = keras.ops.convert_to_numpy(self.model(X, training=False)).astype(float)
            losses.append(cross_entropy(guess, y))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.on_train_begin()


def fit(
    truth: kit.Truth, rng: Generator, name: str, planted: tuple[str, ...] = (), also: tuple[str, ...] = (), *,
    noise: float = 0.5, n: int = 600, hidden: int = 16, lr: float = 0.01, epochs: int = 12, **how: Any,
) -> None:  # fmt: skip
    """Fit one network, and tell what is true of it."""
    keras.utils.set_random_seed(truth.seed)
    world = World(rng, noise)
    train, valid, test, fresh = (world.rows(size) for size in (n, 300, 300, FRESH))
    if how.get("bad_row"):
        train[0][5, 2] = np.nan
    layers = [keras.layers.Input((16,)), keras.layers.Dense(hidden, activation="relu")]
    layers += [keras.layers.Dropout(0.3)] if how.get("dropout") else []
    model = keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])
    model.trainable = how.get("trainable", True)
    optimizer = how.get("optimizer", keras.optimizers.Adam)(lr)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    oracle = Oracle(fresh, train)
    callbacks = [oracle, *how.get("callbacks", list)()]
    judging = train if how.get("on_train") else test if how.get("on_test") else valid
    batch = how.get("batch", 60)
    with truth.training(name, planted, also):
        model.fit(*train, batch_size=batch, epochs=epochs, verbose=0, validation_data=judging, callbacks=callbacks)
        if how.get("has_test", True):
            model.evaluate(*test, verbose=0)
        if how.get("has_oracle", True):
            judge(truth, *oracle.losses, constant_of(fresh[1]))


def curves(truth: kit.Truth, rng: Generator) -> None:
    """Fits that people mean well, and others."""
    fit(truth, rng, "keras", noise=0.3, n=1200, has_test=False)
    fit(truth, rng, "keras with dropout", noise=0.8, n=900, dropout=True, hidden=48, epochs=15)
    fit(truth, rng, "keras, many rows", noise=0.5, n=2500, batch=250, lr=0.02, epochs=10)
    fit(truth, rng, "keras, few rows", noise=2.0, n=150, hidden=128, epochs=40, batch=50)
    fit(truth, rng, "keras, rate 40", lr=40.0, epochs=10, also=("fit.no_better",))
    fit(
        truth,
        rng,
        "keras, SGD, rate 1e-8",
        lr=1e-8,
        optimizer=keras.optimizers.SGD,
        also=("fit.no_better", "fit.frozen"),
    )


def faults(truth: kit.Truth, rng: Generator) -> None:
    """Faults of the program, known by construction."""
    stop = {"callbacks": lambda: [keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)]}
    nothing = ("loss.flat", "fit.no_better")
    fit(truth, rng, "keras, stopped by validation rows", epochs=20, has_oracle=False, n=900, **stop)
    fit(
        truth,
        rng,
        "keras, stopped by test rows",
        ("select.on_test",),
        epochs=20,
        has_oracle=False,
        on_test=True,
        **stop,
    )
    fit(truth, rng, "keras on train", ("valid.is_train",), on_train=True, epochs=5, has_oracle=False, has_test=False)
    bad, brings = ("loss.nonfinite", "weights.nonfinite"), ("data.missing", *nothing)
    fit(truth, rng, "keras, a bad row", bad, brings, bad_row=True, epochs=4, has_oracle=False)
    fit(truth, rng, "keras, not trainable", ("fit.frozen",), nothing, trainable=False, epochs=4, has_oracle=False)
    rates = {"callbacks": lambda: [keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.9)]}
    fit(truth, rng, "keras, falling rate", n=900, has_test=False, **rates)


if __name__ == "__main__":
    kit.run(curves, faults)
