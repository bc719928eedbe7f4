"""How this program ended, where that can be proved; else nobody saw it, and its session is `ended`.

===============================  =======================================================================================
the program                      how that is seen, once the interpreter is on its way out
===============================  =======================================================================================
ran to its last line             its outermost frame (of the script, or of ``runpy`` for ``-m``, a folder and a zip
                                 file) stopped at its RETURN: ``frame.f_lasti`` of a frame that is over. One that an
                                 exception left stopped elsewhere
raised an exception              ``sys.last_value``, which the interpreter sets (``engine.uncaught``)
called ``sys.exit``, ``exit``    the code is noted at the call. From Python 3.12 on, ``sys.monitoring`` shows whether
or ``quit``                      SystemExit leaves the outermost frame. Before, the code counts only if no frame between
                                 the call and the outermost one has a handler there, so that nothing could stop it
called it with what recorded     ``sys.exit(main())`` took the function before recording began in ``main``: from Python
                                 3.12 on, the calls of the module's own body are looked at until then
raised SystemExit itself         nobody sees the code, but for ``raise SystemExit(main())`` in the same way
===============================  =======================================================================================

The outermost frame is kept until the program ends: its variables are the globals of ``__main__``, which live as long.
A tool of ``sys.monitoring`` is taken at such a call only, on an id that no kind of tools owns, and only if it is free.
Nothing is said of a program that another one runs in its own process (``pdb``, ``cProfile``, ``coverage run``,
IPython): its end is not that of the process.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
from collections.abc import Iterator
from opcode import opname
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from histhooks._base.exceptions import code_of
from histhooks._hooks.fronts import is_ours, program_frame, seam_of
from histhooks._hooks.patching import Patches, rebind
from histhooks._host.closing import StandIn
from histhooks._host.guard import guarded
from histhooks._host.ipython import shell
from histhooks._host.store_location import is_off

if TYPE_CHECKING:
    from histhooks._record.session import Recorded

UNSEEN = object()
_RETURNS = ("RETURN_VALUE", "RETURN_CONST")
_TOOLS = (4, 3)  # the ids that sys.monitoring names no kind of tools for
_MOST_UNWOUND = 10_000  # frames that are looked at after a call of sys.exit, which the program may have caught
_patches = Patches()
_root: FrameType | None = None
_is_inner = _is_registered = False
_noted: Any = UNSEEN
_noted_at = -1  # where the outermost frame was then
_is_returned = False
_tool: int | None = None
_n_left = 0
_body: CodeType | None = None  # of the main module, whose calls are looked at


def watch() -> None:
    """See how the program ends, from now on; again where a session begins, as nothing may have run before."""
    global _root, _is_inner, _is_registered
    if is_off() or shell() is not None:
        return
    frames = [] if sys.implementation.name != "cpython" else _frames_of_main()
    if frames and _root is None and _is_outermost(frames[-1]):
        _root = frames[-1]
    # A script that runs inside another one's, as a debugger or a profiler does.
    _is_inner = _is_inner or sum(map(_is_of_main, frames)) > 1
    if not _is_registered:
        _is_registered = True
        atexit.register(_let_go)
    _stand_in()
    for frame in filter(_is_of_main, frames):
        if not _is_inner and _is_argument(frame):
            _listen(frame.f_code)
    frames.clear()  # which this very frame is one of: a cycle would keep the run that is being opened


def unwatch() -> None:
    """Put ``sys.exit`` back."""
    found = sys.exit
    if isinstance(found, StandIn):
        sys.exit = found.__wrapped__
        rebind(found, found.__wrapped__)
    _patches.undo()


def forget() -> None:
    """In a forked child: what its parent called is not its end."""
    global _noted
    _noted = UNSEEN
    _disarm()


def code() -> Any:
    """What the program gave to ``sys.exit``, None where it ran to its end; `UNSEEN` where nobody knows."""
    if hasattr(sys, "ps1") or sys.flags.interactive or shell() is not None or _is_inner:
        return UNSEEN
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return UNSEEN  # Ctrl-C, while the interpreter waited for it
    if _is_returned or _has_returned():
        return None
    return _noted if _root is None or _root.f_lasti == _noted_at else UNSEEN


def is_complete(run: Recorded) -> bool:
    """Whether a run that nobody has ended is complete, now that the program came to its end.

    A loop is between two steps, and a run that was only started, but not a block that is entered (in a generator, in a
    thread), a fit of a framework that has not returned, and what a thread does that the end of the program stops.
    """
    is_open = run.kind not in ("loop", "block") if run.is_midway is None else run.is_midway()
    is_inside = is_open or bool(run.tokens)
    is_stopped = run.thread_id != threading.main_thread().ident and run.thread_id in sys._current_frames()
    return not (is_inside or is_stopped)


def _has_returned() -> bool:
    return _root is not None and opname[_root.f_code.co_code[_root.f_lasti]] in _RETURNS


def _let_go() -> None:
    """Let go of the frame before the interpreter takes the modules apart."""
    global _root, _is_returned, _noted
    _noted = code()
    _is_returned, _root = _has_returned(), None
    _disarm(is_all=True)


# --- frames -----------------------------------------------------------------------------------------------------------


def _frames_of_main() -> list[FrameType]:
    """The frames of the main thread, the outermost last."""
    main = threading.main_thread().ident
    is_here = threading.get_ident() == main
    frame = sys._getframe(1) if is_here else sys._current_frames().get(main or 0)
    return list(_outwards(frame))


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_of_main(frame: FrameType) -> bool:
    return frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__"


def _is_outermost(frame: FrameType) -> bool:
    """Whether the program is over when this frame is."""
    if frame.f_code.co_name == "_run_module_as_main":
        return frame.f_globals.get("__name__") == "runpy"
    return _is_of_main(frame)


def _can_stop(frame: FrameType) -> bool:
    """Whether what is raised where the frame is now may go no further than this frame.

    It has a handler there, or it is or calls something whose exceptions the interpreter prints and forgets: `__del__`,
    a callback.
    """
    place = frame.f_lasti
    is_handled = any(start <= place < end for start, end in _handled(frame.f_code))
    return is_handled or frame.f_code.co_name == "__del__" or not _now(frame)[0].startswith("CALL")


def _is_argument(frame: FrameType) -> bool:
    """Whether what the frame calls now gives the argument of another call: ``sys.exit(main())``."""
    return _now(frame) == ("CALL", "CALL")


def _now(frame: FrameType) -> tuple[str, str]:
    """The instruction at which a frame is, and the one after it, without their caches."""
    code, place = frame.f_code.co_code, frame.f_lasti
    while place > 0 and opname[code[place]] == "CACHE":
        place -= 2
    after = next((opname[code[n]] for n in range(place + 2, len(code), 2) if opname[code[n]] != "CACHE"), "")
    return opname[code[place]], after


def _handled(code: CodeType) -> Iterator[tuple[int, int]]:
    """The parts of code that have a handler, in bytes (Objects/exception_handling_notes.txt of CPython)."""
    numbers: list[int] = []
    number = 0
    for byte in code.co_exceptiontable:
        number = number << 6 | byte & 0x3F
        if not byte & 0x40:  # the last byte of a number
            numbers.append(number)
            number = 0
    for start, length in zip(numbers[::4], numbers[1::4], strict=True):
        yield start * 2, (start + length) * 2


# --- calls of sys.exit ------------------------------------------------------------------------------------------------


@guarded
def _exits(args: tuple[Any, ...], kwargs: dict[str, Any], caller: FrameType | None) -> None:
    """The program calls ``sys.exit``: it is over, unless somebody stops the exception."""
    global _noted, _noted_at
    if threading.get_ident() != threading.main_thread().ident or _root is None or len(args) > 1 or kwargs:
        return
    if sys.version_info >= (3, 12):
        if _arm():
            return
        args = () if args and args[0] is sys.monitoring.MISSING else args
    frames = [frame for frame in _outwards(program_frame(caller)) if not is_ours(frame) and not seam_of(frame.f_code)]
    is_sure = bool(frames) and frames[-1] is _root and not any(map(_can_stop, frames))
    _noted, _noted_at = (args[0] if args else None) if is_sure else UNSEEN, _root.f_lasti


def _stand_in() -> None:
    """Stand in the place of ``sys.exit``, unless somebody else does, and see calls of ``exit`` and ``quit``."""
    found = sys.exit
    if type(found).__name__ == "builtin_function_or_method":
        stand_in = _exit_for(found)
        sys.exit = stand_in  # type: ignore[assignment]
        rebind(found, stand_in)
    quitter = getattr(sys.modules.get("_sitebuiltins"), "Quitter", None)
    if quitter is not None and not _patches:
        with contextlib.suppress(TypeError, AttributeError):
            _patches.wrap(quitter, "__call__", _quits)


def _exit_for(found: Any) -> StandIn:
    """What notes each call of ``sys.exit``, and then has C raise: no frame of histhooks is in the traceback."""

    class Call:
        __init__ = found  # no method, so that it is called with the arguments alone

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            _exits(args, kwargs, sys._getframe(1))
            return object.__new__(cls)

    class Exit(StandIn):
        __call__ = Call

    return Exit(found)


def _quits(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """What ``exit`` and ``quit`` of ``site`` do."""
    _exits((*args[1:], *kwargs.values()), {}, sys._getframe(1))
    yield


# --- sys.monitoring, from Python 3.12 on ------------------------------------------------------------------------------


def _taken() -> int | None:
    """The id of a tool that is ours; None if none is free."""
    global _tool
    if sys.version_info >= (3, 12):
        for tool in _TOOLS if _tool is None else ():
            if sys.monitoring.get_tool(tool) is None:
                sys.monitoring.use_tool_id(tool, "histhooks")
                _tool = tool
                break
    return _tool


def _arm() -> bool:
    """Look at frames that an exception leaves; False where no id is free."""
    global _n_left
    tool = _taken()
    if sys.version_info >= (3, 12) and tool is not None:
        _n_left = _MOST_UNWOUND
        sys.monitoring.register_callback(tool, sys.monitoring.events.PY_UNWIND, _unwound)
        sys.monitoring.set_events(tool, sys.monitoring.events.PY_UNWIND)
    return tool is not None


def _unwound(code: CodeType, offset: int, error: BaseException) -> None:
    global _noted, _noted_at, _n_left
    _n_left -= 1
    if _root is not None and code is _root.f_code and sys._getframe(1) is _root:
        _noted = code_of(error) if issubclass(type(error), SystemExit) else UNSEEN
        _noted_at = _root.f_lasti
    elif _n_left <= 0:
        _disarm()


@guarded
def _listen(body: CodeType) -> None:
    """Look at the calls that the body of the main module makes itself, and at no others."""
    global _body
    tool = _taken() if _body is None else None
    if sys.version_info >= (3, 12) and tool is not None:
        _body = body
        sys.monitoring.register_callback(tool, sys.monitoring.events.CALL, _called)
        sys.monitoring.set_local_events(tool, body, sys.monitoring.events.CALL)


def _called(code: CodeType, offset: int, function: Any, argument: Any) -> None:
    found = sys.exit
    if function is SystemExit or (isinstance(found, StandIn) and function is found.__wrapped__):
        _exits((argument,), {}, sys._getframe(1))


def _disarm(*, is_all: bool = False) -> None:
    global _tool, _body
    if sys.version_info >= (3, 12) and _tool is not None:
        events = sys.monitoring.events
        sys.monitoring.set_events(_tool, 0)
        sys.monitoring.register_callback(_tool, events.PY_UNWIND, None)
        if _body is not None and not is_all:
            return
        if _body is not None:
            sys.monitoring.set_local_events(_tool, _body, 0)
            sys.monitoring.register_callback(_tool, events.CALL, None)
        tool, _tool, _body = _tool, None, None
        sys.monitoring.free_tool_id(tool)
