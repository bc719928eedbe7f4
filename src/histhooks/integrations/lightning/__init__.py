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
hyperparameters of module and DataModule    params, under their own names; where both have a name with another value,
                                            that of the DataModule is `datamodule.<name>`
settings of the Trainer                     params `trainer.<name>`
optimizers, all groups; schedulers          `optimizers`, `optimizer_groups`; several schedulers of one are a list
what loggers get of a step                  points at that step, each ``log_every_n_steps`` batches, and as it was after
                                            the epoch's last step, which ``callback_metrics`` has when the fit is over
what loggers get of an epoch                points under the host's names, at the last step of the epoch
what loggers get of a validation            the same, at the last step before it; of a batch of it: at the number of
                                            that batch among all batches of validations, as for loggers
a `step` that the program logs              the place of what it is logged with, as for loggers, and no series
one name in training and in validation      two series: `loss`, and `loss/valid` (or `loss/train`, where validation
                                            was first)
what else Lightning's loggers get           the same: ``self.logger.log_metrics(...)``, LearningRateMonitor; where the
                                            program says
the rest of ``callback_metrics``            the same: what is logged with ``logger=False``, a name without `_epoch`,
                                            what callbacks put there
learning rates                              `lr`, or `lr/<optimizer>.<group>`: as it was in the last step
``Tuner``                                   a run for each of its fits, with results `tuner`, `batch_size`, `tried_lr`,
                                            `tried_lr_loss`
callbacks, also ``configure_callbacks``     params `callbacks`, by class; of Lightning's own the settings, such as
                                            `early_stopping.patience`; results `stopped_epoch`, `stopping_reason`,
                                            `best_model_path`, `best_model_score`; a second one's end in `_2`
``Trainer.save_checkpoint``, by whomever    the file as it was written, an artifact of role `checkpoint`
``ckpt_path``, also `last`                  an artifact that was read, and a link `resumes` to the run that wrote it
dataloaders                                 params `data.<name>`; a dataset of role `train` or `valid`, by kind and size
children of the module                      an architecture, once by content
``Trainer.test``, ``Trainer.validate``      points of the run that trained that module (`validate_<name>`), else a run
                                            of kind `evaluate` with the hyperparameters; on its training data
                                            split `train`, a series of its own; new data has role `valid`
                                            where it was for ``validate``;
                                            split `unsaid` where a dataset is another object of the same size, and its
                                            values do not lie in memory (``TensorDataset``)
==========================================  ==========================================================================

Seams. Nothing is put into the Trainer: programs find callbacks by position (``trainer.callbacks[0]``), count them,
pickle the Trainer, and a tuner reads ``callbacks[0]`` itself. So two private functions are wrapped, through which each
hook of callbacks and each value for loggers goes, with a logger or without: ``_call_callback_hooks`` and
``_LoggerConnector.log_metrics`` (held by tests). What ``callback_metrics`` has beside that stays there until the next
value (Lightning-AI/pytorch-lightning#7558): only what is new counts, by the identity of tensors, read from the private
``_callback_metrics``, since the property reduces over processes. ``LearningRateFinder`` and ``BatchSizeFinder`` run the
loop on trial from inside a hook of callbacks: what comes from there is no training. Ctrl-C becomes SystemExit in
``_call_and_handle_interrupt``; ``on_exception`` has heard of it before. The sanity check is no epoch. Where a signal
has a handler already, ``_SignalConnector`` requeues no job by it and restores that handler later, so ours step aside
while it looks (private, held by a test). Where rank 0 is a process that Lightning starts from the caller
(``ddp_spawn``, ``ddp_fork``, ``ddp_notebook``), the launcher gets a function that follows the fit there, and what it
says comes through a pipe into the run of the caller. Of the program's own objects only what they keep (``vars``) is
read: ``hparams`` is a property that makes what is not there.

Not recorded: ``predict``; checkpoints that are folders. With Fabric the loop is the program's own, which the
integration of PyTorch records; files of ``Fabric.save`` and ``load`` are added. Tested with 2.6.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from histhooks._base.frameworks import FRAMEWORKS
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches
from histhooks._host.guard import guarded
from histhooks._record import signals as _signals
from histhooks.integrations import Integration, kit
from histhooks.integrations._estimators import adding_to, find
from histhooks.integrations.lightning import _fabric
from histhooks.integrations.lightning._callback import HistoryCallback, __version__
from histhooks.integrations.lightning._calls import active, watch_hooks, watch_logger, watch_loggers
from histhooks.integrations.lightning._evaluation import watch_evaluation
from histhooks.integrations.lightning._facts import bound_arguments
from histhooks.integrations.lightning._fit import Fit, save
from histhooks.integrations.lightning._spawned import Elsewhere
from histhooks.integrations.lightning._watched import asked, is_asked, watch

__all__ = ["HistoryCallback", "integration"]

_FRAMEWORK = FRAMEWORKS["lightning"]
_ROOTS = ("lightning.pytorch", "pytorch_lightning")

_patches = Patches()


def _watch_fit(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    watched = watch(bound_arguments(original, args, kwargs))
    if watched is None:
        return
    error = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        watched.close(error)
        # The exception leads to frames that lead here: it must not lead back, or all of it stays until a collection.
        error = None


def _around_launch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    fit = active.get(id(kwargs.get("trainer")))
    if isinstance(fit, Fit) and fit.relay is not None and len(args) > 1:
        args = (args[0], Elsewhere(fit.relay, args[1]), *args[2:])
    return original(*args, **kwargs)


def _watch_save(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    yield
    bound = bound_arguments(original, args, kwargs)
    _saved(bound.get("self"), bound.get("filepath"))


@guarded
def _saved(trainer: Any, path: Any) -> None:
    call = active.get(id(trainer))
    if isinstance(call, Fit):
        call.saved(path)
    elif call is None and is_asked(trainer) and trainer.global_rank == 0:
        known = find(trainer.lightning_module)
        if known is not None and known.run.takes_more():
            with adding_to(known.run):
                save(known.run, path, trainer)


def _watch_signals(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    with _signals.unseen():
        yield


def _watch_end_of_signals(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    finally:
        _signals.again()


def _hook(module: ModuleType) -> None:
    root, trainer = module.__name__, module.Trainer
    connectors = f"{root}.trainer.connectors"
    signals = sys.modules[f"{connectors}.signal_connector"]._SignalConnector
    loggers = sys.modules[f"{connectors}.logger_connector.logger_connector"]._LoggerConnector
    launchers = sys.modules[f"{root}.strategies.launchers"]
    _patches.wrap(sys.modules[f"{root}.trainer.call"], "_call_callback_hooks", watch_hooks)
    _patches.wrap(loggers, "log_metrics", watch_loggers)
    for owner in _own_loggers(root):
        _patches.wrap(owner, "log_metrics", watch_logger)
    _patches.wrap(signals, "register_signal_handlers", _watch_signals)
    _patches.wrap(signals, "teardown", _watch_end_of_signals)
    for launcher in (launchers._MultiProcessingLauncher, launchers._XLALauncher):
        _patches.wrap(launcher, "launch", _around_launch)
    _patches.wrap(trainer, "fit", _watch_fit)
    _patches.wrap(trainer, "save_checkpoint", _watch_save)
    for verb in ("validate", "test"):
        _patches.wrap(trainer, verb, functools.partial(watch_evaluation, verb))


def _own_loggers(root: str) -> set[type]:
    """The classes that define ``log_metrics`` for Lightning's own loggers; programs and callbacks call it, too."""
    found = [cls for cls in vars(sys.modules[f"{root}.loggers"]).values() if isinstance(cls, type)]
    owners = (next((k for k in cls.__mro__ if "log_metrics" in vars(k)), None) for cls in found)
    return {owner for owner in owners if owner is not None and not inspect.isabstract(owner)}


def arm() -> None:
    """Put the hooks in, once, under both names."""
    if not _patches:
        for root in _ROOTS:
            when_imported(root, _hook)
        for root in _fabric.ROOTS:
            when_imported(root, functools.partial(_fabric.hook, _patches, lambda: asked.is_automatic))


def install() -> None:
    """Record every training from here on."""
    kit.require(_FRAMEWORK.title, __version__, _FRAMEWORK.minimum)
    arm()
    asked.is_automatic = True


def uninstall() -> None:
    """Put everything back, by identity."""
    asked.is_automatic = False
    for root in (*_ROOTS, *_fabric.ROOTS):
        no_longer(root)
    _patches.undo()


integration = Integration("lightning", install, uninstall)
