"""One call of ``Trainer.fit``, as the callback in the Trainer's list sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from histhooks._data import hash_file
from histhooks._guard import guarded
from histhooks._run import Run
from histhooks._torch_objects import group_settings, log_architecture, log_loader, scheduler_settings

# The run of this process that wrote a checkpoint.
wrote: dict[str, str] = {}


class Fit:
    """One call of ``Trainer.fit``: its run, and how far it is.

    What the Trainer's connector keeps is read as it is (``_callback_metrics``, ``_logged_metrics``): its properties
    reduce what was logged over the epoch, for which the processes of a distributed training wait for each other, and
    only one of them records.
    """

    def __init__(self, run: Run, trainer: Any, module: Any) -> None:
        self.run = run
        self.error: BaseException | None = None
        self._trainer = trainer
        self._module = module
        self._pending: tuple[int, int] | None = None
        self._done = 0
        self._logged = 0  # batches that stepped, when the values of a step were recorded last
        self._rates: dict[str, float] = {}
        self._rates_at = -1  # the step whose rates were recorded last
        self._seen: dict[str, Any] = {}
        self._before_validation: dict[str, Any] = {}
        self._recorded: set[str] = set()  # names whose points stand at steps and validations, not at epochs
        self._latest: dict[str, tuple[Any, int]] = {}  # of those at steps: the latest value, and its step
        self._saved: dict[str, tuple[int, int]] = {}

    def _metrics(self, kind: str) -> dict[str, Any]:
        return dict(getattr(self._trainer._logger_connector, f"_{kind}_metrics"))

    @guarded
    def train_started(self) -> None:
        """Record what is known once optimizers and loaders are there."""
        trainer = self._trainer
        schedulers = {id(c.scheduler.optimizer): c for c in trainer.lr_scheduler_configs if _has_optimizer(c)}
        for position, optimizer in enumerate(trainer.optimizers):
            groups: list[Mapping[str, Any]] = [group_settings(group) for group in optimizer.param_groups]
            config = schedulers.get(id(optimizer))
            self.run.log_optimizer(
                position, type(optimizer).__name__, group_settings(optimizer.defaults), groups, _told(config)
            )
        log_loaders(self.run, "train", trainer.train_dataloader)
        log_loaders(self.run, "valid", trainer.val_dataloaders)
        log_architecture(self.run, "lightning", [self._module])
        self._log_origin()
        if trainer.ckpt_path is not None:
            self.run.update(epochs_planned=epochs_left(trainer))
        self._seen = self._metrics("logged")
        self._logged = self._stepped()

    def _log_origin(self) -> None:
        """The checkpoint that the Trainer resumed from, where it did: also `last`, or that of a requeued job."""
        path = self._trainer.ckpt_path
        if path is not None and Path(str(path)).is_file():
            self.run.log_artifact(path, role="checkpoint", direction="in")
            self.run.link("resumes", wrote.get(os.path.realpath(path)), hash_file(Path(path))[0])

    def _stepped(self) -> int:
        """How many batches led to a step: the Trainer's own count for its loggers."""
        return int(self._trainer.fit_loop.epoch_loop._batches_that_stepped)

    # --- steps ----------------------------------------------------------------------------------------------------

    @guarded
    def optimizer_steps(self, optimizer: Any) -> None:
        """Keep the learning rates of this step: schedulers have moved before any later hook."""
        optimizers = self._trainer.optimizers
        position = next((n for n, known in enumerate(optimizers) if known is optimizer), 0)
        is_only = len(optimizers) == 1 and len(optimizer.param_groups) == 1
        for number, group in enumerate(optimizer.param_groups):
            rate = group.get("lr")
            if isinstance(rate, (int, float)) or getattr(getattr(rate, "device", None), "type", None) == "cpu":
                self._rates["lr" if is_only else f"lr/{position}.{number}"] = float(rate)

    @guarded
    def log_step(self) -> None:
        """Record what was logged in the step before, where the Trainer's loggers get it too."""
        every, stepped = self._trainer.log_every_n_steps, self._stepped()
        if not every or not stepped or stepped % every or stepped == self._logged:
            return
        self._logged = stepped
        logged = self._metrics("logged")
        new = {k: v for k, v in logged.items() if self._seen.get(k) is not v and k not in ("epoch", "step")}
        if new:
            self._seen.update(new)
            self._recorded.update(new)
            step = self._trainer.global_step - 1
            self._latest.update({name: (value, step) for name, value in new.items()})
            self._log(new, step, self._trainer.current_epoch)

    def _log(self, values: dict[str, Any], step: int, epoch: int) -> None:
        rates = self._rates if step != self._rates_at else {}
        self._rates_at = step
        self.run.log({**values, **rates}, step=max(0, step), epoch=epoch)

    # --- validations and epochs -----------------------------------------------------------------------------------

    @guarded
    def validation_started(self) -> None:
        """A validation inside the fit begins, which may come several times an epoch."""
        self.log_step()
        self._before_validation = self._metrics("callback")

    @guarded
    def validation_ended(self) -> None:
        """Record what a validation found, at the step that it was for; the sanity check is none."""
        if self._trainer.sanity_checking:
            return
        before, values = self._before_validation, self._metrics("callback")
        new = {k: v for k, v in values.items() if before.get(k) is not v}
        if new:
            self._recorded.update(new)
            self._seen.update({k: v for k, v in self._metrics("logged").items() if k in new})
            self.run.log(new, step=max(0, self._trainer.global_step - 1), epoch=self._trainer.current_epoch)

    @guarded
    def epoch_ended(self) -> None:
        """An epoch is over, but for what is reduced over it."""
        self.log_step()
        self._pending = (self._trainer.current_epoch, self._trainer.global_step - 1)

    @guarded
    def catch_up(self) -> None:
        """Record the epoch that is over."""
        if self._pending is None:
            return
        (epoch, step), self._pending = self._pending, None
        now = self._metrics("callback")
        values = {k: v for k, v in now.items() if k not in self._recorded}
        # Of what is logged by step, the value after the epoch's last one too: it is what the program sees after a fit.
        values |= {k: now[k] for k, (v, at) in self._latest.items() if k in now and now[k] is not v and at != step}
        self._log(values, step, epoch)
        self._seen = self._metrics("logged")
        self._done += 1
        self.run.update(epochs_done=self._done, steps_done=self._trainer.global_step)

    # --- files, and the end ---------------------------------------------------------------------------------------

    @guarded
    def saved(self, path: Any) -> None:
        """Record a checkpoint that was written."""
        if not Path(str(path)).is_file():
            return
        known = os.stat(path)
        stamp = (known.st_mtime_ns, known.st_size)
        if self._saved.get(str(path)) != stamp:
            self._saved[str(path)] = stamp
            self.run.log_artifact(path, role="checkpoint", step=max(0, self._trainer.global_step - 1))
            wrote[os.path.realpath(path)] = str(self.run.id)

    @guarded
    def conclude(self) -> None:
        """Record what callbacks found out, and the files they left."""
        self.catch_up()
        self.run.update(steps_done=self._trainer.global_step)
        results: dict[str, Any] = {}
        for callback in self._trainer.callbacks:
            if hasattr(callback, "stopped_epoch") and hasattr(callback, "patience"):
                results["stopped_epoch"] = callback.stopped_epoch or None
            if getattr(callback, "best_model_path", None):
                score = callback.best_model_score
                results["best_model_path"] = callback.best_model_path
                results["best_model_score"] = None if score is None else float(score)
            results |= _found_by_tuner(callback)
            for path in _checkpoints_of(callback):
                self.saved(path)
        self.run.log_results({k: v for k, v in results.items() if v is not None})


def epochs_left(trainer: Any) -> int | None:
    """How many epochs a fit has to do; those before a checkpoint, and of an earlier fit of that Trainer, are done."""
    most = trainer.max_epochs
    return max(0, most - trainer.current_epoch) if most is not None and most >= 0 else None


def _has_optimizer(config: Any) -> bool:
    return hasattr(config.scheduler, "optimizer")


def _told(config: Any) -> dict[str, Any] | None:
    if config is None:
        return None
    facts = {name: getattr(config, name, None) for name in ("interval", "frequency", "monitor", "name")}
    return scheduler_settings(config.scheduler, **facts)


def _found_by_tuner(callback: Any) -> dict[str, Any]:
    """What a fit of a Tuner was for: the callback that it puts in, and what that found."""
    kind = type(callback).__name__
    if kind == "BatchSizeFinder":
        return {"tuner": kind, "batch_size": callback.optimal_batch_size}
    if kind == "LearningRateFinder":
        found = getattr(callback.optimal_lr, "results", {})  # its suggestion() speaks where it has none
        return {"tuner": kind, "tried_lr": found.get("lr"), "tried_lr_loss": found.get("loss")}
    return {}


def _checkpoints_of(callback: Any) -> Iterator[str]:
    paths = {getattr(callback, "best_model_path", ""), getattr(callback, "last_model_path", "")}
    paths |= set(getattr(callback, "best_k_models", None) or {})
    yield from sorted(path for path in paths if path and Path(path).is_file())


def log_loaders(run: Run, role: str, loaders: Any) -> None:
    """Record what data comes from; loaders may come as one or as a list."""
    for loader in loaders if isinstance(loaders, (list, tuple)) else [loaders]:
        log_loader(run, role, loader)
