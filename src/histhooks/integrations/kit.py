"""The names that an integration imports from histhooks. The built-in integrations import the same ones.

========================  ============================================================================================
wrap                      :class:`Patches`, :func:`when_imported`, :func:`no_longer`
never disturb             :func:`guarded`, :func:`gathered`; :func:`ask` and :func:`answer` for objects of the program;
                          :class:`ForkLock` for what a module changes
whether to record         :func:`ensure_session`, :func:`is_recording`, :func:`is_task`, :func:`outer_run`,
                          :func:`current_run`, :func:`callers`, :func:`owner_of`
record                    :func:`open_run`, :func:`recorded_as`, :func:`scope`, :func:`task`, and :class:`Run` itself;
                          :func:`log_split`, with :func:`settings_of` and :func:`is_shuffled` of a splitter
read                      :func:`bind`, :func:`parameters_of`, :func:`class_name`, :func:`as_float`,
                          :func:`call_site`, :func:`splits`
be found, or say why not  :class:`Integration`, :func:`require`, :class:`NotApplicable`, :func:`not_recorded`
========================  ============================================================================================

``docs/develop/integrations.md`` writes one from nothing. The names are provisional for one release: they may still
change in the next one.

Examples
--------
>>> from histhooks.integrations import kit
>>> with kit.recorded_as(kit.open_run(kind="fit", framework="example")) as run:
...     run.log({"loss": 0.5}, step=0)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from histhooks._base.call_site import call_site
from histhooks._base.exceptions import UnansweredError, answer, ask
from histhooks._base.frameworks import FRAMEWORKS
from histhooks._base.values import as_float
from histhooks._hooks.fronts import callers
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches
from histhooks._hooks.signatures import bind, parameters_of
from histhooks._host.fork_lock import ForkLock
from histhooks._host.guard import gathered, guarded
from histhooks._record.run import Run
from histhooks._record.splits import is_shuffled, log_split, settings_of
from histhooks.errors import NotApplicable
from histhooks.integrations import Integration, not_recorded, owner_of
from histhooks.recorder import current_run, ensure_session, is_recording, is_task, open_run, scope, splits, task

__all__ = [
    "ForkLock",
    "Integration",
    "NotApplicable",
    "Patches",
    "Run",
    "UnansweredError",
    "answer",
    "as_float",
    "ask",
    "bind",
    "call_site",
    "callers",
    "class_name",
    "current_run",
    "ensure_session",
    "gathered",
    "guarded",
    "is_recording",
    "is_shuffled",
    "is_task",
    "log_split",
    "no_longer",
    "not_recorded",
    "open_run",
    "outer_run",
    "owner_of",
    "parameters_of",
    "recorded_as",
    "require",
    "scope",
    "settings_of",
    "splits",
    "task",
    "when_imported",
]

R = TypeVar("R", bound=Run | None)


def require(name: str, version: str, minimum: tuple[int, int] | None = None) -> None:
    """Refuse a framework that is too old.

    Parameters
    ----------
    name : str
        The framework, as people write it; of one that histhooks brings an integration for, its name for ``autolog()``.
    version : str
        The version that is loaded, such as ``"2.1.0rc1"``.
    minimum : tuple of int, optional
        The oldest major and minor version that the integration works with; known of those that histhooks brings.

    Raises
    ------
    NotApplicable
        If the version is older.
    """
    if minimum is None:
        name, minimum = FRAMEWORKS[name].title, FRAMEWORKS[name].minimum
    if tuple(int(part) for part in version.split(".")[:2]) < minimum:
        raise NotApplicable(f"{name} {version} is too old; {minimum[0]}.{minimum[1]} or newer is needed")


@contextmanager
def recorded_as(
    run: R,
    finish: Callable[[Run], object] | None = None,
    *,
    begin: Callable[[Run], object] | None = None,
    fail: Callable[[Run], object] | None = None,
) -> Iterator[R]:
    """Record a block as a run: the run is current inside, and ends with the block.

    All that is logged before and after stands inside, so that Ctrl-C there ends the run too.

    Parameters
    ----------
    run : Run or None
        As :func:`open_run` returns it; with None the block alone runs.
    finish, begin, fail : callable, optional
        Each takes the run and should be :func:`guarded`: `begin` before the block, `finish` after one that succeeded,
        `fail` after one that raised, if nothing else has ended the run.

    Yields
    ------
    Run or None

    Raises
    ------
    BaseException
        What the block raises, bare; the run ends with that error.
    """
    if run is None:
        yield run
        return
    try:
        with scope(run):
            if begin is not None:
                begin(run)
            yield run
        if finish is not None:
            finish(run)
        run.end()
    except BaseException as error:
        if fail is not None and run.status == "running":
            fail(run)
        run.end(error=error)
        raise


def outer_run() -> Run | None:
    """The run of a fit that goes on around this code, so that what begins here is a part of it.

    Returns
    -------
    Run or None
        None outside of every run, in a block that the program opened, and in a loop, whose steps are not a call.
    """
    run = current_run()
    return run if run is not None and run.is_implicit and run.kind != "loop" else None


def class_name(thing: Any) -> str:
    """The full name of an object's class, such as ``sklearn.linear_model._ridge.Ridge``.

    In a worker process, multiprocessing calls the program ``__mp_main__``, which is ``__main__`` here as well.
    """
    return f"{type(thing).__module__.replace('__mp_main__', '__main__')}.{type(thing).__qualname__}"
