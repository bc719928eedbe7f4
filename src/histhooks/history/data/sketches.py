"""How many rows two data sets share, by the hashes that were kept of them."""

from __future__ import annotations

import math
import sys
import zlib
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from histhooks.history.data.rows import Sketch

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_SURE = 0.99
_Z = 2.576  # of 99 %


@dataclass(frozen=True, slots=True)
class Shared:
    """How many rows of A are in B.

    Attributes
    ----------
    n_a, n_b : int
        Different rows of each.
    n_equal : int
        Of the rows of A that are different, those that are in B; estimated if only a sketch was compared.
    low, high : int
        Bounds of that number, 99 %.
    is_exact : bool
        Whether all hashes of both were compared.
    sees : int
        So many shared rows would have been seen with a probability of 99 %; 1 if all were compared.
    """

    n_a: int
    n_b: int
    n_equal: int
    low: int
    high: int
    is_exact: bool
    sees: int


def shared(reader: Reader, a: Sketch, b: Sketch) -> Shared | None:
    """Compare two sketches of one key; None if their hashes are not in the store."""
    hashes = [_hashes(reader, one.content_sha256) for one in (a, b)]
    if hashes[0] is None or hashes[1] is None:
        return None
    theta = min(a.theta, b.theta)
    below = [{value for value in found if value < theta} for found in hashes if found is not None]
    n_a, n_b = (one.n_distinct if one.n_distinct is not None else one.n_rows for one in (a, b))
    n_seen, n_both = len(below[0]), len(below[0] & below[1])
    if a.is_whole and b.is_whole:
        return Shared(n_a, n_b, n_both, n_both, n_both, is_exact=True, sees=1)
    low, high = _interval(n_both, n_seen)
    kept = min(a.share, b.share)
    sees = max(1, math.ceil(math.log(1 - _SURE) / math.log1p(-kept))) if kept < 1 else 1
    most = min(n_a, n_b)
    estimate = round(n_a * n_both / n_seen) if n_seen else 0
    bounds = max(0, math.floor(n_a * low)), min(math.ceil(n_a * high), most)
    return Shared(n_a, n_b, min(estimate, most), *bounds, is_exact=False, sees=sees)


def _hashes(reader: Reader, digest: str) -> array[int] | None:
    rows = reader.sql("SELECT encoding, data FROM contents WHERE sha256 = ?", digest)
    if not rows:
        return None
    data = zlib.decompress(rows[0]["data"]) if rows[0]["encoding"] == "zlib" else bytes(rows[0]["data"])
    found = array("Q", data)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _interval(k: int, n: int) -> tuple[float, float]:
    """Wilson's interval of a share."""
    if not n:
        return 0.0, 1.0
    p, z2 = k / n, _Z * _Z
    middle, spread = p + z2 / (2 * n), _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (middle - spread) / (1 + z2 / n), (middle + spread) / (1 + z2 / n)
