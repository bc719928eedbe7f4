"""What the callbacks of a Trainer were told, under both names of Lightning."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from histhooks import recorder
from histhooks._run import Run

_ROOTS = ("lightning.pytorch.callbacks.", "pytorch_lightning.callbacks.")
_ROLES = {
    "EarlyStopping": "early_stopping",
    "ModelCheckpoint": "model_checkpoint",
    "LearningRateMonitor": "learning_rate_monitor",
    "GradientAccumulationScheduler": "gradient_accumulation_scheduler",
}


def log_callbacks(run: Run, callbacks: Iterable[Any]) -> None:
    """Record which callbacks there are, and the settings of Lightning's own; a second one of a kind is `<kind>_2`."""
    names = [f"{type(c).__module__}.{type(c).__qualname__}" for c in callbacks]
    run.log_params({"callbacks": names}, source="resolved")
    counts: dict[str, int] = {}
    for callback in callbacks:
        kind = next(
            (k for k in type(callback).__mro__ if k.__module__.startswith(_ROOTS) and k.__name__ in _ROLES), None
        )
        if kind is not None:
            role = _ROLES[kind.__name__]
            counts[role] = counts.get(role, 0) + 1
            name = role if counts[role] == 1 else f"{role}_{counts[role]}"
            told, usual = _settings(callback, kind)
            run.log_params({name: told}, source="argument", defaults={name: usual})
    monitored = next((c.monitor for c in callbacks if isinstance(getattr(c, "monitor", None), str)), None)
    if monitored is not None and recorder.main_metric() is None:
        run.update(main_metric=monitored)


def _settings(callback: Any, kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the constructor was given, as far as the callback keeps it, and what it takes where nothing is given."""
    parameters = inspect.signature(kind).parameters
    kept = vars(callback)
    told = {name: kept.get(name, kept.get(f"_{name}")) for name in parameters if name in kept or f"_{name}" in kept}
    usual = {p.name: p.default for p in parameters.values() if p.default is not p.empty}
    if "min_delta" in told:
        told["min_delta"] = abs(told["min_delta"])  # EarlyStopping negates it where less is better
    if "every_n_epochs" in told:
        # None becomes 0, or 1 where no other moment is given (ModelCheckpoint.__init_triggers).
        usual |= {"every_n_train_steps": 0, "every_n_epochs": min(1, told["every_n_epochs"])}
    return {name: value for name, value in told.items() if _is_plain(value)}, usual


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):  # an accumulation by epoch
        return all(isinstance(inner, int) for inner in value.values())
    return value is None or isinstance(value, (bool, int, float, str))
