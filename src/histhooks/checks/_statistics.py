"""The few statistics that checks need, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def wilson(successes: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927), 95 % by default.

    Parameters
    ----------
    successes : float
        May be no whole number: a share times `n`.
    n : int
    z : float
        Standard errors.
    """
    if not n:
        return 0.0, 1.0
    share = min(1.0, max(0.0, successes / n))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def normal_quantile(upper: float) -> float:
    """The z above which a part of the normal distribution lies."""
    low, high = -40.0, 40.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) / 2 > upper else (low, middle)
    return (low + high) / 2


def chi2_critical(df: int, upper: float) -> float:
    """The critical value of chi-square, by the cube-root approximation (Wilson & Hilferty 1931).

    At 9 degrees of freedom it gives 28.06 for 1e-3 and 40.10 for 1e-5, where the exact values are 27.88 and 39.34.
    """
    z = normal_quantile(upper)
    return float(df * (1 - 2 / (9 * df) + z * math.sqrt(2 / (9 * df))) ** 3)


def two_sample_chi2(a: Sequence[int], b: Sequence[int]) -> tuple[float, int]:
    """Chi-square of two samples of counts in the same cells, and its degrees of freedom; empty cells are left out."""
    n, m = sum(a), sum(b)
    cells = [(x, y) for x, y in zip(a, b, strict=True) if x + y]
    if not n or not m:
        return 0.0, 1
    k, j = math.sqrt(m / n), math.sqrt(n / m)
    return sum((k * x - j * y) ** 2 / (x + y) for x, y in cells), max(1, len(cells) - 1)


def psi(a: Sequence[float], b: Sequence[float]) -> float:
    """The population stability index of two samples of counts, half a count added to each cell."""
    n, m = sum(a) + len(a) / 2, sum(b) + len(b) / 2
    shares = [((x + 0.5) / n, (y + 0.5) / m) for x, y in zip(a, b, strict=True)]
    return sum((q - p) * math.log(q / p) for p, q in shares)


def median(values: Iterable[float]) -> float:
    """The median of some numbers, of which there is at least one."""
    found = sorted(values)
    half = len(found) // 2
    return found[half] if len(found) % 2 else (found[half - 1] + found[half]) / 2


def mad(values: Sequence[float]) -> float:
    """The median absolute deviation, scaled so that it is the standard deviation of normal values."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def entropy(counts: Iterable[int]) -> float:
    """The entropy of class shares, in nats: the cross-entropy of a model that knows nothing but these shares."""
    found = [n for n in counts if n]
    total = sum(found)
    return -sum(n / total * math.log(n / total) for n in found) if total else 0.0
