"""The canonical form of what a ledger covers. docs/reference/ledger.md specifies it; change neither without the other.

Writing and verifying share it; it imports neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any

from histhooks._base.encoding import encoder_of

if TYPE_CHECKING:
    from histhooks._store.entries import Point

FORM = "histhooks-ledger-1"


_POINT = Struct("<qqqdB")
_SPECIAL = {None: 0, "nan": 1, "inf": 2, "-inf": 3}


def canonical(value: Any) -> bytes:
    """Canonical JSON: ASCII, keys sorted, no spaces, no NaN; bytes stand as ``{"$sha256": hex}``."""
    return _encode(value).encode("ascii")


def _blob(value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return {"$sha256": hashlib.sha256(value).hexdigest()}
    raise TypeError(f"no canonical form for {type(value).__name__}")


_encode = encoder_of(
    json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_blob)
)


def commitment(salt: str, value: str | None) -> str:
    """SHA-256 of a salt (32 hexadecimal digits, as bytes) and a personal value, hexadecimal."""
    text = b"\x00" if value is None else b"\x01" + value.encode("utf-8")
    return hashlib.sha256(bytes.fromhex(salt) + text).hexdigest()


def digest_rows(rows: Iterable[Sequence[Any]]) -> str:
    """SHA-256 over rows in order: each its canonical JSON array and a line feed."""
    digest = hashlib.sha256()
    for row in rows:
        text = _encode(row if row.__class__ is list or row.__class__ is tuple else list(row))
        digest.update(f"{text}\n".encode("ascii"))
    return digest.hexdigest()


def series_header(
    name: str, metric: str, split: str | None, direction: int, start_time: int, first: int, last: int
) -> bytes:
    """The line before the points of one series in a part."""
    return canonical([name, metric, split, direction, start_time, first, last]) + b"\n"


def pack_points(points: Iterable[Point]) -> bytes:
    """33 bytes a point: step, epoch (-1 for none), time as int64, value as float64 (0 if special), special."""
    pack = _POINT.pack
    return b"".join(
        [
            pack(step, -1 if epoch is None else epoch, time, 0.0 if value is None else value, _SPECIAL[special])
            for _, step, epoch, time, value, special in points
        ]
    )


def line_digest(
    session_id: str, seq: int, time: int, previous: str | None, heads: Any, parts: Iterable[Sequence[Any]]
) -> str:
    """SHA-256 of a line.

    Parameters
    ----------
    session_id : str
    seq : int
    time : int, microseconds UTC
    previous : str or None
        Digest of the session's line before.
    heads : list of [session id, seq, digest], or None
        First line only: last lines of other sessions.
    parts : iterable of (scope, table_name, first, last, n_rows, digest, ranges)
        In any order; they are sorted by scope and table.
    """
    ordered = sorted(list(part) for part in parts)
    return hashlib.sha256(canonical([FORM, session_id, seq, time, previous, heads, ordered])).hexdigest()
