"""Parse the name of a metric: what is measured, on which split, and which direction is better."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from histhooks._base.secret_shapes import lazily

_SPLITS = {
    "train": "train", "training": "train", "tr": "train",
    "val": "valid", "valid": "valid", "validation": "valid", "eval": "valid", "dev": "valid",
    "test": "test", "testing": "test", "system": "system",
}  # fmt: skip
_DOWN = lazily(
    r"loss|error|err$|rmse|rmsle|mae|mape|mse|msle|deviance|perplexity|ppl|nll|hinge|logloss|divergence|distance|wer$|cer$"
)
_UP = lazily(
    r"acc(?:uracy)?(?![a-z])|auc|(?<![a-z0-9])r2|f1|fbeta|precision|recall|score|map(?=$|@)|ndcg|jaccard|"
    r"(?<![a-z])m?iou(?![a-z])|(?<![a-z])dice|likelihood|bleu|rouge|(?<![a-z])gain|reward|kappa|mcc|similarity|"
    r"explained_variance|neg_"
)
# A statistic of what a model puts out says nothing about how good that is.
_OUTPUTS = lazily(
    r"(?:^|.*[_./-])(?:mean|avg|average|median|min|max|std|var|sum|total|[pq]\d{1,2}|percentile_?\d*|quantile_?\d*)[_./-]"
    r"(?:scores?|preds?|predictions?|proba|probabilit(?:y|ies)|confidences?|outputs?|logits?)"
    r"|(?:scores?|preds?|predictions?|proba|probabilit(?:y|ies)|confidences?|outputs?|logits?)[_./-]"
    r"(?:mean|avg|average|median|min|max|std|var|sum|total|[pq]\d{1,2})"
)
_CLOCK = lazily(r"(^|[_./-])(time|duration|seconds)$")
_PREFIX = lazily(r"^(train|training|val|valid|validation|eval|dev|test|testing|system)(?:_\d+(?=-))?[_./-](.+)$")
_SUFFIX = lazily(r"^(.+)[_./-](train|training|val|valid|validation|eval|test)$")


class Metric(NamedTuple):
    """What is measured.

    Attributes
    ----------
    metric : str
        Name without the split.
    split : str or None
        `train`, `valid`, `test` or `system`; None if unknown.
    direction : int
        1 if more is better, -1 if less is, 0 if unknown.
    """

    metric: str
    split: str | None
    direction: int


def direction_of(metric: str) -> int:
    """Which way is better: 1 up, -1 down, 0 unknown."""
    name = metric.lower()
    if _CLOCK.search(name) or _OUTPUTS.fullmatch(name):
        return 0  # score_time is no score, and a mean score of production data is neither good nor bad
    if name.startswith(("neg_", "neg-")):
        return 1
    if _DOWN.search(name):
        return -1
    return 1 if _UP.search(name) else 0


def is_of_outputs(name: str) -> bool:
    """Whether a metric is a statistic of what a model puts out, such as `mean_score`: of no split by itself."""
    return _OUTPUTS.fullmatch(name.lower()) is not None


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
