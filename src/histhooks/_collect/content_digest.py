"""Digests of the values of a table: one for all containers that hold the same values.

Each block of columns has a hash of its bytes by rows, little-endian; of texts, one of their hashes. A digest is the
hash of a text that names the form of the data and the hashes of its blocks; so XXH3-128 and SHA-256 have one form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from histhooks._collect.content_blocks import Numbers, Sparse, Table, Texts, np


def xxh3() -> Any:
    """A new hash; xxhash is loaded when the first data is looked at."""
    import xxhash

    return xxhash.xxh3_128()


class Digest:
    """Hash a table block by block.

    Parameters
    ----------
    table : Table
    new : callable
        Makes a hash.
    """

    def __init__(self, table: Table, new: Callable[[], Any] = xxh3) -> None:
        self._table, self._new = table, new
        # Numbers and which are missing, or of a sparse row its numbers, how many they are and their columns: apart, so
        # that it does not matter how many rows are read at once.
        self._hashes = [[new() for _ in range(3 if isinstance(block, Sparse) else 2)] for block in table.blocks]
        self.n_rows = 0
        self.size_bytes = 0

    def add(self, start: int, stop: int) -> None:
        """Hash some rows, which follow those before."""
        rows = slice(start, stop)
        for block, hashes in zip(self._table.blocks, self._hashes, strict=True):
            if isinstance(block, Numbers):
                self._add_numbers(block, rows, *hashes)
            elif isinstance(block, Sparse):
                lengths, columns, numbers = block.read(rows)
                for part, one in zip((numbers, lengths, columns), hashes, strict=True):
                    self._update(one, part)
            else:
                codes, texts = block.read(rows)
                table = np().frombuffer(b"".join([*map(xxh128, texts), bytes(16)]), "<u8").reshape(-1, 2)
                self._update(hashes[0], table[codes])
        self.n_rows = stop

    def _add_numbers(self, block: Numbers, rows: slice, values: Any, missing: Any) -> None:
        self._update(values, block.read(rows))
        found = None if block.missing is None else block.missing(rows)
        if found is not None and found.any():
            self._update(missing, (np().flatnonzero(found) + rows.start * block.width).astype("<i8"))

    def _update(self, digest: Any, array: Any) -> None:
        if array.size:
            digest.update(memoryview(array.reshape(-1).view("u1")))
        self.size_bytes += array.nbytes

    def hexdigest(self) -> str:
        """The digest of what was hashed so far."""
        forms = []
        for block, hashes in zip(self._table.blocks, self._hashes, strict=True):
            dtype = "text" if isinstance(block, Texts) else block.dtype
            kind = "sparse" if isinstance(block, Sparse) else "dense"
            forms.append(" ".join([kind, dtype, str(block.width), *(one.hexdigest() for one in hashes)]))
        return joined(self._new, "values", str(self.n_rows), *forms)


def xxh128(text: str) -> bytes:
    """XXH3-128 of a text."""
    import xxhash

    return bytes(xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass")))


def sha256() -> Any:
    """A new SHA-256."""
    return hashlib.sha256()


def joined(new: Callable[[], Any], *words: str) -> str:
    """The hash of some words."""
    digest = new()
    digest.update("\n".join(words).encode())
    return str(digest.hexdigest())
