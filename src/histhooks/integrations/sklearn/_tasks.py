"""The seams in joblib: what it dispatches, and what it saves.

In threads, tasks belong to the run that dispatched them; in processes, to none.

``joblib.parallel.BatchedCalls`` is what travels to a worker; what scikit-learn's own ``delayed`` makes of a function is
``sklearn.utils.parallel._FuncWrapper``, so that a task of scikit-learn is told from one of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from histhooks import recorder
from histhooks._imports import no_longer, when_imported
from histhooks._patching import Patches
from histhooks.integrations.sklearn._saved import watch_dump

_patches = Patches()


def _watch_batch_init(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    yield
    run = recorder.current_run()
    if run is not None:
        # BatchedCalls.__reduce__ names what travels to a process, so this stays in threads.
        args[0]._histhooks_run = run


def _watch_batch_call(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    run = getattr(args[0], "_histhooks_run", None)
    if run is None or recorder.current_run() is run:
        return
    with recorder.scope(run):
        yield


def _watch_task(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    with recorder.task():
        yield


def _wrap_batches(module: Any) -> None:
    _patches.wrap(module.BatchedCalls, "__init__", _watch_batch_init)
    _patches.wrap(module.BatchedCalls, "__call__", _watch_batch_call)


def _wrap_tasks(module: Any) -> None:
    _patches.wrap(module._FuncWrapper, "__call__", _watch_task)


def _wrap_dump(module: Any) -> None:
    _patches.wrap(module, "dump", watch_dump)


# Modules that the program may import later, or never: their import is not caused here.
_LATER: dict[str, Callable[[Any], None]] = {
    "joblib.parallel": _wrap_batches,
    "joblib.numpy_pickle": _wrap_dump,
    "sklearn.utils.parallel": _wrap_tasks,
}


def install() -> None:
    """Let runs travel with tasks, and see what the program saves."""
    if not _patches:
        for module, function in _LATER.items():
            when_imported(module, function)


def uninstall() -> None:
    """Put everything back, by identity."""
    for module in _LATER:
        no_longer(module)
    _patches.undo()
