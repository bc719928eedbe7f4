"""Lightning, as ``lightning`` and as ``pytorch_lightning``: every ``Trainer.fit`` leaves a run.

    import histhooks, lightning
    from lightning.pytorch.demos.boring_classes import BoringModel
    histhooks.autolog("lightning")
    module = BoringModel()  # with data of its own
    lightning.Trainer(max_epochs=3).fit(module)

    # without autolog(): this trainer and no other
    from histhooks.integrations.lightning import HistoryCallback
    lightning.Trainer(max_epochs=3, callbacks=[HistoryCallback()]).fit(module)

==========================================  ==========================================================================
Lightning                                   record
==========================================  ==========================================================================
``Trainer.fit``                             a run of kind `fit`, by rank 0; other ranks leave a session; ``max_epochs``
                                            less those that a checkpoint had done are planned
``module.hparams``                          params, under their own names
settings of the Trainer                     params `trainer.<name>`
optimizers, all groups; schedulers          `optimizers`, `optimizer_groups`
``callback_metrics`` after an epoch         points under the host's names, at the last step of the epoch
``callback_metrics`` after a validation     the same, at the last step before it
``logged_metrics`` as the Trainer logs      points at that step, each ``log_every_n_steps`` batches, and as it was after
                                            the epoch's last step, which ``callback_metrics`` has when the fit is over
learning rates                              `lr`, or `lr/<optimizer>.<group>`: as it was in the last step
``Tuner``                                   a run for each of its fits, with results `tuner`, `batch_size`, `tried_lr`,
                                            `tried_lr_loss`
``EarlyStopping``; ``ModelCheckpoint``      params `early_stopping.<name>`, `model_checkpoint.<name>`; results
                                            `stopped_epoch`, `best_model_path`, `best_model_score`
other callbacks                             param `callbacks`, by class; `learning_rate_monitor.<name>`,
                                            `gradient_accumulation_scheduler.<name>`
``Trainer.save_checkpoint``, by whomever    the file as it was written, an artifact of role `checkpoint`
``ckpt_path``, also `last`                  an artifact that was read, and a link `resumes` to the run that wrote it
dataloaders                                 params `data.<name>`; a dataset of role `train` or `valid`, by kind and size
children of the module                      an architecture, once by content
``Trainer.test``, ``Trainer.validate``      points of the run that trained that module (`validate_<name>`), else a run
                                            of kind `evaluate`
==========================================  ==========================================================================

Seams. Callbacks are the official registration: ours is put into the Trainer's own list for the time of a call, first,
so that checkpoints stay last; it has no state, so no checkpoint carries it. What a module logs in
``on_train_epoch_end``, and what is reduced over the epoch, is there only after the last hook of the epoch
(``_FitLoop.on_advance_end``): an epoch is recorded when the next one begins, or training ends. Values of a step are
recorded when the next batch begins, by the identity of the tensors in ``logged_metrics``, which a module's ``log``
replaces; what the connector keeps of both is private and read as it is, since the properties reduce over processes
(held by a test). Ctrl-C becomes SystemExit in ``_call_and_handle_interrupt``; ``on_exception`` has heard of it before.
The sanity check is no epoch. Where a signal has a handler already, ``_SignalConnector`` requeues no job by it and
restores that handler later, so ours step aside while it looks (private, held by a test). Where rank 0 is a process that
Lightning starts from the caller (``ddp_spawn``, ``ddp_fork``, ``ddp_notebook``), what it says comes through a pipe into
the run of the caller.

Not recorded: ``predict``; checkpoints that are folders. With Fabric the loop is the program's own, which the
integration of PyTorch records; files of ``Fabric.save`` and ``load`` are added. Tested with 2.6.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

# Either may be the only one that is installed.
if "pytorch_lightning" in sys.modules and "lightning" not in sys.modules:
    from pytorch_lightning import Callback, __version__
else:
    try:
        from lightning.pytorch import Callback, __version__
    except ImportError:
        from pytorch_lightning import Callback, __version__

from histhooks import _signals, recorder
from histhooks._guard import guarded
from histhooks._imports import no_longer, when_imported
from histhooks._patching import Patches
from histhooks._run import Run
from histhooks._signatures import signature_of
from histhooks.errors import NotApplicable
from histhooks.integrations import Integration
from histhooks.integrations.lightning._callbacks import log_callbacks
from histhooks.integrations.lightning._fit import Fit, epochs_left, log_loaders
from histhooks.integrations.lightning._spawned import Relay, is_being_spawned, relay_for

_MINIMUM = (2, 4)
_OWN = ("lightning", "pytorch_lightning", "torch", "threading", "concurrent", "functools")
_ROOTS = ("lightning.pytorch", "pytorch_lightning")
_FABRICS = ("lightning.fabric", "lightning_fabric")
_TRAINER = (
    "max_epochs", "min_epochs", "max_steps", "min_steps", "precision", "accumulate_grad_batches", "gradient_clip_val",
    "gradient_clip_algorithm", "num_devices", "num_nodes", "log_every_n_steps", "check_val_every_n_epoch",
    "val_check_interval", "limit_train_batches", "limit_val_batches", "fast_dev_run", "overfit_batches",
)  # fmt: skip

# What the Trainer makes of arguments that are not given.
_USUAL = {
    "min_steps": None, "max_steps": -1, "precision": "32-true", "accumulate_grad_batches": 1, "gradient_clip_val": None,
    "gradient_clip_algorithm": None, "num_nodes": 1, "log_every_n_steps": 50, "check_val_every_n_epoch": 1,
    "val_check_interval": 1.0, "limit_train_batches": 1.0, "limit_val_batches": 1.0, "fast_dev_run": False,
    "overfit_batches": 0.0, "min_epochs": None,
}  # fmt: skip

_patches = Patches()
_is_automatic = False
# The run that trained a module.
_runs: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()
_inside: ContextVar[bool] = ContextVar("histhooks_lightning", default=False)


class HistoryCallback(Callback):
    """Records the fits of the trainer whose ``callbacks`` it is in; beside ``autolog()`` it changes nothing.

    One object may serve any number of trainers, of ``lightning`` and of ``pytorch_lightning``.

    Examples
    --------
    >>> import lightning
    >>> from histhooks.integrations.lightning import HistoryCallback
    >>> trainer = lightning.Trainer(callbacks=[HistoryCallback()], logger=False, enable_checkpointing=False)
    """

    def __init__(self) -> None:
        super().__init__()
        self._fit: Fit | None = None
        self._relay: Relay | None = None
        self._is_other_rank = False
        guarded(_arm)()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self._relay is not None and is_being_spawned():
            return _spawned, (self._relay,)
        return Callback, ()

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._relay is not None and self._relay.is_elsewhere:
            self._fit = _begin_spawned(self._relay, trainer, pl_module)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._relay is not None and self._relay.is_elsewhere and self._fit is not None:
            self._fit.conclude()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.train_started()
        if self._fit is not None or self._is_other_rank:
            _note_rank(trainer)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.catch_up()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.log_step()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.optimizer_steps(optimizer)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.validation_started()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        if self._fit is not None:
            self._fit.validation_ended()

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


class _OfOneCall(HistoryCallback):
    """Ours, in the list of a trainer as long as a call of it goes on.

    Lightning passes over what cannot be called (trainer/call.py, `_call_callback_hooks`); each function costs it some
    microseconds a step, also where it does nothing.
    """

    on_before_zero_grad = on_before_backward = on_after_backward = on_train_batch_end = None
    on_validation_batch_start = on_validation_batch_end = None


# --- what is recorded -------------------------------------------------------------------------------------------------


def _bind(original: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(signature_of(original).bind(*args, **kwargs).arguments)
    except TypeError:
        return {}


def _may_record(trainer: Any) -> bool:
    return _is_asked(trainer) and recorder.is_recording() and trainer.global_rank == 0


def _is_asked(trainer: Any) -> bool:
    is_asked = _is_automatic or any(isinstance(c, HistoryCallback) for c in trainer.callbacks)
    return is_asked and not _inside.get()


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
def _begin(original: Callable[..., Any], bound: dict[str, Any]) -> Fit | None:
    trainer, module = bound.get("self"), bound.get("model")
    if trainer is None or module is None or not _may_record(trainer):
        return None
    run = _open("fit", module, epochs_planned=epochs_left(trainer))
    _describe(run, trainer, module)
    return Fit(run, trainer, module)


@guarded
def _describe(run: Run, trainer: Any, module: Any) -> None:
    hparams = dict(getattr(module, "hparams", {}))
    run.log_params(hparams, source="argument", defaults=_defaults(type(module).__init__))
    settings = {name: getattr(trainer, name, None) for name in _TRAINER}
    settings["strategy"] = type(trainer.strategy).__name__
    settings["accelerator"] = type(trainer.accelerator).__name__
    run.log_params({"trainer": settings}, source="resolved", defaults={"trainer": _USUAL})
    others = [c for c in trainer.callbacks if not isinstance(c, HistoryCallback)]
    log_callbacks(run, others)


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        parameters = signature_of(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty}


@guarded
def _note_rank(trainer: Any) -> None:
    """Which of how many processes this is; one that is not the first leaves a session, and no run."""
    recorder.is_recording()
    if trainer.world_size > 1:
        recorder.note_rank(trainer.global_rank, trainer.world_size)


def _spawned(relay: Relay) -> HistoryCallback:
    """Ours, in a process that Lightning started."""
    callback = _OfOneCall()
    callback._relay = relay
    return callback


@guarded
def _begin_spawned(relay: Relay, trainer: Any, module: Any) -> Fit | None:
    if trainer.global_rank != 0:
        return None
    run = relay.open_here()
    run.__enter__()  # so that nobody else records the steps of this process
    return Fit(run, trainer, module)


# --- seams ------------------------------------------------------------------------------------------------------------


def _around_fit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    bound = _bind(original, args, kwargs)
    fit = _begin(original, bound)
    if fit is None:
        with _other_rank(bound.get("self")):
            return original(*args, **kwargs)
    trainer = bound["self"]
    ours = _OfOneCall()
    ours._fit, ours._relay = fit, guarded(relay_for)(fit.run, trainer)
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
        _conclude(fit, ours._relay)
        fit.run.end(error=fit.error)
        guarded(_signals.again)()
        _remember(bound["model"], fit.run)
    return result


@guarded
def _conclude(fit: Fit, relay: Relay | None) -> None:
    if relay is None:
        fit.conclude()
    else:
        relay.close()  # the process of rank 0 has concluded


@contextmanager
def _other_rank(trainer: Any) -> Iterator[None]:
    """In a process of a distributed training that is not the first: once it is up, it leaves a session."""
    ours = guarded(_follow)(trainer)
    try:
        yield
    finally:
        if ours is not None:
            trainer.callbacks = [c for c in trainer.callbacks if c is not ours]


def _follow(trainer: Any) -> HistoryCallback | None:
    if trainer is None or not hasattr(trainer, "callbacks") or trainer.global_rank == 0 or not _is_asked(trainer):
        return None
    ours = _OfOneCall()
    ours._is_other_rank = True
    trainer.callbacks = [ours, *trainer.callbacks]
    return ours


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
        log_loaders(run, split, trainer.test_dataloaders if verb == "test" else trainer.val_dataloaders)


def _around_save(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    bound = _bind(original, args, kwargs)
    ours = next((c for c in getattr(bound.get("self"), "callbacks", []) if isinstance(c, HistoryCallback)), None)
    if ours is not None and ours._fit is not None:
        ours._fit.saved(bound["filepath"])
    return result


def _around_fabric_save(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    _note_fabric_file(_bind(original, args, kwargs), "out")
    return result


def _around_fabric_load(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    _note_fabric_file(_bind(original, args, kwargs), "in")
    return result


@guarded
def _note_fabric_file(bound: Mapping[str, Any], direction: str) -> None:
    """The file of a loop that the integration of PyTorch records; Fabric writes it without ``torch.save``."""
    run = recorder.current_run()
    if _is_automatic and run is not None and run.is_recorded and Path(str(bound.get("path"))).is_file():
        run.log_artifact(bound["path"], role="checkpoint", direction=direction)


def _hook_fabric(module: ModuleType) -> None:
    _patches.wrap(module.Fabric, "save", _around_fabric_save)
    _patches.wrap(module.Fabric, "load", _around_fabric_load)


def _around_signals(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with _signals.unseen():
        return original(*args, **kwargs)


def _hook(module: ModuleType) -> None:
    trainer = module.Trainer
    connector = sys.modules[f"{module.__name__}.trainer.connectors.signal_connector"]._SignalConnector
    _patches.wrap(connector, "register_signal_handlers", _around_signals)
    _patches.wrap(trainer, "fit", _around_fit)
    _patches.wrap(trainer, "save_checkpoint", _around_save)
    for verb in ("validate", "test"):
        _patches.wrap(trainer, verb, _around_evaluation)


def _arm() -> None:
    """Put the hooks in, once, under both names."""
    if not _patches:
        for root in _ROOTS:
            when_imported(root, _hook)
        for root in _FABRICS:
            when_imported(root, _hook_fabric)


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
    for root in (*_ROOTS, *_FABRICS):
        no_longer(root)
    _patches.undo()


integration = Integration("lightning", install, uninstall)
