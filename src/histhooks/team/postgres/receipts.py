"""What a target keeps of each push: who, when, from where, and which lines; chained, so that none goes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from histhooks._base.version import __version__
from histhooks._store.ledger import canonical

FORM = "histhooks-receipt-1"
_COLUMNS = "seq, pushed_by, pushed_at, store_id, recorder_version, n_rows, heads, previous, digest"
NOW = "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def _digest(receipt: tuple[Any, ...]) -> str:
    seq, pushed_by, pushed_at, store_id, version, n_rows, heads, previous = receipt
    text = canonical([FORM, seq, pushed_by, pushed_at, store_id, version, n_rows, json.loads(heads), previous])
    return hashlib.sha256(text).hexdigest()


def add(connection: Any, store_id: str, n_rows: int, heads: dict[str, tuple[int, str]]) -> tuple[int, str]:
    """Leave a receipt, inside a transaction that holds the lock of pushes.

    Returns
    -------
    (int, str)
        Its number and its digest.
    """
    row = connection.execute("SELECT seq, digest FROM hh_last_receipt()").fetchone()
    seq, previous = (row[0] + 1, row[1]) if row else (0, None)
    who, when = connection.execute(f"SELECT session_user::text, {NOW}").fetchone()
    text = json.dumps([[session_id, number, digest] for session_id, (number, digest) in sorted(heads.items())])
    receipt = (seq, who, when, store_id, __version__, n_rows, text, previous)
    digest = _digest(receipt)
    # pushed_by is what the database says.
    sql = (
        "INSERT INTO receipts (seq, pushed_at, store_id, recorder_version, n_rows, heads, previous, digest) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    )
    connection.execute(sql, (seq, *receipt[2:], digest))
    return seq, digest


def problems(connection: Any, lines: dict[tuple[str, int], str], *, is_whole: bool = True) -> Iterable[str]:
    """What receipts say was pushed and is not there as it was.

    Parameters
    ----------
    connection : psycopg.Connection
    lines : dict of (session id, seq) to str
        Digests of the lines that the target has.
    is_whole : bool
        Whether the asking role sees all receipts.
    """
    expected, before = 0, None
    for row in connection.execute(f"SELECT {_COLUMNS} FROM receipts ORDER BY seq"):
        seq, who, when, *_ = row
        place = f"receipt {seq} ({when} by {who})"
        if not is_whole:
            expected, before = seq, row[7]
        if seq != expected:
            yield (
                f"receipt {expected} is missing"
                if seq == expected + 1
                else f"receipts {expected} to {seq - 1} are missing"
            )
            before = row[7]
        try:
            is_right = _digest(row[:8]) == row[8] and row[7] == before
            heads = json.loads(row[6])
        except ValueError:
            is_right, heads = False, []
        if not is_right:
            yield f"{place} was changed"
        for session_id, number, digest in heads:
            found = lines.get((session_id, number))
            if found is None:
                yield f"session {session_id}: line {number} is gone, which {place} witnessed"
            elif found != digest:
                yield f"session {session_id}: line {number} is not the one that {place} witnessed"
        expected, before = seq + 1, row[8]
