"""What a backward saw: the loss as a number, unscaled, and the optimizers whose parameters it reached."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from histhooks import _device
from histhooks._engine import current, is_paused
from histhooks._guard import guarded
from histhooks.integrations.torch._optimizers import Loss, Tracked
from histhooks.integrations.torch._state import Here, is_hosts, state, thread

# An optimizer as it was before a backward: whether it had gradients, and how many steps it had made.
_Mark = tuple[Tracked, tuple[int, int] | None, int]


def note_closure(*, is_given: bool) -> None:
    """A step begins that evaluates the loss itself, or one that comes after such a one."""
    if is_hosts(current.get()):
        return
    here = thread.here
    if here.in_closure:
        here.unclaimed.append(here.in_closure[-1])  # an exception ended the step before; nobody knows which came later
    here.in_closure = [] if is_given else None
    if is_given:
        state.has_closures, here.steady = True, None


def around(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Find out what a backward starts from, and whom it reaches."""
    if is_hosts(current.get()) or is_paused.get():
        return original(*args, **kwargs)
    before = before_backward(args, kwargs)
    if before is None:
        return original(*args, **kwargs)
    here, loss, marks = before
    here.is_in_backward, here.loss = True, loss
    try:
        result = original(*args, **kwargs)
    finally:
        here.is_in_backward, here.loss = False, None
    _after_backward(here, loss, marks)
    return result


@guarded
def before_backward(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Here, Loss, list[_Mark]] | None:
    here = thread.here
    if here.loop is not None and here.loop.is_holding:
        here.loop.release()
    if here.is_in_backward:
        return None  # a backward inside a backward, as of a checkpointed layer, is a part of it
    tensor = args[0] if args else kwargs.get("tensors")
    if (args[1] if len(args) > 1 else kwargs.get("grad_tensors")) is not None:
        return None
    loss = _number(here, tensor) if isinstance(tensor, torch.Tensor) else _sum(here, tensor)
    if loss is None:
        return None
    here.had_backward = here.is_midway = True
    here.steady = None
    return here, loss, [(tracked, tracked.mark(), tracked.steps) for tracked in state.candidates(here)]


@guarded
def _after_backward(here: Here, loss: Loss, marks: list[_Mark]) -> None:
    if here.in_closure is not None:
        here.in_closure.append(loss)
        return
    claimed = False
    for tracked, mark, steps in marks:
        # One that stepped in a hook of this backward has had the loss.
        claimed = tracked.steps != steps or tracked.note(loss, mark) or claimed
    if not claimed:
        here.unclaimed.append(loss)


def _number(here: Here, tensor: Any) -> Loss | None:
    """The number in a tensor; None where it is no scalar, or cannot be read without waiting."""
    if here.scaled:
        ref, loss = here.scaled.pop(id(tensor), (None, None))
        if ref is not None and ref() is tensor:
            return loss
    if tensor.numel() != 1:
        return None
    if tensor.is_cpu:
        return float(tensor.item())
    try:
        return _device.OnDevice(tensor)
    except TypeError:
        return None


def _sum(here: Here, tensors: Any) -> Loss | None:
    """Where backward starts from several losses: their sum, which has the same gradient."""
    numbers = [_number(here, tensor) for tensor in tensors] if isinstance(tensors, Sequence) else []
    if len(numbers) == 1:
        return numbers[0]
    plain = [number for number in numbers if isinstance(number, float)]
    return sum(plain) if plain and len(plain) == len(numbers) else None


def around_scale(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    given = args[1] if len(args) > 1 else kwargs.get("outputs")
    if result is not given:
        _note_scaled(given, result)
    return result


@guarded
def _note_scaled(given: Any, result: Any) -> None:
    """Keep what a loss was before it was scaled."""
    here = thread.here
    here.steady = None
    if len(here.scaled) > 64:
        here.scaled.clear()
    if not isinstance(given, (list, tuple)):
        given, result = [given], [result]
    for before, after in zip(given, result, strict=True):
        if isinstance(after, torch.Tensor):
            loss = _number(here, before)
            if loss is not None:
                here.scaled[id(after)] = (weakref.ref(after), loss)
