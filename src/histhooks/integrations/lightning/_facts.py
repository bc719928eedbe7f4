"""What is known of a fit beside its curves: hyperparameters, settings of the Trainer, optimizers, schedulers, data."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from histhooks.integrations._estimators import saw
from histhooks.integrations._pytorch import group_settings, loaded_size, loader_settings, log_loader, scheduler_settings
from histhooks.integrations.kit import Run, answer, gathered, parameters_of

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


# --- params -----------------------------------------------------------------------------------------------------------


def log_settings(run: Run, trainer: Any) -> None:
    """Record the settings of the Trainer, each by itself."""
    settings = {
        name: gathered(run, "params", getattr, trainer, name, None, what=f"trainer.{name}") for name in _TRAINER
    }
    settings["strategy"] = type(trainer.strategy).__name__
    settings["accelerator"] = type(trainer.accelerator).__name__
    run.log_params({"trainer": settings}, source="resolved", defaults={"trainer": _USUAL})


def log_hyperparameters(run: Run, module: Any, datamodule: Any) -> None:
    """Record what ``save_hyperparameters`` kept of a module and of its DataModule, under their own names.

    Loggers get both as one. Lightning refuses two values of one name where there is a logger; where there is none, that
    of the DataModule is `datamodule.<name>`.
    """
    own = gathered(run, "params", _hyperparameters, run, module, what="hyperparameters of the module") or {}
    _log(run, own, type(module))
    if datamodule is None:
        return
    others = gathered(run, "params", _hyperparameters, run, datamodule, what="hyperparameters of the DataModule") or {}
    is_other = {name: name in own and not _is_same(own[name], value) for name, value in others.items()}
    _log(run, {name: value for name, value in others.items() if name not in own}, type(datamodule))
    conflicts = {name: value for name, value in others.items() if is_other[name]}
    run.log_params({"datamodule": conflicts}, source="argument")


def datamodule_in(bound: Mapping[str, Any]) -> Any:
    """The DataModule among the arguments of a call, where it may stand in the place of loaders too; or None."""
    given = [bound.get(name) for name in ("datamodule", "train_dataloaders", "dataloaders")]
    return next((data for data in given if any("prepare_data" in vars(k) for k in type(data).__mro__)), None)


def _log(run: Run, hyperparameters: Mapping[str, Any], cls: type) -> None:
    usual = defaults_of(inspect.getattr_static(cls, "__init__"))
    run.log_params(hyperparameters, source="argument", defaults=usual)


def _hyperparameters(run: Run, owner: Any) -> dict[str, Any]:
    """What is kept of an object, where anything is: its property ``hparams`` makes some where none are.

    ``save_hyperparameters`` takes any mapping, such as those of OmegaConf, whose values may be missing.
    """
    kept = vars(owner).get("_hparams")
    if kept is None:
        return {}
    found = {}
    for name in list(kept):
        value = gathered(run, "params", _value, kept, name, what=f"hyperparameter {name!s:.100}")
        if value is not None:
            found[str(name)] = value[0]
    return found


def _value(kept: Any, name: Any) -> tuple[Any]:
    return (kept[name],)


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and answer(False, lambda: bool(one == other)))


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The defaults of a function's parameters."""
    return parameters_of(function).defaults


# --- optimizers and schedulers ----------------------------------------------------------------------------------------


def log_optimizers(run: Run, trainer: Any) -> None:
    """Record each optimizer with its groups, and what schedules it."""
    for position, optimizer in enumerate(trainer.optimizers):
        gathered(run, "optimizers", _log_optimizer, run, trainer, position, optimizer, what=f"optimizer {position}")


def _log_optimizer(run: Run, trainer: Any, position: int, optimizer: Any) -> None:
    groups: list[Mapping[str, Any]] = [group_settings(group) for group in optimizer.param_groups]
    is_only = len(trainer.optimizers) == 1
    found = [_schedule(config) for config in trainer.lr_scheduler_configs if _schedules(config, optimizer, is_only)]
    schedule = found[0] if len(found) == 1 else found or None
    run.log_optimizer(position, type(optimizer).__name__, group_settings(optimizer.defaults), groups, schedule)


def _schedules(config: Any, optimizer: Any, is_only: bool) -> bool:
    """Whether a scheduler is of an optimizer; one of the program's own may not say of which."""
    whose = vars(config.scheduler).get("optimizer")
    return whose is optimizer or (whose is None and is_only)


def _schedule(config: Any) -> dict[str, Any]:
    facts = {name: getattr(config, name, None) for name in ("interval", "frequency", "monitor", "name")}
    return scheduler_settings(config.scheduler, **facts)


def rates_of(trainer: Any, optimizer: Any) -> dict[str, float]:
    """The learning rates of an optimizer, by the name of their series; what lies on a device is left out."""
    optimizers = trainer.optimizers
    position = next((n for n, known in enumerate(optimizers) if known is optimizer), 0)
    is_only = len(optimizers) == 1 and len(optimizer.param_groups) == 1
    found = {}
    for number, group in enumerate(optimizer.param_groups):
        rate = group.get("lr")
        if isinstance(rate, (int, float)) or getattr(getattr(rate, "device", None), "type", None) == "cpu":
            found["lr" if is_only else f"lr/{position}.{number}"] = float(rate)
    return found


# --- data -------------------------------------------------------------------------------------------------------------


# Runs that may have seen only a part of what their datasets hold.
trained_on_a_part: weakref.WeakSet[Run] = weakref.WeakSet()
_SAMPLERS = ("SequentialSampler", "RandomSampler", "DistributedSampler")


def log_data(run: Run, trainer: Any) -> None:
    """Record what training and validation data come from."""
    if trainer.fast_dev_run or trainer.overfit_batches or trainer.limit_train_batches != 1.0:
        trained_on_a_part.add(run)
    for role, loaders in (("train", trainer.train_dataloader), ("valid", trainer.val_dataloaders)):
        for loader in flat(loaders):
            gathered(run, "data", log_loader, run, role, loader, what=f"data of role {role}")
            settings = gathered(run, "data", loader_settings, loader, what=f"settings of a loader of role {role}")
            if role == "train" and settings is not None and settings["sampler"] not in _SAMPLERS:
                trained_on_a_part.add(run)


def flat(loaders: Any) -> Iterator[Any]:
    """The loaders in what a program gives: one, or lists, tuples and dicts of them, or a ``CombinedLoader``."""
    if isinstance(loaders, (list, tuple)):
        for inner in loaders:
            yield from flat(inner)
    elif isinstance(loaders, dict):
        yield from flat(list(loaders.values()))
    elif type(loaders).__name__ == "CombinedLoader":
        yield from flat(loaders.iterables)
    elif loaders is not None:
        yield loaders


def seen_of(loader: Any) -> Any:
    """The data of a loader where its values lie in memory, else what stands for it."""
    dataset = loader.dataset
    is_at_hand = hasattr(dataset, "tensors") or hasattr(getattr(dataset, "dataset", None), "tensors")
    return dataset if is_at_hand else loaded_size(dataset)


def keep_in_mind(run: Run, bound: Mapping[str, Any]) -> None:
    """Know the data of a fit again that another process goes over."""
    for role, name in (("train", "train_dataloaders"), ("valid", "val_dataloaders")):
        for loader in flat(bound.get(name)):
            if loader_settings(loader) is not None:
                saw(run, seen_of(loader), role=role)
