"""Splits, transformers and weights of one run, as the store has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso
from histhooks._base.values import loads
from histhooks.history.data.rows import Split, Transform, Weights

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_FOREVER = (1 << 63) - 1


def splits_of(reader: Reader, run: Mapping[str, Any]) -> list[Split]:
    """Splits in a run, and those of its session outside of runs before it ended; oldest first.

    Parameters
    ----------
    reader : Reader
    run : mapping
        Its row of `runs`.
    """
    sql = (
        "SELECT function, arguments, n_in, n_out, shuffled, location, time, run_id IS NULL AS is_before FROM splits "
        "WHERE run_id = ? OR (session_id = ? AND run_id IS NULL AND time <= ?) ORDER BY time, ordinal"
    )
    until = from_iso(run["ended_at"]) if run["ended_at"] else _FOREVER
    found = []
    for row in reader.sql(sql, run["id"], run["session_id"], until):
        told = row.pop("shuffled")
        given = {"arguments": loads(row.pop("arguments")), "n_out": tuple(loads(row.pop("n_out") or "[]"))}
        row["is_before"] = bool(row["is_before"])
        found.append(Split(**row, **given, is_shuffled=_flag(told)))
    return found


def transforms_of(reader: Reader, run_id: str) -> list[Transform]:
    """The transformers that the data of a run came out of."""
    sql = (
        "SELECT position, class_name, role, n_rows, n_fitted, by, uses_target, requires_fit, transform_run_id, "
        "fitted_dataset_id, state_sha256, time FROM transforms WHERE run_id = ? ORDER BY ordinal"
    )
    flags = ("uses_target", "requires_fit")
    return [Transform(**{**row, **{name: _flag(row[name]) for name in flags}}) for row in reader.sql(sql, run_id)]


def weights_of(reader: Reader, run_id: str) -> list[Weights]:
    """The weights of the model of a run."""
    sql = (
        "SELECT point, n_tensors, n_values, nonfinite, l2, digest, algorithm, tensors, step, time FROM weights "
        "WHERE run_id = ? ORDER BY ordinal"
    )
    rows = reader.sql(sql, run_id)
    return [Weights(**{**row, "tensors": json.loads(row["tensors"] or "{}")}) for row in rows]


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)
