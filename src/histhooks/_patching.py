"""Putting a function of ours in the place of another, and taking it out again by identity.

A wrapper is a plain function (``functools.wraps``): it keeps name, module, signature and documentation, pickles by
name, and binds as a method. wrapt's proxies refuse pickle and deepcopy, and some frameworks look for plain functions.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

# original, args, kwargs -> result
Around = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
# patch, wrapper -> what stands in front of it, with the parameters of the original
Front = Callable[["Patch", Callable[..., Any]], Callable[..., Any]]

_ABSENT = object()


class Patch:
    """One function of one owner, wrapped.

    Parameters
    ----------
    owner : class, module or object
        What holds the function.
    name : str
        Its attribute.
    around : callable
        Called with the original, the positional and the keyword arguments of each call.
    of_any_kind : bool
        Whether it may be a bound method or a function written in C, which a plain function then stands for.
    front : callable, optional
        Of a function that is called so often that to pack and unpack its arguments counts: makes a function with the
        same parameters, which takes the calls that it knows and leaves the others to the wrapper.
    """

    def __init__(
        self, owner: Any, name: str, around: Around, *, of_any_kind: bool = False, front: Front | None = None
    ) -> None:
        self.owner = owner
        self.name = name
        self.around = around
        self.front = front
        self.is_active = False
        raw = vars(owner).get(name, _ABSENT)
        self.was_inherited = raw is _ABSENT
        original = getattr(owner, name) if raw is _ABSENT else raw
        is_plain = isinstance(original, FunctionType)
        if not is_plain and not (of_any_kind and callable(original)):
            raise TypeError(f"{owner!r}.{name} is no plain function but {type(original).__name__}")
        self.original: Callable[..., Any] = original

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not self.is_active:
                return original(*args, **kwargs)
            return around(original, args, kwargs)

        self.wrapper: Callable[..., Any] = wrapper if front is None else front(self, wrapper)
        self.codes = {wrapper.__code__, self.wrapper.__code__}
        functools.update_wrapper(self.wrapper, original)
        if not is_plain:
            # `random.seed` calls itself Random.seed: this one must pickle by the name that it has here.
            self.wrapper.__module__, self.wrapper.__qualname__ = owner.__name__, name

    def install(self) -> None:
        """Put the wrapper in place."""
        self.is_active = True
        setattr(self.owner, self.name, self.wrapper)

    def undo(self) -> None:
        """Put the original back; where somebody wrapped ours, theirs stays and ours does nothing any more."""
        self.is_active = False
        if vars(self.owner).get(self.name) is not self.wrapper:
            return
        if self.was_inherited:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.original)


def rebind(old: object, new: object) -> int:
    """Replace a function in the globals of all loaded modules, for names that a program bound earlier.

    Parameters
    ----------
    old, new : callable
        The function that is there, and the one to put there.

    Returns
    -------
    int
        How many names were bound anew.
    """
    count = 0
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType) or module.__name__.partition(".")[0] == "histhooks":
            continue
        for name, value in list(vars(module).items()):
            if value is old:
                setattr(module, name, new)
                count += 1
    return count


class Patches:
    """The patches of one integration.

    Methods install at once; :meth:`undo` takes all of them out, the latest first.
    """

    def __init__(self) -> None:
        self._patches: list[tuple[Patch, bool]] = []
        _everywhere.add(self)

    def __len__(self) -> int:
        return len(self._patches)

    def wrap(
        self,
        owner: Any,
        name: str,
        around: Around,
        *,
        rebound: bool = False,
        of_any_kind: bool = False,
        front: Front | None = None,
    ) -> Patch:
        """Wrap a function of an owner; with ``rebound`` also under the names that programs bound to it."""
        patch = Patch(owner, name, around, of_any_kind=of_any_kind, front=front)
        patch.install()
        if rebound:
            rebind(patch.original, patch.wrapper)
        self._patches.append((patch, rebound))
        return patch

    def codes(self) -> set[CodeType]:
        """The code of the wrappers, most of which share theirs, for compilers that must leave it alone."""
        return {code for patch, _ in self._patches for code in patch.codes}

    def renew(self) -> None:
        """Wrap again what somebody has put back in the place of ours, as one that had wrapped it earlier does."""
        # One that was put back may be ours too: what others keep as the original is bound anew like any name.
        ours = [patch.wrapper for patch, _ in self._patches]
        for number, (patch, rebound) in enumerate(self._patches):
            now = vars(patch.owner).get(patch.name)
            if not patch.is_active or not isinstance(now, FunctionType) or _leads_to(now, ours):
                continue
            renewed = Patch(patch.owner, patch.name, patch.around, front=patch.front)
            patch.is_active = False
            renewed.install()
            if rebound:
                rebind(renewed.original, renewed.wrapper)
            self._patches[number] = (renewed, rebound)

    def undo(self) -> None:
        """Put all originals back."""
        while self._patches:
            patch, rebound = self._patches.pop()
            patch.undo()
            if rebound:
                rebind(patch.wrapper, patch.original)


_everywhere: weakref.WeakSet[Patches] = weakref.WeakSet()


def renew_all() -> None:
    """Wrap again, in every integration, what somebody has put back in the place of ours."""
    for patches in list(_everywhere):
        patches.renew()


def _leads_to(function: Any, wrappers: list[Callable[..., Any]]) -> bool:
    """Whether a function is one of the wrappers, or says that it wraps one."""
    for _ in range(20):
        if function is None or any(function is wrapper for wrapper in wrappers):
            return function is not None
        function = getattr(function, "__wrapped__", None)
    return False
