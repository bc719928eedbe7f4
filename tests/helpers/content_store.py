"""A store of runs whose data is the same, reordered, changed in one cell, hashed with another key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histhooks
from helpers import contents
from helpers.sessions import end_session

_RANDOM = np.random.default_rng(7)
X = _RANDOM.normal(size=(1000, 5))
Y = (X[:, 0] > 0).astype(int)
_ORDER = _RANDOM.permutation(800)


def _split(run: Any, seed: int) -> None:
    arguments = json.dumps({"test_size": 0.2, "random_state": seed})
    row = {"function": "train_test_split", "arguments": arguments, "n_in": 1000, "n_out": "[800, 200]"}
    contents.put_of_session(run, "splits", {**row, "shuffled": 1, "location": "train.py:3"})


def _weights(run: Any, **digests: str) -> None:
    """Weights of two arrays, of which one is the same at each point."""
    for point, digest in digests.items():
        found = {"point": point, "n_tensors": 2, "n_values": 6, "nonfinite": 0, "l2": 1.5, "digest": digest * 16}
        tensors = json.dumps({"w": digest * 6, "b": "00" * 6})
        contents.put(run, "weights", {**found, "algorithm": "xxh3_128", "tensors": tensors})


def _first() -> None:
    """A test set with five rows of the training data, and a transformer that saw them."""
    with histhooks.start_run("first") as run:
        _split(run, 7)
        train = contents.record(run, "train", X[:800], Y[:800])
        test = contents.record(run, "test", np.concatenate([X[800:], X[:5]]), np.concatenate([Y[800:], Y[:5]]))
        contents.record_overlap(run, test, train)
        scaler = {"position": 0, "class_name": "StandardScaler", "fitted_dataset_id": train[0], "role": "test"}
        scaler |= {"n_rows": 205, "n_fitted": 5, "by": "rows", "uses_target": 0, "requires_fit": 1}
        contents.put(run, "transforms", scaler)
        _weights(run, start="ab", end="cd")


def make(path: Path) -> Path:
    """Record the runs in a session of this process; their rows about content are put by this module alone."""
    changed = X[:800].copy()
    changed[17, 3] += 0.001
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HISTHOOKS_DATA", "profile")
        histhooks.autolog(store=path)
        _first()
        with histhooks.start_run("again") as run:
            run.log_dataset("train", X[:800], Y[:800])
        with histhooks.start_run("reordered") as run:
            contents.record(run, "train", X[:800][_ORDER], Y[:800][_ORDER])
        with histhooks.start_run("changed") as run:
            contents.record(run, "train", changed, Y[:800], kept=256)
        with histhooks.start_run("other key") as run:
            contents.record(run, "train", X[:800] + 0.5, Y[:800], key=contents.OTHER_KEY)
        with histhooks.start_run("clean") as run:
            parts = contents.record(run, "train", X[:800]), contents.record(run, "valid", X[800:])
            contents.record_overlap(run, parts[1], parts[0])
        with histhooks.start_run("profile") as run:
            run.log_dataset("train", X[:700], Y[:700])
        with histhooks.start_run("large") as run:
            run.log_dataset("train", np.zeros((40_000, 8)))
        with histhooks.start_run("none"):
            pass
        with histhooks.start_run("other start") as run:
            _split(run, 8)
            run.log_dataset("train", X[:800], Y[:800])
            _weights(run, start="ef", end="cd")
        with histhooks.start_run("ended otherwise") as run:
            _weights(run, start="ab", end="ce")
        histhooks.flush()
        end_session()
    return path
