"""The callback that a program puts into a Trainer, which puts the hooks in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from histhooks.integrations.kit import guarded
from histhooks.integrations.lightning._asking import Asking, Callback
from histhooks.integrations.lightning._seams import arm


class HistoryCallback(Asking):
    """Records the fits of the trainer whose ``callbacks`` it is in; beside ``autolog()`` it changes nothing.

    One object may serve any number of trainers, of ``lightning`` and of ``pytorch_lightning``.

    Examples
    --------
    >>> import lightning
    >>> from histhooks.integrations.lightning import HistoryCallback
    >>> trainer = lightning.Trainer(callbacks=[HistoryCallback()], logger=False, enable_checkpointing=False)
    """

    def __init__(self) -> None:
        super().__init__()
        guarded(arm)()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Callback, ()  # where it is loaded, histhooks may not be installed
