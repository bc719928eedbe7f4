"""Hook functions of other packages, and restore them.

A plain function stays the same object: its code is replaced (:mod:`histhooks._hooks.fronts`), and restored by
:meth:`Patches.undo`. So it is recorded under every name that was ever bound to it. Anything else (a bound method, a
function written in C) is replaced by a plain function, also under the names that a program bound to it.

There are two kinds of hooks. A *watch* is a generator function (or returns a generator, or None) that yields once,
where the original runs. It receives the result, or is thrown the exception of the original. It adds no frame: fits
nest, and each may bring the program closer to the recursion limit by the front alone. An *around* calls the original
itself.
"""

from __future__ import annotations

import functools
import inspect
import operator
import sys
import weakref
from collections.abc import Callable, Iterator
from itertools import repeat
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from histhooks._hooks.fronts import OURS, Seam, Unfit, Watch, code_behind, front_for, run_watched, seam_of

__all__ = ["Patch", "Patches", "Watch", "rebind", "renew_all", "watched_copy"]

# patch, wrapper -> what takes the calls of a function that is called very often; has the parameters of the original
Front = Callable[["Patch", Callable[..., Any]], Callable[..., Any]]

_ABSENT = object()


class Patch:
    """One function of one owner, recorded.

    Parameters
    ----------
    owner : class, module or object
        What holds the function; held weakly.
    name : str
        Its attribute.
    around : callable
        A watch or an around, of the original and the arguments of each call, without those that are the default.
    of_any_kind : bool
        Whether it may be a bound method or a function written in C, which a plain function then stands for.
    is_apart : bool
        Whether the function has a second name here or elsewhere, which is another matter.
    front : callable, optional
        Of a function that is called so often that to pack and unpack its arguments counts: makes a function with the
        same parameters, which takes the calls that it knows and leaves the others to the wrapper.

    Attributes
    ----------
    original : callable
        The function as it was; of a plain one, another object with the same code.
    wrapper : function
        What stands under the name.
    beneath : callable, for the front: what this patch calls
    """

    def __init__(
        self,
        owner: Any,
        name: str,
        around: Callable[..., Any],
        *,
        of_any_kind: bool = False,
        is_apart: bool = False,
        front: Front | None = None,
    ) -> None:
        self._owner = _weak(owner)
        self.name = name
        self.around = around
        self.front = front
        self.is_active, self.beneath = False, around
        raw = vars(owner).get(name, _ABSENT)
        self._was_inherited = raw is _ABSENT
        found = (
            getattr(owner, name)
            if raw is _ABSENT
            else raw.__func__
            if isinstance(raw, (classmethod, staticmethod))
            else raw
        )
        self._is_plain = isinstance(found, FunctionType)
        if not self._is_plain and not (of_any_kind and callable(found)):
            raise TypeError(f"{owner!r}.{name} is no plain function but {type(found).__name__}")
        if not self._is_plain:
            self._stand_in = self._stand_in_for(found, owner)
        # One that others share under another name is left to them, and what stands here is a copy.
        self._is_copy = isinstance(found, FunctionType) and (self._was_inherited or is_apart)
        self._before: Callable[[], Any] = weakref.ref(found) if is_apart else lambda: None
        # What is recorded; of a plain one weakly, so that its class can go.
        if isinstance(found, FunctionType) and self._is_copy:
            found = plain_of(found)
        self._copy = found
        self._found: Callable[[], Any] = weakref.ref(found) if self._is_plain else lambda: found
        self.is_watch = inspect.isgeneratorfunction(around) or getattr(around, "is_watch", False)

    @property
    def owner(self) -> Any:
        """What holds the function; None once it is gone."""
        return self._owner()

    @property
    def wrapper(self) -> Callable[..., Any]:
        """What stands under the name."""
        return self._found() if self._is_plain else self._stand_in

    @property
    def original(self) -> Callable[..., Any]:
        """The function as it was."""
        found = self._found()
        return plain_of(found) if self._is_plain else found

    @property
    def codes(self) -> set[CodeType]:
        """The code that stands in front of the original."""
        return {self.wrapper.__code__} if self.wrapper is not None else set()

    def _stand_in_for(self, found: Any, owner: Any) -> Callable[..., Any]:
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            return self.around(found, args, kwargs) if self.is_active else found(*args, **kwargs)

        made = stand_in
        is_bound = isinstance(found, MethodType)
        if not is_bound and isinstance(
            getattr(found, "__code__", None), CodeType
        ):  # of Cython, which has its parameters in it
            made = FunctionType(found.__code__, vars(owner), self.name, found.__defaults__)
            made.__kwdefaults__ = found.__kwdefaults__
            seam = Seam(made)
            seam.through = stand_in
            # Cython names a file that is not installed, which `coverage` and `trace` would look for.
            front = front_for(found.__code__, seam, is_watched=False)
            made.__code__ = front.replace(co_filename=f"<{owner.__name__}>")
        made.__doc__ = found.__doc__
        # It must pickle by the name that it has here.
        made.__module__, made.__qualname__, made.__name__ = owner.__name__, self.name, self.name
        return made

    def install(self) -> None:
        """Put it in place."""
        found, owner = self._found(), self.owner
        if self._is_plain:
            _look_at(found, [*_patched.get(found, ()), self])
        if not self._is_plain or self._is_copy:
            setattr(owner, self.name, self.wrapper)
        self._copy = None  # its owner has it
        if not self._is_plain:
            rebind(found, self.wrapper, _move_home(found, self.name, owner.__name__))
        self.is_active = True

    def undo(self) -> None:
        """Restore the original. If another package wrapped the hook, its wrapper stays and the hook does nothing."""
        self.is_active = False
        found, owner = self._found(), self.owner
        if self._is_plain and found is not None:
            _look_at(found, [one for one in _patched.get(found, ()) if one is not self])
        if owner is not None and vars(owner).get(self.name) is self.wrapper:
            if self._was_inherited:
                delattr(owner, self.name)
            elif self._is_copy and self._before() is not None:
                setattr(owner, self.name, self._before())
            elif not self._is_plain:
                setattr(owner, self.name, found)
        if not self._is_plain:
            rebind(self.wrapper, found)
            _move_home(found, self.name, None)


def _weak(thing: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(thing)
    except TypeError:  # a class with slots
        return lambda: thing


# --- plain functions --------------------------------------------------------------------------------------------------

# The patches of each function, in the order in which they came.
_patched: weakref.WeakKeyDictionary[FunctionType, list[Patch]] = weakref.WeakKeyDictionary()


def _look_at(function: FunctionType, patches: list[Patch]) -> None:
    """Give a function the code that its patches ask for; without any, its own."""
    old, code = seam_of(function.__code__), code_behind(function.__code__)
    if not patches:
        _patched.pop(function, None)
        function.__code__ = code
    else:
        seam = Seam(function)
        is_watched = all(patch.is_watch for patch in patches)
        if is_watched:
            seam.watches = tuple(patch.around for patch in reversed(patches))
        else:
            seam.original = plain_of(function)
            _lead_through(seam, seam.original, patches)
        function.__code__ = front_for(code, seam, is_watched=is_watched)
        _patched[function] = patches
    if old is not None and old.is_of(function):
        old.watches = ()  # the code that was may live on in a copy


def _lead_through(seam: Seam, original: Callable[..., Any], patches: list[Patch]) -> None:
    inner = original
    for patch in patches:
        patch.beneath = inner
        inner = functools.update_wrapper(_around(patch, inner), original)
        if patch.front is not None:
            inner = seam.front = patch.front(patch, inner)
    seam.through = inner


def _around(patch: Patch, inner: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not patch.is_active:
            return inner(*args, **kwargs)
        return patch.around(inner, args, kwargs)

    def watched(*args: Any, **kwargs: Any) -> Any:
        return run_watched(patch.around, inner, args, kwargs) if patch.is_active else inner(*args, **kwargs)

    return watched if patch.is_watch else wrapper


def copied(function: FunctionType, code: CodeType | None = None) -> FunctionType:
    """Another function that is the same in all that can be read of it."""
    copy = FunctionType(
        code or function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__annotations__ = function.__annotations__
    copy.__qualname__, copy.__module__, copy.__doc__ = function.__qualname__, function.__module__, function.__doc__
    vars(copy).update(vars(function))
    return copy


def plain_of(function: FunctionType) -> FunctionType:
    """A copy of a function that nobody watches."""
    return copied(function, code_behind(function.__code__))


def watched_copy(function: FunctionType, watch: Watch) -> FunctionType:
    """A copy of a function that somebody watches, whether the original is watched or not."""
    copy = plain_of(function)
    seam = Seam(copy)
    seam.watches = (watch,)
    copy.__code__ = front_for(copy.__code__, seam, is_watched=True)
    return copy


_homes: dict[int, str] = {}


def _move_home(found: Any, name: str, owner: str | None) -> str | None:
    """Let a replaced function pickle by its second name, or (no owner) by its first name again.

    A partial or a dict that still holds it pickles it by module and name, where pickle must find that very object:
    NumPy's `numpy.random.seed` is `numpy.random.mtrand.seed` too. Gives the module of the second name.
    """
    if owner is None:
        if id(found) in _homes:
            found.__module__ = _homes.pop(id(found))
        return None
    package = owner.partition(".")[0]
    for module in list(sys.modules.values()):
        home = getattr(module, "__name__", "") if isinstance(module, ModuleType) else ""
        if home != owner and home.partition(".")[0] == package and vars(module).get(name) is found:
            try:
                before, found.__module__ = found.__module__, home
            except (AttributeError, TypeError):
                return None
            _homes[id(found)] = before
            return home
    return None


def rebind(old: object, new: object, but_in: str | None = None) -> int:
    """Replace a function in the globals of all loaded modules, for names that a program bound earlier.

    Parameters
    ----------
    old, new : callable
        The function that is there, and the one to put there.
    but_in : str, optional
        A module that keeps it.

    Returns
    -------
    int
        How many names were bound anew.
    """
    count = 0
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType) or module.__name__ == but_in:
            continue
        if module.__name__.partition(".")[0] == "histhooks":
            continue
        held = vars(module)
        if not any(map(operator.is_, list(held.values()), repeat(old))):  # without a line of Python for each name
            continue
        for name, value in list(held.items()):
            if value is old:
                setattr(module, name, new)
                count += 1
    return count


class Patches:
    """The patches of one integration.

    Methods install at once; :meth:`undo` takes all of them out, the latest first.

    Attributes
    ----------
    Unfit : type
        What :meth:`wrap` raises, a TypeError, if no code can stand in the place of a function's own.
    copy_of : callable
        :func:`watched_copy`, for a class of the integration's own; nothing is put in anywhere.
    """

    Unfit = Unfit
    copy_of = staticmethod(watched_copy)

    def __init__(self) -> None:
        self._patches: list[Patch] = []
        self._purge_at = 1000
        _everywhere.add(self)

    def __len__(self) -> int:
        return len(self._patches)

    def __iter__(self) -> Iterator[Patch]:
        return iter([patch for patch in self._patches if patch.wrapper is not None])

    def wrap(self, owner: Any, name: str, around: Callable[..., Any], **more: Any) -> Patch:
        """Have a function of an owner recorded; see :class:`Patch`."""
        patch = Patch(owner, name, around, **more)
        patch.install()
        self._patches.append(patch)
        if len(self._patches) > self._purge_at:
            # Of classes that are gone.
            self._patches = list(self)
            self._purge_at = 1000 + 2 * len(self._patches)
        return patch

    def of(self, function: FunctionType) -> Patch | None:
        """The patch by which a function is recorded already."""
        return next((patch for patch in _patched.get(function, ()) if patch in self._patches), None)

    def codes(self) -> set[CodeType]:
        """The code in front of functions, and between it and them, for compilers that must leave it alone."""
        fronts = {code for patch in self for code in patch.codes}
        seams = [seam for seam in map(seam_of, fronts) if seam is not None]
        between = [one for seam in seams for one in (seam.through, seam.front) if one is not None]
        return fronts | {code_behind(one.__code__) for one in between if isinstance(one, FunctionType)} | OURS

    def renew(self) -> None:
        """Install hooks again that another package removed, for example because it had wrapped the function earlier."""
        for number, patch in enumerate(self._patches):
            owner = patch.owner
            now = vars(owner).get(patch.name) if owner is not None and patch.wrapper is not None else None
            if not patch.is_active or not isinstance(now, FunctionType) or _leads_to(now, self):
                continue
            renewed = Patch(owner, patch.name, patch.around, front=patch.front)
            patch.undo()
            renewed.install()
            self._patches[number] = renewed

    def undo(self) -> None:
        """Put all originals back."""
        while self._patches:
            self._patches.pop().undo()


_everywhere: weakref.WeakSet[Patches] = weakref.WeakSet()


def renew_all() -> None:
    """Install the hooks of every integration again if another package removed them."""
    for patches in list(_everywhere):
        patches.renew()


def all_patches() -> list[Patch]:
    """Every patch that is in."""
    return [patch for patches in list(_everywhere) for patch in patches]


def _leads_to(function: Any, patches: Patches) -> bool:
    """Whether a function is one of those that are recorded, or says that it wraps one."""
    recorded = [patch.wrapper for patch in patches]
    for _ in range(20):
        if function is None or any(function is one for one in recorded):
            return function is not None
        function = getattr(function, "__wrapped__", None)
    return False
