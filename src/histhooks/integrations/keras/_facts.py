"""What Keras's own objects say of a training: settings, data, layers, steps, files."""

from __future__ import annotations

import inspect
import json
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import keras

from histhooks._guard import guarded
from histhooks._run import Run
from histhooks._signatures import signature_of

_DATA = ("self", "x", "y", "validation_data", "callbacks", "class_weight", "sample_weight")
_COMPILED = ("loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile")
_CALLBACKS = {
    "early_stopping": keras.callbacks.EarlyStopping,
    "model_checkpoint": keras.callbacks.ModelCheckpoint,
    "reduce_lr_on_plateau": keras.callbacks.ReduceLROnPlateau,
    "learning_rate_scheduler": keras.callbacks.LearningRateScheduler,
}
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


def _number(value: Any) -> Any:
    """The number in a variable or a tensor; ``keras.ops.convert_to_numpy`` warns on some backends."""
    value = getattr(value, "value", value)
    value = value.detach() if hasattr(value, "detach") else value
    value = value.numpy() if not hasattr(value, "item") and hasattr(value, "numpy") else value
    return value.item() if hasattr(value, "item") else value


class Optimizers:
    """The optimizers of a model by name: that of ``compile``, and those that a ``train_step`` of its own keeps.

    A model that overrides ``compile`` and calls ``super().compile()`` has an optimizer by default that never steps: it
    counts only where there is no other.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._found: list[tuple[str, Any]] | None = None

    def items(self) -> list[tuple[str, Any]]:
        """Names and optimizers, in the order in which the model got them."""
        if self._found is None:
            kept = {
                name: value
                for name, value in vars(self._model).items()
                if not name.startswith("_") and isinstance(value, keras.optimizers.Optimizer)
            }
            # On torch its class is one of the backend's own (`torch_rmsprop`).
            given: Any = kept.get("optimizer")
            if len(kept) > 1 and type(given).__name__ == "RMSprop" and not given.built:
                del kept["optimizer"]
            # What scales the loss (mixed precision) holds the one that steps.
            self._found = [(name, getattr(value, "inner_optimizer", value)) for name, value in kept.items()]
        return self._found

    def batches(self) -> int:
        """How many batches were trained on; the count lies on the device where that is not the CPU: ask once an epoch.

        Gradients that are accumulated over batches make a step together; ``_iterations`` counts each.
        """
        return max((_count_of(optimizer) for _, optimizer in self.items()), default=0)

    def step_of(self, batch: int) -> int:
        """The step, 0-based, that a batch leads to, counted from 0 over all epochs."""
        return batch // max((_accumulated(optimizer) for _, optimizer in self.items()), default=1)

    def last_step(self, batches: int | None = None) -> int | None:
        """The last step, 0-based; None before the first, and where no optimizer of Keras steps."""
        steps = self.step_of(self.batches() if batches is None else batches)
        return steps - 1 if steps else None

    def rates(self) -> dict[str, float]:
        """Learning rates that were in force for the last step; a schedule's own value has moved on already."""
        found = {}
        for position, (_, optimizer) in enumerate(self.items()):
            rate = learning_rate(optimizer, max(0, _count_of(optimizer) // _accumulated(optimizer) - 1))
            if rate is not None:
                found["lr" if len(self.items()) == 1 else f"lr/{position}.0"] = rate
        return found


def _count_of(optimizer: Any) -> int:
    return int(_number(getattr(optimizer, "_iterations", optimizer.iterations)))


def _accumulated(optimizer: Any) -> int:
    return getattr(optimizer, "gradient_accumulation_steps", None) or 1


def learning_rate(optimizer: Any, step: int = 0) -> float | None:
    """The learning rate at a step."""
    schedule = _schedule_of(optimizer)
    rate = getattr(optimizer, "learning_rate", None) if schedule is None else schedule(step)
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


def bind(original: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, as the host binds them; a call that the host will refuse leaves none."""
    try:
        bound = signature_of(original).bind(*args, **kwargs)
    except TypeError:
        return {}
    return dict(bound.arguments)


def log_arguments(run: Run, original: Callable[..., Any], bound: Mapping[str, Any]) -> None:
    """Record what ``fit`` was called with."""
    run.log_params({k: v for k, v in bound.items() if k not in _DATA}, source="argument")
    parameters = signature_of(original).parameters.values()
    rest = {p.name: p.default for p in parameters if p.name not in bound and p.default is not inspect.Parameter.empty}
    run.log_params({k: v for k, v in rest.items() if k not in _DATA}, source="default")
    weights = {f"data.{k}": bound.get(k) is not None for k in ("class_weight", "sample_weight")}
    run.log_params(weights, source="argument", defaults=dict.fromkeys(weights, False))


def log_callbacks(run: Run, callbacks: Iterable[Any]) -> None:
    """Record which callbacks there are, and the settings of Keras's own; a second one of a kind is `<kind>_2`."""
    run.log_params(
        {"callbacks": [f"{type(c).__module__}.{type(c).__qualname__}" for c in callbacks]}, source="resolved"
    )
    counts: dict[str, int] = {}
    for callback in callbacks:
        for role, kind in _CALLBACKS.items():
            if isinstance(callback, kind):
                counts[role] = counts.get(role, 0) + 1
                name = role if counts[role] == 1 else f"{role}_{counts[role]}"
                run.log_params(
                    {name: _told(callback, kind)}, defaults={name: _defaults(kind.__init__)}, source="argument"
                )


def _init_of(kind: type) -> Callable[..., Any]:
    init: Callable[..., Any] = vars(kind)["__init__"]
    return init


def _told(callback: Any, kind: type) -> dict[str, Any]:
    """What the constructor was given, as far as the callback keeps it under that name."""
    known = {name: vars(callback)[name] for name in signature_of(_init_of(kind)).parameters if name in vars(callback)}
    if "min_delta" in known:
        known["min_delta"] = abs(known["min_delta"])  # negated once the direction is known (MonitorCallback)
    return {k: v for k, v in known.items() if _is_setting(v) or isinstance(v, FunctionType)}


def log_compiled(run: Run, model: Any) -> None:
    """Record what ``compile`` was called with, and the optimizers."""
    # As they were given; get_compile_config() would serialize the optimizer, which warns on some backends.
    config = getattr(getattr(model, "_compile_config", None), "config", {})
    _log_with_defaults(run, "compile", {k: config[k] for k in _COMPILED if k in config}, _defaults(keras.Model.compile))
    run.log_params({"backend": keras.backend.backend(), "dtype_policy": model.dtype_policy.name}, source="resolved")
    for position, (name, optimizer) in enumerate(Optimizers(model).items()):
        _log_optimizer(run, model, position, name, optimizer)


def _log_optimizer(run: Run, model: Any, position: int, name: str, optimizer: Any) -> None:
    settings = {k: v for k, v in vars(optimizer).items() if not k.startswith("_") and k != "built" and _is_setting(v)}
    rate, schedule = learning_rate(optimizer), _schedule_of(optimizer)
    settings["learning_rate"] = None if rate is None else _shortest(rate)
    scheduler = None if schedule is None else {"class": type(schedule).__name__, **schedule.get_config()}
    if scheduler is not None:
        settings = {**settings, "learning_rate": scheduler["class"], "schedule": scheduler}
    # An optimizer knows its variables once it is built; before the first step that of compile() takes all.
    variables = getattr(optimizer, "_trainable_variables", None) or (
        model.trainable_variables if name == "optimizer" else []
    )
    group = {"lr": rate, "n_parameters": sum(_size(v) for v in variables) or None}
    run.log_optimizer(position, type(optimizer).__name__, settings, [group], scheduler)
    own = {**settings, "name": type(optimizer).__name__}
    _log_with_defaults(run, name, own, {k: v for k, v in _defaults(type(optimizer).__init__).items() if k != "name"})


def _log_with_defaults(run: Run, role: str, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Params of another object, with what was left as it is apart from what was chosen."""
    left = {k: v for k, v in settings.items() if _is_setting(v) and k in defaults and defaults[k] == v}
    run.log_params({f"{role}.{k}": v for k, v in settings.items() if k not in left}, source="argument")
    run.log_params({f"{role}.{k}": v for k, v in left.items()}, source="default")


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: p.default for name, p in signature_of(function).parameters.items() if p.default is not p.empty}


def _shortest(rate: float) -> float:
    """The shortest number that is this one in float32, as the program wrote it: 0.001 for 0.0010000000474974513."""
    for digits in range(1, 9):
        short = float(f"{rate:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", rate):
            return short
    return rate


def _is_setting(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def log_data(run: Run, role: str, x: Any, y: Any, *, rows: slice | None = None) -> None:
    """Record a fingerprint of data, or of some of its rows, that can be looked at in place."""
    if x is not None:
        first = _first_of(x)
        target = y if hasattr(y, "shape") else None
        if rows is not None:
            first, target = _view(first, rows), None if target is None else _view(target, rows)
        run.log_dataset(role, first, target)


def log_split_data(run: Run, x: Any, y: Any, fraction: float) -> None:
    """Record both parts of data of which ``fit`` holds some back: the last rows (``train_validation_split``)."""
    first = _first_of(x)
    if any(_view(part, slice(0)) is None for part in (first, y) if part is not None):
        log_data(run, "train", x, y)  # a part of it would be a copy
        return
    split_at = math.floor(int(first.shape[0]) * (1.0 - fraction))
    log_data(run, "train", x, y, rows=slice(0, split_at))
    log_data(run, "valid", x, y, rows=slice(split_at, None))


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
    trainable = sum(_size(v) for v in model.trainable_weights)
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
