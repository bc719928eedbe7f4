"""Which loop a step belongs to, and where a loop begins: the first step that belongs to none."""

from __future__ import annotations

import weakref
from typing import Any

import torch

from histhooks.integrations._pytorch import current, group_settings, is_paused, shell
from histhooks.integrations.kit import (
    Run,
    call_site,
    class_name,
    ensure_session,
    guarded,
    is_recording,
    is_task,
    open_run,
)
from histhooks.integrations.torch import _backward, _ends, _models
from histhooks.integrations.torch._files import files
from histhooks.integrations.torch._loops import Led, Loop, as_loop, of_run
from histhooks.integrations.torch._optimizers import Tracked
from histhooks.integrations.torch._series import PATIENCE
from histhooks.integrations.torch._state import Here, is_hosts, state, thread
from histhooks.integrations.torch._weights import MOST_MODELS, Unit

# Frames of these are no place of the program.
_OWN = (
    "torch", "accelerate", "transformers", "lightning", "lightning_fabric", "functools", "contextlib", "threading",
    "concurrent",
)  # fmt: skip


def on_step(optimizer: Any, here: Here) -> None:
    """Record a step the long way: whose it is, and all that may be new."""
    run = current.get()
    if not is_hosts(run):
        _on_step(optimizer, here, run)
    here.had_backward = here.is_midway = False


@guarded
def first_step_begins(optimizer: Any, here: Here) -> None:
    """Read the weights of a model before the first step of its optimizer, unless that goes on for another one."""
    run, tracked = current.get(), state.known(optimizer)
    loop = as_loop(tracked.loop)
    if is_paused.get() or is_task() or here.is_in_backward or tracked.is_echo or tracked.units:
        return
    if loop is not None and loop.is_open:
        if loop.is_explicit and not tracked.is_beyond:  # `record()` took it in before its first step
            loop.joined([Unit(model, ()) for model in loop.models()] or [Unit(None, optimizer.param_groups)])
        return
    if run is not None:
        if run.kind != "block" or not state.is_automatic or not run.is_recorded:
            return
        loop = of_run.get(str(run.id))
    elif not state.is_automatic or not ensure_session():
        return
    else:
        loop = as_loop(here.loop)
    if loop is not None and loop.is_open and (loop.weights.is_full or loop.has_seat_for(tracked)):
        return
    models = _models.of(optimizer, tracked.modules)
    if len(models) == 1:
        tracked.modules = [weakref.ref(models[0])]
    groups = optimizer.param_groups
    tracked.units = [Unit(model, ()) for model in models[:MOST_MODELS]] or [Unit(None, groups)]


@guarded
def _on_step(optimizer: Any, here: Here, run: Run | None) -> None:
    tracked = state.known(optimizer)
    state.new.pop(id(optimizer), None)
    is_closure = here.closure is not None and here.closure.optimizer is optimizer
    losses, is_sure = _backward.step_ended(here, optimizer)
    inside = _inside(optimizer, tracked, here)
    here.steady = None
    loop = as_loop(tracked.loop)
    is_elsewhere = run is not None and loop is not None and run is not loop.run
    if is_elsewhere and run is not None and loop is not None and loop.is_explicit and run.kind == "loop":
        is_elsewhere = False  # `with record(a), record(b)`: each has its own
    if loop is None or not loop.is_open or is_elsewhere or is_paused.get():
        tracked.is_echo = tracked.is_echo or _is_around(tracked, inside)
        loop = _find_loop(tracked, optimizer, here, run)
    if not tracked.is_echo:
        here.stepped[id(optimizer)], tracked.owner = tracked, here
    if loop is not None:
        here.loop = loop
        here.steady = loop.stepped(tracked, optimizer, Led(losses, is_sure, is_closure), here, run)


def _inside(optimizer: Any, tracked: Tracked, here: Here) -> list[Tracked]:
    """Who stepped inside the step that ends."""
    found = next((own for key, own in here.steps_inside if key == id(optimizer)), [])
    here.steps_inside = [one for one in here.steps_inside if one[0] != id(optimizer)]
    for _, own in here.steps_inside:
        own.append(tracked)
    return found


def _is_around(tracked: Tracked, inside: list[Tracked]) -> bool:
    """Whether an optimizer is one around another one, which makes its steps."""
    first = tracked.first()
    return first is not None and any(one.first() is first for one in inside)


@guarded
def _find_loop(tracked: Tracked, optimizer: Any, here: Here, run: Run | None) -> Loop | None:
    if tracked.is_echo or is_paused.get() or is_task():
        return None
    if run is not None:
        return _loop_of_run(tracked, optimizer, here, run)
    if not state.is_automatic or not ensure_session():
        return None
    before = as_loop(here.loop)
    if before is not None and before.is_last_of_row and before.is_left:
        if before.place is not None and before.place == _place_of(tracked, optimizer):
            before.add(tracked, optimizer)
            return before
        before.run.end("finished")
    if before is not None and before.is_open and before.is_own and _steps_along(tracked, before, here):
        before.add(tracked, optimizer)
        return before
    return _open(tracked, optimizer, here)


def _loop_of_run(tracked: Tracked, optimizer: Any, here: Here, run: Run) -> Loop | None:
    """Inside a run: that of a block or of ``record()`` takes the step, that of a host has its own ways."""
    loop = of_run.get(str(run.id))
    if run.kind == "block" and state.is_automatic and run.is_recorded:
        if loop is None:
            loop = Loop(run, here, files.link, is_own=False)
            loop.first_number = tracked.number
            run.update(framework="torch", framework_version=torch.__version__)
            _attach_files(run)
    elif run.kind != "loop" or loop is None or not state.is_automatic:
        return None
    loop.add(tracked, optimizer)
    return loop


def _shares(tracked: Tracked, loop: Loop) -> bool:
    first = tracked.first()
    return first is not None and any(other.first() is first for other in loop.members)


def _steps_along(tracked: Tracked, loop: Loop, here: Here) -> bool:
    """Whether an optimizer that steps for the first time belongs to the loop that stepped before."""
    if loop.has_seat_for(tracked) or (tracked.kind in here.guests and tracked.number >= loop.first_number):
        return True  # one of many that are made, used and dropped between the steps of this loop
    if _shares(tracked, loop):
        return False
    if not here.had_backward:
        return True
    is_in_pass = loop.pass_ is not None and loop.pass_.is_open() and here.passes.count == loop.seen_passes
    was_there = tracked.number < loop.first_number and loop.epoch is None and loop.steps <= PATIENCE
    return is_in_pass or was_there


@guarded
def _place_of(tracked: Tracked, optimizer: Any) -> tuple[Any, ...] | None:
    """What loops have in common that one place of a program makes, such as one for each sample."""
    return call_site(_OWN), tracked.kind, repr(group_settings(optimizer.defaults))


def _open(tracked: Tracked, optimizer: Any, here: Here) -> Loop:
    models = _models.of(optimizer, tracked.modules)
    run = open_run(
        kind="loop",
        framework="torch",
        framework_version=torch.__version__,
        model_class=class_name(models[0]) if models else None,
        call_site=call_site(_OWN),
    )
    loop = Loop(run, here, files.link, is_own=True)
    _ends.listen()
    loop.begins_at(_place_of(tracked, optimizer))
    # Optimizers made before this moment may belong to it; whoever is made later does not.
    loop.first_number = max((t.number for t in list(state.tracked.values())), default=0) + 1
    loop.add(tracked, optimizer, models)
    _attach_files(run)
    _watch_cells()
    return loop


def open_explicit(optimizers: list[Any], models: list[Any], name: str | None) -> tuple[Run, Loop | None]:
    """Open the run of ``record()``."""
    here = thread.here
    models = [_models.unwrapped(model) for model in models]
    found = models
    if optimizers and not models and is_recording():
        found = _models.of(optimizers[0], state.known(optimizers[0]).modules)
    run = open_run(
        kind="loop",
        framework="torch",
        framework_version=torch.__version__,
        name=name,
        model_class=class_name(found[0]) if found else None,
        call_site=call_site(_OWN),
        implicit=False,
    )
    if not run.is_recorded:
        return run, None
    loop = Loop(run, here, files.link, is_own=False)
    loop.is_explicit = True
    for optimizer in optimizers:
        loop.add(state.known(optimizer), optimizer, found if optimizer is optimizers[0] else models)
    _attach_files(run)
    return run, loop


def _attach_files(run: Run) -> None:
    read, files.read = files.read, []
    for path in read:
        run.log_artifact(path, role="checkpoint", direction="in")


# --- notebooks --------------------------------------------------------------------------------------------------------

_cells: list[Any] = []


def _watch_cells() -> None:
    """In a notebook, a loop ends with its cell."""
    found = shell()
    if found is not None and found not in _cells:
        _cells.append(found)
        found.events.register("post_run_cell", cell_ended)


def forget_cells() -> None:
    """No longer hear of cells."""
    while _cells:
        _cells.pop().events.unregister("post_run_cell", cell_ended)


def cell_ended(result: Any) -> None:
    """Called by IPython after each cell."""
    error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
    for loop in [loop for loop in of_run.values() if loop.is_own]:
        if error is not None:
            loop.run.end(error=error)
        else:
            loop.run.end("finished")
