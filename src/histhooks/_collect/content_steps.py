"""What is made of data block by block: digests of its values, a bag and an order of its rows.

A step has a method ``add`` for some rows, which follow those before. Data of numbers is read once for each step, the
quickest first, so that little time gives one whole digest instead of parts of all; data with texts, which are slow to
read, is read once for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from histhooks._collect.content_blocks import Table, Texts, np
from histhooks._collect.content_digest import Digest, joined, sha256, xxh3
from histhooks._collect.content_joined import remembered
from histhooks._collect.content_rows import Hasher, blocks_of, final, second

SHA256_UP_TO = 256 << 20  # bytes

Row = dict[str, Any]


class Step(Protocol):
    """Something that is made of rows."""

    def add(self, start: int, stop: int) -> None:
        """Take some rows, which follow those before."""

    def rows(self) -> list[Row]:
        """What came of it: rows of `dataset_digests`."""


def row(part: str, algorithm: str, digest: str, n_rows: int, of: int, size_bytes: int, seconds: float) -> Row:
    """A row of `dataset_digests`; of coverage `sample` if it is not of all rows."""
    return {
        "part": part,
        "algorithm": algorithm,
        "digest": digest,
        "coverage": "all" if n_rows == of else "sample",
        "n_rows": n_rows,
        "size_bytes": size_bytes,
        "duration_s": round(seconds, 6),
    }


class Values:
    """XXH3-128 or SHA-256 of features, target and both."""

    def __init__(self, X: Table, y: Table | None, algorithm: str) -> None:
        self._algorithm = algorithm
        self._new = {"xxh3_128": xxh3, "sha256": sha256}[algorithm]
        self._n = X.n_rows
        tables = {"features": X} if y is None else {"features": X, "target": y}
        self._digests = {part: Digest(table, self._new) for part, table in tables.items()}
        self._seconds = dict.fromkeys(tables, 0.0)

    def add(self, start: int, stop: int) -> None:
        """Hash some rows."""
        for part, digest in self._digests.items():
            since = time.perf_counter()
            digest.add(start, stop)
            self._seconds[part] += time.perf_counter() - since

    @property
    def n_rows(self) -> int:
        """How many rows were hashed."""
        return min(digest.n_rows for digest in self._digests.values())

    def rows(self) -> list[Row]:
        """Of all, features and target; of SHA-256, of all alone, and only if it is done."""
        hashes = {part: digest.hexdigest() for part, digest in self._digests.items()}
        whole = joined(self._new, *(word for pair in hashes.items() for word in pair))
        size = sum(digest.size_bytes for digest in self._digests.values())
        out = [row("all", self._algorithm, whole, self.n_rows, self._n, size, sum(self._seconds.values()))]
        if self._algorithm == "sha256":
            return out if self.n_rows == self._n else []
        for part, digest in self._digests.items():
            seconds = self._seconds[part]
            out.append(row(part, self._algorithm, hashes[part], digest.n_rows, self._n, digest.size_bytes, seconds))
        return out


class Bag:
    """The rows in any order and in their order, by keyed hashes of features and target; the hashes of the features."""

    def __init__(self, X: Table, y: Table | None, key: bytes) -> None:
        self._X, self._y = Hasher(X, key), None if y is None else Hasher(y, key, b"target")
        self._n, self._done = X.n_rows, 0
        self._features, self._order = np().empty(X.n_rows, "u8"), xxh3()
        self._sums = [0, 0]
        self._seconds = 0.0

    def add(self, start: int, stop: int) -> None:
        """Hash some rows."""
        since = time.perf_counter()
        sums = self._X.sums(start, stop)
        self._features[start:stop] = final(sums)
        if self._y is not None:
            sums += final(self._y.sums(start, stop))
        hashes = final(sums)
        for at, new in enumerate((hashes, second(sums))):
            self._sums[at] = (self._sums[at] + int(new.sum(dtype="u8"))) % (1 << 64)
        self._order.update(hashes.astype("<u8").tobytes())
        self._done = stop
        self._seconds += time.perf_counter() - since

    def features(self) -> Any:
        """The hashes of the features' rows in their order; None if not all were hashed."""
        return self._features if self._done == self._n else None

    def rows(self) -> list[Row]:
        """Of any order, and of the order."""
        bag = f"{self._sums[0]:016x}{self._sums[1]:016x}{self._done:x}"
        order = str(self._order.hexdigest())
        return [
            row("rows", "bag64", bag, self._done, self._n, 8 * self._done, self._seconds),
            row("order", "xxh3_128", order, self._done, self._n, 8 * self._done, 0.0),
        ]


def take(X: Table, y: Table | None, key: bytes, may_go_on: Callable[[], bool]) -> tuple[list[Row], float, Any]:
    """Hash all rows, or as many as there is time for.

    Returns
    -------
    list of dict, float, ndarray or None
        The digests, the part of the rows that they cover, and the hashes of the features' rows.
    """
    size = sum(table.n_rows * table.row_bytes for table in (X, y) if table is not None)
    is_slow = any(isinstance(block, Texts) for table in (X, y) if table is not None for block in table.blocks)
    if is_slow:
        X, y = remembered(X), None if y is None else remembered(y)
    values, bag = Values(X, y, "xxh3_128"), Bag(X, y, key)
    steps: list[Step] = [values, bag]
    if size <= SHA256_UP_TO:
        steps.append(Values(X, y, "sha256"))
    for together in [steps] if is_slow else [[step] for step in steps]:
        if not _add(together, X, may_go_on):
            break
    rows = [each for step in steps for each in step.rows() if each["n_rows"] or not X.n_rows]
    return rows, values.n_rows / X.n_rows if X.n_rows else 1.0, bag.features()


def _add(steps: Iterable[Step], X: Table, may_go_on: Callable[[], bool]) -> bool:
    for start, stop in blocks_of(X):
        if start and not may_go_on():
            return False
        for step in steps:
            step.add(start, stop)
    return True
