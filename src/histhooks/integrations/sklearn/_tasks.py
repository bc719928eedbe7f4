"""The seams in joblib: what it dispatches, and what it saves.

A task belongs to the run that dispatched it. Into threads the run itself goes along; into another process only a word
that there is one, on what scikit-learn's ``delayed`` makes of a function: joblib's own ``delayed`` has no place for it.

``joblib.parallel.BatchedCalls`` is what travels to a worker, and is made in ``Parallel.dispatch_one_batch``, which the
program's thread calls for the first batches and the backend's threads for all others. So the run is kept by the
``Parallel`` object, from its call on. ``sklearn.utils.parallel._FuncWrapper`` is what scikit-learn's ``delayed`` makes:
a function of scikit-learn's own, or one that was dispatched from inside a run, trains no run of its own; a function of
the program does, as with joblib's ``delayed``.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from histhooks.integrations.kit import Patches, Run, answer, current_run, no_longer, scope, task, when_imported
from histhooks.integrations.sklearn._saved import watch_dump

_patches = Patches()
# The run in which each call of a Parallel was made.
_run_of: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()
_INSIDE = "_histhooks_inside"


def _watch_parallel(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    run = current_run()
    # Not taken away at the end: with `return_as="generator"` tasks are dispatched after it.
    if run is None:
        _run_of.pop(args[0], None)
    else:
        _run_of[args[0]] = run
    yield


def _watch_dispatch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    run = _run_of.get(args[0])
    if run is None or current_run() is run:
        return
    with scope(run):  # on a thread of the backend
        yield


def _watch_batch_init(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    yield
    run = current_run()
    if run is None:
        return
    # BatchedCalls.__reduce__ names what travels to a process, so this stays in threads.
    args[0]._histhooks_run = run
    wrapper = getattr(sys.modules.get("sklearn.utils.parallel"), "_FuncWrapper", None)
    if wrapper is not None and run.is_implicit and run.kind != "loop":
        for function, *_ in args[0].items:
            if type(function) is wrapper:
                setattr(function, _INSIDE, True)  # made for this call by `delayed`


def _watch_batch_call(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    run = getattr(args[0], "_histhooks_run", None)
    if run is None or current_run() is run:
        return
    with scope(run):
        yield


def _watch_task(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    function = getattr(args[0], "function", None)
    module = answer(None, getattr, function, "__module__", None)
    is_of_host = isinstance(module, str) and module.partition(".")[0] == "sklearn"
    if not is_of_host and _INSIDE not in vars(args[0]):
        return
    with task():
        yield


def _wrap_batches(module: Any) -> None:
    _patches.wrap(module.BatchedCalls, "__init__", _watch_batch_init)
    _patches.wrap(module.BatchedCalls, "__call__", _watch_batch_call)
    _patches.wrap(module.Parallel, "__call__", _watch_parallel)
    _patches.wrap(module.Parallel, "dispatch_one_batch", _watch_dispatch)


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
    _run_of.clear()
