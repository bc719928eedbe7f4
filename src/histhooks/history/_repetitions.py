"""Which runs repeat a run, or which run it repeats, and how far they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_SQL = (
    "SELECT p.run_id, p.other_run_id, p.level, p.n_points, p.n_equal, p.weights_equal, p.time, r.name, r.started_at "
    "FROM reproductions AS p LEFT JOIN runs AS r ON r.id = CASE p.run_id WHEN ? THEN p.other_run_id ELSE p.run_id END "
    "WHERE p.run_id = ? OR p.other_run_id = ? ORDER BY p.time"
)


def repetitions_of(reader: Reader, run_id: str) -> list[dict[str, Any]]:
    """The latest verdict on each pair, the newest first.

    Each has `id` and `name` of the other run (no name if it is not in this store), `repeats` (whether it is this run
    that repeats the other one), `level`, `n_points`, `n_equal`, `weights_equal`, `time`.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in reader.sql(_SQL, run_id, run_id, run_id):
        repeats = row["run_id"] == run_id
        other = row["other_run_id"] if repeats else row["run_id"]
        found[row["run_id"], row["other_run_id"]] = {**row, "id": other, "repeats": repeats}
    return list(found.values())[::-1]
