"""What PyTorch calls for each step, and the short way of a step that differs from the last by its loss alone.

Between two steps the program's own code and data have driven ours out of the processor's caches: each thing that is
looked at here costs several times what it does in a loop of its own. So nearly all steps look at little, and what may
change anything else takes the short way from its thread (``here.steady = None``), until a step has gone the long way.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from time import time_ns
from typing import Any

from torch import Tensor

from histhooks._engine import current, is_paused
from histhooks._patching import Patch
from histhooks.integrations.torch import _backward, _steps
from histhooks.integrations.torch._state import state, thread


def step_begins(optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Called by PyTorch before each step of each optimizer, which is the first of the arguments."""
    if state.has_closures or len(args) > 1 or kwargs:
        _backward.note_closure(is_given=len(args) > 1 or bool(kwargs))


def before_backward(patch: Patch, wrapper: Callable[..., Any]) -> Callable[..., Any]:
    """Stand in front of ``torch.autograd.backward`` and take the loss, where that is simple."""
    original = patch.original

    def backward(
        tensors: Any,
        grad_tensors: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        grad_variables: Any = None,
        inputs: Any = None,
    ) -> Any:
        here = thread.here
        steady = here.steady
        loss = None
        if (
            steady is not None
            and not steady.losses
            and not here.is_in_backward
            and not state.unstepped
            and grad_tensors is None
            and tensors.__class__ is Tensor
            and tensors.is_cpu
            and patch.is_active
        ):
            try:
                loss = tensors.item()
            except RuntimeError:  # of more numbers than one, for which PyTorch has better words
                pass
        if steady is None or loss.__class__ is not float:
            return wrapper(tensors, grad_tensors, retain_graph, create_graph, grad_variables, inputs)
        # The only backward since the step, of one number on the CPU: if a step follows, this is what led to it.
        steady.losses.append(loss)
        here.had_backward = here.is_midway = here.is_in_backward = True
        try:
            return original(tensors, grad_tensors, retain_graph, create_graph, grad_variables, inputs)
        except BaseException:
            steady.losses.clear()
            raise
        finally:
            here.is_in_backward = False

    return backward


# What `backward` above takes, which the one of PyTorch takes too since before 2.4.
PARAMETERS = ("tensors", "grad_tensors", "retain_graph", "create_graph", "grad_variables", "inputs")


def on_step(optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Called by PyTorch after each step of each optimizer."""
    here, groups = thread.here, optimizer.param_groups
    steady = here.steady
    if (
        steady is None
        or len(steady.losses) != 1
        or steady.losses[0].__class__ is not float  # another thread's backward may lie on a device
        or steady.optimizer() is not optimizer
        or current.get() is not steady.context
        or is_paused.get()
        or len(groups) != 1
        or len(groups[0]) != len(steady.settings)
        or not all(map(is_, groups[0].values(), steady.settings))
    ):
        _steps.on_step(optimizer, here)
        return
    here.had_backward = here.is_midway = False
    tracked, loop = steady.tracked, steady.loop
    step = tracked.steps
    loop.steps = tracked.steps = step + 1
    loop.last_ns = now = time_ns()
    steady.run.log_line(steady.line, steady.losses.pop(), step, now)
