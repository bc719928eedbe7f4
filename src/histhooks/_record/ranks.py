"""The place of this process in a distributed job."""

from __future__ import annotations

import os
import sys
from typing import Any


def _distributed() -> Any:
    """torch.distributed, where it is up."""
    distributed = sys.modules.get("torch.distributed")
    try:
        is_up = distributed is not None and distributed.is_available() and distributed.is_initialized()
    except (RuntimeError, ValueError, AttributeError):
        return None
    return distributed if is_up else None


def rank() -> int:
    """Rank among the processes of a distributed job: torch.distributed where it is up, else RANK with WORLD_SIZE."""
    distributed = _distributed()
    if distributed is not None:
        return int(distributed.get_rank())
    try:
        return int(os.environ["RANK"]) if world() > 1 else 0
    except (KeyError, ValueError):
        return 0


def world() -> int:
    """How many processes a distributed job has; 1 where this is none."""
    distributed = _distributed()
    if distributed is not None:
        return int(distributed.get_world_size())
    try:
        return int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ else 1
    except (KeyError, ValueError):
        return 1
