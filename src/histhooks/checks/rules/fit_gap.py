"""`fit.gap`: far better on training data than on validation data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from histhooks._base.text import number
from histhooks.checks._case import Case
from histhooks.checks._curves import course, judged_by, keeps_best, kind_of, knows_nothing, losses, tenth, untrained
from histhooks.checks._scores import name_of
from histhooks.checks._statistics import median
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip

_INTERPOLATE = ("Forest", "ExtraTree", "Neighbors", "GaussianProcess", "Bagging", "Boost", "XGB", "Stacking", "Voting")
_SCORES = ("accuracy", "auc", "roc_auc", "f1", "score", "r2", "precision", "recall", "balanced_accuracy")


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    if not case.trains or case.kind in ("search", "validate"):
        yield Skip("no single model was trained in it")
        return
    found = _by_loss(case, at) or _by_score(case, at)
    if found is None:
        yield Skip("it has no pair of a training and a validation metric that compare")
    elif found.level:
        yield found


def _by_loss(case: Case, at: Mapping[str, float]) -> Found | None:
    """The gap of a loss as a part of what a constant loses; level empty if it is small, None if nothing compares."""
    row = judged_by(case)
    trained = [each for each in losses(case, "train") if row is not None and each["metric"] == row["metric"]]
    if row is None or not trained or case.framework == "xgboost":  # boosted trees interpolate, and are right to
        return None
    nothing, kind = knows_nothing(case, row), kind_of(case, row)
    if nothing is None or kind is None:
        nothing, kind = untrained(case, trained[0]), None
    if nothing is None:
        return None
    values, of_train = course(case, row), course(case, trained[0])
    if len(values) < 3 or len(of_train) < 3:
        return None
    here, there = (median(each[-max(2, tenth(each)) :]) for each in (values, of_train))
    if kind == "rmse":
        here, there, nothing = here**2, there**2, nothing**2
    share = (here - there) / nothing
    how = keeps_best(case, row["min_step"])
    what = "a constant" if kind is not None else "the untrained model"
    says = f"{row['name']} {number(here)} against {number(there)} in training: {share:.0%} of what {what} loses"
    level = "" if share < at["loss"] else INFO if how else WARN
    return Found(
        level, says, share, at["loss"], {"metric": row["name"], "valid": here, "train": there, "constant": nothing}
    )


def _by_score(case: Case, at: Mapping[str, float]) -> Found | None:
    """The gap of a score between 0 and 1."""
    by_metric: dict[str, dict[str | None, float]] = {}
    for row in case.metrics:
        name = name_of(row["metric"])
        if name in _SCORES and row["last"] is not None and 0 <= row["last"] <= 1:
            by_metric.setdefault(name, {})[row["split"]] = _late(case, row)
    if any(word in case.model_class for word in _INTERPOLATE):
        return None
    for metric, found in by_metric.items():
        split = next((split for split in ("test", "valid") if split in found), None)
        data = case.data(split) if split else []
        n = data[0]["n_rows"] if data else None
        if "train" not in found or split is None or not n:
            continue
        gap, score = found["train"] - found[split], found[split]
        least = max(at["score"], 3 * math.sqrt(max(score * (1 - score), 1e-4) / n))
        says = f"{metric} {found['train']:.3f} in training, {score:.3f} on {n:,} {split} rows"
        level = "" if gap < least else INFO if keeps_best(case, None) else WARN
        return Found(level, says, gap, least, {"metric": metric, "train": found["train"], split: score, "n_rows": n})
    return None


def _late(case: Case, row: Mapping[str, Any]) -> float:
    """The value of a score at the end; where points are of minibatches, their mean over the last third."""
    last: float = row["last"]
    if row["split"] != "train" or row["count"] < 4 or row["count"] <= (case.run.row["epochs_done"] or 0) + 1:
        return last
    values = course(case, row)
    late = values[-max(2, len(values) // 3) :]
    return sum(late) / len(late)


CHECK = Check(
    id="fit.gap",
    title="far better on training data than on validation data",
    rule="cross-entropy or squared error on validation data lies above that of training data by 30 % of what a "
    "constant loses; in a loop of PyTorch, any loss by 30 % of its first point; a score between 0 and 1 lies "
    "below it by 0.1 and three standard errors: warn; info if the best state is kept",
    source="29 of 32 trainings that were meant to overfit, measured for histhooks; skore has max(0.03, 10 %)",
    needs="the same metric on training and validation data, and what was counted of the target",
    levels=(INFO, WARN),
    why="The model has learned its training data by heart, and what it knows of new data is less than it seems.",
    advice="use more data, a smaller model, regularisation or early stopping",
    triggers="a network that is right on all 200 training rows and on 70 % of the others",
    is_silent="forests, nearest neighbours and boosted trees, which fit their training data in any case",
    limits="losses without a known constant, such as those of Lightning",
    thresholds={"loss": 0.3, "score": 0.1},
    judge=_judge,
    version="3",
)
