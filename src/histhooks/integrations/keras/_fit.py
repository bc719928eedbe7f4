"""One call of ``fit``, as it is heard from the host's list of callbacks."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import keras
from keras.callbacks import CallbackList

from histhooks.integrations.keras._facts import backup_of, files_of, log_callbacks, monitored_by
from histhooks.integrations.keras._lists import leave, listen
from histhooks.integrations.keras._logs import numbers_in
from histhooks.integrations.keras._optimizers import Optimizers
from histhooks.integrations.keras._weights import log_first, log_last
from histhooks.integrations.kit import Run, gathered, guarded


class Before:
    """Called before the callbacks of the program: one of them may move the learning rate, or fail."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    def on_train_begin(self, logs: Any = None) -> None:
        """Called by Keras."""
        self._fit.train_began()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self._fit.epoch_began(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self._fit.epoch_ended(epoch, logs if logs is not None else {})

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called by Keras; where it dispatches asynchronously, in a thread of its own."""
        self._fit.batch_ended(batch, logs if logs is not None else {})

    def on_train_end(self, logs: Any = None) -> None:
        """Called by Keras."""
        self._fit.train_ended()


class Between:
    """Called where ``History`` has just taken its copy of the logs."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self._fit.logs_seen()


class Behind:
    """Called behind the callbacks of the program, with what they put into the logs."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self._fit.epoch_passed()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called by Keras."""
        self._fit.batch_passed(batch)


class Epoch:
    """An epoch that ended, whose callbacks still run."""

    def __init__(self, number: int, logs: Mapping[str, Any]) -> None:
        self.number = number
        self.logs = logs  # the dict that all callbacks are given, not a copy
        self.seen: dict[str, Any] = {}
        self.step: int | None = None
        self.rates: dict[str, float] = {}

    def look(self) -> None:
        """Take what is in the logs now; a name that was there at an earlier look stays as it was."""
        self.seen = {**self.logs, **self.seen}


class Fit:
    """One call of ``fit``: its run, and how far it is.

    Attributes
    ----------
    run : Run
    model : keras.Model
    outer : Fit or None
        The fit that a callback called this one in.
    callbacks : CallbackList or None
        The host's list, once it is there.
    has_begun : bool
        Whether callbacks have seen that training begins.
    epoch : int or None
        The epoch that runs, 0-based.
    """

    def __init__(self, run: Run, model: Any, planned: int | None, initial: int, outer: Fit | None) -> None:
        self.run = run
        self.model = model
        self.outer = outer
        self.callbacks: CallbackList | None = None
        self.optimizers = Optimizers(model)
        self._planned, self._initial = planned, initial
        self._every: int | None = None
        self._batches = 0  # trained on before the epoch that runs
        self._done = 0
        self.epoch: int | None = None
        self._ended: Epoch | None = None
        # Batches that came before one that they follow, those whose callbacks are through, and the next one to come.
        self._arrived: dict[int, Mapping[str, Any]] = {}
        self._passed: set[int] = set()
        self._expected = 0
        self._lock = threading.Lock()
        self._others: list[Any] = []
        self._files: dict[str, tuple[int, int]] = {}
        self._odd: set[str] = set()
        self._is_lr_taken = False
        self.has_begun = self._are_weights_known = False
        self._before, self._between, self._behind = Before(self), Between(self), Behind(self)

    def around(self, hook: str, callbacks: list[Any]) -> list[Any]:
        """The callbacks that a method of ``CallbackList`` is to call: the program's and the recorder's."""
        if hook == "on_epoch_end":
            heard: list[Any] = [self._before]
            for callback in callbacks:
                heard.append(callback)
                if isinstance(callback, keras.callbacks.History):
                    heard.append(self._between)
            return [*heard, self._behind]
        if hook in ("on_train_begin", "on_epoch_begin", "on_train_end"):
            return [self._before, *callbacks]
        if hook == "_on_train_batch_end" and self._every:
            return [self._before, *callbacks, self._behind]
        return callbacks

    # --- the list -------------------------------------------------------------------------------------------------

    def enter(self, callbacks: CallbackList, others: list[Any], chosen: list[Any], every: int | None) -> None:
        """Listen to the list of this fit, in which there are others, some of which the program chose."""
        self.callbacks, self._others, self._every = callbacks, others, every
        listen(callbacks, self)
        gathered(self.run, "params", self._log_planned, callbacks, what="epochs")
        gathered(self.run, "callbacks", log_callbacks, self.run, chosen)
        gathered(self.run, "callbacks", self._log_monitored, what="monitor")

    def _log_planned(self, callbacks: CallbackList) -> None:
        """Epochs that the host counts: ``keras.config.set_max_epochs`` may make them less."""
        planned = (vars(callbacks).get("params") or {}).get("epochs")
        if isinstance(planned, int) and self._planned is not None and planned < self._planned:
            self._planned = planned
            self.run.update(epochs_planned=max(0, planned - self._initial))

    def _log_monitored(self) -> None:
        monitored = monitored_by(self._others)
        if monitored is not None:
            self.run.rank_by(monitored)

    @guarded
    def train_began(self) -> None:
        """Look around before the first callback is called."""
        self.has_begun = True
        gathered(self.run, "optimizers", self.optimizers.log, self.run)
        self.optimizers.watch()
        self._batches = self.optimizers.batches()
        self._files = {str(path): stamp for path, _, stamp in self._stamped()}

    # --- epochs ---------------------------------------------------------------------------------------------------

    @guarded
    def epoch_began(self, epoch: int) -> None:
        """See what callbacks left after the epoch before, or found before the first."""
        if not self.has_begun:
            self.train_began()
        if self._done == 0:
            self._batches = self.optimizers.batches()
            if epoch > self._initial and self._planned is not None:
                # BackupAndRestore took up a training that was cut off.
                self.run.update(epochs_planned=max(0, self._planned - epoch))
        if not self._are_weights_known:
            self._are_weights_known = True  # as callbacks left them that take up a backup
            log_first(self.run, self.model)
        with self._lock:
            self.epoch, self._expected = epoch, 0
            self._arrived.clear()
            self._passed.clear()
        self._log_files()

    @guarded
    def epoch_ended(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """See how far an epoch came, before callbacks see its end."""
        self._log_epoch()
        self._ended = ended = Epoch(epoch, logs)
        self._batches = self.optimizers.batches()
        ended.step = self.optimizers.last_step(self._batches)
        ended.rates = self.optimizers.rates()

    @guarded
    def logs_seen(self) -> None:
        """Take the logs as ``History`` has them."""
        if self._ended is not None:
            self._ended.look()

    @guarded
    def epoch_passed(self) -> None:
        """Record an epoch, once all callbacks have run."""
        self._log_epoch()

    def _log_epoch(self) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        ended.look()
        self._is_lr_taken = self._is_lr_taken or "lr" in ended.seen
        if self._is_lr_taken and "lr" in ended.rates:
            ended.rates["lr/0.0"] = ended.rates.pop("lr")  # the program's own is the one that History has
        self.run.log({**self._numbers(ended.seen), **ended.rates}, step=ended.step, epoch=ended.number)
        self._done += 1
        self.run.update(epochs_done=self._done, steps_done=None if ended.step is None else ended.step + 1)

    def _numbers(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        numbers, odd = numbers_in(logs)
        for name, why in odd.items():
            if name not in self._odd:
                self._odd.add(name)
                self.run.missing("metrics", f"{name}: {why}")
        return numbers

    # --- batches --------------------------------------------------------------------------------------------------

    @guarded
    def batch_ended(self, batch: int, logs: Mapping[str, Any]) -> None:
        """Keep the logs of a batch in mind, until its callbacks are through."""
        with self._lock:
            self._arrived[batch] = logs

    @guarded
    def batch_passed(self, batch: int) -> None:
        """Record a batch, where it is its turn; threads of the host may bring a later one first."""
        with self._lock:
            self._passed.add(batch)
            self._log_batches(self._passed)

    def _log_batches(self, ready: Any) -> None:
        together = vars(self.model).get("steps_per_execution") or 1
        while (batch := self._expected + together - 1) in ready:
            self._expected += together
            self._passed.discard(batch)
            self._log_batch(batch, self._arrived.pop(batch), together)

    def _log_batch(self, batch: int, logs: Mapping[str, Any], together: int) -> None:
        every = self._every
        if every and (batch + 1) // every > (batch + 1 - together) // every:
            # The model's own count may lie on the device, or nowhere while an epoch runs (JAX).
            step = self.optimizers.step_of(self._batches + batch)
            numbers = {f"batch_{name}": value for name, value in self._numbers(logs).items()}
            self.run.log(numbers, step=step, epoch=self.epoch)

    # --- the end --------------------------------------------------------------------------------------------------

    @guarded
    def train_ended(self) -> None:
        """Record what callbacks found out."""
        gathered(self.run, "results", self._log_results, what="EarlyStopping")
        # BackupAndRestore deletes its files at this moment, after us.
        self._log_files()

    def _log_results(self) -> None:
        stopping = next((c for c in self._others if isinstance(c, keras.callbacks.EarlyStopping)), None)
        found = {} if stopping is None else vars(stopping)
        if found.get("best") is None:
            return
        best, _ = numbers_in({"best_score": found["best"]})
        results: dict[str, Any] = {"best_epoch": found.get("best_epoch")}
        results["best_score"] = best.get("best_score", list(best.values()))
        if found.get("stopped_epoch"):
            results |= {"stopped_epoch": found["stopped_epoch"], "restored_best": found.get("restore_best_weights")}
        self.run.log_results(results)

    @guarded
    def ended(self, *, is_failed: bool) -> None:
        """Record what is left: also after a failure, in the midst of the callbacks of a batch or an epoch."""
        self.optimizers.unwatch()
        if is_failed:
            with self._lock:
                self._log_batches(self._arrived)
            self._log_epoch()
            gathered(self.run, "results", self._log_results, what="EarlyStopping")
        gathered(self.run, "metrics", self._log_unheard, what="epochs")
        self._log_files()
        if self._are_weights_known:
            log_last(self.run, "ended", self.model, self.optimizers.last_step(self._batches))

    def _log_unheard(self) -> None:
        """Take what ``History`` has, where a list of the program's own kind did not let its epochs be heard."""
        history = next((c for c in self._others if isinstance(c, keras.callbacks.History)), None)
        epochs = [] if history is None else list(vars(history).get("epoch") or [])
        if self._done or not epochs:
            return
        curves = {name: values for name, values in vars(history)["history"].items() if len(values) == len(epochs)}
        for n, epoch in enumerate(epochs):
            self.run.log(self._numbers({name: values[n] for name, values in curves.items()}), epoch=int(epoch))
        self.run.update(epochs_done=len(epochs))
        kind = type(self.callbacks).__qualname__
        note = f"{kind} calls callbacks by itself: epochs are from History, without steps and learning rates"
        self.run.capture("metrics", "truncated", note)

    def leave(self) -> None:
        """Hear the list no longer, and let go of all."""
        leave(self.callbacks, self)
        self.callbacks = None
        self._others = []

    # --- files ----------------------------------------------------------------------------------------------------

    def saved(self, place: str) -> None:
        """Record a file that the program wrote in the middle; those of Keras's callbacks are seen later."""
        if all(str(path) != place for callback in self._others for path, _ in files_of(callback)):
            self.run.log_artifact(place, role="checkpoint", step=self.optimizers.last_step(self._batches))

    def loaded(self, place: str) -> None:
        """Record a file that the model was loaded from in the middle; that of a backup takes up its training."""
        backups = [backup_of(c) for c in self._others if isinstance(c, keras.callbacks.BackupAndRestore)]
        is_backup = any(os.path.dirname(place) == str(folder) for folder in backups)
        role = "backup" if is_backup else "checkpoint"
        self.run.log_artifact(place, role=role, direction="in", step=self.optimizers.last_step(self._batches))
        if is_backup:
            self.run.link("resumes", None, path=place)

    def _log_files(self) -> None:
        """Record files that were written since the last look, so that a kill leaves what was there before it."""
        for path, role, stamp in self._stamped():
            if self._files.get(str(path)) != stamp:
                self._files[str(path)] = stamp
                self.run.log_artifact(path, role=role, step=self.optimizers.last_step(self._batches))

    def _stamped(self) -> list[tuple[Any, str, tuple[int, int]]]:
        """Files that callbacks may have written, with what shows that one was written again."""
        found: list[tuple[Any, str, tuple[int, int]]] = []
        for callback in self._others:
            name = f"files of {type(callback).__qualname__}"
            found += gathered(self.run, "artifacts", _stamped_by, callback, what=name) or []
        return found


def _stamped_by(callback: Any) -> list[tuple[Any, str, tuple[int, int]]]:
    found = []
    for path, role in files_of(callback):
        try:
            known = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            found.append((path, role, (known.st_mtime_ns, known.st_size)))
    return found


fitting: ContextVar[Fit | None] = ContextVar("histhooks_keras_fit", default=None)


def fit_of(model: Any) -> Fit | None:
    """The fit of a model that goes on around this code."""
    fit = fitting.get()
    while fit is not None and fit.model is not model:
        fit = fit.outer
    return fit
