"""From an optimizer's parameters to the model that they belong to.

``model.parameters()`` is a generator whose frame knows the module; it is looked at before the optimizer uses it up.
Where parameters came as a list, or from several modules, the modules of the process are looked through once, when the
loop begins.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "FullyShardedDataParallel": "module",
}


def named_by(params: Any) -> list[weakref.ref[Any]]:
    """The modules whose ``parameters()`` an optimizer is given, weakly."""
    groups = params if isinstance(params, (list, tuple)) else [params]
    sources = [group.get("params") if isinstance(group, dict) else group for group in groups]
    found = []
    for source in sources:
        frame = source.gi_frame if isinstance(source, GeneratorType) else None
        module = frame.f_locals.get("self") if frame is not None else None
        if isinstance(module, torch.nn.Module):
            found.append(weakref.ref(module))
    return found


def of(optimizer: Any, candidates: Iterable[weakref.ref[Any]] = ()) -> list[Any]:
    """The outermost modules that hold the optimizer's parameters, the one with most of them first.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    candidates : iterable of weakref.ref
        Modules that it was given the parameters of.

    Returns
    -------
    list of torch.nn.Module
        Empty where the parameters belong to none.
    """
    wanted = {id(p) for group in optimizer.param_groups for p in group["params"]}
    named = [module for module in (ref() for ref in candidates) if module is not None]
    if len(named) == 1 and wanted <= _parameters(named[0]):
        return [unwrapped(named[0])]
    everywhere = [o for o in gc.get_objects() if issubclass(type(o), torch.nn.Module)]
    holding = [m for m in everywhere if not wanted.isdisjoint(_parameters(m))]
    inner = {id(child) for m in holding for child in m.modules() if child is not m}
    outermost = [unwrapped(m) for m in holding if id(m) not in inner and not isinstance(m, torch.nn.modules.loss._Loss)]
    unique = list({id(m): m for m in outermost}.values())
    return sorted(unique, key=lambda m: -len(wanted & _parameters(m)))


def schedulers_of(optimizer: Any) -> list[weakref.ref[Any]]:
    """The outermost schedulers of an optimizer whose making nobody saw."""
    found = [
        o for o in gc.get_objects() if issubclass(type(o), LRScheduler) and getattr(o, "optimizer", None) is optimizer
    ]
    inner = {id(one) for scheduler in found for one in getattr(scheduler, "_schedulers", ())}
    return [weakref.ref(scheduler) for scheduler in found if id(scheduler) not in inner]


def unwrapped(module: Any) -> Any:
    """The program's own module inside wrappers of PyTorch."""
    while (name := _WRAPPERS.get(type(module).__name__)) is not None and hasattr(module, name):
        module = getattr(module, name)
    return module


def _parameters(module: Any) -> set[int]:
    return {id(p) for p in module.parameters()}
