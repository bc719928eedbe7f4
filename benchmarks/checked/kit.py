"""What the programs of this folder share: data by seed, trainings by name, and the truth about each of them.

A program is called with a range of seeds and writes a line of JSON for each training into ``truth.jsonl``: `planted`,
the checks that have to alarm; `clean`, those that must not although their fault is near; `unclear`, those of which
nobody can say, because the oracle lies between; `also`, what a fault brings with it and may be said. For all checks
that are not named, an alarm is false.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

warnings.simplefilter("ignore")
os.environ.setdefault("KERAS_BACKEND", "torch")

import histhooks  # noqa: E402

histhooks.autolog(groups="patient", time="day")

import numpy as np  # noqa: E402
from sklearn import datasets  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

from histhooks._record import data_looks  # noqa: E402

# A program of some trainings never meets this bound of all that is looked at; one of hundreds in half a minute does.
data_looks._LEAST_ALL_S = 1e6


class Truth:
    """Writes what is true of each training.

    Parameters
    ----------
    seed : int
        Of the trainings that follow.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._open: dict[str, Any] = {}

    @contextmanager
    def training(self, name: str, planted: Iterable[str] = (), also: Iterable[str] = ()) -> Iterator[histhooks.Run]:
        """A block of this name; what is true of it is written at its end."""
        self._open = {"planted": list(planted), "clean": [], "unclear": [], "also": [*also], "oracle": {}}
        name = f"{name} #{self.seed}"
        with histhooks.start_run(name) as run:
            yield run
            data_looks.looks.settle(60)  # a program that ends gives its looks this time too
        row = {"name": name, "seed": self.seed, **self._open}
        with open("truth.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def oracle(self, check: str, value: float, below: float, above: float) -> None:
        """Judge the open training by a measure on fresh rows: a fault from `above` on, none up to `below`."""
        value = float(value)
        self._open["oracle"][check] = value
        if check in self._open["planted"]:
            self._open["planted"].remove(check)
        place = "planted" if value >= above else "clean" if value <= below else "unclear"
        self._open[place].append(check)

    def is_unclear(self, *checks: str) -> None:
        """Nobody can say of these checks, whether they have to alarm."""
        self._open["unclear"] += checks


def seeds() -> range:
    """The seeds that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    return range(options.first, options.first + options.count)


def run(*flows: Callable[[Truth, np.random.Generator], None]) -> None:
    """Call each flow for each seed; generators of NumPy and of Python are seeded before each."""
    import random

    torch = __import__("sys").modules.get("torch")
    for seed in seeds():
        for number, flow in enumerate(flows):
            random.seed(seed)
            np.random.seed(seed)
            if torch is not None:
                torch.manual_seed(1000 * seed + number)
            flow(Truth(seed), np.random.default_rng([seed, number]))
    histhooks.flush()


# --- data -------------------------------------------------------------------------------------------------------------


def part(X: Any, y: Any, rng: np.random.Generator, share: float = 0.9) -> tuple[Any, Any]:
    """Some of the rows, so that each seed has data of its own."""
    keep = rng.permutation(len(y))[: int(share * len(y))]
    return X[keep], y[keep]


def classes(rng: np.random.Generator, which: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Data of a classification: real or made."""
    seed = int(rng.integers(1 << 30))
    which = int(rng.integers(8)) if which is None else which % 8
    if which == 0:
        return part(*datasets.load_breast_cancer(return_X_y=True), rng)
    if which == 1:
        return part(*datasets.load_wine(return_X_y=True), rng)
    if which == 2:
        return part(*datasets.load_digits(return_X_y=True), rng, 0.5)
    if which == 3:
        return datasets.make_classification(600, 12, n_informative=6, class_sep=1.4, flip_y=0.02, random_state=seed)
    if which == 4:
        return datasets.make_classification(
            800, 20, n_informative=9, n_classes=4, n_clusters_per_class=1, class_sep=1.6, random_state=seed
        )
    if which == 5:
        return datasets.make_moons(500, noise=0.25, random_state=seed)
    if which == 6:
        X, y = datasets.load_diabetes(return_X_y=True)
        X, y = part(X, y, rng)
        return X, (y > np.median(y)).astype(int)
    centers = rng.normal(size=(3, 5)) * 2
    y = rng.integers(0, 3, 500)
    return centers[y] + rng.normal(size=(500, 5)), y


def numbers(rng: np.random.Generator, which: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Data of a regression: real or made."""
    seed = int(rng.integers(1 << 30))
    which = int(rng.integers(4)) if which is None else which % 4
    if which == 0:
        return part(*datasets.load_diabetes(return_X_y=True), rng)
    if which == 1:
        return datasets.make_friedman1(500, noise=1.0, random_state=seed)
    if which == 2:
        return datasets.make_regression(400, 8, noise=10, random_state=seed)
    X = rng.lognormal(size=(600, 6))
    return X, np.log(X).sum(1) * 10 + rng.normal(size=600) * 3


def split(X: Any, y: Any, rng: np.random.Generator, **how: Any) -> list[Any]:
    """Two parts of each."""
    return train_test_split(X, y, random_state=int(rng.integers(1 << 30)), **how)
