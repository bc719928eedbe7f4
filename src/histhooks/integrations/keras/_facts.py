"""What Keras's own objects say of a training: settings, data, layers, steps, files."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from histhooks._guard import guarded
from histhooks._run import Run

_DATA = ("self", "x", "y", "validation_data", "callbacks", "class_weight", "sample_weight")
_COMPILED = ("loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile")
_MOST_LAYERS = 500


def files_of(callback: Any) -> Iterator[tuple[Path, str]]:
    """Files that a callback may have left, each with its role."""
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        # Of `{epoch:02d}-{val_loss:.2f}.keras` all that fits is looked at; what is older than the fit is not ours.
        pattern = Path(os.path.abspath(callback.filepath))
        name = pattern.name
        while "{" in name:
            head, _, rest = name.partition("{")
            name = f"{head}*{rest.partition('}')[2]}"
        for path in sorted(pattern.parent.glob(name)) if "{" not in str(pattern.parent) else []:
            yield path, "checkpoint"
    elif isinstance(callback, keras.callbacks.BackupAndRestore):
        folder = Path(os.path.abspath(callback.backup_dir))
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            yield path, "backup"


def step_of(model: Any) -> int | None:
    """The last optimizer step, 0-based; the count lies on the device where that is not the CPU, once an epoch."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    if iterations is None:
        return None
    steps = int(_number(iterations))
    return steps - 1 if steps else None


def _number(value: Any) -> Any:
    """The number in a variable or a tensor; ``keras.ops.convert_to_numpy`` warns on some backends."""
    value = getattr(value, "value", value)
    value = value.detach() if hasattr(value, "detach") else value
    value = value.numpy() if not hasattr(value, "item") and hasattr(value, "numpy") else value
    return value.item() if hasattr(value, "item") else value


def learning_rate(model: Any, step: int | None = None) -> float | None:
    """The learning rate that was in force for a step; a schedule's own value has moved on to the next one already."""
    optimizer = getattr(model, "optimizer", None)
    schedule = _schedule_of(optimizer)
    rate = getattr(optimizer, "learning_rate", None) if schedule is None else schedule(step or 0)
    return None if rate is None else float(_number(rate))


def _schedule_of(optimizer: Any) -> Any:
    schedule = getattr(optimizer, "_learning_rate", None)
    return schedule if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule) else None


def names_of(model: Any) -> list[str]:
    """Names of what ``train_on_batch`` gives as a list, in its order (``Trainer._flatten_metrics_in_order``)."""
    names: list[str] = []
    for metric in model.metrics:
        inner = getattr(metric, "metrics", None)
        names += [metric.name] if inner is None else [m.name for m in inner]
    return names


@functools.lru_cache(maxsize=64)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def bind(original: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, as the host binds them; a call that the host will refuse leaves none."""
    try:
        bound = _signature(original).bind(*args, **kwargs)
    except TypeError:
        return {}
    return dict(bound.arguments)


def log_arguments(run: Run, original: Callable[..., Any], bound: Mapping[str, Any]) -> None:
    """Record what ``fit`` was called with."""
    run.log_params({k: v for k, v in bound.items() if k not in _DATA}, source="argument")
    parameters = _signature(original).parameters.values()
    rest = {p.name: p.default for p in parameters if p.name not in bound and p.default is not inspect.Parameter.empty}
    run.log_params({k: v for k, v in rest.items() if k not in _DATA}, source="default")
    weights = {f"data.{k}": bound.get(k) is not None for k in ("class_weight", "sample_weight")}
    run.log_params(weights, source="argument")


def log_compiled(run: Run, model: Any) -> None:
    """Record what ``compile`` was called with, and the optimizer."""
    optimizer = getattr(model, "optimizer", None)
    # As they were given; get_compile_config() would serialize the optimizer, which warns on some backends.
    config = getattr(getattr(model, "_compile_config", None), "config", {})
    run.log_params({f"compile.{k}": config[k] for k in _COMPILED if k in config}, source="argument")
    run.log_params({"backend": keras.backend.backend(), "dtype_policy": model.dtype_policy.name}, source="resolved")
    if isinstance(optimizer, keras.optimizers.Optimizer):
        settings = {k: v for k, v in vars(optimizer).items() if not k.startswith("_") and _is_setting(v)}
        settings["learning_rate"] = learning_rate(model)
        schedule = _schedule_of(optimizer)
        scheduler = None if schedule is None else {"class": type(schedule).__name__, **schedule.get_config()}
        if scheduler is not None:
            settings = {**settings, "learning_rate": scheduler["class"], "schedule": scheduler}
        group = {"lr": learning_rate(model), "n_parameters": len(model.trainable_variables)}
        run.log_optimizer(0, type(optimizer).__name__, settings, [group], scheduler)
        run.log_params({"optimizer": {**settings, "name": type(optimizer).__name__}}, source="argument")


def _is_setting(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def log_data(run: Run, role: str, x: Any, y: Any) -> None:
    """Record a fingerprint of data that can be looked at in place."""
    if x is not None:
        # Of several inputs, the first is described; of what can be read once only, the kind.
        first = next(iter(x.values())) if isinstance(x, dict) and x else x[0] if _is_several(x) else x
        run.log_dataset(role, first, y if hasattr(y, "shape") else None)


def _is_several(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and bool(x) and hasattr(x[0], "shape")


@guarded
def log_architecture(run: Run, model: Any) -> None:
    """Record layers, shapes and parameters of a model that is built."""
    if not model.built:
        return
    layers = [
        {
            "name": layer.name,
            "class": type(layer).__name__,
            "parameters": layer.count_params() if layer.built else None,
            "output": _shape_of(layer),
            "trainable": layer.trainable,
            "config": layer.get_config() if _has_config(layer) else None,
        }
        for layer in list(model._flatten_layers(include_self=False))[:_MOST_LAYERS]
    ]
    trainable = sum(int(_size(v)) for v in model.trainable_weights)
    kind = type(model)
    run.log_architecture(
        "keras", f"{kind.__module__}.{kind.__qualname__}", layers, int(model.count_params()), trainable
    )


def _has_config(layer: Any) -> bool:
    return not list(layer._flatten_layers(include_self=False))


def _shape_of(layer: Any) -> Any:
    try:
        return json.loads(json.dumps(layer.output.shape, default=str))
    except (AttributeError, ValueError, TypeError):
        return None


def _size(variable: Any) -> int:
    size = 1
    for n in variable.shape:
        size *= int(n)
    return size
