"""What the name of a metric says: what is measured, on which data, and which way is better."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_SPLITS = {
    "train": "train", "training": "train", "tr": "train",
    "val": "valid", "valid": "valid", "validation": "valid", "eval": "valid", "dev": "valid",
    "test": "test", "testing": "test", "system": "system",
}  # fmt: skip
_DOWN = re.compile(
    r"loss|error|err$|rmse|rmsle|mae|mape|mse|msle|deviance|perplexity|ppl|nll|hinge|logloss|divergence|distance|wer$|cer$"
)
_UP = re.compile(
    r"acc|auc|r2|f1|fbeta|precision|recall|score|map$|ndcg|jaccard|iou|dice|likelihood|bleu|rouge|gain|reward|kappa|mcc|"
    r"similarity|explained_variance|neg_"
)
_CLOCK = re.compile(r"(^|[_./-])(time|duration|seconds)$")
_PREFIX = re.compile(r"^(train|training|val|valid|validation|eval|dev|test|testing|system)(?:_\d+(?=-))?[_./-](.+)$")
_SUFFIX = re.compile(r"^(.+)[_./-](train|training|val|valid|validation|eval|test)$")


class Metric(NamedTuple):
    """What is measured.

    Attributes
    ----------
    metric : str
        Name without the split.
    split : str or None
        `train`, `valid`, `test` or `system`; None where nobody knows.
    direction : int
        1 where more is better, -1 where less is, 0 where nobody can know.
    """

    metric: str
    split: str | None
    direction: int


def direction_of(metric: str) -> int:
    """Which way is better: 1 up, -1 down, 0 unknown."""
    name = metric.lower()
    if _CLOCK.search(name):
        return 0  # score_time is no score
    if name.startswith(("neg_", "neg-")):
        return 1
    if _DOWN.search(name):
        return -1
    return 1 if _UP.search(name) else 0


@lru_cache(maxsize=4096)
def describe(name: str) -> Metric:
    """Read the name of a metric.

    Parameters
    ----------
    name : str
        The host's own name.

    Returns
    -------
    Metric

    Examples
    --------
    >>> describe("val_loss")
    Metric(metric='loss', split='valid', direction=-1)
    """
    lowered = name.lower()
    found = _PREFIX.match(lowered)
    if found:
        metric, split = name[found.start(2) :], _SPLITS[found.group(1)]
    elif suffix := _SUFFIX.match(lowered):
        metric, split = name[: suffix.end(1)], _SPLITS[suffix.group(2)]
    else:
        metric, split = name, "train"
    direction = 0 if split == "system" else direction_of(metric)
    return Metric(metric, split, direction)
