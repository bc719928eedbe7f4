"""What models that were trained here predict: kept in mind for functions of ``sklearn.metrics`` that are given it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any

from histhooks.integrations._estimators import find, predicted
from histhooks.integrations._predictions import remember
from histhooks.integrations.keras._metrics import hook
from histhooks.integrations.kit import bind, guarded, is_recording, outer_run

_is_inside: ContextVar[bool] = ContextVar("histhooks_keras_predicting", default=False)


def around_predict(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    """Keep what ``predict`` or ``predict_on_batch`` gives; a part of a fit, or of another such call, is left."""
    known = find(args[0]) if args else None
    if known is None or _is_inside.get() or outer_run() is not None or not is_recording():
        return
    token = _is_inside.set(True)
    try:
        result = yield
    finally:
        _is_inside.reset(token)
    _keep(original, args, kwargs, result)


@guarded
def _keep(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    known = find(args[0])
    if known is not None:
        x = bind(original, args, kwargs).get("x")
        # Of several inputs none stands for all.
        X = None if isinstance(x, (list, tuple, dict)) else x
        hook()
        remember(result, known, known.run, class_name=type(args[0]).__name__, method="", X=X)
        predicted(known.run, X)
