"""The numbers in logs: Keras's own are floats, but a callback of the program may put anything there."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from histhooks.integrations._pytorch import is_elsewhere
from histhooks.integrations.kit import UnansweredError, as_float, ask

_MOST = 100  # components of one metric


class Odd(Exception):
    """A value of which no number can be made, or not all; the text says why."""


def numbers_in(logs: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What a run can record of logs, and why of the rest not.

    Several numbers under one name, as of an ``F1Score`` of several classes, are one series each: `f1/0`, `f1/1`, in
    the order that the host has; of a matrix `cm/0.0`, `cm/0.1`; of a dict by its keys.

    Parameters
    ----------
    logs : mapping
        As callbacks hand it on. Nothing of it is changed or kept.

    Returns
    -------
    numbers : dict of str to number
    odd : dict of str to str
        What is missing of a metric, by name.
    """
    numbers: dict[str, Any] = {}
    odd: dict[str, str] = {}
    for name, value in list(logs.items()):
        if value.__class__ is float and name.__class__ is str and name:
            numbers[name] = value
            continue
        if not isinstance(name, str) or not name:
            odd[f"{name!r:.100}"] = "the name of a metric is a word"
            continue
        try:
            numbers |= ask(_read, name, value, odd)
        except UnansweredError as error:
            odd[name] = str(error.error) if isinstance(error.error, Odd) else error.in_words
    return numbers, odd


def _read(name: str, value: Any, odd: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for where, number in _parts(value):
        if len(found) == _MOST:
            odd[name] = f"the first {_MOST} components are kept{_count(value)}"
            break
        found[f"{name}/{where}" if where else name] = number
    return found


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Each number in a value with its place, which is empty where there is one only."""
    if value is None or isinstance(value, (str, bytes)):
        raise Odd(f"a metric is a number, not {type(value).__name__}")
    if isinstance(value, Mapping):
        for key, inner in list(value.items()):
            for where, number in _parts(inner):
                yield f"{key}.{where}" if where else str(key), number
        return
    if isinstance(value, (list, tuple)):
        for position, inner in enumerate(value):
            for where, number in _parts(inner):
                yield f"{position}.{where}" if where else str(position), number
        return
    shape = _shape(value)
    if _product(shape) == 1:
        yield "", value if is_elsewhere(value) else as_float(value)
        return
    if is_elsewhere(value):
        raise Odd(f"its {_product(shape)} components lie on a device, which is not waited for")
    # A tensor of PyTorch may be part of a graph; one of JAX is computed on by what it can do itself.
    array = value.detach() if hasattr(value, "detach") else sys.modules["numpy"].asarray(value)
    for position, number in enumerate(array.reshape(-1)[: _MOST + 1].tolist()):
        yield _place(position, shape), as_float(number)


def _shape(value: Any) -> tuple[int, ...]:
    shape = getattr(value, "shape", None)
    return () if shape is None else tuple(int(n) for n in shape)


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _place(position: int, shape: tuple[int, ...]) -> str:
    """The indices of the element at a position, as words are put together here: `1.0`."""
    indices: list[str] = []
    for n in reversed(shape):
        position, index = divmod(position, n)
        indices.append(str(index))
    return ".".join(reversed(indices))


def _count(value: Any) -> str:
    shape = _shape(value)
    return f" of {_product(shape)}" if shape else f" of {len(value)}" if isinstance(value, (list, tuple)) else ""
