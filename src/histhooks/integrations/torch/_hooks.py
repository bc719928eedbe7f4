"""What PyTorch calls for each step, and the short way of a step that differs from the last by its loss alone.

Between two steps the program's own code and data drive those of the hook out of the processor's caches: each thing that
is looked at here costs several times what it does in a loop of its own. So nearly all steps look at little, and what
may change anything else takes the short way from its thread (``here.steady = None``), until a step has gone the long
way.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from time import time_ns
from typing import Any

from torch import Tensor

from histhooks.integrations._pytorch import current, is_paused
from histhooks.integrations.torch import _backward, _steps
from histhooks.integrations.torch._state import is_hosts, state, thread


def step_begins(optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Called by PyTorch before each step of each optimizer, which is the first of the arguments."""
    here = thread.here
    steady = here.steady
    if steady is not None and len(args) == 1 and not kwargs and steady.optimizer() is optimizer:
        witness = steady.witness
        gradient = witness.parameter.grad
        if gradient is not None and gradient._version == witness.version and id(gradient) == witness.grad_id:
            return
    if not is_hosts(current.get()):
        _backward.step_begins(here, optimizer, args[1] if len(args) > 1 else kwargs.get("closure"))
        tracked = state.tracked.get(id(optimizer))
        if tracked is not None and (tracked.loop is None or not tracked.loop.is_open or not tracked.steps):
            _steps.first_step_begins(optimizer, here)


def before_backward(patch: Any, wrapper: Callable[..., Any]) -> Callable[..., Any]:
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
            and not here.is_in_backward
            and not state.new
            and grad_tensors is None
            and tensors.__class__ is Tensor
            and tensors.is_cpu
            and patch.is_active
        ):
            witness = steady.witness
            before = witness.parameter.grad
            version = -1 if before is None else before._version
            if not witness.losses or (version == witness.version and id(before) == witness.grad_id):
                try:
                    loss = tensors.item()
                except RuntimeError:  # of more numbers than one, for which PyTorch has better words
                    pass
        if loss.__class__ is not float:
            return wrapper(tensors, grad_tensors, retain_graph, create_graph, grad_variables, inputs)
        here.had_backward = here.is_midway = here.is_in_backward = True
        here.loss = loss
        try:
            result = original(tensors, grad_tensors, retain_graph, create_graph, grad_variables, inputs)
        except BaseException:
            here.is_in_backward = False
            witness.takes(loss, before, version)
            raise
        here.is_in_backward = False
        if here.loss is not None and not witness.takes(loss, before, version):
            _backward.missed(here, tensors, inputs, loss)
        return result

    return backward


# What `backward` above takes, which the one of PyTorch takes too since before 2.4.
PARAMETERS = ("tensors", "grad_tensors", "retain_graph", "create_graph", "grad_variables", "inputs")


def on_step(optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Called by PyTorch after each step of each optimizer."""
    here, groups = thread.here, optimizer.param_groups
    steady = here.steady
    if (
        steady is None
        or len(losses := steady.witness.losses) != 1
        or losses[0].__class__ is not float
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
    steady.run.log_line(steady.line, losses.pop(), step, now)
