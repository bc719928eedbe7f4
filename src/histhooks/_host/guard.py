"""Keep failures inside histhooks away from the program: catch them, count them, record an event, warn once."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from histhooks._base.exceptions import in_words, is_interrupt, is_of_program
from histhooks._host.failures import failures
from histhooks._host.store_location import is_strict

P = ParamSpec("P")
R = TypeVar("R")


class Reader(Protocol):
    """What a fact is read for: a run."""

    def missing(self, collector: str, note: str) -> None:
        """Record that a fact could not be read."""


def guarded(function: Callable[P, R]) -> Callable[P, R | None]:
    """Make a hook of histhooks harmless: it returns None if it fails, and its time counts as overhead.

    Wrap code of histhooks only. An exception of the host must never pass through here, but what comes from outside
    (Ctrl-C, a signal handler that raises) does.

    Parameters
    ----------
    function : callable
        A hook.

    Returns
    -------
    callable
        The hook, which raises only with HISTHOOKS_STRICT=1.
    """

    @functools.wraps(function)
    def hook(*args: P.args, **kwargs: P.kwargs) -> R | None:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            if is_interrupt(error):
                _end_orphans(start, error)
                raise
            failures.report(function.__qualname__, error)
            if is_strict():
                raise
            return None
        finally:
            failures.overhead_s += time.perf_counter() - start

    return hook


def _end_orphans(since: float, error: BaseException) -> None:
    """End the runs that a hook has opened and could give to nobody, since Ctrl-C came before it was done."""
    for run in list(failures.open_runs()):
        if run.is_implicit and run.begun_s >= since and run.thread_id == threading.get_ident():
            run.end(error=error)


def gathered(
    run: Reader | None, collector: str, function: Callable[..., R], *args: Any, what: str | None = None
) -> R | None:
    """Read one fact of a run. If that fails, only this fact is missing.

    A hook that opens or ends a run calls each of its translators through here, so that an odd object costs its own
    fact, and never the run, its status or the exception of the program. A row of `captures` (status `failed`) names
    what is missing and why, 20 at most of a collector in one run.

    An exception from code of the program or of a library is not a failure of the hook: it is not counted, no warning
    is printed, and HISTHOOKS_STRICT=1 does not raise it. If C code may raise for an object of the program (``bool()``
    of an array, ``len()``), call it through :func:`histhooks._base.exceptions.ask`, which marks such an exception.

    Parameters
    ----------
    run : Run or None
        The run of the fact; with None, nothing is called.
    collector : str
        For `captures`: `params`, `data`, `results`, `scores`, ...
    function : callable
        The translator.
    *args
        For the translator.
    what : str, optional
        What is missing where it fails; by default the name of the function.

    Returns
    -------
    object or None
        What the translator gave; None if it failed.
    """
    if run is None:
        return None
    try:
        return function(*args)
    except BaseException as error:
        if is_interrupt(error):
            raise
        name = what or getattr(function, "__name__", type(function).__name__).strip("_")
        run.missing(collector, f"{name}: {in_words(error)}")
        if not is_of_program(error):
            failures.report(f"{collector}: {name}", error)
            if is_strict():
                raise
        return None
