"""Which run trained which estimator: by identity, and known no longer than the estimator lives.

One integration may have seen its fit, and another its ``score``: those of XGBoost's estimators are scikit-learn's.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from histhooks import recorder
from histhooks._guard import guarded
from histhooks._run import Run


@dataclass(slots=True)
class Trained:
    """What is known of an estimator that was fitted here.

    Attributes
    ----------
    run : Run
    is_own : bool
        Whether the run is of this estimator, and not of one that it is a part of.
    calls : int
        How many calls of ``partial_fit`` the run has seen.
    """

    estimator: weakref.ref[Any]
    run: Run
    is_own: bool
    calls: int = 0


# By id: an estimator of another package may compare by value, or have no hash.
_trained: dict[int, Trained] = {}
_adding = threading.Lock()


@guarded
def trained_by(run: Run, estimator: Any, *, is_own: bool) -> None:
    """Keep in mind which run has just trained an estimator."""
    if not run.is_recorded:
        return
    key = id(estimator)
    try:
        reference = weakref.ref(estimator, functools.partial(_gone, key))
    except TypeError:
        return  # of a class with slots
    _trained[key] = Trained(reference, run, is_own)


def _gone(key: int, reference: weakref.ref[Any]) -> None:
    found = _trained.get(key)
    if found is not None and found.estimator is reference:
        del _trained[key]


@guarded
def part_trained(estimator: Any) -> None:
    """Keep in mind that an estimator was fitted inside the run that goes on: a step, a member, the best candidate."""
    run = recorder.current_run()
    if run is not None and run.is_implicit and run.kind != "loop":
        trained_by(run, estimator, is_own=False)


def find(estimator: Any) -> Trained | None:
    """What is known of an estimator."""
    found = _trained.get(id(estimator))
    return found if found is not None and found.estimator() is estimator else None


def forget(estimator: Any) -> None:
    """Know no longer who trained an estimator."""
    _trained.pop(id(estimator), None)


@contextmanager
def adding_to(run: Run) -> Iterator[None]:
    """Let a run take more, whether it has ended or not."""
    if run.status == "running":
        yield
        return
    with _adding, run.reopened():
        yield
