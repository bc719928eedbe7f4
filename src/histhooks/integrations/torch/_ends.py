"""Loops that an exception ends where neither a block nor the interpreter sees it: in threads, pools, their processes.

================================================  ====================================================================
what catches the exception                        where it is seen
================================================  ====================================================================
``threading.Thread``, which calls                 ``_invoke_excepthook`` of that one thread object, which its
``threading.excepthook``                          ``__init__`` makes (threading.py, since 3.8); the public hook is the
                                                  program's own
``concurrent.futures``: threads                   ``Future.set_exception``, called by the thread that worked
``multiprocessing.pool.ThreadPool``               ``ApplyResult._set``, ``MapResult._set``, ``IMapIterator._set``
processes of ``multiprocessing.pool``, of         the classes that carry an exception and its traceback to the parent
``concurrent.futures`` and of loky
``multiprocessing.Process``, and                  `engine.uncaught`, called by a finalizer while the exception is on
``torch.multiprocessing.spawn``                   its way (``BaseProcess._bootstrap``); since Python 3.13, which
                                                  calls finalizers later, the ``run`` of the process
================================================  ====================================================================

An exception counts for a loop where it passed through a call that made the first step: its traceback says so.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from histhooks.integrations.kit import Patches, guarded, no_longer, when_imported
from histhooks.integrations.torch._loops import of_run
from histhooks.integrations.torch._state import Here, thread

_CARRIERS = {
    "multiprocessing.pool": "ExceptionWithTraceback",
    "concurrent.futures.process": "_ExceptionWithTraceback",
    "joblib.externals.loky.process_executor": "_ExceptionWithTraceback",
    "loky.process_executor": "_ExceptionWithTraceback",
}
_patches = Patches()


def listen() -> None:
    """Hear of an exception that ends this thread."""
    here = threading.current_thread()
    hook = vars(here).get("_invoke_excepthook")
    if hook is not None and here is not threading.main_thread() and not isinstance(hook, partial):
        vars(here)["_invoke_excepthook"] = partial(_thread_failed, hook)


def _thread_failed(hook: Callable[..., Any], *args: Any) -> Any:
    failed(sys.exc_info()[1], thread.here)
    return hook(*args)


@guarded
def failed(error: BaseException | None, here: Here | None) -> None:
    """End the loops that an exception left; those of one thread, where it is known in which that was."""
    if not isinstance(error, BaseException):
        return
    for loop in list(of_run.values()):
        if loop.is_own and loop.is_open and (here is None or loop.is_of(here)) and loop.is_left_by(error):
            loop.run.end(error=error)


def _around_set_exception(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    failed(args[1] if len(args) > 1 else kwargs.get("exception"), thread.here)
    return original(*args, **kwargs)


def _around_carrier(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    failed(args[1] if len(args) > 1 else kwargs.get("exc"), thread.here)
    return original(*args, **kwargs)


def _around_result(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = args[2] if len(args) > 2 else kwargs.get("obj")
    if isinstance(given, tuple) and len(given) == 2 and given[0] is False:
        failed(given[1], None)
    return original(*args, **kwargs)


@guarded
def _futures(module: ModuleType) -> None:
    _patches.wrap(module.Future, "set_exception", _around_set_exception)


@guarded
def _carrier(name: str, module: ModuleType) -> None:
    _patches.wrap(getattr(module, name), "__init__", _around_carrier)


@guarded
def _pool(module: ModuleType) -> None:
    for name in ("ApplyResult", "MapResult", "IMapIterator"):
        _patches.wrap(getattr(module, name), "_set", _around_result)


def _around_bootstrap(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    _watch_process(type(args[0]))
    return original(*args, **kwargs)


@guarded
def _watch_process(kind: type) -> None:
    owner = next(one for one in kind.__mro__ if "run" in vars(one))
    _patches.wrap(owner, "run", _watch_run)


def _watch_run(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        yield
    except BaseException as error:
        failed(error, thread.here)
        raise


@guarded
def _process(module: ModuleType) -> None:
    _patches.wrap(module.BaseProcess, "_bootstrap", _around_bootstrap)


def arm() -> None:
    """Hear of exceptions in pools, once these are there."""
    if sys.version_info >= (3, 13):
        when_imported("multiprocessing.process", _process)
    when_imported("concurrent.futures._base", _futures)
    for module, name in _CARRIERS.items():
        when_imported(module, partial(_carrier, name) if module != "multiprocessing.pool" else _both)


def _both(module: ModuleType) -> None:
    _carrier(_CARRIERS["multiprocessing.pool"], module)
    _pool(module)


def disarm() -> None:
    """Put all of it back."""
    for module in ("concurrent.futures._base", "multiprocessing.process", *_CARRIERS):
        no_longer(module)
    _patches.undo()
