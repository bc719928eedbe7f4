"""Parameters of the program's functions and classes, read once, and kept only while these live."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_EMPTY = inspect.Parameter.empty
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a function takes.

    Attributes
    ----------
    positional : tuple of str
        Names that an argument may have by its position.
    by_keyword, required : frozenset of str
    in_order : tuple of str
        Those that can be given by keyword, sorted.
    star, stars : str or None
        The names of `*args` and `**kwargs`.
    defaults : dict
        By name, in the order of the function.
    names : tuple of str
        All of them in that order, also those of `*args` and `**kwargs`.
    """

    positional: tuple[str, ...]
    by_keyword: frozenset[str]
    required: frozenset[str]
    in_order: tuple[str, ...]
    star: str | None
    stars: str | None
    defaults: dict[str, Any]
    names: tuple[str, ...]


_known: weakref.WeakKeyDictionary[Callable[..., Any], Parameters] = weakref.WeakKeyDictionary()
_NONE = Parameters((), frozenset(), frozenset(), (), None, None, {}, ())


def parameters_of(function: Callable[..., Any]) -> Parameters:
    """The parameters of a function or a class, as ``inspect.signature`` says; none where it cannot say."""
    try:
        found = _known.get(function)
    except TypeError:  # no weak reference to it, or no hash
        return _read(function)
    if found is None:
        found = _read(function)
        # A default may lead back to the class, which would then never go.
        if all(_is_plain(value) for value in found.defaults.values()):
            _known[function] = found
    return found


def _read(function: Callable[..., Any]) -> Parameters:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return _NONE
    only, both, star, keyword, stars = (
        tuple(p.name for p in parameters if p.kind is kind) for kind in inspect._ParameterKind
    )
    named = {p.name: p.default for p in parameters if p.name not in (*star, *stars)}
    return Parameters(
        (*only, *both),
        frozenset((*both, *keyword)),
        frozenset(name for name, default in named.items() if default is _EMPTY),
        tuple(sorted((*both, *keyword))),
        star[0] if star else None,
        stars[0] if stars else None,
        {name: default for name, default in named.items() if default is not _EMPTY},
        tuple(p.name for p in parameters),
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (type(value) is tuple and all(map(_is_plain, value)))


def bind(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name; those of ``**kwargs`` under their own. Empty where the call will be refused."""
    known = parameters_of(function)
    out = dict(zip(known.positional, args, strict=False))
    if len(args) > len(known.positional):
        if known.star is None:
            return {}
        out[known.star] = args[len(known.positional) :]
    for name, value in kwargs.items():
        is_named = name in known.by_keyword
        if (is_named and name in out) or not (is_named or known.stars):
            return {}
        out[name] = value
    return out if known.required <= out.keys() else {}
