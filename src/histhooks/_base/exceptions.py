"""Exceptions in hooks: their text, their origin, and which of them end the program.

A program's exception may fail to print: its ``__str__`` raises, returns None, or needs an object that is gone. If a
hook calls an object of the program, any exception may come back, also one that is not an ``Exception``.
"""

from __future__ import annotations

import opcode
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, TypeVar

R = TypeVar("R")

_STDLIB = os.path.dirname(os.__file__) + os.sep
# As Python itself reads them: a class of the program may have attributes of these names that do something else.
_trace_of: Callable[[BaseException], TracebackType | None] = vars(BaseException)["__traceback__"].__get__
code_of: Callable[[BaseException], Any] = vars(SystemExit)["code"].__get__
_qualname_of: Callable[[type], str] = vars(type)["__qualname__"].__get__
_RAISE = opcode.opmap["RAISE_VARARGS"]


class UnansweredError(Exception):
    """An object of the program raised when a hook asked it something."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error

    @property
    def in_words(self) -> str:
        """Class and text of what was raised, in one line as a person reads it."""
        return in_words(self)


def ask(function: Callable[..., R], *args: Any) -> R:
    """Call what is the program's own: a method, a comparison, ``repr``, ``len``.

    Raises
    ------
    UnansweredError
        Instead of whatever the call raised.
    """
    try:
        return function(*args)
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise UnansweredError(error) from None


def answer(otherwise: R, function: Callable[..., R], *args: Any) -> R:
    """Call what is the program's own; what to take instead where it raises comes first."""
    try:
        return ask(function, *args)
    except UnansweredError:
        return otherwise


# --- what they say ----------------------------------------------------------------------------------------------------


def message_of(error: BaseException) -> str:
    """The text of an exception; where it has none, a text in its place that says so."""
    if type(error) is UnansweredError:
        return message_of(error.error)
    try:
        return str.__str__(str(error))
    except BaseException as second:
        if is_interrupt(second):
            raise
        return f"<its text cannot be read: str() raised {name_of(second)}>"


def name_of(error: BaseException) -> str:
    """The class of an exception, without its module."""
    kind = type(error.error) if type(error) is UnansweredError else type(error)
    return _qualname_of(kind)


def in_words(error: BaseException) -> str:
    """Class and text of an exception, in one line as a person reads it."""
    return f"{name_of(error)}: {message_of(error)}"


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception; where Python cannot print all of it, the places alone."""
    import traceback

    with _program_is_not_opened():
        try:
            return "".join(traceback.format_exception(error))
        except BaseException as second:
            # Its notes or its cause are asked for by name, which an odd ``__getattr__`` may refuse.
            if is_interrupt(second):
                raise
        nowhere: list[str] = []
        places = answer(nowhere, traceback.format_tb, _trace_of(error))
    return "".join(["Traceback (most recent call last):\n", *places, in_words(error), "\n"])


@contextmanager
def _program_is_not_opened() -> Iterator[None]:
    """Keep `linecache` from the file of a program that came through a named pipe: to open it again waits for ever."""
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(name, str) or os.path.isfile(name) or not os.path.exists(name):
        yield
        return
    import linecache

    empty: Any = (0, None, [], name)
    is_mine = linecache.cache.setdefault(name, empty) is empty
    try:
        yield
    finally:
        if is_mine:
            linecache.cache.pop(name, None)


# --- where they come from ---------------------------------------------------------------------------------------------


def is_of_program(error: BaseException) -> bool:
    """Whether an exception that a hook met was raised by code of the program or of a library, not by histhooks."""
    if type(error) is UnansweredError:
        return True
    for frame in reversed([frame for frame, _ in _frames(error)]):
        place = frame.f_code.co_filename
        if place.startswith("<frozen ") or (place.startswith(_STDLIB) and "site-packages" not in place):
            continue  # what called it decides
        return str(frame.f_globals.get("__name__")).partition(".")[0] != "histhooks"
    return False


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception came from outside into what a hook was doing, so that it is the program's and must pass.

    That is Ctrl-C, whatever a signal handler raises (a time limit by SIGALRM), and what another thread or a scheduler
    throws in. An exception that some property raises when a hook reads it would not be there without the hook.
    """
    found = list(_frames(error))
    if any(_is_handler(frame) for frame, _ in found):
        return True
    if isinstance(error, Exception):
        return False
    if not found:
        return True
    frame, instruction = found[-1]
    if str(frame.f_globals.get("__name__")).partition(".")[0] == "histhooks":
        return True
    is_raised_here = frame.f_code.co_code[instruction] == _RAISE
    is_exit = isinstance(error, SystemExit) and not {"exit", "quit", "_exit"}.isdisjoint(frame.f_code.co_names)
    return not (is_raised_here or is_exit)


def _is_handler(frame: FrameType) -> bool:
    """Whether a frame is that of a signal handler: it was given the frame that it interrupted, which called it."""
    code, below = frame.f_code, frame.f_back
    if below is None or not (code.co_argcount or code.co_flags & 0x04):
        return False
    given = [frame.f_locals.get(name) for name in code.co_varnames[: code.co_argcount + 1]]
    return any(one is below or (type(one) is tuple and any(inner is below for inner in one)) for one in given)


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    trace = _trace_of(error)
    while trace is not None:
        yield trace.tb_frame, trace.tb_lasti
        trace = trace.tb_next
