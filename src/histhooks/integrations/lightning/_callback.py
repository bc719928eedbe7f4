"""Our callback, which says that the fits of its trainer are recorded, and does nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

# Either may be the only one that is installed.
if "pytorch_lightning" in sys.modules and "lightning" not in sys.modules:
    from pytorch_lightning import Callback, __version__
else:
    try:
        from lightning.pytorch import Callback, __version__
    except ImportError:
        from pytorch_lightning import Callback, __version__

from histhooks._host.guard import guarded

__all__ = ["HistoryCallback", "__version__"]


class HistoryCallback(Callback):
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
        guarded(_arm)()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Callback, ()  # where it is loaded, histhooks may not be installed


def _arm() -> None:
    from histhooks.integrations import lightning

    lightning.arm()
