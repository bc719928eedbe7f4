"""Rows about data by content, put through the entries of the store in a session that records."""

from __future__ import annotations

import hashlib
from typing import Any

from histhooks._base.clock import now_us
from histhooks._base.values import dumps
from histhooks._collect.content import Look, hold, look, overlap, sketch
from histhooks._collect.survey import content_row
from histhooks._store.entries import content_entry, row_entry

KEY, OTHER_KEY = b"k" * 16, b"o" * 16
_KEYED = ("rows", "order")


def put(run: Any, table: str, row: dict[str, Any]) -> None:
    """Put one row of a run."""
    run.put(row_entry(table, run.id, {"run_id": run.id, **row, "time": now_us()}))


def put_of_session(run: Any, table: str, row: dict[str, Any]) -> None:
    """Put one row of the session of a run, outside of any run."""
    head = {"session_id": run.session_id, "run_id": None}
    run.put(row_entry(table, run.session_id, {**head, **row, "time": now_us()}))


def record(run: Any, role: str, X: Any, y: Any = None, *, key: bytes = KEY, kept: int = 4096) -> tuple[str, Look]:
    """Record data with its digests, columns and a sketch of its rows; the id of the data set."""
    from histhooks._collect import fingerprint

    run.log_dataset(role, X, y)
    dataset_id = dataset_id_of(fingerprint.look_at(X, y)[0])
    seen = look(hold(X, y), key=key)
    key_id = hashlib.sha256(key).hexdigest()[:8]
    for one in seen.digests:
        keyed = key_id if one["part"] in _KEYED else None
        put(run, "dataset_digests", {"dataset_id": dataset_id, **one, "key_id": keyed})
    for column in seen.columns:
        put(run, "dataset_columns", {"dataset_id": dataset_id, **column, "facts": dumps(column["facts"], "")})
    if seen.rows is not None:
        facts, data = sketch(seen.rows, kept)
        digest = hashlib.sha256(data).hexdigest()
        run.put(content_entry("contents", content_row(digest, "row_sketch", data)))
        row = {"dataset_id": dataset_id, "part": "features", "key_id": key_id, **facts}
        put(run, "dataset_sketches", {**row, "content_sha256": digest})
    return dataset_id, seen


def record_overlap(run: Any, one: tuple[str, Look], other: tuple[str, Look]) -> None:
    """Record how many rows of one data set are in the other, which was recorded before."""
    assert one[1].rows is not None
    assert other[1].rows is not None
    row = {"dataset_id": one[0], "other_dataset_id": other[0], "other_run_id": None, "part": "features", "key_id": None}
    put(run, "dataset_overlaps", {**row, **overlap(one[1].rows, other[1].rows)})


def dataset_id_of(found: dict[str, Any]) -> str:
    """The id under which a fingerprint is stored."""
    from histhooks._collect.fingerprint import sha256
    from histhooks._store.ledger import canonical

    return str(found["id"]) if "id" in found else sha256(canonical(found))
