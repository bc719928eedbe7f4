"""Hearing what a ``CallbackList`` dispatches, without a place in the list.

``CallbackList.callbacks`` becomes a property. Where a hook of Keras itself goes over it, of a list that is listened to,
it gets the program's callbacks with a listener before and behind them; everybody else gets the program's own list, the
object that it was. So positions, lengths and identities are as without us, also in a list that the program built and
gave to ``fit``; and a listener behind the others sees what they put into the logs, which are one dict for all of them.

A subclass of ``CallbackList`` whose hook goes over ``self.callbacks`` itself is not heard in that hook.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from keras.callbacks import CallbackList

_HOST = CallbackList.__module__
_NAME = "callbacks"


class Listener(Protocol):
    """Who listens to a list."""

    def around(self, hook: str, callbacks: list[Any]) -> list[Any]:
        """The callbacks that a method of ``CallbackList`` is to call, in order."""


# By the id of a list, which is held as long as it is here; the latest last, since an inner fit may be given the same.
_heard: dict[int, list[tuple[CallbackList, Listener]]] = {}


def _get(callbacks: CallbackList) -> Any:
    try:
        own = vars(callbacks)[_NAME]
    except KeyError:
        raise AttributeError(f"{type(callbacks).__name__!r} object has no attribute {_NAME!r}") from None
    heard = _heard.get(id(callbacks)) if _heard else None
    if not heard:
        return own
    frame = sys._getframe(1)
    if frame.f_globals.get("__name__") != _HOST:
        return own
    return heard[-1][1].around(frame.f_code.co_name, own)


def _set(callbacks: CallbackList, value: Any) -> None:
    vars(callbacks)[_NAME] = value


def _delete(callbacks: CallbackList) -> None:
    if vars(callbacks).pop(_NAME, None) is None:
        raise AttributeError(_NAME)


def install() -> None:
    """Put the property in."""
    setattr(CallbackList, _NAME, property(_get, _set, _delete))


def uninstall() -> None:
    """Take the property out; the lists that there are go on as they are."""
    found = vars(CallbackList).get(_NAME)
    if isinstance(found, property) and found.fget is _get:
        delattr(CallbackList, _NAME)


def listen(callbacks: CallbackList, listener: Listener) -> None:
    """Let a listener hear a list."""
    _heard.setdefault(id(callbacks), []).append((callbacks, listener))


def leave(callbacks: CallbackList | None, listener: Listener) -> None:
    """Hear a list no longer."""
    heard = _heard.get(id(callbacks))
    if heard is not None:
        heard[:] = [entry for entry in heard if entry[1] is not listener]
        if not heard:
            del _heard[id(callbacks)]


@contextmanager
def listening(callbacks: CallbackList, listener: Listener) -> Iterator[None]:
    """Let a listener hear a list for a block."""
    listen(callbacks, listener)
    try:
        yield
    finally:
        leave(callbacks, listener)


def callbacks_in(callbacks: CallbackList) -> list[Any]:
    """The callbacks of a list, as the program has them."""
    return list(vars(callbacks).get(_NAME, ()))
