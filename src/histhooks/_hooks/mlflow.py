"""Coexist with MLflow's autolog, which wraps the same functions.

MLflow's ``autolog(disable=True)`` restores each function as it was when MLflow wrapped it
(``mlflow.utils.gorilla.revert``). This removes hooks of histhooks that were installed later, so they are checked and
installed again once MLflow is done.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches, renew_all
from histhooks._host.guard import guarded

_MLFLOW = "mlflow.utils.gorilla"
_patches = Patches()


def install() -> None:
    """Check the hooks again after each call of MLflow's autolog, now or once it is imported."""
    when_imported(_MLFLOW, guarded(_hook))


def uninstall() -> None:
    """Leave the neighbours as they were."""
    no_longer(_MLFLOW)
    _patches.undo()


def _hook(module: ModuleType) -> None:
    if not _patches and isinstance(vars(module).get("revert"), FunctionType):
        _patches.wrap(module, "revert", _around_revert)


def _around_revert(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    guarded(renew_all)()
    return result
