"""The chance tests that windows are judged by, beside those of :mod:`histhooks.checks`, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence

_FEW = 5.0  # expected in a cell; below, chi-square is no chi-square
_MOST_TERMS = 100_000


def pooled(a: Sequence[int], b: Sequence[int]) -> tuple[list[int], list[int]]:
    """Counts of two samples in the same cells, with rare cells made one, so that chi-square holds.

    Parameters
    ----------
    a, b : sequence of int
    """
    n, m = sum(a), sum(b)
    share = min(n, m) / max(1, n + m)
    left, right, rest = list[int](), list[int](), [0, 0]
    for x, y in zip(a, b, strict=True):
        if (x + y) * share >= _FEW:
            left.append(x)
            right.append(y)
        else:
            rest[0] += x
            rest[1] += y
    return [*left, rest[0]], [*right, rest[1]]


def beyond_range(n: int, m: int, k: int) -> float:
    """The chance that of m rows k or more lie beyond the range of n rows of the same kind.

    The n rows cut the m into n + 1 gaps, and each way to fill the gaps is as likely as another; of the two outer gaps,
    k is filled in (k + 1) C(m - k + n - 2, n - 2) of C(m + n, n) ways. The share alone is no test: of 300 rows, six
    beyond the range of 2,000 are chance.

    Parameters
    ----------
    n, m, k : int
    """
    if k <= 0 or n < 2:
        return 1.0
    if k > m:
        return 0.0
    whole = _log_choose(m + n, n)
    total = 0.0
    for number in range(k, min(m, k + _MOST_TERMS) + 1):
        term = (number + 1) * math.exp(_log_choose(m - number + n - 2, n - 2) - whole)
        total += term
        if term < total * 1e-12:
            break
    return min(1.0, total)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def poisson_tail(mean: float, k: int) -> float:
    """The chance of k or more where `mean` are expected."""
    if k <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    if k > mean + 60 * math.sqrt(mean) + 60:
        return 0.0
    below = sum(math.exp(number * math.log(mean) - mean - math.lgamma(number + 1)) for number in range(k))
    return max(0.0, 1.0 - below)


def two_shares(a: int, n: int, b: int, m: int) -> float:
    """The z of the difference of two shares, a of n and b of m."""
    if not n or not m:
        return 0.0
    share = (a + b) / (n + m)
    spread = math.sqrt(share * (1 - share) * (1 / n + 1 / m))
    return (b / m - a / n) / spread if spread else 0.0


def mean_interval(total: float, squares: float, n: int, z: float = 1.96) -> tuple[float, float, float]:
    """A mean, the half of its 95 % interval, and the standard deviation of a row."""
    mean = total / n
    variance = max(0.0, squares / n - mean * mean) * n / max(1, n - 1)
    return mean, z * math.sqrt(variance / n), math.sqrt(variance)
