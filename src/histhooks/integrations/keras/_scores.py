"""What ``evaluate`` leaves: points of the run that trained the model, or a run of its own."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from keras.callbacks import CallbackList

from histhooks.integrations._estimators import Scored, adding_to, find, scoring
from histhooks.integrations.keras._facts import described, log_evaluated
from histhooks.integrations.keras._files import log_read
from histhooks.integrations.keras._fit import Fit
from histhooks.integrations.keras._layers import log_architecture
from histhooks.integrations.keras._lists import leave, listen
from histhooks.integrations.keras._logs import numbers_in
from histhooks.integrations.keras._optimizers import Optimizers
from histhooks.integrations.kit import Run, gathered, guarded, recorded_as

Open = Callable[..., Run]
# Series of scores that came while a run went on.
_before_end: weakref.WeakKeyDictionary[Run, set[str]] = weakref.WeakKeyDictionary()


class Evaluation:
    """One call of ``evaluate``: hears its scores by name.

    Attributes
    ----------
    model : keras.Model
    callbacks : CallbackList or None
        The host's list, once it is there.
    scores : dict
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.callbacks: CallbackList | None = None
        self.scores: dict[str, Any] = {}

    def around(self, hook: str, callbacks: list[Any]) -> list[Any]:
        """The program's callbacks, and this one behind them where the scores are known."""
        return [*callbacks, self] if hook == "on_test_end" else callbacks

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras."""
        self.scores = dict(logs or {})

    def enter(self, callbacks: CallbackList) -> None:
        """Listen to the list of this evaluation."""
        self.callbacks = callbacks
        listen(callbacks, self)

    def leave(self) -> None:
        """Hear the list no longer."""
        leave(self.callbacks, self)


@contextmanager
def recorded(evaluation: Evaluation, bound: Mapping[str, Any], fit: Fit | None, open_run: Open) -> Iterator[None]:
    """Record an evaluation: in the fit that goes on, in the run that trained the model here, else in one of its own."""
    found = None if fit is not None else find(evaluation.model)
    trainer = fit.run if fit is not None else found.run if found is not None and found.run.takes_more() else None
    run = trainer if trainer is not None else _open(evaluation.model, open_run)
    with scoring(*(guarded(described)(bound.get("x"), bound.get("y")) or (None, None))):
        scored = _log_data(run, bound, trainer)
        if trainer is not None:
            yield
            _log_scores(scored, evaluation, fit, trainer)
            return
        with recorded_as(run, functools.partial(_log_scores, scored, evaluation, fit)):
            yield


@guarded
def _open(model: Any, open_run: Open) -> Run:
    run = open_run("evaluate", model)
    gathered(run, "artifacts", log_read, run, model, what="model")
    gathered(run, "architecture", log_architecture, run, model)
    return run


@guarded
def _log_data(run: Run | None, bound: Mapping[str, Any], trainer: Run | None) -> Scored | None:
    if run is None:
        return None
    with adding_to(run):
        return gathered(run, "data", log_evaluated, run, bound, trainer, what="evaluated")


@guarded
def _log_scores(scored: Scored | None, evaluation: Evaluation, fit: Fit | None, run: Run) -> None:
    split = "unsaid" if scored is None else scored.split
    with adding_to(run):
        numbers, odd = numbers_in(evaluation.scores)
        for name, why in odd.items():
            run.missing("metrics", f"evaluate: {name}: {why}")
        named = {}
        for name, value in numbers.items():
            known, series = run.what_is(name), series_of(run, f"{split}_{name}")
            run.declare_metric(series, metric=known.metric, split=split, direction=known.direction)
            named[series] = value
        optimizers = Optimizers(evaluation.model) if fit is None else fit.optimizers
        step = gathered(run, "metrics", optimizers.last_step, what="step")
        run.log(named, step=step, epoch=None if fit is None else fit.epoch)


def series_of(run: Run, name: str) -> str:
    """The name of a series, with `/after` where the run had one of this name before its end, which cannot go on."""
    if run.status == "running":
        _before_end.setdefault(run, set()).add(name)
        return name
    return f"{name}/after" if name in _before_end.get(run, ()) else name
