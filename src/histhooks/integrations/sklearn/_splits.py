"""What ``train_test_split`` and the splitters of searches and cross-validations leave in the record.

``train_test_split`` of the program leaves a row of `splits`, in its run or its session; that of an estimator's own, for
early stopping, does not. What ``cv=`` means is decided by ``check_cv`` of ``model_selection._split``, which searches,
``cross_validate`` and its kin, and estimators that cross-validate inside (``LassoCV``, ``StackingClassifier``) call.
Each splitter with other settings leaves one row in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from histhooks.integrations._estimators import n_samples
from histhooks.integrations.kit import (
    answer,
    bind,
    call_site,
    callers,
    current_run,
    guarded,
    is_shuffled,
    log_split,
    settings_of,
)

_OWN = ("sklearn", "joblib", "threading", "concurrent", "contextlib", "functools")
_BETWEEN = ("sklearn.model_selection._split", "sklearn.utils._param_validation")
_PLAIN_SETTINGS = {"test_size": None, "train_size": None, "random_state": None, "shuffle": True}


def watch_split(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    """A call of ``train_test_split``."""
    result = yield
    _log_split(original, args, kwargs, result)


@guarded
def _log_split(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], parts: Any) -> None:
    caller = next((name for name in callers() if name not in _BETWEEN), "")
    if caller.partition(".")[0] == "sklearn" or not args:
        return
    bound = bind(original, args, kwargs)
    settings = {name: bound.get(name, default) for name, default in _PLAIN_SETTINGS.items()}
    settings["stratify"] = bound.get("stratify") is not None
    log_split(
        original.__name__,
        settings,
        n_in=answer(None, n_samples, args[0]),
        n_out=answer(None, _sizes, parts),
        shuffled=bool(settings["shuffle"]),
        location=answer(None, call_site, _OWN),
    )


def _sizes(parts: Any) -> list[int]:
    return [n_samples(part) for part in parts[:2]]


def watch_check(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    """A call of ``check_cv``, which gives the splitter that ``cv=`` means."""
    splitter = yield
    _log_splitter(original, args, kwargs, splitter)


@guarded
def _log_splitter(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], splitter: Any) -> None:
    run = current_run()
    if run is None or not run.is_implicit or splitter is None:
        return
    y = bind(original, args, kwargs).get("y")
    log_split(
        type(splitter).__name__.lstrip("_").replace("CVIterableWrapper", "iterable"),
        settings_of(splitter),
        n_in=None if y is None else answer(None, n_samples, y),
        shuffled=is_shuffled(splitter),
        location=answer(None, call_site, _OWN),
        run=run,
        once=True,
    )
