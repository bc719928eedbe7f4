"""What objects of PyTorch say about themselves, for every integration that meets them. Imports no framework.

What only they need of histhooks, beside the kit, they have from here: numbers that lie on a device; the run around a
step, which is asked for at each step; the handlers of signals, which a launcher looks at; the rank of this process; and
the shell of a notebook, whose cells end loops.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from histhooks._base.values import is_elsewhere
from histhooks._collect.passing import Passing, rows_within
from histhooks._collect.weights import Unreadable, Values, Weights, together
from histhooks._collect.weights import read as read_weights
from histhooks._host.ipython import shell
from histhooks._host.store_location import data_mode
from histhooks._record import signals
from histhooks._record.device_readings import OnDevice, Waiting, capturing
from histhooks._record.run import current, is_paused
from histhooks._store.entries import Line
from histhooks.integrations.kit import Run, class_name, parameters_of
from histhooks.recorder import note_rank

__all__ = [
    "Line",
    "OnDevice",
    "Passing",
    "Unreadable",
    "Values",
    "Waiting",
    "Weights",
    "capturing",
    "current",
    "defaults_of",
    "group_settings",
    "hash_batch",
    "is_elsewhere",
    "is_part",
    "is_paused",
    "loaded_size",
    "loader_settings",
    "log_architecture",
    "log_loaded",
    "log_loader",
    "named_tensors",
    "note_rank",
    "passing_of",
    "read_weights",
    "scheduler_settings",
    "shell",
    "signals",
    "size_of",
    "together",
    "values_of",
    "weights_of",
]

_LOADER = ("batch_size", "num_workers", "drop_last", "pin_memory", "persistent_workers", "prefetch_factor")
_PLAIN = (bool, int, float, str, type(None))


def group_settings(group: Mapping[str, Any], n_parameters: int | None = None) -> dict[str, Any]:
    """The settings of a param group, without the parameters, which are counted where that is not known already."""
    known = {k: _readable(v) for k, v in group.items() if k not in ("params", "param_names")}
    if "params" in group:
        known["n_parameters"] = n_parameters or sum(map(size_of, group["params"]))
    return known


def size_of(parameter: Any) -> int:
    """How many numbers a parameter has in the whole model, also where this process holds a part of it.

    A DTensor (FSDP 2, tensor parallel) has the shape of the whole. The flat parameter of FSDP 1 knows its size before
    it was cut, without padding (torch/distributed/fsdp/_flat_param.py); what DeepSpeed's ZeRO 3 cut has
    `ds_numel`.
    """
    facts = vars(parameter) if hasattr(type(parameter), "__dict__") else {}
    whole = facts.get("_unpadded_unsharded_size")
    if whole is not None:
        return int(whole.numel())
    return int(facts["ds_numel"]) if "ds_numel" in facts else int(parameter.numel())


def is_part(parameter: Any) -> bool:
    """Whether a parameter has only a part of its numbers, and nobody knows how many there are in all.

    FSDP 1 with `use_orig_params` puts such views of a shard into the place of the program's own parameters.
    """
    return bool(vars(parameter).get("_fsdp_flattened")) and "_unpadded_unsharded_size" not in vars(parameter)


def _readable(value: Any) -> Any:
    """A tensor's number; where it lies on a device, reading it would wait for that."""
    if type(value) in (tuple, list):
        return type(value)(map(_readable, value))
    if not hasattr(value, "numel"):  # an array of NumPy's has a device too
        return value
    return value.item() if value.device.type == "cpu" and value.numel() == 1 else f"a tensor on {value.device}"


def defaults_of(cls: type) -> dict[str, Any]:
    """The defaults of what a class is made with."""
    return parameters_of(cls).defaults


def scheduler_settings(scheduler: Any, **facts: Any) -> dict[str, Any]:
    """Class and public settings of a learning-rate scheduler; those inside it by class."""
    state = {k: v for k, v in vars(scheduler).items() if not k.startswith("_") and _is_plain(v)}
    inner = getattr(scheduler, "_schedulers", None)
    inside = {"schedulers": [scheduler_settings(one) for one in inner]} if inner else {}
    return {"class": type(scheduler).__name__, **facts, **state, **inside}


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, list) and all(isinstance(v, _PLAIN) for v in value))


def loader_settings(loader: Any) -> dict[str, Any] | None:
    """The settings of a DataLoader, which keep nothing alive; None where it is none. It is never iterated."""
    if not hasattr(loader, "batch_size") or not hasattr(loader, "dataset"):
        return None
    facts: dict[str, Any] = {name: getattr(loader, name, None) for name in _LOADER}
    # A loader that was given a sampler of batches has no size, and no sampler of its own (Accelerate's).
    batches: Any = getattr(loader, "batch_sampler", None)
    facts["batch_size"] = loader.batch_size or getattr(batches, "batch_size", None)
    while hasattr(batches, "batch_sampler"):
        batches = batches.batch_sampler
    facts["sampler"] = type(getattr(batches, "sampler", loader.sampler)).__name__
    facts["shuffle"] = "Random" in facts["sampler"]
    return facts


def log_loader(run: Run, role: str, loader: Any) -> None:
    """Record the settings of a DataLoader where it feeds training, and its dataset; it is never iterated."""
    settings = loader_settings(loader)
    if settings is not None:
        log_loaded(run, role, type(loader), settings, loader.dataset)


def log_loaded(run: Run, role: str, cls: type, settings: Mapping[str, Any], dataset: Any) -> None:
    """Record the settings of a DataLoader of a class, and its dataset where that is still there."""
    if role == "train":
        usual = {**defaults_of(cls), "shuffle": False, "sampler": "SequentialSampler"}
        run.log_params({"data": settings}, source="argument", defaults={"data": usual})
    if dataset is None:
        return
    if hasattr(dataset, "tensors") or hasattr(getattr(dataset, "dataset", None), "tensors"):
        run.log_dataset(role, dataset)  # its values lie in memory
    else:
        run.log_dataset(role, dataset if getattr(dataset, "is_stand_in", False) else loaded_size(dataset))


def loaded_size(dataset: Any) -> Any:
    """What stands for a dataset whose values nobody may ask for: its class's name, its size, and which object it is."""
    facts: dict[str, Any] = {"shape": (len(dataset), None)} if hasattr(type(dataset), "__len__") else {}
    with contextlib.suppress(TypeError):  # of a class with slots
        facts["stands_for"] = weakref.ref(dataset)
    return type(type(dataset).__name__, (), {"is_stand_in": True, **facts})()


def passing_of(settings: Mapping[str, Any] | None, dataset: Any) -> Passing | None:
    """What hashes the first batches of a loader; None where its data is read whole, or none of it may be."""
    if settings is None or data_mode() != "full":
        return None
    if hasattr(dataset, "tensors") or hasattr(getattr(dataset, "dataset", None), "tensors"):
        return None
    return Passing(_of_batch, settings.get("batch_size"))


def hash_batch(passing: Passing, batch: Any) -> bool:
    """Hash a batch on its way to the program, in place; whether another one is wanted."""
    with sys.modules["torch"]._C.DisableTorchFunction():
        return passing.add(batch)


def _of_batch(value: Any, most: int) -> tuple[str, tuple[int, ...], int, Any] | None:
    """Dtype, shape, bytes and memory of a tensor; of one that does not lie by rows, the first of them are copied."""
    torch = sys.modules["torch"]
    kind = type(value)
    if kind is not torch.Tensor:
        if issubclass(kind, torch.Tensor):
            raise Unreadable(f"a tensor of class {kind.__name__}")
        return None
    if not value.is_cpu:
        raise Unreadable(f"a tensor on a device ({value.device.type})")
    if value.layout is not torch.strided or value.is_quantized or value.is_conj() or value.is_neg():
        raise Unreadable("a tensor that is not dense")
    shape, n_bytes = tuple(value.shape), value.nbytes
    if not n_bytes:
        return str(value.dtype), shape, 0, b""
    if value.is_contiguous():
        return str(value.dtype), shape, n_bytes, _bytes_of(value)
    by_rows = value.detach()[: rows_within(n_bytes, shape, most)].contiguous()
    return str(value.dtype), shape, n_bytes, bytes(_bytes_of(by_rows))


def log_architecture(run: Run, framework: str, modules: Iterable[Any]) -> None:
    """Record the children, classes and parameter counts of a model, or of several that train together."""
    modules = list(modules)
    layers = [
        {
            "name": name if len(modules) == 1 else f"{type(module).__name__}.{name}".rstrip("."),
            "class": type(child).__name__,
            "parameters": sum(map(size_of, child.parameters())),
        }
        for module in modules
        for name, child in [*module.named_children()] or [("", module)]
    ]
    parameters = {id(p): p for module in modules for p in module.parameters()}.values()
    trainable = sum(size_of(p) for p in parameters if p.requires_grad)
    name = " + ".join(class_name(module) for module in modules)
    run.log_architecture(framework, name, layers, sum(map(size_of, parameters)), trainable)
    if any("_unpadded_unsharded_size" in vars(p) for p in parameters):
        run.missing("architecture", "layers lie in flat parameters of FSDP, of which only the whole size is known")
    if any(map(is_part, parameters)):
        run.missing("architecture", "sizes are those of the part of a sharded model that this process holds")


# --- weights ----------------------------------------------------------------------------------------------------------


def weights_of(module: Any, *, buffers: bool = True) -> list[Values]:
    """The tensors of a module under the names that its ``state_dict()`` has, which is not called.

    Parameters
    ----------
    module : torch.nn.Module
    buffers : bool
        Whether those that are saved count too.

    Raises
    ------
    Unreadable
        Where one of them is on a device, in parts, or no plain tensor.
    """
    return values_of(dict(named_tensors(module, buffers=buffers)))


def named_tensors(
    module: Any, prefix: str = "", *, buffers: bool = True, above: frozenset[int] = frozenset()
) -> Iterator[tuple[str, Any]]:
    """Parameters and buffers of a module and of those in it, with their names; asks no code of the program."""
    held = vars(module)
    skipped = held.get("_non_persistent_buffers_set") or ()
    for name, parameter in (held.get("_parameters") or {}).items():
        if parameter is not None:
            yield prefix + name, parameter
    if buffers:
        for name, buffer in (held.get("_buffers") or {}).items():
            if buffer is not None and name not in skipped:
                yield prefix + name, buffer
    above |= {id(module)}
    for name, child in (held.get("_modules") or {}).items():
        if child is not None and id(child) not in above:
            yield from named_tensors(child, f"{prefix}{name}.", buffers=buffers, above=above)


def values_of(named: Mapping[str, Any]) -> list[Values]:
    """What :func:`read_weights` takes of tensors, in place.

    No operation of PyTorch runs, but for a tensor that does not lie by rows: so nothing is seen by autograd, by modes
    of the program and by a compiler, and no device is waited for.
    """
    torch = sys.modules["torch"]
    plain = (torch.Tensor, torch.nn.Parameter)
    with torch._C.DisableTorchFunction():
        return [_values(torch, plain, name, tensor) for name, tensor in named.items()]


def _values(torch: Any, plain: tuple[type, ...], name: str, tensor: Any) -> Values:
    kind = type(tensor)
    if kind not in plain:
        raise Unreadable(f"{name} is a {kind.__name__}, no plain tensor")
    if not tensor.is_cpu:
        raise Unreadable(f"{name} is on a device ({tensor.device.type}), which had to be waited for")
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_conj() or tensor.is_neg():
        raise Unreadable(f"{name} is no dense tensor")
    facts = vars(tensor)
    if facts and ("ds_numel" in facts or is_part(tensor)):
        raise Unreadable(f"{name} is a part of a tensor that other processes hold too")
    shape, n_bytes = tuple(tensor.shape), tensor.numel() * tensor.element_size()
    data: Any = b""
    if n_bytes and not tensor.is_contiguous():
        data = partial(_bytes_by_rows, tensor)
    elif n_bytes:
        data = _bytes_of(tensor)
    return Values(name, str(tensor.dtype).removeprefix("torch."), shape, n_bytes, id(tensor), data)


def _bytes_by_rows(tensor: Any) -> bytes:
    with sys.modules["torch"]._C.DisableTorchFunction():
        by_rows = tensor.detach().contiguous()
        return bytes(_bytes_of(by_rows))


def _bytes_of(tensor: Any) -> Any:
    """A tensor's memory, which is not kept alive; what FSDP let go of has none."""
    n_bytes = tensor.numel() * tensor.element_size()
    try:
        n_held = tensor.untyped_storage().nbytes()
    except RuntimeError as error:  # of a tensor that stands for others, as inside torch.func
        raise Unreadable("a tensor has no memory of its own") from error
    if n_held < tensor.storage_offset() * tensor.element_size() + n_bytes:
        raise Unreadable("memory of a tensor was let go of")
    return (ctypes.c_char * n_bytes).from_address(tensor.data_ptr())
