"""Hand-written PyTorch loops: optimizers that step together leave a run, without a change to the loop.

    import histhooks, torch
    histhooks.autolog("torch")
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for x in torch.ones(8, 4, 3):
        optimizer.zero_grad(); model(x).square().mean().backward(); optimizer.step()

    # without autolog(): this loop and no other
    from histhooks.integrations.torch import record
    with record(optimizer, model):
        optimizer.zero_grad(); model(x).square().mean().backward(); optimizer.step()

==========================================  ==========================================================================
PyTorch                                     record
==========================================  ==========================================================================
the first step of an optimizer              a run of kind `loop`; inside ``start_run()``, the loop is that run's
``loss.backward()``                         `loss` at each step: of the backwards whose gradients that step used, in its
                                            own thread; unscaled under a GradScaler; the mean where several led to a
                                            step, of the first evaluation where ``step`` has a closure
how many backwards led to a step            param `backwards_per_step`; an event where the number changes
several optimizers that step together       one run; `loss/<optimizer>`, `lr/<optimizer>.<group>` by order of first step
                                            for 8 of them; one that is made where one of its kind is gone goes on for it
param groups                                `optimizers`; `optimizer_groups` at the start and at each change (the first
                                            100); `lr` at each step; changed numbers as series (`momentum`, `betas.0`);
                                            the first 16 groups are followed
schedulers                                  class and settings of those that no other one holds
passes over the DataLoader that feeds it    epochs; params `data.<name>`; a dataset of role `train` by kind and size
another loader, between steps               a dataset of role `valid`, where its batches came without gradients or in
                                            the mode of evaluation, and without backwards and steps
the first 8 batches of a Dataset of yours   `dataset_digests`, part `order`: a sample of at most 1 MiB, hashed as
                                            they pass; `captures` says what was left out
the module behind the parameters            `model_class`; an architecture; an event where parameters freeze or thaw
``compute()`` of torchmetrics               points of the loop, by class (`MulticlassAccuracy`, of a second one
                                            `MulticlassAccuracy/2`) or by key of a ``MetricCollection``, until the
                                            program calls ``torch.compile``
``torch.save``, ``torch.load``              artifacts of role `checkpoint`, where a state was saved, or loaded into a
                                            module or an optimizer; other files, as of samples, are none
the model at the start and at the end       `weights`: digest, norm, number of non-finite values; parameters at the
                                            start, all that ``state_dict()`` has at the end
steps that a GradScaler leaves out          events of kind `step_skipped`
parameters that an earlier run trained      a link `continues` to that run
files loaded before the first step          a link by the file's hash: `resumes` where an optimizer took its state from
                                            it; else `continues`, or `fine-tunes` where it filled a part of what trains
==========================================  ==========================================================================

A run ends when its optimizers are gone (`finished`; `ended` if a batch had been fetched and no step followed), with its
cell in a notebook, or with an exception that ends its thread, its process or its task of a pool (`failed`); otherwise
with the process. An exception that the program catches outside of ``record()`` or ``start_run()`` is not seen. If the
program logs `loss` or `lr` itself at each step, the recorder's own values stay out. A metric that it logs with an epoch
and no step (``histhooks.log({"val_loss": 0.2}, epoch=3)``) gets the last step so far. The first point waits for the
second step or the next backward, which decide its name.

Weights are read in place on the training thread (20 ms for 100 MB, 0.06 ms for a small model), up to 512 MiB, without
an operation of PyTorch and without waiting for a device: if a tensor is on one, sharded, sparse, quantized or of a
class of its own, `captures` says so. A model that was let go of before its optimizer is read from the optimizer.

How it hooks in.

``register_optimizer_step_post_hook`` is the official, global registration. It is called for each optimizer whose
class calls ``Optimizer.__init__``. ``Tensor.backward`` calls ``torch.autograd.backward``, which is wrapped: a loss on
the CPU is read there; one on a CUDA device is cloned there and read later by the writer. `_gradients` decides which
parameters a backward reached. ``register_optimizer_step_pre_hook`` looks at what led to a step, since a step may clear
gradients itself; backwards count from the last step of that optimizer on. If a loss cannot be known (gradients were
passed to backward, were replaced, or came from elsewhere or another thread), the step has none, as `captures` says.
``Optimizer.__init__`` and the constructors of schedulers show which object belongs to which; for copies,
``__setstate__`` does. No hook is added to a module and no code runs inside a compiled graph: torch.compile builds as
many graphs as without histhooks. ``_BaseDataLoaderIter.__next__`` is private and held by a test.

Not recorded: steps that a CUDA graph replays, for which no Python runs; losses on devices other than CUDA; steps inside
a run of Lightning, Keras or scikit-learn (with skorch), which record them; updates without an optimizer; which
processes' gradients were averaged. If optimizers are made one after the other in one place, with nothing around them,
and each makes at most 16 steps (for each sample, say), the first 32 are runs and the next run has all others. Tested
with 2.13, on the CPU.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from types import ModuleType
from typing import Any

import torch
from torch.optim import lr_scheduler
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import dataloader, dataset

from histhooks.integrations._pytorch import capturing, current, is_paused
from histhooks.integrations.kit import Integration, Patches, Run, guarded, no_longer, require, when_imported
from histhooks.integrations.torch import _backward, _ends, _metrics, _models
from histhooks.integrations.torch._files import files
from histhooks.integrations.torch._gradients import WALKS, Witness
from histhooks.integrations.torch._hooks import PARAMETERS, before_backward, on_step, step_begins
from histhooks.integrations.torch._loops import judged, of_run
from histhooks.integrations.torch._splits import watch_split
from histhooks.integrations.torch._state import Here, is_hosts, state, thread, unseen
from histhooks.integrations.torch._steps import forget_cells, open_explicit

__all__ = ["install", "integration", "record", "uninstall"]

_SCHEDULERS = ("LRScheduler", "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler")
_COMPILER = "torch._dynamo.eval_frame"

_patches = Patches()
_handles: list[Any] = []


@contextmanager
def record(
    optimizer: Optimizer | Sequence[Optimizer],
    model: torch.nn.Module | Sequence[torch.nn.Module] | None = None,
    *,
    name: str | None = None,
) -> Iterator[Run]:
    """Record a loop without ``autolog()``; beside it, once.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer or sequence of them
        What steps.
    model : torch.nn.Module or sequence of them, optional
        What trains; by default the module that the parameters belong to.
    name : str, optional
        For people; need not be unique.

    Yields
    ------
    Run
        Also for metrics of one's own: ``run.log({"accuracy": 0.9}, epoch=1)``.

    Raises
    ------
    TypeError
        Where ``optimizer`` is no optimizer.

    Examples
    --------
    >>> import torch
    >>> from histhooks.integrations.torch import record
    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.1)
    >>> with record(optimizer, model) as run:
    ...     model(torch.ones(1, 3)).sum().backward()
    ...     optimizer.step()
    """
    optimizers = list(optimizer) if isinstance(optimizer, Sequence) else [optimizer]
    for one in optimizers:
        if not isinstance(getattr(one, "param_groups", None), list):
            raise TypeError(f"record() takes an optimizer of torch.optim, or a list of them, not {type(one).__name__}")
    models = list(model) if isinstance(model, Sequence) else [] if model is None else [model]
    guarded(_arm)()
    opened = guarded(open_explicit)(optimizers, models, name)
    run = opened[0] if opened is not None else Run(None, {"name": "off", "kind": "loop"})
    with run:
        yield run


# --- seams ------------------------------------------------------------------------------------------------------------


def _around_scaler_step(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    optimizer = args[1] if len(args) > 1 else kwargs.get("optimizer")
    tracked = state.tracked.get(id(optimizer))
    before = None if tracked is None else tracked.steps
    result = original(*args, **kwargs)
    if tracked is not None and tracked.loop is not None and tracked.steps == before:
        guarded(_backward.step_skipped)(optimizer)
        tracked.loop.run.event("step_skipped", "the gradient scaler found gradients that are not finite", step=before)
    return result


def _around_optimizer(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    modules = guarded(_models.named_by)(args[1] if len(args) > 1 else kwargs.get("params"))
    original(*args, **kwargs)
    guarded(state.track)(args[0], is_new=True, modules=modules)


def _around_setstate(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """An optimizer that was copied or unpickled, for which no ``__init__`` runs; or one that loads its state."""
    original(*args, **kwargs)
    known = state.tracked.get(id(args[0]))
    if known is None or known.ref() is not args[0]:
        guarded(state.track)(args[0], is_new=True)


def _around_module_setstate(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A module that was copied or unpickled, for which nothing is registered."""
    original(*args, **kwargs)
    _models.know(args[0])


def _around_scheduler(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    original(*args, **kwargs)
    _note_scheduler(args[0])


@guarded
def _note_scheduler(scheduler: Any) -> None:
    optimizer = getattr(scheduler, "optimizer", None)
    if optimizer is None:
        return
    # Of a wrapper (Accelerate's, Fabric's) the one inside steps; its param groups are the same list.
    groups = optimizer.param_groups
    inner = (ref() for ref in [one.ref for one in list(state.tracked.values())])
    tracked = state.known(next((o for o in inner if o is not None and o.param_groups is groups), optimizer))
    tracked.schedulers.append(weakref.ref(scheduler))
    if tracked.loop is not None and tracked.loop.is_open:
        title = f"{type(scheduler).__name__} drives optimizer {tracked.position} from here on"
        tracked.loop.run.event("scheduler", title, step=tracked.steps)


def _around_iter(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    iterator = original(*args, **kwargs)
    here = thread.here
    here.steady = None  # the next step may be in another epoch
    guarded(here.passes.begin)(args[0], iterator)
    return iterator


@guarded
def _look_at_pass(here: Here, iterator: Any) -> Any:
    """How a batch is fetched: what is passed without gradients and steps is data to judge by."""
    found = here.passes.of(iterator)
    if found is not None and found.n_batches == 0:
        found.began(here.had_backward, here.loop, judged())
        loop = here.loop
        is_known = loop is not None and loop.is_open and not state.new and here.passes.is_told(found, str(loop.run.id))
        if not is_known and not is_hosts(current.get()):
            found.hash_batches()
    if found is not None and (here.loop is None or found is not here.loop.pass_):
        found.n_batches += 1
        found.has_gradients = found.has_gradients or torch.is_grad_enabled()
        steps = None if here.loop is None else (here.loop.run.id, here.loop.steps)
        is_used = steps != found.steps or (here.had_backward and not found.had_backward)
        found.has_backward = found.has_backward or is_used
    return found


def _around_next(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    here = thread.here
    found = _look_at_pass(here, args[0])
    try:
        batch = original(*args, **kwargs)
    except StopIteration:
        if found is not None:
            guarded(found.used_up)()
        here.is_midway = False
        raise
    if here.loop is None or here.loop.is_fed_by(found):
        here.is_midway = True
    if found is not None and found.hashing is not None:
        guarded(found.passed)(batch)
    return batch


def _around_save(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    if not is_paused.get():
        given = args[0] if args else kwargs.get("obj")
        files.saved(args[1] if len(args) > 1 else kwargs.get("f"), given)
    return result


def _around_load(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    if not is_paused.get():
        files.loaded(args[0] if args else kwargs.get("f"), result)
    return result


def _around_capture_begin(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    capturing.acquire()
    try:
        return original(*args, **kwargs)
    except BaseException:
        capturing.release()
        raise


def _around_capture_end(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return original(*args, **kwargs)
    finally:
        if capturing.locked():
            capturing.release()


def _keep_out_of_graphs(eval_frame: ModuleType) -> None:
    """Have torch.compile run our frames as they are; those of the program below them are its own as before."""
    for code in [*_patches.codes(), _backward.around.__code__]:
        eval_frame.skip_code(code)
    skip = eval_frame.FrameAction.SKIP
    looked = (_backward.before_backward, _backward.after_backward, _backward.missed, Witness.takes)
    for hook in (on_step, step_begins, *looked):
        eval_frame.set_code_exec_strategy(hook.__code__, eval_frame.FrameExecStrategy(skip, skip))


_torchmetrics = _metrics.Hooks()
_METRICS = {
    "torchmetrics.metric": _torchmetrics.wrap,
    "torchmetrics.collections": _torchmetrics.wrap_collections,
}


def _arm() -> None:
    """Put the hooks in, once."""
    if _patches:
        return
    _handles.append(register_optimizer_step_pre_hook(step_begins))
    _handles.append(register_optimizer_step_post_hook(on_step))
    _handles.extend(_models.hook_in())
    is_known = tuple(signature(torch.autograd.backward).parameters) == PARAMETERS
    front = before_backward if is_known else None
    _patches.wrap(torch.autograd, "backward", _backward.around, front=front)
    _patches.wrap(Optimizer, "__init__", _around_optimizer)
    _patches.wrap(Optimizer, "__setstate__", _around_setstate)
    _patches.wrap(torch.nn.Module, "__setstate__", _around_module_setstate)
    for name in _SCHEDULERS:
        _patches.wrap(getattr(lr_scheduler, name), "__init__", _around_scheduler)
    _patches.wrap(dataloader.DataLoader, "__iter__", _around_iter)
    _patches.wrap(dataloader._BaseDataLoaderIter, "__next__", _around_next)
    _patches.wrap(dataset, "random_split", watch_split)
    _patches.wrap(torch.amp.GradScaler, "scale", _backward.around_scale)
    _patches.wrap(torch.amp.GradScaler, "step", _around_scaler_step)
    _patches.wrap(torch.serialization, "save", _around_save)
    _patches.wrap(torch.serialization, "load", _around_load)
    _patches.wrap(torch.nn.Module, "load_state_dict", files.around_module)
    _patches.wrap(Optimizer, "load_state_dict", files.around_optimizer)
    _patches.wrap(torch.cuda.CUDAGraph, "capture_begin", _around_capture_begin)
    _patches.wrap(torch.cuda.CUDAGraph, "capture_end", _around_capture_end)
    when_imported(_COMPILER, guarded(_keep_out_of_graphs))
    _patches.wrap(torch, "compile", _torchmetrics.watch_compile)
    for module, hook in _METRICS.items():
        when_imported(module, guarded(hook))
    _ends.arm()


def _kinds(kind: type) -> list[type]:
    """A class and all that inherit from it."""
    found = [kind]
    subclasses: list[type] = type.__subclasses__(kind)
    for inner in subclasses:
        found += _kinds(inner)
    return found


def install() -> None:
    """Record every loop from here on."""
    require("torch", torch.__version__)
    if any(getattr(vars(kind).get("step"), "hooked", False) for kind in _kinds(Optimizer)):
        # PyTorch marks the ``step`` of each class of which an optimizer was made (``_patch_step_function``).
        unseen.append(True)
        thread.here.gradients.walks = WALKS
    _arm()
    state.is_automatic = True


def uninstall() -> None:
    """Put everything back, by identity."""
    state.is_automatic = False
    for loop in [loop for loop in of_run.values() if loop.is_own]:
        loop.run.end("ended")
    while _handles:
        _handles.pop().remove()
    forget_cells()
    no_longer(_COMPILER)
    for module in _METRICS:
        no_longer(module)
    _torchmetrics.undo()
    _ends.disarm()
    _patches.undo()


integration = Integration("torch", install, uninstall)
