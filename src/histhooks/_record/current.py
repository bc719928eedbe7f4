"""Which run is current where this is executed, and whether recording is paused there.

Values of :mod:`contextvars`: threads and tasks each have their own.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks._record.run import Run

current: ContextVar[Run | None] = ContextVar("histhooks_run", default=None)
is_paused: ContextVar[bool] = ContextVar("histhooks_paused", default=False)
# This was dispatched by a host from inside one of its own fits: a search, a validation, an ensemble.
in_task: ContextVar[bool] = ContextVar("histhooks_task", default=False)
