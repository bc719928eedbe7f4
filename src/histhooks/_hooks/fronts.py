"""Replace the code of a function, so that the function stays the same object.

A function of another package is recorded through its code. ``function.__code__`` becomes a *front*, which takes the
same parameters, reports the call to a :class:`Seam`, and runs the original code with the same globals and closure. The
function object stays. So it is found under every name that was bound to it, pickles by name, and keeps the defaults,
annotations and attributes that a program gives it, even later. The front has the names, the flags, the file and the
first line of the original, which is all that ``inspect`` reads, and adds one frame to a call. It holds plain data
only: the original code and the seam. The seam references nothing of the program (code objects are not part of cycle
collection), and a pickle by value (cloudpickle, dill) replaces it by parts of the standard library. Code that is moved
to another function, as ``%autoreload`` does, keeps working there.
"""

from __future__ import annotations

import functools
import inspect
import keyword
import operator
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from histhooks._base.call_site import fronts
from histhooks._host.guard import guarded

# original, args, kwargs -> what is yielded to while the original runs; receives its result, or is thrown what it raised
Watch = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Iterator[Any] | None]
# original, args, kwargs -> result
Around = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

_SEAM = "\0seam"  # stands for the seam while a front is compiled
_LAZY = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
# Calls that are watched, by the identity of the front's frame, which lives as long as the call.
_watched: dict[int, list[Any]] = {}


class Unfit(TypeError):
    """A function for which no front can be made."""


class Seam:
    """The receiver of the calls that a front reports.

    Parameters
    ----------
    function : function
        The function whose code is replaced; held weakly.
    """

    __slots__ = ("__weakref__", "_function", "front", "original", "through", "watches")

    def __init__(self, function: FunctionType) -> None:
        self._function = weakref.ref(function)
        self.watches: tuple[Watch, ...] = ()
        self.through: Callable[..., Any] | None = None
        self.front: Callable[..., Any] | None = None
        self.original: FunctionType | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # If it goes by value, nobody watches: `enter` makes a tuple, `done` gives the second of what it is given.
        inert = {"enter": tuple, "done": operator.itemgetter(1), "failed": tuple}
        return types.SimpleNamespace, (), inert

    def is_of(self, function: FunctionType) -> bool:
        """Whether it is that function whose code it was made for."""
        return self._function() is function

    def enter(self, call: tuple[tuple[Any, ...], dict[str, Any] | None]) -> list[Any] | None:
        """Called by the front before the original code runs."""
        function = self._function()
        if not self.watches or function is None:
            return None
        started: list[Any] = []
        try:
            args, kwargs = as_given(function, *call)
            for watch in self.watches:
                watching = _begun(watch, function, args, kwargs)
                if watching is not None:
                    started.append(watching)
        except RecursionError:
            pass  # no room for us here, but perhaps for the host
        if not started:
            return None
        _watched[id(sys._getframe(1))] = started
        return started

    def done(self, entered: tuple[list[Any] | None, Any]) -> Any:
        """Called by the front with what the original code gave."""
        started, result = entered
        if started is not None:
            try:
                while started:
                    _go_on(started[-1], result)
                    started.pop()  # no sooner: where Ctrl-C comes meanwhile, `failed` has what has not ended yet
            except RecursionError:
                pass
            _watched.pop(id(sys._getframe(1)), None)
        return result

    def failed(self) -> None:
        """Called by the front with an exception on its way: the front's own frame is no part of its traceback."""
        error = sys.exc_info()[1]
        frame = sys._getframe(1)
        started = _watched.pop(id(frame), None)
        if error is None:
            return
        traceback = error.__traceback__
        while traceback is not None and (traceback.tb_frame is frame or is_ours(traceback.tb_frame)):
            traceback = traceback.tb_next
        kept = traceback or error.__traceback__
        while started:
            _raise_in(started.pop(), error)
        error.__traceback__ = kept

    def call(self, call: tuple[tuple[Any, ...], dict[str, Any] | None]) -> Any:
        """Called by a front that leaves the call of the original to an around."""
        args, kwargs = call
        function, through = self._function(), self.through
        assert through is not None
        if function is not None:
            args, kwargs = as_given(function, args, kwargs)
            original = self.original
            if original is not None and original.__defaults__ is not function.__defaults__:
                original.__defaults__ = function.__defaults__  # which the program has set
            if original is not None and original.__kwdefaults__ is not function.__kwdefaults__:
                original.__kwdefaults__ = function.__kwdefaults__
        return through(*args, **kwargs or {})


def is_ours(frame: Any) -> bool:
    """Whether a frame runs code of histhooks."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "histhooks"


def callers() -> Iterator[str]:
    """The modules that a call which is recorded came through, the nearest first; without histhooks and its fronts.

    Yields
    ------
    str
        Empty for a frame that says no module. Take no more than are needed: each costs a look at a frame.
    """
    frame = program_frame(sys._getframe(1))
    while frame is not None:
        module = frame.f_globals.get("__name__")
        yield module if isinstance(module, str) else ""
        frame = program_frame(frame.f_back)


def program_frame(frame: Any) -> Any:
    """The nearest frame from this one outwards that is neither of histhooks nor of a front."""
    while frame is not None and (is_ours(frame) or seam_of(frame.f_code) is not None):
        frame = frame.f_back
    return frame


def run_watched(watch: Watch, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function that a watch looks at, where no front runs it."""
    watching = _begun(watch, original, args, kwargs)
    try:
        result = original(*args, **kwargs)
    except BaseException as error:
        if watching is not None:
            _raise_in(watching, error)
        raise
    if watching is not None:
        _go_on(watching, result)
    return result


@guarded
def _begun(
    watch: Watch, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Any] | None:
    watching = watch(function, args, kwargs)
    if watching is not None:
        for _ in watching:
            return watching
    return None


@guarded
def _go_on(watching: Any, result: Any) -> None:
    try:
        watching.send(result)
    except StopIteration:
        return
    watching.close()


@guarded
def _raise_in(watching: Any, error: BaseException) -> None:
    before = error.__context__, error.__cause__, error.__suppress_context__
    try:
        watching.throw(error)
    except StopIteration:
        pass
    except BaseException as raised:
        # What would end a generator, Python raises out of one as the cause of a RuntimeError (PEP 479).
        if raised is not error and raised.__cause__ is not error:
            raise
    finally:
        error.__context__, error.__cause__, error.__suppress_context__ = before


def as_given(
    function: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call without the defaults, which a front is given filled in.

    An argument that is its own default is as one that was not given.
    """
    defaults, keyword_defaults = function.__defaults__, function.__kwdefaults__
    kwargs = kwargs or {}
    if keyword_defaults:
        kwargs = {k: v for k, v in kwargs.items() if k not in keyword_defaults or v is not keyword_defaults[k]}
    if not defaults:
        return args, kwargs
    code = function.__code__
    n_positional = code.co_argcount
    n_required = n_positional - len(defaults)
    if len(args) > n_positional or code.co_posonlyargcount > n_required:
        return args, kwargs
    names = code.co_varnames
    chosen = {
        names[n]: value
        for n, value in enumerate(args[n_required:], n_required)
        if value is not defaults[n - n_required]
    }
    return args[:n_required], {**chosen, **kwargs}


# The functions that a front calls, apart from the watches.
fronts.add(Seam)
OURS = {one.__code__ for one in (Seam.enter, Seam.done, Seam.failed, Seam.call, as_given, _begun, _go_on, _raise_in)}


# --- making fronts ----------------------------------------------------------------------------------------------------


def seam_of(code: CodeType) -> Seam | None:
    """The seam of a front; None for any other code."""
    last = code.co_consts[-1] if code.co_consts else None
    return last if type(last) is Seam else None


def code_behind(code: CodeType) -> CodeType:
    """The original code, that a front runs."""
    while seam_of(code) is not None:
        code = code.co_consts[-2]
    return code


def front_for(code: CodeType, seam: Seam, *, is_watched: bool) -> CodeType:
    """Make a front.

    Parameters
    ----------
    code : code
        The original.
    seam : Seam
        Gets each call.
    is_watched : bool
        Whether the front runs the original itself, and the seam watches; else the seam calls the original.

    Raises
    ------
    Unfit
        If parameters have names that are none, or the function does not run when it is called.
    """
    if code.co_flags & _LAZY:
        raise Unfit("is a generator, which runs later than it is called")
    names = _parameters(code)
    locals_ = code.co_varnames[sum(map(len, names)) :]
    is_async = bool(code.co_flags & inspect.CO_COROUTINE)
    mode = "watched" if is_watched else "quick" if seam.front is not None else "called"
    outline = _outline(names, locals_, code.co_freevars, is_async, mode)
    if outline.co_varnames != code.co_varnames or outline.co_freevars != code.co_freevars:
        raise Unfit("has variables in an order that no compiler makes")
    consts = tuple(
        seam if const == _SEAM else code if type(const) is CodeType else const for const in outline.co_consts
    )
    return outline.replace(
        co_consts=(*consts, code, seam),
        co_names=(*outline.co_names, *(name for name in code.co_names if name not in outline.co_names)),
        co_flags=code.co_flags,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
    )


_Names = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _parameters(code: CodeType) -> _Names:
    """Names of what is positional only, positional, by keyword only, `*args` and `**kwargs`, in the order of code."""
    names = code.co_varnames
    n, n_only = code.co_argcount, code.co_posonlyargcount
    end = n + code.co_kwonlyargcount
    n_star = end + bool(code.co_flags & inspect.CO_VARARGS)
    n_stars = n_star + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return names[:n_only], names[n_only:n], names[n:end], names[end:n_star], names[n_star:n_stars]


@functools.lru_cache(maxsize=1024)
def _outline(names: _Names, locals_: tuple[str, ...], free: tuple[str, ...], is_async: bool, mode: str) -> CodeType:
    """The code of a function with these variables, which has a placeholder for the seam and one for the original."""
    only, positional, keyword_only, star, stars = names
    for name in (*only, *positional, *keyword_only, *star, *stars, *locals_, *free):
        if not name.isidentifier() or keyword.iskeyword(name):
            raise Unfit(f"has a variable {name!r}, which is no name")
    taken = [*only, *(["/"] if only else []), *positional]
    taken += [f"*{star[0]}"] if star else ["*"] if keyword_only else []
    taken += [*keyword_only, *(f"**{name}" for name in stars)]
    given = [*only, *positional, *(f"*{name}" for name in star)]
    whole = [*given, *(f"{name}={name}" for name in keyword_only), *(f"**{name}" for name in stars)]
    entries = [*(f"{name!r}: {name}" for name in keyword_only), *(f"**{name}" for name in stars)]
    listed = f"{{{', '.join(entries)}}}" if entries else "None"
    told = f"(({', '.join(given)}{',' if given else ''}), {listed})"
    original = f"(lambda: ({', '.join(free)}{',' if free else ''}))({', '.join(whole)})"
    seam, awaits = repr(_SEAM), "await " if is_async else ""
    call = {
        "watched": f"{seam}.done(({seam}.enter({told}), {awaits}{original}))",
        "called": f"{awaits}{seam}.call({told})",
        "quick": f"{seam}.front({', '.join(whole)})",
    }[mode]
    lines = [
        f"def outer({', '.join(free)}):",
        f" {'async ' if is_async else ''}def front({', '.join(taken)}):",
        "  try:",
        f"   return {call}",
        "  except:",
        f"   {seam}.failed()",
        "   raise",
        # Never reached; here so that they are variables of this function too.
        *([f"  {' = '.join(locals_)} = None"] if locals_ else []),
        *(f"  {name}" for name in free),
    ]
    outer = next(c for c in compile("\n".join(lines), "<front>", "exec").co_consts if type(c) is CodeType)
    front = next(c for c in outer.co_consts if type(c) is CodeType)
    return front.replace(co_linetable=_on_first_line(len(front.co_code) // 2))


def _on_first_line(n_units: int) -> bytes:
    """The table of lines of code that lies on its first line alone, for so many code units.

    An entry covers 8 of them at most: a byte 1xxxxyyy of kind 13 (no columns) and length yyy + 1, and a difference of
    lines, 0 (`Objects/locations.md`, since Python 3.11).
    """
    whole, rest = divmod(n_units, 8)
    return b"\xef\x00" * whole + (bytes([0xE8 | (rest - 1), 0]) if rest else b"")
