"""Watch the calls by which models predict. A call costs about a microsecond: two looks at a clock, copies of what is
small, and one append to a ring.

The methods are hooked in the classes of the models that are watched. Calls of other classes cost nothing; a call of
another object of the same class costs one look into a dict. A call inside another one (a pipeline's last step,
``predict`` inside ``predict_proba``) is the outer one's.
"""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Callable
from time import perf_counter
from types import FunctionType
from typing import TYPE_CHECKING, Any

from histhooks._hooks.patching import Patch, Patches
from histhooks._host.fork_lock import ForkLock
from histhooks._host.guard import guarded
from histhooks._watch.kept import MOST_CALLS, SMALL, Room, Rows, made, snap
from histhooks._watch.tally import Tally

if TYPE_CHECKING:
    from types import ModuleType

_METHODS = ("predict", "predict_proba")
_OF_BOOSTERS = ("predict", "inplace_predict")
_OF_KERAS = ("predict", "predict_on_batch", "__call__")
_SCORES = ("predict_proba",)

_patches = Patches()
_hooked: weakref.WeakKeyDictionary[type, set[str]] = weakref.WeakKeyDictionary()
_lock = ForkLock()
_watched: dict[int, Tally] = {}  # by the id of the model
_alive: dict[int, weakref.ref[Any]] = {}


class _Here(threading.local):
    is_inside = False


_here = _Here()
ready: list[Callable[[], None]] = []  # called once in a process, with the first call that is watched
_is_ready = [False]


def tally_of(model: Any) -> Tally | None:
    """The counts of a model that is watched."""
    return _watched.get(id(model))


def tallies() -> list[Tally]:
    """Those of all versions that are watched here."""
    return list(dict.fromkeys(list(_watched.values())))


def watch(model: Any, tally: Tally) -> bool:
    """Watch a model from here on.

    Returns
    -------
    bool
        False if it is none whose calls can be seen.
    """
    names = _methods_of(model)
    if not names or not _hook(type(model), names):
        return False
    key = id(model)
    try:
        _alive[key] = weakref.ref(model, functools.partial(_gone, key))
    except TypeError:  # which nothing says to be gone: another object may get its id
        return False
    tally.is_module = names[0] == "__call__"
    _watched[key] = tally
    return True


def unwatch(model: Any) -> None:
    """Watch a model no more."""
    _gone(id(model), None)


def _gone(key: int, _: Any) -> None:
    _watched.pop(key, None)
    _alive.pop(key, None)


def forget() -> None:
    """In a forked child: watch on, with counts of its own."""
    _is_ready[0] = False
    _here.is_inside = False
    for tally in tallies():
        tally.forget()


def stop() -> None:
    """Watch nothing any more, and put everything back, by identity."""
    _watched.clear()
    _alive.clear()
    made.clear()
    _patches.undo()
    for kind in list(_called):
        if vars(kind).get("__call__") is _call:
            type.__delattr__(kind, "__call__")
    _called.clear()
    _front_of.cache_clear()
    _hooked.clear()
    _is_ready[0] = False


def is_model(thing: Any) -> bool:
    """Whether an object is a model whose calls can be seen."""
    return bool(_methods_of(thing))


def _methods_of(model: Any) -> tuple[str, ...]:
    torch = sys.modules.get("torch.nn")
    kind = type(model)
    packages = {str(base.__module__).partition(".")[0] for base in kind.__mro__}
    if "keras" in packages:
        return _OF_KERAS if callable(getattr(kind, "predict", None)) else ()
    if torch is not None and isinstance(model, torch.Module):
        return ("__call__", *(("predict_step",) if hasattr(kind, "predict_step") else ()))
    if hasattr(kind, "inplace_predict"):
        return _OF_BOOSTERS
    if isinstance(model, type):
        return ()
    return _METHODS if callable(getattr(kind, "predict", None)) else ()


def _hook(kind: type, names: tuple[str, ...]) -> bool:
    """Hook the methods of a class where they are defined; whether there is one."""
    with _lock.held():
        known = _hooked.setdefault(kind, set())
        for name in names:
            if name in known:
                continue
            place = next((base for base in kind.__mro__ if name in vars(base)), None)
            if place is None:
                continue
            if _hook_one(kind, place, name):
                known.add(name)
        return bool(known)


def _hook_one(kind: type, place: type, name: str) -> bool:
    if name == "__call__":
        return _hook_call(kind, place)
    found = vars(place)[name]
    owner, attribute = (place, name) if isinstance(found, FunctionType) else (found, "fn")  # behind `available_if`
    function = found if owner is place else getattr(found, "fn", None)
    if not isinstance(function, FunctionType):
        return False
    if (owner is not kind or name in vars(kind)) and _patches.of(function) is not None:
        return True
    try:
        _patches.wrap(owner, attribute, _as_it_is, front=functools.partial(_front, name in _SCORES))
    except (Patches.Unfit, TypeError, AttributeError):
        return False
    return True


def _hook_call(kind: type, place: type) -> bool:
    """Hook how a module is called, in its class alone: all modules share the one that they inherit."""
    if place is kind or _call in (vars(base).get("__call__") for base in kind.__mro__):
        return _call in (vars(base).get("__call__") for base in kind.__mro__)
    _called[kind] = vars(place)["__call__"]
    type.__setattr__(kind, "__call__", _call)
    return True


# By the class of the module: what it inherits.
_called: weakref.WeakKeyDictionary[type, Callable[..., Any]] = weakref.WeakKeyDictionary()


def _call(self: Any, *args: Any, **kwargs: Any) -> Any:
    torch = sys.modules.get("torch")
    inherited = next((found for base in type(self).__mro__ if (found := _called.get(base)) is not None), None)
    if inherited is None:  # taken out since
        inherited = next(found for base in type(self).__mro__
                         if (found := vars(base).get("__call__")) not in (None, _call))  # fmt: skip
    if torch is not None and (torch.compiler.is_compiling() or torch.jit.is_tracing()):
        return inherited(self, *args, **kwargs)
    return _timed(inherited, self, args, kwargs)


_call.__name__, _call.__qualname__ = "__call__", "_call"


def _timed(original: Callable[..., Any], model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _front_of(False, original)(model, *args, **kwargs)


def _as_it_is(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return original(*args, **kwargs)


def _front(is_score: bool, patch: Patch, inner: Callable[..., Any]) -> Callable[..., Any]:
    return _front_of(is_score, patch.beneath)


@functools.lru_cache(maxsize=64)
def _front_of(is_score: bool, original: Callable[..., Any]) -> Callable[..., Any]:
    """What takes the calls of a method: those of models that are watched, it times and keeps.

    Behind a predict of 150 µs nothing of this is in the processor's caches, so that each call of a function, and each
    copy of an array, costs several times what it costs in a loop: what is usual stands here in one piece.
    """
    find, here, now, state = _watched.get, _here, perf_counter, _is_ready

    def front(model: Any, *args: Any, **kwargs: Any) -> Any:
        tally = find(id(model))
        if tally is None or here.is_inside or (tally.is_module and model.training is True):
            return original(model, *args, **kwargs)
        if not state[0]:
            _make_ready()
        here.is_inside = True
        begun = now()
        try:
            result = original(model, *args, **kwargs)
        except Exception:
            tally.ring.append((None, None, False, begun, now(), True))
            raise
        finally:
            here.is_inside = False
        ended, ring, array = now(), tally.ring, tally.array
        if len(ring) >= MOST_CALLS:
            ring.append((None, Rows(result), False, begun, ended, False))
            return result
        X = args[0] if args else _named(kwargs)
        ring.append(
            (
                X.copy() if type(X) is array and X.nbytes <= SMALL else snap(X, tally.room),
                result.copy() if type(result) is array and result.nbytes <= SMALL else snap(result, tally.room),
                is_score,
                begun,
                ended,
                False,
            )
        )
        return result

    return front


def _named(kwargs: dict[str, Any]) -> Any:
    return next((kwargs[name] for name in ("X", "data", "x", "inputs", "input") if name in kwargs), None)


def _make_ready() -> None:
    _is_ready[0] = True
    for function in ready:
        function()


@guarded
def watch_matrices(core: ModuleType) -> None:
    """Keep what a DMatrix is made of, which it does not give back as it was."""
    if core.DMatrix not in _hooked:
        _hooked[core.DMatrix] = {"__init__"}
        _patches.wrap(core.DMatrix, "__init__", _around_matrix)


def _around_matrix(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    if _watched and args:
        _keep_matrix(args, kwargs)
    return result


@guarded
def _keep_matrix(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    X = args[1] if len(args) > 1 else kwargs.get("data")
    if X is not None and not isinstance(X, (str, bytes)):
        kept = snap(X, Room())
        if kept is not None:
            made[args[0]] = kept
