"""Columns of data as checks ask for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from histhooks.checks._case import has_class_numbers
from histhooks.checks._scores import name_of
from histhooks.history.data.columns import TARGET, columns_of

if TYPE_CHECKING:
    from histhooks.checks._case import Case
    from histhooks.history.data.dataset import Dataset


def features(data: Dataset) -> dict[str, dict[str, Any]]:
    """What was counted of each column of the features."""
    return {name: facts for name, facts in columns_of(data).items() if name != TARGET and not name.startswith("y ")}


def number_of(facts: Mapping[str, Any], key: str) -> float | None:
    """A fact as a number; None if it is not known, or none."""
    value = facts.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


_CLASSIFIERS = ("Classif", "LogisticRegression", "SVC", "NB'", 'NB"', "Discriminant", "Perceptron")


def is_classifier(case: Case) -> bool:
    """Whether classes are predicted, as far as the record says so; of a Pipeline, by the class of its last step."""
    if (
        "classes" in case.results
        or has_class_numbers(case.train)
        or any(word.rstrip("'\"") in case.model_class for word in _CLASSIFIERS)
    ):
        return True
    steps = case.params.get("steps", case.params.get("estimator__steps"))
    last = str(steps[-1]) if isinstance(steps, list) and steps else str(case.params.get("estimator", ""))
    if any(word in last for word in _CLASSIFIERS):
        return True
    told = f"{case.params.get('compile.loss', '')} {case.params.get('objective', '')}".lower()
    return any(word in told for word in ("crossentropy", "binary:", "multi:")) or any(
        name_of(row["metric"]) in ("accuracy", "balanced_accuracy", "logloss", "mlogloss") for row in case.metrics
    )


def is_weighted(case: Case) -> bool:
    """Whether classes are weighted or samples are drawn unevenly, on purpose."""
    words = ("class_weight", "scale_pos_weight", "sample_weight", "sampler", "balanced")
    for key, value in case.params.items():
        is_any = value is True or value not in (None, False, 1)  # True stands for weights that are arrays
        if is_any and any(word in f"{key} {value}".lower() for word in words[:3]):
            return True
        if "sampler" in key and str(value) not in ("RandomSampler", "SequentialSampler", "None"):
            return True
    return False


def is_evened(case: Case, train: Mapping[str, int] | None, other: Mapping[str, int] | None) -> bool:
    """Whether the classes of training data were drawn to equal shares, and those of other data were not.

    Training data of as many rows as a split left was drawn from no more.
    """
    n_rows = case.train["n_rows"] if case.train is not None else None
    if any(n_rows in split.n_out for split in case.run.splits):
        return False
    if not train or not other or len(train) < 2 or max(train.values()) - min(train.values()) > 0.01 * max(
        train.values()
    ):  # fmt: skip
        return False
    n, m = sum(train.values()), sum(other.values())
    return sum(abs(train.get(name, 0) / n - other.get(name, 0) / m) for name in {*train, *other}) / 2 >= 0.05


def is_lag(name: str | None) -> bool:
    """Whether a column is called the value of an earlier time, which tells much of a series."""
    words = set(re.split(r"[^a-z]+", (name or "").lower()))
    return bool(words & {"lag", "lags", "lagged", "prev", "previous", "yesterday", "shifted", "rolling"})


def names(found: list[str], most: int = 3) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(map(repr, found[:most])) + more
