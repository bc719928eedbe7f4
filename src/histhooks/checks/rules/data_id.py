"""`data.id`: a column looks like an id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from histhooks.checks._case import Case
from histhooks.checks._columns import features, names, number_of
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    data = case.train
    columns = features(data) if data is not None and case.trains else {}
    n = (data["n_rows"] or 0) if data is not None else 0
    if len(columns) < at["columns"] or n < at["rows"] or data is None:
        yield Skip("it has no training data of 50 rows and two columns that were counted")
        return
    found = {name: facts for name, facts in columns.items() if _is_id(facts, n, _dtype(data["schema"], name))}
    rising = [name for name, facts in found.items() if facts.get("monotone")]
    others = [name for name in found if name not in rising]
    if rising:
        yield Found(WARN, f"{names(rising)} has another whole number in each of {n:,} rows, in order", len(rising), 0,
                    {"columns": rising})  # fmt: skip
    if others:
        yield Found(INFO, f"{names(others)} has another whole number or text in each of {n:,} rows", len(others), 0,
                    {"columns": others})  # fmt: skip


def _is_id(facts: Mapping[str, Any], n: int, dtype: str) -> bool:
    if number_of(facts, "distinct") != n or facts.get("missing") or "float" in dtype or "datetime" in dtype:
        return False
    low, high = number_of(facts, "min"), number_of(facts, "max")
    if "int" in dtype and low is not None and high is not None:
        return high - low < 20 * n  # measurements that happen to be whole numbers lie further apart
    return any(word in dtype for word in ("object", "str", "String", "category"))


def _dtype(schema: Any, name: str) -> str:
    """The type of a column; empty if nobody says."""
    found = schema.get("X") if isinstance(schema, Mapping) else None
    if not isinstance(found, Mapping):
        return ""
    columns = found.get("columns")
    if isinstance(columns, Mapping):
        one = columns.get(name, "")
        return str(one.get("dtype", one) if isinstance(one, Mapping) else one)
    if isinstance(columns, list):
        for one in columns:
            if isinstance(one, Mapping) and str(one.get("name")) == name:
                return str(one.get("dtype", ""))
            if isinstance(one, list) and len(one) > 1 and str(one[0]) == name:
                return str(one[1])
    return str(found.get("dtype", ""))


CHECK = Check(
    id="data.id",
    title="a column looks like an id",
    rule="a column of whole numbers has another one in each row and only rises or falls: warn; if not in "
    "order, or text: info; columns of floats never",
    source="deepchecks' Identifier Label Correlation asks for names; this asks for values",
    needs="counts of the columns of the training data, and their types",
    levels=(INFO, WARN),
    why="A number that was given to a row tells when it was written, which no new row shares.",
    advice="drop the column, or make it the index of the frame",
    triggers="`customer_id` among the features, in the order of the file",
    is_silent="a measurement as a float, which differs in each row",
    limits="ids that repeat",
    thresholds={"rows": 50, "columns": 2},
    judge=_judge,
)
