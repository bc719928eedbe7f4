"""The values that a ``DMatrix`` is made of.

A DMatrix gives its values back at the cost of a copy, and a QuantileDMatrix gives edges of bins. So they are held when
the constructor gets them: a copy of what is small, until a training asks for it; what is large is looked at while the
constructor runs. What XGBoost makes for its own estimators is left out, since their ``fit`` is recorded with its data.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import xgboost

from histhooks.integrations import _estimators
from histhooks.integrations.kit import Patches, bind, callers, guarded

_held: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
_MOST = 64 << 20  # bytes of copies


def held_of(matrix: Any) -> Any | None:
    """What is held of the values of a DMatrix."""
    return _held.get(matrix)


def watch_matrix(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """Watch a constructor."""
    held = _hold(original, args, kwargs)
    try:
        yield
        if held is not None:
            _keep(args[0], held)
    finally:
        if held is not None:
            _estimators.let_go(held)


@guarded
def _hold(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any | None:
    if next(iter(callers()), "").partition(".")[0] == "xgboost":
        return None
    bound = bind(original, args, kwargs)
    data = bound.get("data")
    if data is None or type(data).__module__ == "ctypes" or isinstance(data, (str, xgboost.DataIter)):
        return None
    return _estimators.hold(data, bound.get("label"))


@guarded
def _keep(matrix: Any, held: Any) -> None:
    copied = sum(other.piece.size for other in list(_held.values()) if other.piece.is_copy)
    if not held.piece.is_copy or copied + held.piece.size <= _MOST:
        _held[matrix] = held


def install(patches: Patches) -> None:
    """Watch the constructors of all kinds of DMatrix."""
    for kind in (xgboost.DMatrix, xgboost.QuantileDMatrix):
        if isinstance(vars(kind).get("__init__"), FunctionType):
            patches.wrap(kind, "__init__", watch_matrix)
