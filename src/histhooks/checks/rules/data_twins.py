"""`data.twins`: rows repeat inside the training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from histhooks.checks._case import Case, class_sizes
from histhooks.checks._columns import is_weighted
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip

if TYPE_CHECKING:
    from histhooks.history.data.dataset import Dataset


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    found = [
        one for one in case.overlaps
        if one.part == "features" and "train" in one.other_roles and one.n_twins is not None and one.n_other
    ]  # fmt: skip
    if not found or case.kind == "preprocess":
        yield Skip("no other data was compared with the training data, row by row")
        return
    one = max(found, key=lambda each: each.n_twins or 0)
    n, twins = one.n_other or 0, one.n_twins or 0
    share = twins / n
    data = case.train
    if not one.is_identifying or share < at["warn"] or data is None or (data["n_columns"] or 0) < 2 or n < at["rows"]:
        return
    counts = class_sizes(data) or []
    is_even = len(counts) > 1 and max(counts) == min(counts)
    is_drawn = is_even or is_weighted(case) or _is_drawn(data, n, twins, at)
    says = f"{twins:,} of {n:,} training rows have an equal row in the training data ({share:.1%})"
    yield Found(INFO if is_drawn else WARN, says, share, at["warn"], {"n_twins": twins, "n_rows": n})


def _is_drawn(data: Dataset, n: int, twins: int, at: Mapping[str, float]) -> bool:
    """Whether rows repeat as in a bootstrap sample: many, and some of them three times and more; copies make pairs."""
    share = twins / n
    distinct = next((one.n_distinct for one in data.sketches if one.part == "features"), None)
    if distinct is None:
        return at["drawn"] <= share < at["all"]
    repeated = distinct - (n - twins)
    return at["drawn"] <= share < at["all"] and repeated > 0 and twins / repeated >= at["times"]


CHECK = Check(
    id="data.twins",
    title="rows repeat inside the training data",
    rule="a column tells rows apart, and 5 % of the training rows have an equal one: warn; info if they were "
    "drawn so: evened classes, weights, or a quarter of the rows and more than in pairs, as in a bootstrap sample",
    source="deepchecks' Data Duplicates",
    needs="hashes of rows of the training data, and other data beside it",
    levels=(INFO, WARN),
    why="A repeated row counts twice, and a split between its copies is a leak.",
    advice="drop duplicates when you read the data",
    triggers="a file that was concatenated twice",
    is_silent="a table of few values; a bootstrap sample",
    limits="rows that are nearly equal; data without a validation or test part",
    thresholds={"warn": 0.05, "drawn": 0.25, "all": 0.95, "times": 2.1, "rows": 50},
    judge=_judge,
    version="3",
)
