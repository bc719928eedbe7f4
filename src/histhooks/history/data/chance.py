"""What an overlap says: whether chance explains it, and how grave it would be if it does not.

A table with few values repeats itself: rows of a test set are then in the training data by chance. The baseline is the
share of the training rows that have an equal row in the training data. An overlap counts if a column tells rows apart,
or if it lies four standard errors above that baseline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from histhooks.history.data.rows import Overlap

FAIL_SHARE = 0.05  # as deepchecks has it for train-test samples mix
WARN_SHARE = 0.001
Z = 4.0
FEW = 3  # twins that data without any may have had, 19 times of 20; with 1, clean halves of sparse grids were accused


@dataclass(frozen=True, slots=True)
class Judged:
    """An overlap, judged.

    Attributes
    ----------
    level : str
        `none`: nothing is shared; `chance`: no more than chance explains; else `info`, `warn` or `fail`.
    share : float
        The part of the rows that is shared.
    by_chance : float or None
        The part of the rows of the other data that have an equal row in it; None if unknown.
    z : float or None
        How many standard errors the share lies above that; None if unknown.
    """

    level: str
    share: float
    by_chance: float | None
    z: float | None

    @property
    def counts(self) -> bool:
        """Whether it is at the level `warn` or `fail`."""
        return self.level in ("warn", "fail")


def judge(overlap: Overlap) -> Judged:
    """Judge an overlap by the rules that stand above."""
    share = overlap.n_equal / overlap.n_rows if overlap.n_rows else 0.0
    chance, z = _baseline(overlap, share)
    if not overlap.n_equal:
        return Judged("none", share, chance, z)
    if overlap.part == "index" or overlap.part.startswith("group:"):
        return Judged("fail", share, None, None)
    if overlap.part.startswith("time:"):
        return Judged("info", share, None, None)
    if not overlap.is_identifying and (z is None or z < Z):
        return Judged("chance", share, chance, z)
    level = "fail" if share >= FAIL_SHARE else "warn" if share >= WARN_SHARE else "info"
    return Judged(level, share, chance, z)


def _baseline(overlap: Overlap, share: float) -> tuple[float | None, float | None]:
    """The share of twins in the other data, and how far above it the overlap lies."""
    n, m = overlap.n_other, overlap.n_rows
    if not n or not m or overlap.n_twins is None:
        return None, None
    twins = overlap.n_twins / n
    floor = min(max(twins, FEW / n), 1 - 1e-12)
    return twins, (share - floor) / math.sqrt(floor * (1 - floor) * (1 / m + 1 / n))
