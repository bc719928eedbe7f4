"""Lightning, as ``lightning`` and as ``pytorch_lightning``: every ``Trainer.fit`` leaves a run.

    import histhooks, lightning
    histhooks.autolog("lightning")
    lightning.Trainer(max_epochs=3).fit(module, loader)

    # without autolog(): this trainer and no other
    lightning.Trainer(max_epochs=3, callbacks=[HistoryCallback()]).fit(module, loader)

==========================================  ==========================================================================
Lightning                                   record
==========================================  ==========================================================================
``Trainer.fit``                             a run of kind `fit`, by rank 0
``module.hparams``                          params, under their own names
settings of the Trainer                     params `trainer.<name>`
optimizers, all groups; schedulers          `optimizers`, `optimizer_groups`
``callback_metrics`` after an epoch         points under the host's names, at the last step of the epoch
``logged_metrics`` as the Trainer logs      points at that step
learning rates                              `lr`, or `lr/<optimizer>.<group>`: as it was in the last step
``Tuner``                                   a run for each of its fits, with results `tuner`, `batch_size`, `tried_lr`,
                                            `tried_lr_loss`
``EarlyStopping``; ``ModelCheckpoint``      results `stopped_epoch`, `best_model_path`, `best_model_score`; the files
                                            that are there at the end, as artifacts of role `checkpoint`
``ckpt_path``                               an artifact that was read, and a link `resumes` to the run that wrote it
dataloaders                                 params `data.<name>`; a dataset of role `train` or `valid`, by kind and size
children of the module                      an architecture, once by content
``Trainer.test``, ``Trainer.validate``      points of the run that trained that module (`validate_<name>`), else a run
                                            of kind `evaluate`
==========================================  ==========================================================================

Seams. Callbacks are the official registration: ours is put into the Trainer's own list for the time of a call, first,
so that checkpoints stay last; it has no state, so no checkpoint carries it. What a module logs in
``on_train_epoch_end``, and what is reduced over the epoch, is there only after the last hook of the epoch
(``_FitLoop.on_advance_end``): an epoch is recorded when the next one begins, or training ends. Values of a step are
recorded when the next batch begins, each ``log_every_n_steps``, by the identity of the tensors in ``logged_metrics``,
which a module's ``log`` replaces. Ctrl-C becomes SystemExit in ``_call_and_handle_interrupt``; ``on_exception`` has
heard of it before. The sanity check is no epoch. Where a signal has a handler already, ``_SignalConnector`` requeues no
job by it and restores that handler later, so ours step aside while it looks (private, held by a test).

Not recorded: ``predict``; a run whose rank 0 is a process that Lightning spawns or forks (``ddp_spawn``,
``ddp_notebook``). With Fabric the loop is the program's own, which the integration of PyTorch records. Tested with 2.6.
"""

from __future__ import annotations

import inspect
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

if "pytorch_lightning" in sys.modules and "lightning" not in sys.modules:
    from pytorch_lightning import Callback, __version__
else:
    from lightning.pytorch import Callback, __version__

from histhooks import _signals, recorder
from histhooks._data import hash_file
from histhooks._guard import guarded
from histhooks._imports import no_longer, when_imported
from histhooks._patching import Patches
from histhooks._run import Run
from histhooks._torch_objects import group_settings, log_architecture, log_loader, scheduler_settings
from histhooks.errors import NotApplicable
from histhooks.integrations import Integration

_MINIMUM = (2, 4)
_OWN = ("lightning", "pytorch_lightning", "torch", "threading", "concurrent", "functools")
_ROOTS = ("lightning.pytorch", "pytorch_lightning")
_TRAINER = (
    "max_epochs", "min_epochs", "max_steps", "min_steps", "precision", "accumulate_grad_batches", "gradient_clip_val",
    "gradient_clip_algorithm", "num_devices", "num_nodes", "log_every_n_steps", "check_val_every_n_epoch",
    "val_check_interval", "limit_train_batches", "limit_val_batches", "fast_dev_run", "overfit_batches",
)  # fmt: skip

_patches = Patches()
_is_automatic = False
# The run that trained a module, and the one that wrote a checkpoint.
_runs: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()
_wrote: dict[str, str] = {}
_inside: ContextVar[bool] = ContextVar("histhooks_lightning", default=False)


class HistoryCallback(Callback):
    """Records the fits of the trainer whose ``callbacks`` it is in; beside ``autolog()`` it changes nothing.

    One object may serve any number of trainers, of ``lightning`` and of ``pytorch_lightning``.

    Examples
    --------
    >>> import lightning
    >>> trainer = lightning.Trainer(callbacks=[HistoryCallback()], logger=False, enable_checkpointing=False)
    """

    def __init__(self) -> None:
        super().__init__()
        self._fit: _Fit | None = None
        guarded(_arm)()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Callback, ()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.train_started()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.catch_up()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.batch_started()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.optimizer_steps(optimizer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.epoch_ended()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.catch_up()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.error = exception
            self._fit.catch_up()


class _Fit:
    """One call of ``Trainer.fit``: its run, and how far it is."""

    def __init__(self, run: Run, trainer: Any, module: Any) -> None:
        self.run = run
        self.error: BaseException | None = None
        self._trainer = trainer
        self._module = module
        self._pending: tuple[int, int] | None = None
        self._done = 0
        self._logged = 0
        self._rates: dict[str, float] = {}
        self._seen: dict[str, Any] = {}
        self._step_names: set[str] = set()

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
        _log_loaders(self.run, "train", trainer.train_dataloader)
        _log_loaders(self.run, "valid", trainer.val_dataloaders)
        log_architecture(self.run, "lightning", [self._module])
        self._seen = dict(trainer.logged_metrics)

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
    def batch_started(self) -> None:
        """Record what was logged in the step before, where the Trainer logs it too."""
        self._log_step()

    def _log_step(self) -> None:
        steps, every, epoch = self._trainer.global_step, self._trainer.log_every_n_steps, self._trainer.current_epoch
        if not every or not steps or steps % every or steps == self._logged:
            return
        self._logged, step = steps, steps - 1
        logged = self._trainer.logged_metrics
        new = {k: v for k, v in logged.items() if self._seen.get(k) is not v and k != "epoch"}
        if not new:
            return
        self._seen.update(new)
        self._step_names.update(new)
        self.run.log({**new, **self._rates}, step=step, epoch=epoch)

    @guarded
    def epoch_ended(self) -> None:
        """An epoch is over, but for what is reduced over it."""
        self._log_step()
        self._pending = (self._trainer.current_epoch, max(0, self._trainer.global_step - 1))

    @guarded
    def catch_up(self) -> None:
        """Record the epoch that is over."""
        if self._pending is None:
            return
        (epoch, step), self._pending = self._pending, None
        values = {k: v for k, v in self._trainer.callback_metrics.items() if k not in self._step_names}
        self.run.log({**values, **self._rates}, step=step, epoch=epoch)
        self._seen = dict(self._trainer.logged_metrics)
        self._done += 1
        self.run.update(epochs_done=self._done, steps_done=self._trainer.global_step)

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
                self.run.log_artifact(path, role="checkpoint")
                _wrote[os.path.realpath(path)] = str(self.run.id)
        self.run.log_results({k: v for k, v in results.items() if v is not None})


# --- what is recorded -------------------------------------------------------------------------------------------------


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


def _log_loaders(run: Run, role: str, loaders: Any) -> None:
    for loader in loaders if isinstance(loaders, (list, tuple)) else [loaders]:
        log_loader(run, role, loader)


@lru_cache(maxsize=64)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _bind(original: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(_signature(original).bind(*args, **kwargs).arguments)
    except TypeError:
        return {}


def _may_record(trainer: Any) -> bool:
    is_asked = _is_automatic or any(isinstance(c, HistoryCallback) for c in trainer.callbacks)
    return is_asked and not _inside.get() and recorder.is_recording() and trainer.global_rank == 0


def _open(kind: str, module: Any, **facts: Any) -> Run:
    return recorder.open_run(
        kind=kind,
        framework="lightning",
        framework_version=__version__,
        model_class=f"{type(module).__module__}.{type(module).__qualname__}",
        call_site=recorder.call_site(_OWN),
        **facts,
    )


@guarded
def _begin(original: Callable[..., Any], bound: dict[str, Any]) -> _Fit | None:
    trainer, module = bound.get("self"), bound.get("model")
    if trainer is None or module is None or not _may_record(trainer):
        return None
    planned = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
    run = _open("fit", module, epochs_planned=planned)
    _describe(run, trainer, module, bound.get("ckpt_path"))
    return _Fit(run, trainer, module)


@guarded
def _describe(run: Run, trainer: Any, module: Any, checkpoint: Any) -> None:
    run.log_params(dict(getattr(module, "hparams", {})), source="argument")
    settings = {name: getattr(trainer, name, None) for name in _TRAINER}
    settings["strategy"] = type(trainer.strategy).__name__
    settings["accelerator"] = type(trainer.accelerator).__name__
    run.log_params({"trainer": settings}, source="resolved")
    others = [c for c in trainer.callbacks if not isinstance(c, HistoryCallback)]
    run.log_params({"callbacks": [f"{type(c).__module__}.{type(c).__qualname__}" for c in others]}, source="resolved")
    monitored = next((c.monitor for c in others if isinstance(getattr(c, "monitor", None), str)), None)
    if monitored is not None and recorder.main_metric() is None:
        run.update(main_metric=monitored)
    if checkpoint is not None and Path(str(checkpoint)).is_file():
        run.log_artifact(checkpoint, role="checkpoint", direction="in")
        run.link("resumes", _wrote.get(os.path.realpath(checkpoint)), hash_file(Path(checkpoint))[0])


# --- seams ------------------------------------------------------------------------------------------------------------


def _around_fit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    bound = _bind(original, args, kwargs)
    fit = _begin(original, bound)
    if fit is None:
        return original(*args, **kwargs)
    trainer = bound["self"]
    ours = HistoryCallback()
    ours._fit = fit
    trainer.callbacks = [ours, *trainer.callbacks]
    token = _inside.set(True)
    try:
        with recorder.scope(fit.run):
            result = original(*args, **kwargs)
    except BaseException as error:
        fit.error = fit.error or error
        raise
    finally:
        _inside.reset(token)
        trainer.callbacks = [c for c in trainer.callbacks if c is not ours]
        ours._fit = None
        fit.conclude()
        fit.run.end(error=fit.error)
        guarded(_signals.again)()
        _remember(bound["model"], fit.run)
    return result


@guarded
def _remember(module: Any, run: Run) -> None:
    _runs[module] = run


def _around_evaluation(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    bound = _bind(original, args, kwargs)
    run = _begin_evaluation(bound)
    if run is None:
        return original(*args, **kwargs)
    token = _inside.set(True)
    try:
        with recorder.scope(run if run.kind == "evaluate" else recorder.current_run()):
            result = original(*args, **kwargs)
    except BaseException as error:
        if run.kind == "evaluate":
            run.end(error=error)
        raise
    finally:
        _inside.reset(token)
    _log_scores(run, bound["self"], original.__name__)
    if run.kind == "evaluate":
        run.end()
    return result


@guarded
def _begin_evaluation(bound: dict[str, Any]) -> Run | None:
    trainer = bound.get("self")
    if trainer is None or not _may_record(trainer):
        return None
    module = bound.get("model") or trainer.lightning_module
    if module is None:
        return None
    return _runs.get(module) or _open("evaluate", module)


@guarded
def _log_scores(run: Run, trainer: Any, verb: str) -> None:
    split = "test" if verb == "test" else "valid"
    prefix = "validate_" if verb == "validate" and run.kind == "fit" else ""
    scores = {f"{prefix}{name}": float(value) for name, value in trainer.callback_metrics.items()}
    with run.reopened():
        for name in scores:
            run.declare_metric(name, metric=run.what_is(name[len(prefix) :]).metric, split=split)
        run.log(scores, step=max(0, trainer.global_step - 1))
        _log_loaders(run, split, trainer.test_dataloaders if verb == "test" else trainer.val_dataloaders)


def _around_signals(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with _signals.unseen():
        return original(*args, **kwargs)


def _hook(module: ModuleType) -> None:
    trainer = module.Trainer
    connector = sys.modules[f"{module.__name__}.trainer.connectors.signal_connector"]._SignalConnector
    _patches.wrap(connector, "register_signal_handlers", _around_signals)
    _patches.wrap(trainer, "fit", _around_fit)
    for verb in ("validate", "test"):
        _patches.wrap(trainer, verb, _around_evaluation)


def _arm() -> None:
    """Put the hooks in, once, under both names."""
    if not _patches:
        for root in _ROOTS:
            when_imported(root, _hook)


def install() -> None:
    """Record every training from here on."""
    global _is_automatic
    version = tuple(int(part) for part in __version__.split(".")[:2])
    if version < _MINIMUM:
        raise NotApplicable(f"Lightning {__version__} is too old; 2.4 or newer is needed")
    _arm()
    _is_automatic = True


def uninstall() -> None:
    """Put everything back, by identity."""
    global _is_automatic
    _is_automatic = False
    for root in _ROOTS:
        no_longer(root)
    _patches.undo()


integration = Integration("lightning", install, uninstall)
