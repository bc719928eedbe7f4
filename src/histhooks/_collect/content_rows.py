"""Rows by keyed hashes: which rows two pieces of data share, exactly, and how many of them chance explains.

A row's hash is ``mix(sum over columns of mix((bits + a) * o) - mix(a * o))`` in 64 bits, where ``mix`` is the finaliser
of MurmurHash3 and ``a`` and the odd ``o`` of each column come from the key by SHAKE-256. A zero adds nothing, so that a
sparse row and a dense one have one hash. ``bits`` are those of float32, which makes rows equal across float64, float32
and what XGBoost holds; whole numbers beyond 2^24 and times (in ns) keep all their bits; texts are keyed BLAKE2b.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from histhooks._collect.content_blocks import Block, Sparse, Table, Texts, Unreadable, distinct_of, np, rows_at_once

SKETCH = 4096  # hashes in a sketch
MOST_COLUMNS = 1 << 21
_CELLS = 1 << 15  # hashed at once: what lies in the processor's cache
_NAN = 0x7FC00000
_EXACT = 1 << 24  # up to which float32 holds every whole number
_C1, _C2, _ODD = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53, 0x9E3779B97F4A7C15


class RowHashes:
    """The rows of data, each by a hash.

    Attributes
    ----------
    hashes : ndarray of uint64
        Sorted; equal rows have equal hashes.
    n_rows, n_distinct : int
    is_identifying : bool
        Whether columns tell the rows apart, so that an equal row elsewhere is no chance
        (:mod:`histhooks._collect.content_identity`).
    """

    __slots__ = ("hashes", "is_identifying", "n_distinct")

    def __init__(self, hashes: Any, is_identifying: bool = False) -> None:
        self.hashes = np().sort(hashes)
        self.n_distinct = _n_distinct(self.hashes)
        self.is_identifying = is_identifying

    @property
    def n_rows(self) -> int:
        """How many rows there are, equal ones among them."""
        return len(self.hashes)

    @property
    def nbytes(self) -> int:
        """Memory that the hashes take."""
        return int(self.hashes.nbytes)


def _n_distinct(ordered: Any) -> int:
    return int((ordered[1:] != ordered[:-1]).sum()) + 1 if len(ordered) else 0


def overlap(a: RowHashes, b: RowHashes) -> dict[str, Any]:
    """How many rows two pieces of data share: columns of `dataset_overlaps`.

    Parameters
    ----------
    a, b : RowHashes
        Of one key; `b` is the one whose rows `a` should not have, the training data.

    Returns
    -------
    dict
        ``n_rows`` of `a`, ``n_equal`` of which are in `b`; ``n_twins`` rows of `b` have an equal row in `b`, which is
        what chance explains; ``is_identifying``; ``method``.
    """
    numpy = np()
    n_equal = 0
    if a.n_rows and b.n_rows:
        places = numpy.searchsorted(b.hashes, a.hashes)
        n_equal = int((b.hashes[numpy.minimum(places, b.n_rows - 1)] == a.hashes).sum())
    same = b.hashes[1:] == b.hashes[:-1]
    is_twin = numpy.zeros(b.n_rows, bool)
    is_twin[1:] |= same
    is_twin[:-1] |= same
    return {
        "n_rows": a.n_rows,
        "n_equal": n_equal,
        "n_twins": int(is_twin.sum()),
        "is_identifying": int(b.is_identifying),
        "method": "exact",
    }


def sketch(rows: RowHashes, k: int = SKETCH) -> tuple[dict[str, Any], bytes]:
    """The smallest distinct hashes: columns of `dataset_sketches`, and the hashes as uint64, little-endian.

    ``theta`` is the bound below which every hash of the data is in the sketch, of 2^64, as text.
    """
    distinct = distinct_of(rows.hashes)
    kept = distinct[:k]
    theta = int(distinct[k]) if len(distinct) > k else 1 << 64
    facts = {"n_rows": rows.n_rows, "n_distinct": rows.n_distinct, "theta": str(theta)}
    return facts, kept.astype("<u8").tobytes()


# --- hashes -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _constants(key: bytes, label: bytes, width: int) -> tuple[Any, Any, Any]:
    """Of each column: what is added to its bits, the odd factor, and what a zero would give."""
    numpy = np()
    drawn = hashlib.shake_256(b"histhooks rows 1 " + label + b" " + key).digest(16 * width)
    pairs = numpy.frombuffer(drawn, "<u8").reshape(width, 2)
    added, factors = pairs[:, 0].copy(), pairs[:, 1] | numpy.uint64(1)
    return added, factors, _mix(numpy, added * factors)


def _mix(numpy: Any, x: Any, room: Any = None) -> Any:
    """The finaliser of MurmurHash3, in place, with room for as many numbers."""
    u8 = numpy.uint64
    shifted = numpy.right_shift(x, u8(33), out=room)
    x ^= shifted
    x *= u8(_C1)
    numpy.right_shift(x, u8(33), out=shifted)
    x ^= shifted
    x *= u8(_C2)
    numpy.right_shift(x, u8(33), out=shifted)
    x ^= shifted
    return x


class Hasher:
    """Hash the rows of a table with a key, block by block.

    Parameters
    ----------
    table : Table
    key : bytes
    label : {b'features', b'target'}
        A target has other constants than features, so that the two may be added.
    """

    def __init__(self, table: Table, key: bytes, label: bytes = b"features") -> None:
        self._table = table
        self._key = hashlib.sha256(key).digest()
        width = table.width
        if width > MOST_COLUMNS:
            raise Unreadable(f"{width:,} columns")
        self._added, self._factors, self._zeros = _constants(self._key, label, width)
        # Of the key too: else a row of zeros would have one hash with all keys.
        first = hashlib.blake2b(label + str(width).encode(), digest_size=8, key=self._key).digest()
        self._start = np().uint64(int.from_bytes(first, "little"))

    def sums(self, start: int, stop: int) -> Any:
        """The sum over the columns of some rows, before it is mixed."""
        numpy = np()
        with numpy.errstate(all="ignore"):
            out = numpy.full(stop - start, self._start, dtype="u8")
            offset = 0
            for block in self._table.blocks:
                self._add(numpy, out, block, slice(start, stop), offset)
                offset += block.width
        return out

    def _add(self, numpy: Any, out: Any, block: Block, rows: slice, offset: int) -> None:
        here = slice(offset, offset + block.width)
        added, factors = self._added[here], self._factors[here]
        zero = self._zeros[here].sum(dtype="u8")
        if isinstance(block, Sparse):
            out += self._of_sparse(numpy, block, rows, offset)
            return
        if isinstance(block, Texts):
            codes, texts = block.read(rows)
            table = numpy.array([*(text_hash(text, self._key) for text in texts), _NAN], dtype="u8")
            out += _mix(numpy, (table[codes] + added) * factors) - zero  # the last one, of -1, is for what is missing
            return
        values = block.read(rows)
        missing = None if block.missing is None else block.missing(rows)
        step = max(1, _CELLS // max(1, block.width))
        room = numpy.empty((min(step, len(values)), block.width), "u8")
        for start in range(0, len(values), step):
            cells = bits_of(numpy, values[start : start + step], block.dtype)
            if missing is not None:
                cells[missing[start : start + step]] = _NAN
            cells += added
            cells *= factors
            out[start : start + step] += _mix(numpy, cells, room[: len(cells)]).sum(axis=1, dtype="u8") - zero

    def _of_sparse(self, numpy: Any, block: Sparse, rows: slice, offset: int) -> Any:
        """The sums of what a sparse matrix stores: differences of one running sum, which wraps round."""
        lengths, columns, values = block.read(rows)
        columns += offset
        cells = bits_of(numpy, values, block.dtype)
        cells += self._added[columns]
        cells *= self._factors[columns]
        running = numpy.zeros(len(cells) + 1, "u8")
        numpy.cumsum(_mix(numpy, cells) - self._zeros[columns], out=running[1:])
        ends = numpy.concatenate([[0], numpy.cumsum(lengths)])
        return running[ends[1:]] - running[ends[:-1]]


def text_hash(text: str, key: bytes) -> int:
    """The keyed hash of a text, in 64 bits."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "little")


def bits_of(numpy: Any, values: Any, dtype: str) -> Any:
    """Numbers as uint64 that are equal if the numbers are, after rounding to float32; a new array."""
    kind = dtype[0]
    if kind in "mM":
        unit = dtype[2:] or "[ns]"
        times = values if unit == "[ns]" else values.astype(f"{kind}8[ns]")
        cells = times.view("<i8").astype("u8")
        cells[numpy.isnat(values)] = _NAN
        return cells
    if dtype == "bf2":
        values = (values.astype("<u4") << numpy.uint32(16)).view("<f4")
    small = values.astype("<f4")
    small += numpy.float32(0.0)  # -0.0 is 0.0
    cells = small.view("<u4").astype("u8")
    if kind == "f" or dtype == "bf2":
        is_nan = numpy.isnan(small)
        if is_nan.any():
            cells[is_nan] = _NAN
    elif kind in "iu" and values.dtype.itemsize > 2:
        large = (values > _EXACT) | (values < -_EXACT) if kind == "i" else values > _EXACT
        if large.any():
            cells[large] = values[large].astype("u8")
    return cells


def final(sums: Any) -> Any:
    """Sums of rows as hashes."""
    return _mix(np(), sums.copy())


def second(sums: Any) -> Any:
    """Another hash of the same sums, for a bag of 128 bits."""
    numpy = np()
    return _mix(numpy, (sums + numpy.uint64(_C2)) * numpy.uint64(_ODD))


def blocks_of(table: Table) -> Iterator[tuple[int, int]]:
    """The rows that are read together."""
    size = rows_at_once(table.row_bytes)
    for start in range(0, table.n_rows, size):
        yield start, min(table.n_rows, start + size)
