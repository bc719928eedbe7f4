"""`data.constant`: constant or empty columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case, class_sizes, target_of
from histhooks.checks._columns import features, names, number_of
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    data = case.train
    if data is None or not case.trains or (data["n_rows"] or 0) < at["rows"]:
        yield Skip("it has no training data of 20 rows or more")
        return
    counts, std = class_sizes(data), target_of(data).get("std")
    if (counts is not None and len(counts) == 1) or std == 0:
        yield Found(FAIL, f"the target has one value in all {data['n_rows']:,} rows", 1, 1, {"column": "target"})
    columns = features(data)
    found = [name for name, facts in columns.items() if _is_constant(facts)]
    share = len(found) / len(columns) if columns else 0.0
    if found:
        is_sparse = "matrix" in data["kind"] or "sr_array" in data["kind"] or (
            (data["n_columns"] or 0) >= at["pixels"] and not any(_is_empty(columns[name]) for name in found)
        )  # fmt: skip
        level = WARN if share >= at["warn"] and len(found) > 1 and not is_sparse else INFO
        says = f"{len(found):,} of {len(columns):,} columns are constant or empty: {names(found)}"
        yield Found(level, says, share, at["warn"], {"columns": found[:50]})


def _is_empty(facts: Mapping[str, object]) -> bool:
    count, missing = number_of(facts, "count"), number_of(facts, "missing")
    return count is not None and missing is not None and (count == 0 or missing >= count + missing > 0)


def _is_constant(facts: Mapping[str, object]) -> bool:
    if _is_empty(facts):
        return True
    distinct = number_of(facts, "distinct")
    if distinct is not None:
        return distinct == 1  # the extremes are rounded, as of times that lie close together
    low, high = number_of(facts, "min"), number_of(facts, "max")
    return low is not None and low == high and not number_of(facts, "missing")


CHECK = Check(
    id="data.constant",
    title="constant or empty columns",
    rule="the target has one value: fail; 20 % of the columns and two or more have one value or none: warn, "
    "else info; info for sparse data, and for 64 columns or more of which none is empty, such as pixels",
    source="deepchecks' Is Single Value",
    needs="counts of the columns of the training data",
    levels=(INFO, WARN, FAIL),
    why="A column without variation says nothing, and is often a join or a parser that failed.",
    advice="look at how the columns were read, and drop them",
    triggers="a join on the wrong key, which leaves half of the columns empty",
    is_silent="three of the 64 pixels of digits, which is information",
    limits="columns that are nearly constant",
    thresholds={"warn": 0.2, "rows": 20, "pixels": 64},
    judge=_judge,
    version="3",
)
