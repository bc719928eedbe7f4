"""Rows of `weights`, and the digest as an own computation makes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from histhooks.testing import query


class Row(NamedTuple):
    point: str
    n_tensors: int
    n_values: int
    nonfinite: int | None
    l2: float | None
    digest: str | None
    algorithm: str
    tensors: dict[str, str]
    step: int | None


def rows(store: Path) -> list[Row]:
    """Return what stands of weights, in the order of runs and points."""
    sql = (
        "SELECT point, n_tensors, n_values, nonfinite, l2, digest, algorithm, tensors, step FROM weights "
        "JOIN runs ON id = run_id ORDER BY started_at, id, ordinal"
    )
    found = []
    for row in query(store, sql):
        values = list(row)
        values[7] = json.loads(str(values[7]))
        found.append(Row(*values))  # type: ignore[arg-type]
    return found


def captured(store: Path) -> list[tuple[object, ...]]:
    """Return why weights are not there."""
    return query(store, "SELECT status, note FROM captures WHERE collector = 'weights' ORDER BY time, ordinal")


# Of a dict of tensors of PyTorch, or of arrays.
BY_HAND = """
import xxhash
def digest(tensors):
    text = b""
    for name in sorted(tensors):
        array = tensors[name].detach().numpy() if hasattr(tensors[name], "detach") else tensors[name]
        shape = "x".join(map(str, array.shape))
        text += f"{len(name)}:{name} {array.dtype} {shape} {xxhash.xxh3_128(array.tobytes()).hexdigest()}\\n".encode()
    return xxhash.xxh3_128(text).hexdigest()
"""
