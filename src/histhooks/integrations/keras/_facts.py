"""What Keras's own objects say of a training: arguments, settings, callbacks, data, files."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import keras

from histhooks.integrations._estimators import Scored, log_scored, saw
from histhooks.integrations.keras._optimizers import Optimizers
from histhooks.integrations.keras._settings import (
    defaults_of,
    is_setting,
    log_with_defaults,
    names_of,
)
from histhooks.integrations.kit import Run, answer, ask, call_site, gathered, log_split, parameters_of

_DATA = ("self", "x", "y", "validation_data", "callbacks", "class_weight", "sample_weight")
_COMPILED = ("loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile")
_CALLBACKS = {
    "early_stopping": keras.callbacks.EarlyStopping,
    "model_checkpoint": keras.callbacks.ModelCheckpoint,
    "reduce_lr_on_plateau": keras.callbacks.ReduceLROnPlateau,
    "learning_rate_scheduler": keras.callbacks.LearningRateScheduler,
}


def files_of(callback: Any) -> Iterator[tuple[Path, str]]:
    """Files that a callback may have left, each with its role."""
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        # Of `{epoch:02d}-{val_loss:.2f}.keras` all that fits is read; what is older than the fit is not of it.
        pattern = Path(ask(os.path.abspath, vars(callback).get("filepath")))
        name = pattern.name
        while "{" in name:
            head, _, rest = name.partition("{")
            name = f"{head}*{rest.partition('}')[2]}"
        for path in sorted(pattern.parent.glob(name)) if "{" not in str(pattern.parent) else []:
            yield path, "checkpoint"
    elif isinstance(callback, keras.callbacks.BackupAndRestore):
        folder = backup_of(callback)
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            yield path, "backup"


def backup_of(callback: Any) -> Path:
    """Where a ``BackupAndRestore`` keeps its files."""
    return Path(ask(os.path.abspath, vars(callback).get("backup_dir")))


# --- arguments --------------------------------------------------------------------------------------------------------


def log_arguments(run: Run, original: Callable[..., Any], bound: Mapping[str, Any]) -> None:
    """Record what ``fit`` was called with."""
    known = parameters_of(original)
    run.log_params({k: bound[k] for k in (*known.names, *bound) if k in bound and k not in _DATA}, source="argument")
    rest = {k: v for k, v in known.defaults.items() if k not in bound and k not in _DATA}
    run.log_params(rest, source="default")
    weights = {f"data.{k}": bound.get(k) is not None for k in ("class_weight", "sample_weight")}
    run.log_params(weights, source="argument", defaults=dict.fromkeys(weights, False))


def log_callbacks(run: Run, callbacks: Iterable[Any]) -> None:
    """Record which callbacks there are, and the settings of Keras's own; a second one of a kind is `<kind>_2`."""
    names = [f"{type(c).__module__}.{type(c).__qualname__}" for c in callbacks]
    run.log_params({"callbacks": names}, source="resolved")
    counts: dict[str, int] = {}
    for callback in callbacks:
        for role, kind in _CALLBACKS.items():
            if isinstance(callback, kind):
                counts[role] = counts.get(role, 0) + 1
                name = role if counts[role] == 1 else f"{role}_{counts[role]}"
                gathered(run, "callbacks", _log_callback, run, name, callback, kind, what=name)


def _log_callback(run: Run, name: str, callback: Any, kind: type) -> None:
    run.log_params({name: _chosen(callback, kind)}, defaults={name: defaults_of(kind)}, source="argument")


def _chosen(callback: Any, kind: type) -> dict[str, Any]:
    """What the constructor was given, as far as the callback keeps it under that name."""
    known = {name: vars(callback)[name] for name in names_of(kind) if name in vars(callback)}
    if is_setting(known.get("min_delta")) and known.get("min_delta") is not None:
        known["min_delta"] = abs(known["min_delta"])  # negated once the direction is known (MonitorCallback)
    return {k: v for k, v in known.items() if is_setting(v) or isinstance(v, FunctionType)}


def monitored_by(callbacks: Iterable[Any]) -> str | None:
    """The metric that the first callback that has one watches."""
    for callback in callbacks:
        found = inspect.getattr_static(callback, "monitor", None)  # no property of the program is run
        if isinstance(found, str) and found:
            return found
    return None


def log_compiled(run: Run, model: Any, optimizers: Optimizers) -> None:
    """Record what ``compile`` was called with, and the optimizers."""
    gathered(run, "params", _log_compile, run, model, what="compile")
    gathered(run, "params", _log_policy, run, model, what="dtype_policy")
    gathered(run, "optimizers", optimizers.log, run)


def _log_compile(run: Run, model: Any) -> None:
    # As they were given; get_compile_config() would serialize the optimizer, which warns on some backends.
    config = getattr(vars(model).get("_compile_config"), "config", {})
    defaults = parameters_of(keras.Model.compile).defaults
    log_with_defaults(run, "compile", {k: config[k] for k in _COMPILED if k in config}, defaults)


def _log_policy(run: Run, model: Any) -> None:
    policy = keras.layers.Layer.dtype_policy.fget(model).name
    run.log_params({"backend": keras.backend.backend(), "dtype_policy": policy}, source="resolved")


# --- data -------------------------------------------------------------------------------------------------------------


def log_data(run: Run, bound: Mapping[str, Any]) -> None:
    """Record fingerprints of what a fit is given, as far as it can be looked at in place."""
    x, y, validation = bound.get("x"), bound.get("y"), bound.get("validation_data")
    if bound.get("validation_split") and validation is None and x is not None:
        gathered(run, "data", _log_split, run, x, y, bound["validation_split"], what="train")
        return
    gathered(run, "data", _log_part, run, "train", x, y, what="train")
    if isinstance(validation, (tuple, list)) and len(validation) >= 2:
        gathered(run, "data", _log_part, run, "valid", validation[0], validation[1], what="valid")
    elif validation is not None:
        gathered(run, "data", _log_part, run, "valid", validation, None, what="valid")


def _log_part(run: Run, role: str, x: Any, y: Any) -> None:
    if x is not None:
        run.log_dataset(role, *described(x, y))


def log_evaluated(run: Run, bound: Mapping[str, Any], trainer: Run | None) -> Scored:
    """Record data that a model is evaluated on, and say on what kind of data its scores are."""
    x = bound.get("x")
    if x is None:
        return Scored("unsaid", "no data was given")
    first, target = described(x, bound.get("y"))
    scored = log_scored(run, first, target, trained_by=trainer)
    if scored.split in ("train", "valid") and first is not x and len(x) > 1:
        return Scored("unsaid", "only the first of several inputs is compared")
    return scored


def _log_split(run: Run, x: Any, y: Any, fraction: float) -> None:
    """Record both parts of data of which ``fit`` holds some back: the last rows (``train_validation_split``)."""
    first, target = described(x, y)
    parts = [part for part in (first, target) if part is not None]
    if any(_view(part, slice(0)) is None for part in parts):
        run.log_dataset("train", first, target)  # a part of it would be a copy
        return
    n_rows = int(first.shape[0])
    split_at = math.floor(n_rows * (1.0 - fraction))
    sizes, place = [split_at, n_rows - split_at], answer(None, call_site, ("keras",))
    log_split("fit", {"validation_split": fraction}, n_in=n_rows, n_out=sizes, shuffled=False, location=place, run=run)
    for role, rows in (("train", slice(0, split_at)), ("valid", slice(split_at, None))):
        run.log_dataset(role, *(None if part is None else _view(part, rows) for part in (first, target)))
    saw(run, first, target, role="whole")


def described(x: Any, y: Any) -> tuple[Any, Any]:
    """What stands for the data: of several inputs or targets, the first."""
    target = _first_of(y)
    return _first_of(x), target if hasattr(target, "shape") else None


def _view(data: Any, rows: slice) -> Any:
    """Some rows in place: of an array, a tensor of PyTorch or a frame; None where that would be a copy."""
    if hasattr(data, "iloc"):
        return data.iloc[rows]
    if hasattr(data, "__array_interface__"):
        return data[rows]
    return data.detach()[rows] if type(data).__module__ == "torch" else None


def _first_of(x: Any) -> Any:
    """Of several inputs, the first is described; of what can be read once only, the kind."""
    return next(iter(x.values())) if isinstance(x, dict) and x else x[0] if _is_several(x) else x


def _is_several(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and bool(x) and hasattr(x[0], "shape")
