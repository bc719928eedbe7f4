"""Boosters by identity: the run that trained each, and the file that it was read from."""

from __future__ import annotations

import os
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import xgboost

from histhooks.integrations._estimators import Unreadable, Values, forget, trained_by
from histhooks.integrations.kit import Run, answer, ask, gathered, guarded

run_of: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()
_estimator_of: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = weakref.WeakKeyDictionary()
# The file that a booster was loaded from, with its size and its time of change.
_read: weakref.WeakKeyDictionary[Any, tuple[str, int, int]] = weakref.WeakKeyDictionary()


@guarded
def fitted(estimator: Any, run: Run) -> None:
    """Let scikit-learn's ``score``, and joblib's ``dump``, find the run of the estimator."""
    trained_by(run, estimator, is_own=True)
    booster = answer(None, estimator.get_booster)  # a `fit` of the program's own may have trained none
    if isinstance(booster, xgboost.Booster):
        _estimator_of[booster] = weakref.ref(estimator)
        log_model(run, "end", booster)


def log_model(run: Run, point: str, booster: Any) -> None:
    """Record a booster by the content of the file that ``save_model("model.ubj")`` would make, which takes less than a
    thousandth of the training: equal trainings, and a model that was saved and loaded, have the same one.
    """
    gathered(run, "weights", run.log_weights, point, partial(_content, booster), what=f"model at the {point}")


def _content(booster: Any) -> list[Values]:
    if '"device":"cpu"' not in xgboost.Booster.save_config(booster):
        raise Unreadable("the model is on a device, which had to be waited for")
    raw = xgboost.Booster.save_raw(booster, "ubj")
    return [Values("model.ubj", "uint8", (len(raw),), len(raw), 0, raw)]


def log_previous(run: Run, model: Any) -> None:
    """Where training goes on from an earlier model, link to the run that left it."""
    if isinstance(model, (str, os.PathLike)):
        if Path(model).is_file():  # else the host will refuse it
            run.log_artifact(model, role="model", direction="in")
            run.link("continues", None, path=model)
    elif model is not None:
        booster = ask(model.get_booster) if hasattr(type(model), "get_booster") else model
        if isinstance(booster, xgboost.Booster):
            log_model(run, "start", booster)
        earlier = run_of.get(booster) if isinstance(booster, xgboost.Booster) else None
        if earlier is not None:
            run.link("continues", str(earlier.id))
        else:
            place = _file_of(booster)
            run.link("continues", None, path=place)
            if place:
                run.log_artifact(place, role="model", direction="in")


@guarded
def loaded(self: Any, fname: Any) -> None:
    """Keep in mind from which file a booster was loaded, and forget which run trained it before."""
    known = stamped(fname)
    run_of.pop(self, None)  # it is another model now
    estimator = _estimator_of.pop(self, lambda: None)()
    if estimator is not None:
        forget(estimator)
    _read.pop(self, None)
    if known is not None:
        _read[self] = known


def _file_of(booster: Any) -> str | None:
    """The file that a booster was loaded from, unless it was written again since."""
    known = _read.get(booster) if isinstance(booster, xgboost.Booster) else None
    return known[0] if known is not None and known == stamped(known[0]) else None


def stamped(path: Any) -> tuple[str, int, int] | None:
    """The place, the size and the time of change of a file that is there."""
    if not isinstance(path, (str, os.PathLike)) or not Path(path).is_file():
        return None
    known = os.stat(path)
    return os.path.abspath(path), known.st_size, known.st_mtime_ns
