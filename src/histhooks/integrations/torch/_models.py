"""From an optimizer's parameters to the model that they belong to.

``model.parameters()`` is a generator whose frame knows the module; it is looked at before the optimizer uses it up.
Where parameters came as a list, or from several modules, the modules of the process are looked through. They are known,
weakly, since each was made: ``register_module_parameter_registration_hook`` and its sister for modules are official,
are called by ``Module.register_parameter`` and ``add_module``, and by the assignment of an attribute; what is copied or
unpickled comes through ``Module.__setstate__``. Those that were made before anybody looked are found once a process
among all of its objects, which takes 60 ms or more.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable
from functools import partial
from types import GeneratorType
from typing import Any

import torch
from torch.nn.modules import module as nn_module
from torch.optim.lr_scheduler import LRScheduler

from histhooks.integrations._pytorch import size_of
from histhooks.integrations.kit import guarded

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
    modules = _modules()
    holding = [m for m in modules if not wanted.isdisjoint(map(id, m._parameters.values()))]
    if len({id(p) for m in holding for p in m._parameters.values()} & wanted) < len(wanted) and _look_once():
        return of(optimizer, candidates)
    if not holding:
        return []
    parents: dict[int, list[Any]] = {}
    for module in modules:
        for child in module._modules.values():
            parents.setdefault(id(child), []).append(module)
    outermost = [unwrapped(m) for m in _outermost(holding, parents) if not isinstance(m, torch.nn.modules.loss._Loss)]
    unique = list({id(m): m for m in outermost}.values())
    return sorted(unique, key=lambda m: -len(wanted & _parameters(m)))


def _outermost(modules: list[Any], parents: dict[int, list[Any]]) -> list[Any]:
    """The modules above some, that no other module holds."""
    found, seen, waiting = [], {id(m) for m in modules}, list(modules)
    while waiting:
        module = waiting.pop()
        above = parents.get(id(module), [])
        if not above:
            found.append(module)
        for parent in above:
            if id(parent) not in seen:
                seen.add(id(parent))
                waiting.append(parent)
    return found


# --- which modules there are ------------------------------------------------------------------------------------------

_known: dict[int, weakref.ref[Any]] = {}
_schedulers: list[weakref.ref[Any]] = []  # that were made before anybody looked
_is_looked: list[bool] = []


def hook_in() -> list[Any]:
    """Know each module from here on; gives what takes that back."""
    _known.clear()
    _schedulers.clear()
    _is_looked.clear()
    return [
        nn_module.register_module_parameter_registration_hook(_registered),
        nn_module.register_module_module_registration_hook(_registered),
    ]


def _registered(module: Any, name: str, registered: Any) -> None:
    """Called by PyTorch for each parameter and each module that a module gets."""
    if id(module) not in _known:
        know(module)


@guarded
def know(module: Any) -> None:
    """Know a module, weakly."""
    key = id(module)
    _known[key] = weakref.ref(module, partial(_known.pop, key))


def _modules() -> list[Any]:
    found = (ref() for ref in list(_known.values()))
    return [module for module in found if module is not None and "_parameters" in module.__dict__]


def _look_once() -> bool:
    """Look for what was made before anybody looked, once; gives whether this was the time."""
    if _is_looked:
        return False
    _is_looked.append(True)
    for one in gc.get_objects():
        kind = type(one)
        if issubclass(kind, torch.nn.Module):
            know(one)
        elif issubclass(kind, LRScheduler):
            _schedulers.append(weakref.ref(one))
    return True


def schedulers_of(optimizer: Any) -> list[weakref.ref[Any]]:
    """The outermost schedulers of an optimizer whose making nobody saw."""
    _look_once()
    found = [one for one in (ref() for ref in _schedulers) if getattr(one, "optimizer", None) is optimizer]
    inner = {id(one) for scheduler in found for one in getattr(scheduler, "_schedulers", ())}
    return [weakref.ref(scheduler) for scheduler in found if id(scheduler) not in inner]


def unwrapped(module: Any) -> Any:
    """The program's own module inside wrappers of PyTorch."""
    while (name := _WRAPPERS.get(type(module).__name__)) is not None and hasattr(module, name):
        module = getattr(module, name)
    return module


def _parameters(module: Any) -> set[int]:
    return {id(p) for p in module.parameters()}


def count_trainable(models: list[Any]) -> int:
    """How many numbers of some models train."""
    return sum(size_of(p) for model in models for p in model.parameters() if p.requires_grad)
