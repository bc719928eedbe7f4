"""`data.missing`: many values are missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from histhooks.checks._case import JUDGING, Case
from histhooks.checks._columns import features, names, number_of
from histhooks.checks._types import WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    data = case.train
    mine = _missing(features(data)) if data is not None and case.trains else {}
    if not mine:
        yield Skip("it has no columns of training data that were counted")
        return
    much = [name for name, (share, n) in mine.items() if share >= at["warn"] and n >= at["rows"]]
    if much:
        worst = max(mine[name][0] for name in much)
        yield Found(WARN, f"{names(much)}: {worst:.0%} of the values are missing", worst, at["warn"], {"columns": much})
    for other in case.data(*JUDGING):
        theirs = _missing(features(other))
        found = [name for name in mine if name in theirs and _differ(mine[name], theirs[name], at)]
        if found:
            a, b = mine[found[0]][0], theirs[found[0]][0]
            says = f"{names(found)}: {a:.0%} missing in training data, {b:.0%} in {other['role']} data"
            yield Found(WARN, says, abs(a - b), at["difference"], {"columns": found, "role": other["role"]})


def _missing(columns: Mapping[str, Mapping[str, object]]) -> dict[str, tuple[float, int]]:
    """The share of missing values by column, and of how many rows; `count` counts those that are there."""
    out = {}
    for name, facts in columns.items():
        count, missing = number_of(facts, "count"), number_of(facts, "missing")
        if count is not None and missing is not None and count + missing > 0:
            out[name] = (missing / (count + missing), int(count + missing))
    return out


def _differ(a: tuple[float, int], b: tuple[float, int], at: Mapping[str, float]) -> bool:
    (p, n), (q, m) = a, b
    if abs(p - q) < at["difference"]:
        return False
    share = (p * n + q * m) / (n + m)
    error = math.sqrt(share * (1 - share) * (1 / n + 1 / m))
    return error > 0 and abs(p - q) / error >= at["z"]


CHECK = Check(
    id="data.missing",
    title="many values are missing",
    rule="half of a column of the training data or more is missing, in 20 rows or more; or the shares in "
    "training and test data differ by 0.1 and four standard errors: warn",
    source="deepchecks; two proportions",
    needs="counts of the columns",
    levels=(WARN,),
    why="What is filled in is a guess, and data that is missing in one part only is often read in another way.",
    advice="look at how the columns were read; add whether a value is missing as a feature",
    triggers="a column of which 60 % are NaN",
    is_silent="5 % of missing values that are imputed",
    limits="missing values with a sign of their own, such as -999",
    thresholds={"warn": 0.5, "difference": 0.1, "z": 4.0, "rows": 20},
    judge=_judge,
)
