"""Close the store properly before the program closes its descriptors with ``os``, and write before ``os._exit``.

If a descriptor is closed under SQLite, the next opened file gets its number, and SQLite keeps writing to that number:
into a file of the program, or its log into the store. Closing also drops SQLite's locks. So while a session writes,
``os.closerange`` and ``os.close`` are wrapped. If they name a descriptor of the store, they wait until the writer
pauses; the store is closed for the moment, as before a fork, and opened again at the next write. They also wait for a
range, and for a number that is not open, since SQLite could get that number at the same moment. For any other
descriptor they act at once. Descriptors that C code closes are noticed before the next commit, and the session then
continues in a spool (:mod:`histhooks._host.inherited_files`).

``os._exit`` exits without callbacks, so it waits until the records are on disk, for half a second at most.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, Protocol


class _Holder(Protocol):
    def may_hold(self, low: int, high: int) -> bool: ...

    def away(self, low: int, high: int) -> AbstractContextManager[None]: ...

    def leave(self) -> None: ...


_holder: _Holder | None = None


class StandIn:
    """In the place of a function of ``os``; an object, since no function of C becomes a method of a class."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self.__wrapped__ = original
        self.__name__, self.__qualname__ = original.__name__, original.__qualname__
        self.__module__, self.__doc__ = original.__module__, original.__doc__
        self.__self__ = original.__self__  # type: ignore[attr-defined]
        self.__text_signature__ = original.__text_signature__  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> Any:
        return eval, (f"__import__({self.__module__!r}).{self.__name__}",)  # loads where histhooks is not installed


def stand_in(name: str, made: Callable[[Callable[..., Any]], StandIn]) -> None:
    """Put a stand-in there, unless one is or there is none such function."""
    found = getattr(os, name, None)
    if found is not None and type(found).__name__ == "builtin_function_or_method":
        setattr(os, name, made(found))


def put_back(name: str, kind: type[StandIn]) -> None:
    """Put the function back."""
    found = getattr(os, name, None)
    if isinstance(found, kind):
        setattr(os, name, found.__wrapped__)


class _Closes(StandIn):
    """``os.close`` and ``os.closerange``."""

    def __init__(self, original: Callable[..., Any], span: Callable[..., tuple[int, int]]) -> None:
        super().__init__(original)
        self._span = span

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        holder = _holder
        try:
            low, high = self._span(*args, **kwargs)
            waits = holder is not None and holder.may_hold(low, high)
        except TypeError:
            waits = False
        if holder is None or not waits:
            return self.__wrapped__(*args, **kwargs)
        with holder.away(low, high):
            return self.__wrapped__(*args, **kwargs)


class _Leaves(StandIn):
    """``os._exit``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _holder is not None:
            with suppress(BaseException):
                _holder.leave()
        return self.__wrapped__(*args, **kwargs)


def _one(fd: int) -> tuple[int, int]:
    return fd, fd + 1


def _many(fd_low: int, fd_high: int, /) -> tuple[int, int]:
    return fd_low, fd_high


def watch(holder: _Holder) -> None:
    """Have the program's closing wait for a holder of descriptors."""
    global _holder
    _holder = holder
    stand_in("close", partial(_Closes, span=_one))
    stand_in("closerange", partial(_Closes, span=_many))
    stand_in("_exit", _Leaves)


def unwatch() -> None:
    """Put the functions back."""
    global _holder
    _holder = None
    for name, kind in (("close", _Closes), ("closerange", _Closes), ("_exit", _Leaves)):
        put_back(name, kind)
