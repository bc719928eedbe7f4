"""One call of ``Trainer.fit``, as the functions in which Lightning calls hooks and loggers see it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from histhooks.integrations._pytorch import Values, log_architecture, note_rank, weights_of
from histhooks.integrations.kit import Run, ensure_session, gathered, guarded
from histhooks.integrations.lightning import _facts
from histhooks.integrations.lightning._asking import Asking
from histhooks.integrations.lightning._callbacks import files_of, log_callbacks, log_outcomes
from histhooks.integrations.lightning._calls import Call, Hook
from histhooks.integrations.lightning._points import Points
from histhooks.integrations.lightning._spawned import Relay

# The run of this process that wrote a checkpoint.
wrote: dict[str, str] = {}
# What a tuner's trial writes to put the weights back, and removes.
_TRIALS = (".lr_find_", ".scale_batch_size_")


class Fit(Call):
    """One call of ``Trainer.fit``: its run, and how far it is.

    Parameters
    ----------
    run : Run
    trainer, module
    """

    def __init__(self, run: Run, trainer: Any, module: Any) -> None:
        super().__init__()
        self.run = run
        self.exception: BaseException | None = None
        self.relay: Relay | None = None
        self._trainer = trainer
        self._module = module
        self._points = Points(run, trainer)
        self._are_callbacks_recorded = False
        self._is_shape_recorded = False
        self._latest: Any = None
        self._done = 0
        self._saved: dict[str, tuple[int, int]] = {}

    # --- hooks --------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """The callbacks of the module (``configure_callbacks``) are among the trainer's now."""
        self._are_callbacks_recorded = True
        gathered(self.run, "params", log_callbacks, self.run, self._callbacks(), what="callbacks")
        # Once a strategy has cut the module into shards, the sizes are those of a part.
        if _cuts(self._trainer.strategy) and next(iter(self._module.parameters()), None) is not None:
            self._log_shape()

    def _log_shape(self) -> None:
        self._is_shape_recorded = True
        gathered(self.run, "architecture", log_architecture, self.run, "lightning", [self._module])

    def _callbacks(self) -> list[Any]:
        return [callback for callback in list(self._trainer.callbacks) if not isinstance(callback, Asking)]

    @guarded
    def train_started(self) -> None:
        """Record what is known once optimizers and loaders are there."""
        run, trainer = self.run, self._trainer
        _note_rank(trainer)
        gathered(run, "optimizers", _facts.log_optimizers, run, trainer)
        gathered(run, "data", _facts.log_data, run, trainer)
        if not self._is_shape_recorded:
            self._log_shape()
        gathered(run, "artifacts", self._log_origin, what="the checkpoint that was read")
        if trainer.ckpt_path is not None:
            run.update(epochs_planned=epochs_left(trainer))
        gathered(run, "metrics", self._points.begin)
        gathered(run, "weights", run.log_weights, "start", self._weights, what="weights at the start")

    def _log_origin(self) -> None:
        """The checkpoint that the Trainer resumed from, where it did: also `last`, or that of a requeued job."""
        path = self._trainer.ckpt_path
        if path is not None and Path(str(path)).is_file():
            self.run.log_artifact(path, role="checkpoint", direction="in")
            self.run.link("resumes", wrote.get(os.path.realpath(path)), path=path)

    @guarded
    def optimizer_steps(self, optimizer: Any) -> None:
        """Keep the learning rates of this step: schedulers have moved before any later hook."""
        self._points.rates.update(_facts.rates_of(self._trainer, optimizer))

    @guarded
    def validation_begins(self) -> None:
        """A validation begins; the sanity check is none."""
        if not self._trainer.sanity_checking:
            self._points.validation_begins()

    def failed(self, exception: BaseException) -> None:
        """Lightning has met an exception; of Ctrl-C it makes a SystemExit."""
        self.exception = exception

    hooks: ClassVar[dict[str, Hook]] = {
        "setup": guarded(set_up),
        "on_train_start": train_started,
        "on_before_optimizer_step": optimizer_steps,
        "on_validation_start": validation_begins,
        "on_exception": failed,
    }

    # --- what loggers get ---------------------------------------------------------------------------------------

    def logged(self, metrics: dict[str, Any], step: int | None) -> None:
        """Record it; the sanity check is no validation."""
        trainer = self._trainer
        if trainer.sanity_checking:
            return
        if trainer.validating:
            gathered(self.run, "metrics", self._points.validation_logged, metrics, step)
        elif trainer._logger_connector._first_loop_iter is not None:
            gathered(self.run, "metrics", self._points.step_logged, metrics)
        else:
            gathered(self.run, "metrics", self._points.epoch_logged, metrics)
            self._done += 1
            self.run.update(epochs_done=self._done, steps_done=trainer.global_step)

    def has_logger(self, logger: Any) -> bool:
        """Whether a logger is one of the trainer's."""
        return any(known is logger for known in self._trainer.loggers)

    def logged_directly(self, logger: Any, metrics: Any, step: Any) -> None:
        """Record what a program or a callback gives a logger of this trainer itself; several get the same."""
        if self._trainer.sanity_checking:
            return
        given = (step, tuple(metrics))
        if self._trainer.loggers[0] is logger:
            self._latest = given
        elif self._latest == given:
            return
        gathered(self.run, "metrics", self._points.logged_directly, metrics, step)

    # --- files, and the end -------------------------------------------------------------------------------------

    @guarded
    def saved(self, path: Any) -> None:
        """Record a checkpoint that was written."""
        place = Path(str(path))
        if not place.is_file() or place.name.startswith(_TRIALS):
            return
        known = os.stat(path)
        stamp = (known.st_mtime_ns, known.st_size)
        if self._saved.get(str(path)) != stamp:
            self._saved[str(path)] = stamp
            save(self.run, path, self._trainer)

    @guarded
    def conclude(self) -> None:
        """Record what callbacks found out, and the files they left."""
        self.run.update(steps_done=self._trainer.global_step)
        callbacks = self._callbacks()
        if not self._are_callbacks_recorded:
            self.set_up()
        gathered(self.run, "results", log_outcomes, self.run, callbacks, self._trainer)
        for path in gathered(self.run, "artifacts", files_of, callbacks) or ():
            self.saved(path)
        gathered(self.run, "weights", self._log_last_weights, what="weights at the end")

    def _log_last_weights(self) -> None:
        self.run.log_weights("end", self._weights, step=max(0, self._trainer.global_step - 1))

    def _weights(self) -> list[Values]:
        return weights_of(self._module)


def _cuts(strategy: Any) -> bool:
    """Whether a strategy cuts modules into shards."""
    return any(kind.__name__ in ("FSDPStrategy", "DeepSpeedStrategy") for kind in type(strategy).__mro__)


def save(run: Run, path: Any, trainer: Any) -> None:
    """Record a checkpoint of a run."""
    run.log_artifact(path, role="checkpoint", step=max(0, trainer.global_step - 1))
    wrote[os.path.realpath(path)] = str(run.id)


class OtherRank(Call):
    """A fit in a process of a distributed training that is not the first: once it is up, it leaves a session."""

    def __init__(self, trainer: Any) -> None:
        super().__init__()
        self._trainer = trainer

    def train_started(self) -> None:
        """Training has begun."""
        _note_rank(self._trainer)

    hooks: ClassVar[dict[str, Hook]] = {"on_train_start": train_started}


@guarded
def _note_rank(trainer: Any) -> None:
    """Which of how many processes this is; one that is not the first leaves a session, and no run."""
    ensure_session()
    if trainer.world_size > 1:
        note_rank(trainer.global_rank, trainer.world_size)


def epochs_left(trainer: Any) -> int | None:
    """How many epochs a fit has to do; those before a checkpoint, and of an earlier fit of that Trainer, are done."""
    most = trainer.max_epochs
    return max(0, most - trainer.current_epoch) if most is not None and most >= 0 else None
