"""Whether the main metrics of two runs are the same within what they can tell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord

_RELATIVE = 1e-3
_LEAST = 1e-8
_TIMES = ("_time", "_time_s", "_seconds", "_runtime", "_per_second", "_per_sec")
_TIME_NAMES = ("time", "duration", "duration_s", "runtime", "call_s")  # `call_s`: a call of `partial_fit`
_Z = 1.959963984540054  # of a 95 % interval


def is_time(name: str) -> bool:
    """Whether a metric or a result is a time or a speed, which no two runs have in common."""
    return name.endswith(_TIMES) or name in _TIME_NAMES


def is_near(a: RunRecord, b: RunRecord) -> bool:
    """Whether the main metrics of two runs, best and last, are within 0.1 % or the uncertainty of a share of rows."""
    one, other = (_main(run) for run in (a, b))
    if one is None or other is None or one[0] != other[0]:
        return False
    return all(_is_close(value, again, _half_width(a, one[0], value)) for value, again in zip(one[1], other[1]))


def _is_close(a: float, b: float, room: float) -> bool:
    if not (math.isfinite(a) and math.isfinite(b)):
        return a == b or (a != a and b != b)
    return abs(a - b) <= max(room, _RELATIVE * max(abs(a), abs(b), _LEAST))


def _main(run: RunRecord) -> tuple[str, tuple[float, ...]] | None:
    """Name of the metric that ranks a run, its best value if that is known, and its last."""
    rows = {row["name"]: row for row in run.summaries if not is_time(row["name"])}
    row = rows.get(run.main_metric or "") or next((r for r in rows.values() if r["split"] != "system"), None)
    if row is None:
        return None
    best = {1: row["max"], -1: row["min"]}.get(row["direction"])
    values = [value for value in (best, row["last"]) if value is not None]
    return (row["name"], tuple(map(float, values))) if values else None


def _half_width(run: RunRecord, name: str, value: float) -> float:
    """Half the width of the 95 % Wilson interval of a share of rows; 0 if it is no share, or its rows are unknown."""
    if "acc" not in name.lower() or not 0 <= value <= 1:
        return 0.0
    roles = ("test", "valid") if "test" in name.lower() else ("valid", "test")
    rows = {data["role"]: data["n_rows"] for data in run.datasets}
    n = next((rows[role] for role in roles if rows.get(role)), None)
    if n is None:
        return 0.0
    inside: float = value * (1 - value) / n + _Z * _Z / (4 * n * n)
    return _Z / (1 + _Z * _Z / n) * math.sqrt(inside)
