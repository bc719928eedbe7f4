"""One call of ``fit`` or ``evaluate``, as the callbacks in the host's list see it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import keras
from keras.callbacks import Callback

from histhooks import recorder
from histhooks._data import hash_file
from histhooks._guard import guarded
from histhooks._run import Run
from histhooks.integrations.keras._facts import Optimizers, files_of, log_callbacks


class Watcher(Callback):
    """What is in the host's list while a fit is recorded."""

    async_safe = True

    def __init__(self, fit: Fit) -> None:
        super().__init__()
        self._fit = fit

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._fit.epoch_began(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._fit.epoch_ended(epoch, logs or {})

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._fit.train_ended()


class BatchWatcher(Watcher):
    """The same, with the logs of batches."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras; where it dispatches asynchronously, in a thread of its own."""
        self._fit.batch_ended(batch, logs or {})


class TestWatcher(Callback):
    """What is in the host's list while an evaluation is recorded: learns its scores by name."""

    async_safe = True

    def __init__(self, scores: dict[str, Any]) -> None:
        super().__init__()
        self._scores = scores

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._scores.update(logs or {})


class Fit:
    """One call of ``fit``: its run, and how far it is."""

    def __init__(self, run: Run, model: Any, planned: int, initial: int) -> None:
        self.run = run
        self.model = model
        self._planned, self._initial = planned, initial
        self._every: int | None = None
        self._optimizers = Optimizers(model)
        self._batches = 0  # trained on before the epoch that runs
        self._done = 0
        self._epoch: int | None = None
        # Batches that came before one that they follow, and the next one to come.
        self._arrived: dict[int, Mapping[str, Any]] = {}
        self._expected = 0
        self._lock = threading.Lock()
        self._others: list[Any] = []
        self._files: dict[str, tuple[int, int]] = {}

    def enter(self, callbacks: Any, others: list[Any], every: int | None) -> None:
        """Put ours in the host's list, beside those that are not ours."""
        self._others, self._every = others, every
        ours = (BatchWatcher if every else Watcher)(self)
        ours.set_model(self.model)
        ours.set_params(callbacks.params)
        # First: another callback may move the learning rate, or fail, at the same moment.
        callbacks.callbacks[:] = [ours, *others]
        self._batches = self._optimizers.batches()
        self._files = {str(path): stamp for path, _, stamp in self._stamped()}
        self._log_callbacks()

    def _log_callbacks(self) -> None:
        log_callbacks(self.run, self._others)
        monitored = next((c.monitor for c in self._others if isinstance(getattr(c, "monitor", None), str)), None)
        if monitored is not None and recorder.main_metric() is None:
            self.run.update(main_metric=monitored)

    def _stopping(self) -> Any:
        return next((c for c in self._others if isinstance(c, keras.callbacks.EarlyStopping)), None)

    @guarded
    def epoch_began(self, epoch: int) -> None:
        """See what callbacks left after the epoch before, or found before the first."""
        if self._done == 0 and epoch > self._initial:
            self._restored(epoch)
        self._epoch, self._expected = epoch, 0
        self._arrived.clear()
        self._log_files()

    def _restored(self, epoch: int) -> None:
        """``BackupAndRestore`` took up a training that was cut off: it goes on at another epoch than it was told."""
        self.run.update(epochs_planned=max(0, self._planned - epoch))
        self._batches = self._optimizers.batches()
        for path, role, _ in self._stamped():
            if role == "backup" and path.name.endswith(".h5"):
                self.run.log_artifact(path, role=role, direction="in")
                self.run.link("resumes", None, hash_file(path)[0])

    @guarded
    def epoch_ended(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Record an epoch, at its last optimizer step."""
        self._batches = self._optimizers.batches()
        step = self._optimizers.last_step(self._batches)
        self.run.log({**logs, **self._optimizers.rates()}, step=step, epoch=epoch)
        self._done += 1
        self.run.update(epochs_done=self._done, steps_done=None if step is None else step + 1)

    @guarded
    def batch_ended(self, batch: int, logs: Mapping[str, Any]) -> None:
        """Record a batch, where it is its turn; threads of the host may bring a later one first."""
        together = int(getattr(self.model, "steps_per_execution", 1) or 1)
        with self._lock:
            self._arrived[batch] = logs
            while self._expected + together - 1 in self._arrived:
                self._expected += together
                self._log_batch(self._expected - 1, together)

    def _log_batch(self, batch: int, together: int) -> None:
        logs, every = self._arrived.pop(batch), self._every
        if every and (batch + 1) // every > (batch + 1 - together) // every:
            # The model's own count may lie on the device, or nowhere while an epoch runs (JAX).
            step = self._optimizers.step_of(self._batches + batch)
            self.run.log({f"batch_{name}": value for name, value in logs.items()}, step=step, epoch=self._epoch)

    @guarded
    def train_ended(self) -> None:
        """Record what callbacks found out."""
        results: dict[str, Any] = {}
        stopping = self._stopping()
        if stopping is not None and getattr(stopping, "best", None) is not None:
            results |= {"best_epoch": stopping.best_epoch, "best_score": float(stopping.best)}
            if getattr(stopping, "stopped_epoch", 0):
                results |= {"stopped_epoch": stopping.stopped_epoch, "restored_best": stopping.restore_best_weights}
        self.run.log_results(results)
        # BackupAndRestore deletes its files at this moment, after us.
        self._log_files()

    def saved(self, place: str) -> None:
        """Record a file that the program wrote in the middle; those of Keras's callbacks are seen later."""
        if all(str(path) != place for callback in self._others for path, _ in files_of(callback)):
            self.run.log_artifact(place, role="checkpoint", step=self._optimizers.last_step(self._batches))

    @guarded
    def ended(self) -> None:
        """Record the files that callbacks left; also after a failure."""
        self._log_files()

    def _log_files(self) -> None:
        """Record files that were written since the last look, so that a kill leaves what was there before it."""
        for path, role, stamp in self._stamped():
            if self._files.get(str(path)) != stamp:
                self._files[str(path)] = stamp
                self.run.log_artifact(path, role=role, step=self._optimizers.last_step(self._batches))

    def _stamped(self) -> list[tuple[Any, str, tuple[int, int]]]:
        """Files that callbacks may have written, with what tells that one was written again."""
        found = []
        for callback in self._others:
            for path, role in files_of(callback):
                try:
                    known = path.stat()
                except FileNotFoundError:
                    continue
                if path.is_file():
                    found.append((path, role, (known.st_mtime_ns, known.st_size)))
        return found
