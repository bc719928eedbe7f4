"""Optimizers: their settings, how far they are, and the learning rate that was in force.

Nothing of the program's own is called: neither a property that a subclass overrides nor a schedule of its own, which
may draw random numbers, count, or print. On PyTorch, where a schedule runs at each step, what it gave is seen as Keras
gets it. On JAX and TensorFlow Keras compiles it, so it has to be free of such effects, and is called once an epoch.
"""

from __future__ import annotations

import functools
import struct
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from histhooks.integrations.keras._settings import (
    defaults_of,
    is_of_keras,
    is_setting,
    log_with_defaults,
    settings_in,
    size_of,
    weights_of,
)
from histhooks.integrations.kit import Patches, Run, answer, ask, gathered

# What schedules of the program gave last, by the id of the optimizer.
_given: dict[int, _Given] = {}
_observer = Patches()


class Optimizers:
    """The optimizers of a model by name: that of ``compile``, and those that a ``train_step`` of its own keeps.

    A model that overrides ``compile`` and calls ``super().compile()`` has an optimizer by default that never steps: it
    counts only where there is no other.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kept: dict[str, Any] | None = None
        self._logged = 0
        self._watched: list[int] = []

    def items(self) -> list[tuple[str, Any]]:
        """Names and optimizers, in the order in which the model got them."""
        if self._kept is None:
            kept = {
                name: value
                for name, value in list(vars(self._model).items())
                if not name.startswith("_") and isinstance(value, keras.optimizers.Optimizer)
            }
            # On torch its class is one of the backend's own (`torch_rmsprop`).
            given: Any = kept.get("optimizer")
            if len(kept) > 1 and type(given).__name__ == "RMSprop" and not given.built:
                del kept["optimizer"]
            self._kept = kept
        return [pair for name, value in self._kept.items() for pair in _stepping(name, value)]

    def batches(self) -> int:
        """How many batches were trained on; the count lies on the device where that is not the CPU: ask once an epoch.

        Gradients that are accumulated over batches make a step together; ``_iterations`` counts each.
        """
        return max((answer(0, _count_of, optimizer) for _, optimizer in self.items()), default=0)

    def step_of(self, batch: int) -> int:
        """The step, 0-based, that a batch leads to, counted from 0 over all epochs."""
        return batch // max((_accumulated(optimizer) for _, optimizer in self.items()), default=1)

    def last_step(self, batches: int | None = None) -> int | None:
        """The last step, 0-based; None before the first, and where no optimizer of Keras steps."""
        steps = self.step_of(self.batches() if batches is None else batches)
        return steps - 1 if steps else None

    def rates(self) -> dict[str, float]:
        """Learning rates that were in force for the last step; a schedule's own value has moved on already."""
        found, items = {}, self.items()
        for position, (_, optimizer) in enumerate(items):
            rate = answer(None, _rate_at_last_step, optimizer)
            if rate is not None:
                found["lr" if len(items) == 1 else f"lr/{position}.0"] = rate
        return found

    def log(self, run: Run) -> None:
        """Record each with its settings, once; a second call, those that came with the building of the model."""
        items = self.items()
        for position in range(self._logged, len(items)):
            name, optimizer = items[position]
            gathered(run, "optimizers", _log_one, run, self._model, position, name, optimizer, what=name)
        self._logged = max(self._logged, len(items))

    def watch(self) -> None:
        """Begin to see what schedules of the program give, if nothing else can show it."""
        for _, optimizer in self.items():
            if not _is_observed(optimizer):
                continue
            key = id(optimizer)
            known = _given.get(key) or _Given(weakref.ref(optimizer, functools.partial(_gone, key)))
            known.watchers += 1  # a fit inside a fit may train the same model
            _given[key] = known
            self._watched.append(key)
            if not _observer:
                base = next(kind for kind in type(optimizer).__mro__ if _READ in vars(kind))
                _observer.wrap(base, _READ, _around_reading)

    def unwatch(self) -> None:
        """See them no longer."""
        while self._watched:
            key = self._watched.pop()
            known = _given.get(key)
            if known is not None:
                known.watchers -= 1
                if not known.watchers:
                    _gone(key)


@dataclass(slots=True)
class _Given:
    """What a schedule gave last, of an optimizer that is watched."""

    optimizer: weakref.ref[Any]
    rate: Any = None
    watchers: int = 0


def _gone(key: int, reference: Any = None) -> None:
    _given.pop(key, None)
    if not _given:
        _observer.undo()


def _stepping(name: str, optimizer: Any) -> list[tuple[str, Any]]:
    """Those that step: what scales the loss (mixed precision) holds one, a ``MultiOptimizer`` several."""
    inner = vars(optimizer).get("inner_optimizer")
    if isinstance(inner, keras.optimizers.Optimizer):
        return [(name, inner)]
    several = vars(optimizer).get("_inner_optimizers")
    if isinstance(several, (list, tuple)) and several:
        return [(name if n == 0 else f"{name}_{n + 1}", one) for n, one in enumerate(several)]
    return [(name, optimizer)]


# --- how far, and how fast --------------------------------------------------------------------------------------------

_READ = "_get_current_learning_rate"


def _around_reading(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    rate = original(*args, **kwargs)
    kept = _given.get(id(args[0])) if args else None
    if kept is not None:
        kept.rate = rate
    return rate


def _is_observed(optimizer: Any) -> bool:
    """Whether the rate comes from the program's own code, which Keras calls at each step."""
    rate = vars(optimizer).get("_learning_rate")
    is_own = callable(rate) and not is_of_keras(type(rate)) and not isinstance(rate, keras.Variable)
    return is_own and keras.backend.backend() == "torch"


def _count_of(optimizer: Any) -> int:
    count = vars(optimizer).get("_iterations")
    return int(_number(optimizer.iterations if count is None else count))


def _accumulated(optimizer: Any) -> int:
    return vars(optimizer).get("gradient_accumulation_steps") or 1


def _rate_at_last_step(optimizer: Any) -> float | None:
    kept = _given.get(id(optimizer))
    if kept is not None:
        return None if kept.rate is None else float(_number(kept.rate))
    # A schedule is asked with the count of batches, also where several make a step together.
    together = _accumulated(optimizer)
    return learning_rate(optimizer, max(0, _count_of(optimizer) // together * together - 1))


def learning_rate(optimizer: Any, step: int = 0) -> float | None:
    """The learning rate at a step; None where only the program's own code knows it."""
    rate = vars(optimizer).get("_learning_rate")
    if _is_observed(optimizer):
        return None
    if callable(rate) and not isinstance(rate, keras.Variable):
        rate = ask(rate, step) if schedule_of(optimizer) is not None else ask(rate)
    return None if rate is None else float(_number(rate))


def schedule_of(optimizer: Any) -> Any:
    """The schedule that gives the rate, if there is one."""
    schedule = vars(optimizer).get("_learning_rate")
    return schedule if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule) else None


def _number(value: Any) -> Any:
    """The number in a variable or a tensor; ``keras.ops.convert_to_numpy`` warns on some backends."""
    value = getattr(value, "value", value)
    value = value.detach() if hasattr(value, "detach") else value
    value = value.numpy() if not hasattr(value, "item") and hasattr(value, "numpy") else value
    return value.item() if hasattr(value, "item") else value


# --- settings ---------------------------------------------------------------------------------------------------------


def _log_one(run: Run, model: Any, position: int, name: str, optimizer: Any) -> None:
    kind = type(optimizer)
    found = {k: v for k, v in list(vars(optimizer).items()) if not k.startswith("_") and k != "built"}
    settings = {k: v for k, v in found.items() if is_setting(v)}
    rate = gathered(run, "optimizers", learning_rate, optimizer, what=f"{name}.learning_rate")
    schedule = schedule_of(optimizer)
    settings["learning_rate"] = None if rate is None else _shortest(rate)
    scheduler = None if schedule is None else {"class": type(schedule).__name__, **settings_in(schedule)}
    if scheduler is not None:
        settings |= {"learning_rate": scheduler["class"], "schedule": scheduler}
    elif _is_observed(optimizer):
        own = vars(optimizer)["_learning_rate"]
        settings["learning_rate"] = getattr(own, "__qualname__", type(own).__qualname__)
    group = {"lr": rate, "n_parameters": answer(None, _n_parameters, model, name, optimizer)}
    run.log_optimizer(position, kind.__name__, settings, [group], scheduler)
    defaults = {k: v for k, v in defaults_of(kind).items() if k != "name"}
    log_with_defaults(run, name, {**settings, "name": kind.__name__}, defaults)


def _n_parameters(model: Any, name: str, optimizer: Any) -> int | None:
    """An optimizer knows its variables once it is built; before the first step that of compile() takes all."""
    variables = vars(optimizer).get("_trainable_variables")
    if not variables and name == "optimizer":
        variables = [v for v in weights_of(model) if v.trainable]
    return sum(size_of(v) for v in variables or ()) or None


def _shortest(rate: float) -> float:
    """The shortest number that is this one in float32, as the program wrote it: 0.001 for 0.0010000000474974513."""
    for digits in range(1, 9):
        short = float(f"{rate:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", rate):
            return short
    return rate
