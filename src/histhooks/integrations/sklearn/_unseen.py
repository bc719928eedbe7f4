"""Fits that no hook can see: said once, with the reason, so that a gap in the record is no silence.

A class may have its `fit` from an object that is called (a descriptor, C code), and a program may put another one in
after the class was made. What is put in late is recorded from the moment on at which somebody looks: before the next
outer fit of any estimator.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from types import FunctionType
from typing import Any

from histhooks.integrations.kit import Patches, answer, guarded, not_recorded

_NOTHING: dict[str, Any] = {}
_NAMES = ("fit", "partial_fit")
_of_program: weakref.WeakSet[type] = weakref.WeakSet()
_said: weakref.WeakKeyDictionary[type, set[str]] = weakref.WeakKeyDictionary()


def met(kind: type) -> None:
    """An estimator class that is none of scikit-learn's was made, or found."""
    if kind.__module__.partition(".")[0] == "sklearn":
        return
    _of_program.add(kind)
    look_at(kind)


def look_at(kind: type) -> None:
    """Say of a class, which may be a mixin, which of its fits no hook can see."""
    for name in _NAMES:
        found = vars(kind).get(name)
        if isinstance(found, (FunctionType, functools.partialmethod, type(None))):
            continue
        held = answer(_NOTHING, object.__getattribute__, found, "__dict__")
        if isinstance(held.get("fn"), FunctionType):  # behind `available_if`
            continue
        # A `partial_fit` that is a property says by it whether there is one; most are never called.
        if callable(found) or (name == "fit" and hasattr(type(found), "__get__")):
            _say(kind, name, f"is {_what(found)}, and no function of Python")


def is_unfit(kind: type, name: str, why: str) -> None:
    """No code can stand in the place of a method's own."""
    _say(kind, name, why)


def forget() -> None:
    """Look at no class any more."""
    _of_program.clear()


@guarded
def look_again(patches: Patches, wrap: Callable[[type, str], None]) -> None:
    """See whether the program put a function in the place of one that was recorded; record that from here on."""
    for kind in list(_of_program):
        for name in _NAMES:
            found = vars(kind).get(name)
            if isinstance(found, FunctionType) and not _leads_to(found, patches):
                wrap(kind, name)
                if patches.of(found) is not None:
                    _say(
                        kind,
                        name,
                        "was put there after its class was made, and is seen from here on",
                        since=" until now",
                    )


def _leads_to(function: Any, patches: Patches) -> bool:
    """Whether a function is recorded, or calls one that is, as what a neighbour puts around it does."""
    inner = inspect.unwrap(function)
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    return any(isinstance(one, FunctionType) and patches.of(one) is not None for one in (function, inner, *cells))


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _say(kind: type, name: str, why: str, *, since: str = "") -> None:
    text = f"calls of {kind.__qualname__}.{name} are not recorded{since}: it {why}"
    said = _said.setdefault(kind, set())
    if text in said:
        return
    said.add(text)
    not_recorded("fits", f"unseen/{kind.__module__}.{kind.__qualname__}.{name}", text)


def _what(found: Any) -> str:
    return f"an object of {type(found).__name__}" if not isinstance(found, type) else f"the class {found.__name__}"
