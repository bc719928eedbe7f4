"""How far two runs agree, point by point: the level, and the first point that differs.

Levels, the highest first:

- `bits`: every point of every metric is the same number at the same step, and so are the weights at the end and the
  results, as far as both runs have them;
- `curve`: as many points, each within the tolerance: \\|a - b\\| <= tolerance * max(\\|a\\|, \\|b\\|, 1e-8);
- `metric`: the main metric, its best and its last value, is within 0.1 %, or within half the width of its 95 % Wilson
  interval if it is a share of known rows (E. B. Wilson, 1927);
- `differs`: less than that;
- `failed`: the second run did not end like the first.

Not compared: measurements of the machine (split `system`), durations, and times (metrics and results that end in
`_time`, `_runtime` or `_per_second`, and `call_s`).
If the first run was cut short (killed, interrupted or lost), its points are compared with as many of the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from histhooks._base.values import flatten
from histhooks._base.vocabulary import CUT_SHORT, TO_THE_END
from histhooks.history._places import is_same_place
from histhooks.history.compare.main_metric import is_near, is_time

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord
    from histhooks.history.data.rows import Weights

LEVELS = ("bits", "curve", "metric", "differs", "failed")
TOLERANCE = 1e-5
_LEAST = 1e-8
_NONE = object()


class Point(NamedTuple):
    """A point of a metric: 0-based place in its series, step, and value, which may be nan or infinite."""

    n: int
    step: int | None
    value: float


@dataclass(frozen=True, slots=True)
class First:
    """The first point that differs.

    Attributes
    ----------
    series : str
        Name of the metric.
    n : int
        0-based place in the series.
    step : int or None
    value, other : float or None
        In the first run and in the second; None if that has no such point.
    """

    series: str
    n: int
    step: int | None
    value: float | None
    other: float | None


@dataclass(frozen=True, slots=True)
class SeriesAgreement:
    """How far one metric agrees.

    Attributes
    ----------
    name, split : str and str or None
    n_a, n_b : int
        Points that each run has.
    n_points, n_equal : int
        Points that were compared, and that are the same.
    max_abs, max_rel : float
        Largest difference, absolute and relative; infinite if only one of two numbers is finite.
    first : First or None
        The first point that differs.
    is_cut : bool
        Whether only the points that the first run had when it was cut short were compared.
    """

    name: str
    split: str | None
    n_a: int
    n_b: int
    n_points: int
    n_equal: int
    max_abs: float
    max_rel: float
    first: First | None
    is_cut: bool = False

    @property
    def has_all(self) -> bool:
        """Whether both have as many points, as far as they are compared."""
        return self.n_points == self.n_b if self.is_cut else self.n_a == self.n_b

    @property
    def is_equal(self) -> bool:
        """Whether every point is the same."""
        return self.has_all and self.n_equal == self.n_points


@dataclass(frozen=True, slots=True, repr=False)
class Agreement:
    """How far two runs agree.

    Attributes
    ----------
    a, b : dict
        `id`, `name`, `status`, `started_at` of each.
    level : str or None
        `bits`, `curve`, `metric`, `differs` or `failed`; None if neither has a point, weights or a result to compare.
    series : tuple of SeriesAgreement
        Of each metric that one of them has, in the order in which they came.
    first : First or None
        The first point that differs, over all metrics.
    weights_start_equal, weights_equal : bool or None
        Whether the weights at start and at end are the same; None if one run has none that were hashed whole.
    results : tuple of str
        Results that differ.
    results_rel : float
        Their largest relative difference; infinite if one of them is no number, or in one run only.
    n_results : int
        Results that were compared.
    artifacts_equal, n_artifacts : int
        Files that both wrote under one name, and how many of them are the same.
    notes : tuple of str
        What was compared in part, or not at all.
    """

    a: dict[str, Any]
    b: dict[str, Any]
    level: str | None
    series: tuple[SeriesAgreement, ...]
    first: First | None
    weights_start_equal: bool | None
    weights_equal: bool | None
    results: tuple[str, ...]
    results_rel: float
    n_results: int
    artifacts_equal: int
    n_artifacts: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        where = f", first at {self.first.series}[{self.first.n}]" if self.first is not None else ""
        return f"<Agreement level={self.level}: {self.n_equal} of {self.n_points} points{where}>"

    @property
    def n_points(self) -> int:
        """Points that were compared."""
        return sum(each.n_points for each in self.series)

    @property
    def n_equal(self) -> int:
        """Points that are the same."""
        return sum(each.n_equal for each in self.series)

    @property
    def max_abs(self) -> float:
        """Largest absolute difference."""
        return max((each.max_abs for each in self.series), default=0.0)

    @property
    def max_rel(self) -> float:
        """Largest relative difference."""
        return max((each.max_rel for each in self.series), default=0.0)

    def reaches(self, level: str) -> bool:
        """Whether the runs agree as far as a level, or further."""
        return self.level is not None and LEVELS.index(self.level) <= LEVELS.index(level)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "a": self.a, "b": self.b, "level": self.level, "n_series": len(self.series), "n_points": self.n_points,
            "n_equal": self.n_equal, "max_abs": self.max_abs, "max_rel": self.max_rel,
            "first": None if self.first is None else asdict(self.first),
            "weights_start_equal": self.weights_start_equal, "weights_equal": self.weights_equal,
            "results_differ": list(self.results), "n_results": self.n_results,
            "artifacts_equal": self.artifacts_equal, "n_artifacts": self.n_artifacts, "notes": list(self.notes),
            "series": [{**asdict(each), "is_equal": each.is_equal} for each in self.series],
        }  # fmt: skip


def agreement(a: RunRecord, b: RunRecord, *, tolerance: float = TOLERANCE) -> Agreement:
    """Compare the points, weights and results of two runs.

    Parameters
    ----------
    a, b : RunRecord
        The run, and the one that is to be like it.
    tolerance : float
        Relative; points that are closer agree at level `curve`.

    Returns
    -------
    Agreement
    """
    is_cut = a.status in CUT_SHORT
    series = tuple(_series(a, b, is_cut=is_cut))
    results, results_rel, n_results = ([], 0.0, 0) if is_cut else _results(a, b)
    n_equal, n_artifacts = _artifacts(a, b)
    firsts = [each.first for each in series if each.first is not None]
    found = Agreement(
        _who(a), _who(b), None, series, min(firsts, key=_when, default=None), _weights(a, b, "start"),
        None if is_cut else _weights(a, b, "end"), tuple(results), results_rel, n_results, n_equal, n_artifacts,
        tuple(_notes(a, series, is_cut=is_cut)),
    )  # fmt: skip
    return replace(found, level=_level(found, a, b, tolerance))


def _level(found: Agreement, a: RunRecord, b: RunRecord, tolerance: float) -> str | None:
    if _ended_otherwise(a, b):
        return "failed"
    if not found.series and found.weights_equal is None and not found.n_results:
        return None
    if all(each.is_equal for each in found.series) and found.weights_equal is not False and not found.results:
        return "bits"
    is_measured = found.n_points or found.n_results  # weights alone say nothing of how close they are
    is_close = all(each.has_all and each.max_rel <= tolerance for each in found.series)
    if is_measured and is_close and found.results_rel <= tolerance:
        return "curve"
    return "metric" if is_near(a, b) else "differs"


def _ended_otherwise(a: RunRecord, b: RunRecord) -> bool:
    if a.status in CUT_SHORT:
        return False
    if a.status in TO_THE_END and b.status in TO_THE_END:
        return False
    return (a.status, a.error_type) != (b.status, b.error_type)


def _when(first: First) -> tuple[float, int]:
    return (first.n if first.step is None else first.step, first.n)


def _who(run: RunRecord) -> dict[str, Any]:
    return {"id": run.id, "name": run.name, "status": run.status, "started_at": run.started_at}


def _notes(a: RunRecord, series: Iterable[SeriesAgreement], *, is_cut: bool) -> Iterator[str]:
    if is_cut:
        yield f"the first run was cut short ({a.status}): compared is what it had recorded by then"
    for each in series:
        if not each.has_all and not (each.n_a and each.n_b):
            yield f"{each.name}: only the {'first' if each.n_a else 'second'} run has it"
        elif not each.has_all:
            yield f"{each.name}: {each.n_a} points in the first run, {each.n_b} in the second"


# --- points -----------------------------------------------------------------------------------------------------------


def _series(a: RunRecord, b: RunRecord, *, is_cut: bool) -> Iterator[SeriesAgreement]:
    found: dict[str, Mapping[str, Any]] = {}
    for run in (a, b):
        for row in run.summaries:
            if row["split"] != "system" and not is_time(row["name"]):
                found.setdefault(row["name"], row)
    for name, first in found.items():
        yield _compared(a, b, name, first["split"], is_cut=is_cut)


def _points(run: RunRecord, name: str) -> Iterator[Point]:
    sql = "SELECT n, step, value, special FROM metrics WHERE run_id = ? AND name = ? ORDER BY n"
    for n, step, value, special in run.history.cursor(sql, run.id, name):
        yield Point(n, step, float(special) if value is None else value)


def _compared(a: RunRecord, b: RunRecord, name: str, split: str | None, *, is_cut: bool) -> SeriesAgreement:
    n_a = n_b = n_points = n_equal = 0
    max_abs = max_rel = 0.0
    first: First | None = None
    for one, other in zip_longest(_points(a, name), _points(b, name)):
        n_a += one is not None
        n_b += other is not None
        if one is None or other is None:
            if first is None and not (is_cut and one is None):
                there = one or other
                first = First(name, there.n, there.step, one and one.value, other and other.value)
            continue
        n_points += 1
        if one.step == other.step and _is_same(one.value, other.value):
            n_equal += 1
            continue
        first = first or First(name, one.n, one.step, one.value, other.value)
        apart, relative = _apart(one, other)
        max_abs, max_rel = max(max_abs, apart), max(max_rel, relative)
    is_short = is_cut and n_b > n_points
    n_b = n_points if is_short else n_b
    return SeriesAgreement(name, split, n_a, n_b, n_points, n_equal, max_abs, max_rel, first, is_short)


def _is_same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


def _apart(a: Point, b: Point) -> tuple[float, float]:
    """Absolute and relative difference; infinite for points at other steps, and if only one is finite."""
    if a.step != b.step or not (math.isfinite(a.value) and math.isfinite(b.value)):
        return math.inf, math.inf
    apart = abs(a.value - b.value)
    return apart, apart / max(abs(a.value), abs(b.value), _LEAST)


# --- weights, results, files ------------------------------------------------------------------------------------------


def _weights(a: RunRecord, b: RunRecord, point: str) -> bool | None:
    found: list[Weights | None] = [
        next((each for each in reversed(run.weights) if each.point == point), None) for run in (a, b)
    ]
    one, other = found
    if one is None or other is None or one.digest is None or other.digest is None:
        return None
    return one.digest == other.digest if one.algorithm == other.algorithm else None


def _results(a: RunRecord, b: RunRecord) -> tuple[list[str], float, int]:
    """Names of the results that differ, their largest relative difference, and how many were compared."""
    found = [flatten(run.results) for run in (a, b)]
    names = [name for name in dict.fromkeys([*found[0], *found[1]]) if not is_time(name)]
    pairs = {name: [each.get(name, _NONE) for each in found] for name in names}
    # A path in the folder of the program is the same in a copy of that.
    apart = {
        name: 0.0 if is_same_place(a, pair[0], b, pair[1]) else _result_apart(*pair) for name, pair in pairs.items()
    }
    return [name for name, rel in apart.items() if rel], max(apart.values(), default=0.0), len(names)


def _result_apart(a: Any, b: Any) -> float:
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max((_result_apart(one, other) for one, other in zip(a, b)), default=0.0)
    if a == b or (a != a and b != b):
        return 0.0
    if not all(isinstance(each, (int, float)) and math.isfinite(each) for each in (a, b)):
        return math.inf
    return float(abs(a - b) / max(abs(a), abs(b), _LEAST))


def _artifacts(a: RunRecord, b: RunRecord) -> tuple[int, int]:
    """Files that both wrote under one name: how many are the same, and how many there are."""
    wrote = [
        {
            file["path"].replace("\\", "/").rpartition("/")[2]: file["sha256"]
            for file in run.artifacts
            if file["direction"] == "out"
        }
        for run in (a, b)
    ]
    both = wrote[0].keys() & wrote[1].keys()
    return sum(wrote[0][name] == wrote[1][name] for name in both), len(both)
