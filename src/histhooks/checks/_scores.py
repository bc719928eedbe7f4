"""Scores on test or validation data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from histhooks.checks._case import Case

NAMES = ("accuracy", "acc", "score", "r2", "balanced_accuracy")
_AS = {
    "acc": "accuracy", "categorical_accuracy": "accuracy", "sparse_categorical_accuracy": "accuracy",
    "binary_accuracy": "accuracy", "multiclassaccuracy": "accuracy", "binaryaccuracy": "accuracy",
}  # fmt: skip


def name_of(metric: str) -> str:
    """One name of a score, whatever its framework calls it: `accuracy_score` and `acc` are `accuracy`."""
    name = metric.lower()
    name = name if name == "score" else name.removesuffix("_score")
    return _AS.get(name, name)


def score_of(case: Case, row: Mapping[str, Any]) -> str:
    """One name of a metric: a `score` is what the program asked for by ``scoring``, if it did; empty if unknown."""
    name = name_of(row["metric"])
    if name != "score":
        return name
    asked = {key.rpartition("__")[2]: value for key, value in case.params.items() if "scoring" in key}
    found = [value for key, value in asked.items() if key == "scoring" or key.startswith("scoring.")]
    found = [value for value in found if value not in (None, "loss")]  # the default of histogram boosting
    if not found:
        return name
    told = name_of(found[0]) if len(found) == 1 and isinstance(found[0], str) else ""
    return told if told in NAMES else ""


class Score(NamedTuple):
    """A score between 0 and 1, and the data it is of."""

    name: str
    metric: str
    value: float
    n_rows: int
    dataset_id: str
    split: str


def tested(case: Case, *splits: str) -> Score | None:
    """The last score on test data, or on that of other splits; None if there is none, or nobody knows how many rows."""
    for split in splits or ("test",):
        data = case.data(split)
        rows = [row for row in case.metrics if row["split"] == split and score_of(case, row) in NAMES]
        rows = [row for row in rows if row["last"] is not None and 0 <= row["last"] <= 1]
        if rows and data and data[-1]["n_rows"]:
            row = rows[0]
            return Score(row["name"], score_of(case, row), row["last"], data[-1]["n_rows"], data[-1]["id"], split)
    return None
