"""What a row of `contents` holds: a text under its SHA-256, compressed where that is smaller."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib


def is_what_it_says(sha256: str, size_bytes: int, encoding: str, data: bytes) -> bool:
    """Whether a row of `contents` has the text that its SHA-256 names.

    Parameters
    ----------
    sha256 : str
    size_bytes : int
        Of the text.
    encoding : str
        `plain` or `zlib`.
    data : bytes
        As it lies there.

    Returns
    -------
    bool
    """
    if encoding == "zlib":
        unpacking = zlib.decompressobj()
        try:  # no more than it says: a small text may unpack without end
            data = unpacking.decompress(data, size_bytes + 1)
        except zlib.error:
            return False
    return len(data) == size_bytes and hashlib.sha256(data).hexdigest() == sha256


def false_texts(connection: sqlite3.Connection, sha256: str | None = None) -> list[str]:
    """The rows of `contents` that have another text than their SHA-256 names; only one is looked at, if it is named."""
    sql, values = "SELECT sha256, size_bytes, encoding, data FROM contents", tuple[str, ...]()
    if sha256 is not None:
        sql, values = f"{sql} WHERE sha256 = ?", (sha256,)
    return [row[0] for row in connection.execute(f"{sql} ORDER BY sha256", values) if not is_what_it_says(*row)]
