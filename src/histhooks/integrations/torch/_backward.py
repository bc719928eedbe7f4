"""What a backward saw: the loss as a number, unscaled, and the parameters that it reached."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from histhooks.integrations._pytorch import OnDevice, current, is_paused
from histhooks.integrations.kit import guarded
from histhooks.integrations.torch._gradients import Backward, Loss, Witness, changed, leaves, reaches
from histhooks.integrations.torch._series import Series
from histhooks.integrations.torch._state import Closure, Here, Running, is_hosts, state, thread


def around(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Find out what a backward starts from, and which optimizers it reaches."""
    if is_hosts(current.get()) or is_paused.get():
        return original(*args, **kwargs)
    running = before_backward(args, kwargs)
    if running is None:
        return original(*args, **kwargs)
    here = thread.here
    here.is_in_backward, here.running = True, running
    is_whole = False
    try:
        result = original(*args, **kwargs)
        is_whole = True
    finally:
        here.is_in_backward, here.running = False, None
        after_backward(here, running, args, kwargs, is_whole)
    return result


@guarded
def before_backward(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Running | None:
    """What is known before a backward; None where nobody asks, as inside another one."""
    here = thread.here
    if isinstance(here.loop, Series) and here.loop.is_holding:
        here.loop.release()
    tensor = args[0] if args else kwargs.get("tensors")
    if here.is_in_backward:  # as of a checkpointed layer: a part of the outer one, whose graph hides it
        running = here.running
        if state.new and running is not None and isinstance(running.marks, list):
            running.marks += here.gradients.before(state.claim(here, {id(p) for p in leaves(tensor)}))
        return None
    if (args[1] if len(args) > 1 else kwargs.get("grad_tensors")) is not None:
        loss = None  # a vector's
    else:
        loss = _number(here, tensor) if isinstance(tensor, torch.Tensor) else _sum(here, tensor)
    if loss is not None:
        here.had_backward = here.is_midway = True
    here.steady = None
    inputs = args[5] if len(args) > 5 else kwargs.get("inputs")
    return Running(Backward(loss), look_before(here, tensor, inputs))


def look_before(here: Here, tensors: Any, inputs: Any) -> Any:
    """How gradients are before a backward; a witness alone, where it stands for them."""
    gradients = here.gradients
    if (state.new or not here.stepped) and state.tracked and state.may_claim(here):
        state.claim(here, {id(p) for p in leaves(tensors, inputs)})
    witness = gradients.witness
    if witness is not None and here.closure is None and _is_only(here, witness) and witness.is_whole():
        gradient = witness.parameter.grad
        return witness, gradient, -1 if gradient is None else gradient._version
    give_up_witness(here)
    found = state.candidates(here)
    marks = gradients.before(optimizer for _, optimizer in found.values())
    closure = here.closure
    if closure is not None and closure.first and not closure.is_over:
        # What the last evaluation put there is gone: another one begins.
        left, _ = gradients.used(closure.optimizer, state.known(closure.optimizer).last)
        closure.is_over = all(backward not in left for backward in closure.first)
    return marks


def give_up_witness(here: Here) -> None:
    """From here on, all gradients are looked at."""
    witness = here.gradients.witness
    if witness is not None:
        here.gradients.spill(witness.optimizer())
        here.steady = None


def _is_only(here: Here, witness: Witness) -> bool:
    found = state.candidates(here)
    return len(found) == 1 and next(iter(found.values()))[0].ref is witness.optimizer


@guarded
def after_backward(
    here: Here, running: Running, args: tuple[Any, ...], kwargs: dict[str, Any], is_whole: bool = True
) -> None:
    """See which optimizers a backward reached."""
    backward, marks, gradients = running.backward, running.marks, here.gradients
    tensors = args[0] if args else kwargs.get("tensors")
    inputs = args[5] if len(args) > 5 else kwargs.get("inputs")
    if isinstance(marks, tuple):
        witness: Witness | None = marks[0]
        _, before, version = marks
        if witness is not None and gradients.witness is witness and not running.steps:
            is_reached = witness.takes(backward.loss, before, version)
            if is_whole and not is_reached:
                missed(here, tensors, inputs, backward.loss)
        return
    reached = gradients.after(marks or (), backward)
    if gradients.walks:
        gradients.look_for_strays(tensors, inputs, backward)
    closure = here.closure
    if closure is not None and not closure.is_over and reaches(closure.optimizer, reached):
        closure.first.append(backward)
    here.reached = reached


@guarded
def missed(here: Here, tensors: Any, inputs: Any, loss: Loss | None) -> None:
    """A backward did not reach the witness: its graph, which is still there, shows what it reached."""
    here.gradients.failed()
    give_up_witness(here)
    here.gradients.walked(tensors, inputs, Backward(loss))


# --- steps ------------------------------------------------------------------------------------------------------------


@guarded
def step_begins(here: Here, optimizer: Any, closure: Any) -> None:
    """Before a step, which may clear gradients itself: what led to it."""
    here.steps_inside = [one for one in here.steps_inside if one[0] != id(optimizer)][-8:]
    here.steps_inside.append((id(optimizer), []))
    if closure is not None:
        state.has_closures, here.steady = True, None
        give_up_witness(here)
        here.closure = Closure(optimizer)
    elif here.closure is not None and here.closure.optimizer is not optimizer:
        pass  # a step inside a step that evaluates the loss itself
    else:
        here.closure = None  # an exception ended the step before
    witness = here.gradients.witness
    if witness is not None and witness.optimizer() is optimizer and not here.is_in_backward:
        if not witness.losses or witness.is_kept():
            return
        give_up_witness(here)
    here.used[id(optimizer)] = _used(here, optimizer)


def _used(here: Here, optimizer: Any) -> tuple[list[Backward], bool]:
    gradients, tracked = here.gradients, state.known(optimizer)
    found, is_sure = gradients.used(optimizer, tracked.last)
    running = here.running
    if here.is_in_backward and running is None and here.loss is not None:
        found.append(Backward(here.loss))
        here.loss = None
    if running is not None and running.backward not in found:  # a hook of the backward makes the step
        running.steps += 1
        if not isinstance(running.marks, list) or changed(optimizer, running.marks):
            found.append(running.backward)
    return found, is_sure


def step_ended(here: Here, optimizer: Any) -> tuple[list[Loss | None], bool]:
    """After a step: the losses that led to it, None for each that nobody knows, and whether these are all."""
    gradients, tracked = here.gradients, state.known(optimizer)
    closure, here.closure = here.closure, None
    if closure is not None and closure.optimizer is not optimizer:
        here.closure, closure = closure, None
    found = here.used.pop(id(optimizer), None)
    witness = gradients.witness
    if found is None and witness is not None and witness.optimizer is tracked.ref:
        losses, witness.losses = witness.losses, []
        return losses, True
    if found is None:
        found = _used(here, optimizer)
    backwards, is_sure = found
    if closure is not None:
        backwards, is_sure = (closure.first, True) if closure.first else gradients.used(optimizer, tracked.last)
    others = [other for other_tracked, other in state.candidates(here).values() if other is not optimizer]
    tracked.last = gradients.consumed(optimizer, others)
    if len(here.used) > 8:
        here.used.clear()
    return [backward.loss for backward in backwards], is_sure


def step_skipped(optimizer: Any) -> None:
    """A scaler left a step out: what led to it leads to no other."""
    step_begins(thread.here, optimizer, None)
    step_ended(thread.here, optimizer)


# --- the number in a loss ---------------------------------------------------------------------------------------------


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
        return OnDevice(tensor)
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
