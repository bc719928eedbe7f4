"""The one wall between a failure of ours and the program: caught, counted, kept as an event, told once."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from histhooks import _engine
from histhooks._location import is_strict

P = ParamSpec("P")
R = TypeVar("R")


def guarded(function: Callable[P, R]) -> Callable[P, R | None]:
    """Make a hook of ours harmless: it gives None where it fails, and its time is counted as overhead.

    Wrap code of histhooks only. An exception of the host must never pass through here.

    Parameters
    ----------
    function : callable
        A hook.

    Returns
    -------
    callable
        The hook, which raises only where HISTHOOKS_STRICT=1 asks for it.
    """

    @functools.wraps(function)
    def hook(*args: P.args, **kwargs: P.kwargs) -> R | None:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        except Exception as error:
            _engine.engine.failed(function.__qualname__, error)
            if is_strict():
                raise
            return None
        finally:
            _engine.engine.overhead_s += time.perf_counter() - start

    return hook
