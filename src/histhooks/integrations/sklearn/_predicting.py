"""What models that were trained here predict: kept in mind for metrics that are computed of it.

Methods are hooked when a class has been fitted, not before: the class of the estimator, and what it is in the end (the
last step, the best of a search). Members of an ensemble stay as they are, so that a forest's 100 trees cost nothing.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Generator
from types import FunctionType
from typing import Any

from histhooks.integrations._estimators import find, predicted
from histhooks.integrations._predictions import remember
from histhooks.integrations.kit import ForkLock, Patches, guarded, outer_run
from histhooks.integrations.sklearn._parts import cores_of

_METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")

_patches = Patches()
_seen: weakref.WeakSet[type] = weakref.WeakSet()
_lock = ForkLock()
_is_on = False


@guarded
def watch_predictions_of(estimator: Any) -> None:
    """Hook what the classes of a fitted estimator predict by."""
    if _is_on:
        for one in cores_of(estimator):
            if type(one) not in _seen:
                watch_class(type(one))


def watch_class(kind: type) -> None:
    """Hook what a class predicts by, where it is defined."""
    if not _is_on:
        return
    with _lock.held():
        for base in kind.__mro__:
            if base in _seen or base.__module__ == "builtins":
                continue
            _seen.add(base)
            for name in _METHODS:
                found = vars(base).get(name)
                # Of a method behind `available_if`, the function inside.
                owner, attribute = (base, name) if isinstance(found, FunctionType) else (found, "fn")
                function = vars(owner).get(attribute) if hasattr(owner, "__dict__") else None
                if isinstance(function, FunctionType) and _patches.of(function) is None:
                    _wrap(owner, attribute, name)


_going_on = threading.local()  # a call, inside which others are the host's: `predict` calls `decision_function`


def _wrap(owner: Any, attribute: str, name: str) -> None:
    try:
        _patches.wrap(owner, attribute, functools.partial(_watch, name))
    except Patches.Unfit:
        return  # a metric of what it returns leaves nothing


def _watch(
    name: str, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    known = find(args[0]) if args else None
    if known is None or getattr(_going_on, "is_any", False) or outer_run() is not None:
        return
    X = args[1] if len(args) > 1 else kwargs.get("X")
    _going_on.is_any = True
    try:
        result = yield
    finally:
        _going_on.is_any = False
    remember(result, known, known.run, class_name=type(args[0]).__name__, method=name, X=X)
    predicted(known.run, X)


def install() -> None:
    """Let classes be hooked from their first fit on."""
    global _is_on
    _is_on = True


def uninstall() -> None:
    """Put everything back, by identity."""
    global _is_on
    _is_on = False
    _patches.undo()
    _seen.clear()
