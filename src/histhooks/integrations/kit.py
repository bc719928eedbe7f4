"""What an integration is written with: all that a package of its own imports of histhooks.

An integration wraps the entry points of its framework with :class:`Patches`, opens a run at the beginning of the outer
fit with :func:`open_run`, makes it current and ends it with :func:`recorded_as`, and logs on the
:class:`histhooks.Run` that it holds. It raises :class:`NotApplicable` if it cannot work here, and never lets an error
of its own reach the training: :func:`guarded` and :func:`gathered` see to that.

The names are provisional for one release: they may still change in the next one.

Examples
--------
>>> from histhooks.integrations import kit
>>> with kit.recorded_as(kit.open_run(kind="fit", framework="example")) as run:
...     run.log({"loss": 0.5}, step=0)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from histhooks._base.call_site import call_site
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches
from histhooks._hooks.signatures import bind, parameters_of
from histhooks._host.guard import gathered, guarded
from histhooks._record.run import Run
from histhooks.errors import NotApplicable
from histhooks.integrations import Integration
from histhooks.recorder import current_run, is_recording, is_task, open_run, scope, task

__all__ = [
    "Integration",
    "NotApplicable",
    "Patches",
    "Run",
    "bind",
    "call_site",
    "class_name",
    "defaults_of",
    "gathered",
    "guarded",
    "is_recording",
    "is_task",
    "no_longer",
    "open_run",
    "outer_run",
    "recorded_as",
    "require",
    "scope",
    "task",
    "when_imported",
]


def require(title: str, version: str, minimum: tuple[int, int]) -> None:
    """Refuse a framework that is too old.

    Parameters
    ----------
    title : str
        The framework, as people write it.
    version : str
        The version that is loaded, such as ``"2.1.0rc1"``.
    minimum : tuple of int
        The oldest major and minor version that the integration works with.

    Raises
    ------
    NotApplicable
        If the version is older.
    """
    if tuple(int(part) for part in version.split(".")[:2]) < minimum:
        raise NotApplicable(f"{title} {version} is too old; {minimum[0]}.{minimum[1]} or newer is needed")


@contextmanager
def recorded_as(run: Run, finish: Callable[[Run], object] | None = None) -> Iterator[Run]:
    """Record a block as a run: the run is current inside, and ends with the block.

    Parameters
    ----------
    run : Run
        As :func:`open_run` returns it.
    finish : callable, optional
        Takes the run after a block that succeeded, to log what came of it, and should be :func:`guarded`.

    Yields
    ------
    Run

    Raises
    ------
    BaseException
        What the block raises, bare; the run ends with that error.
    """
    try:
        with scope(run):
            yield run
        if finish is not None:
            finish(run)
        run.end()
    except BaseException as error:
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


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The default of each parameter that has one.

    Parameters
    ----------
    function : callable
        A function or a class.

    Returns
    -------
    dict of str to object
        In the order of the function; empty if its signature cannot be read.
    """
    return dict(parameters_of(function).defaults)


def class_name(thing: Any) -> str:
    """The full name of an object's class, such as ``sklearn.linear_model._ridge.Ridge``.

    In a worker process, multiprocessing calls the program ``__mp_main__``, which is ``__main__`` here as well.
    """
    return f"{type(thing).__module__.replace('__mp_main__', '__main__')}.{type(thing).__qualname__}"
