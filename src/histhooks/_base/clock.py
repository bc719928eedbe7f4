"""One clock, two forms: integer microseconds UTC for columns `time`, ISO-8601 text for columns `…_at`."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_OF_NO_ZONE = datetime(1970, 1, 1)  # whose text has no zone either


def now_us() -> int:
    """The time now, in microseconds UTC."""
    return time.time_ns() // 1000


def iso(microseconds: int) -> str:
    """Write a time as `2026-01-31T23:59:59.000000Z`."""
    return (_EPOCH_OF_NO_ZONE + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds") + "Z"


def from_iso(text: str) -> int:
    """Read a time that :func:`iso` wrote."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def ended(started_at: str, ended_us: int) -> dict[str, Any]:
    """The end of a run that somebody else settles, never before its start: `ended_at` and `duration_s`."""
    start = from_iso(started_at)
    end = max(start, ended_us)
    return {"ended_at": iso(end), "duration_s": (end - start) / 1e6}
