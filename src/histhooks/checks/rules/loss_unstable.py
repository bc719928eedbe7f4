"""`loss.unstable`: the loss jumps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._curves import course, losses
from histhooks.checks._statistics import mad, median
from histhooks.checks._types import INFO, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    rows = [row for row in losses(case, "train") if row["count"] >= at["points"]]
    values = course(case, rows[0]) if rows else []
    is_noise = bool(rows) and rows[0]["count"] < 5 * len(values) and (rows[0]["last_epoch"] or 0) + 1 < len(values)
    if len(values) < at["points"] or is_noise:  # minibatches jump
        yield Skip("it has no training loss of 20 epochs, or parts of several points")
        return
    steps = [b - a for a, b in itertools.pairwise(values)]
    turns = sum((a > 0) != (b > 0) for a, b in itertools.pairwise(steps)) / (len(steps) - 1)
    level = abs(median(values[len(values) // 2 :]))
    jump = mad(steps) / level if level else 0.0
    half = values[len(values) // 2 :]
    middle = len(half) // 2
    trend = abs(median(half[:middle]) - median(half[middle:]))
    if turns >= at["turns"] and jump >= at["jump"] and trend < mad(steps):
        says = f"{rows[0]['name']} jumps by {jump:.0%} of its level from one epoch or part to the next, without a trend"
        yield Found(INFO, says, jump, at["jump"], {"metric": rows[0]["name"], "turns": turns})


CHECK = Check(
    id="loss.unstable",
    title="the loss jumps",
    rule="it turns in 45 % of epochs or parts, by 20 % of its level, and has no trend in its second half: info",
    source="not calibrated, so it stays information",
    needs="a training loss of 20 epochs or parts",
    levels=(INFO,),
    why="Where the training ends is then a matter of luck.",
    advice="lower the learning rate, or average over larger batches",
    triggers="a learning rate just below the one that diverges",
    is_silent="the noise of minibatches around a loss that falls",
    limits="what happens inside an epoch",
    thresholds={"turns": 0.45, "jump": 0.2, "points": 20},
    judge=_judge,
)
