"""The functions of Lightning that are wrapped, under both of its names."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from histhooks.integrations._estimators import adding_to, find
from histhooks.integrations._pytorch import signals
from histhooks.integrations.kit import Patches, bind, guarded, no_longer, when_imported
from histhooks.integrations.lightning import _fabric
from histhooks.integrations.lightning._asking import asked, is_asked
from histhooks.integrations.lightning._calls import active, watch_hooks, watch_logger, watch_loggers
from histhooks.integrations.lightning._elsewhere import Elsewhere
from histhooks.integrations.lightning._evaluation import watch_evaluation
from histhooks.integrations.lightning._fit import Fit, save
from histhooks.integrations.lightning._watched import watch

_ROOTS = ("lightning.pytorch", "pytorch_lightning")

_patches = Patches()


def _watch_fit(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    watched = watch(bind(original, args, kwargs))
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
        args = (args[0], Elsewhere(fit.relay, args[1], arm), *args[2:])
    return original(*args, **kwargs)


def _watch_save(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    yield
    bound = bind(original, args, kwargs)
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
    with signals.unseen():
        yield


def _watch_end_of_signals(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    finally:
        signals.again()


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


def disarm() -> None:
    """Put everything back, by identity."""
    for root in (*_ROOTS, *_fabric.ROOTS):
        no_longer(root)
    _patches.undo()
