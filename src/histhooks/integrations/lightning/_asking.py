"""Which trainings are recorded: ``autolog()`` asks for all, and a callback for those of its trainer."""

from __future__ import annotations

import sys
from typing import Any

# Either may be the only one that is installed.
if "pytorch_lightning" in sys.modules and "lightning" not in sys.modules:
    from pytorch_lightning import Callback, __version__
else:
    try:
        from lightning.pytorch import Callback, __version__
    except ImportError:
        from pytorch_lightning import Callback, __version__

__all__ = ["Asking", "Callback", "__version__", "asked", "is_asked"]


class Asking(Callback):
    """A callback that asks for the fits of its trainer to be recorded, and does nothing else."""


class Asked:
    """Whether ``autolog()`` asked for every training."""

    is_automatic = False


asked = Asked()


def is_asked(trainer: Any) -> bool:
    return asked.is_automatic or any(isinstance(callback, Asking) for callback in trainer.callbacks)
