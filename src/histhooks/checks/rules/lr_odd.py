"""`lr.odd`: the learning rate is zero, or jumps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks._base.text import number
from histhooks.checks._case import Case
from histhooks.checks._curves import course
from histhooks.checks._types import WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    rows = [row for row in case.metrics if row["name"].partition("/")[0] == "lr" and row["count"] >= at["points"]]
    if not rows:
        yield Skip("it has no learning rate of five points or more")
        return
    for row in rows:
        values = course(case, row)
        start = len(values) // 10  # a warm-up begins at zero
        zeros = sum(value == 0 for value in values[start:])
        share = zeros / max(1, len(values) - start)
        if share > at["zero"]:
            says = f"{row['name']} is 0 in {share:.0%} of the training"
            yield Found(WARN, says, share, at["zero"], {"metric": row["name"]})
        jumps = [(a, b) for a, b in zip(values[start:], values[start + 1 :]) if a > 0 and b / a >= at["ratio"]]
        if jumps and not _has_schedule(case):
            a, b = jumps[0]
            says = f"{row['name']} jumps from {number(a)} to {number(b)} without a schedule"
            yield Found(WARN, says, b / a, at["ratio"], {"metric": row["name"]})


def _has_schedule(case: Case) -> bool:
    if any(each["scheduler"] for each in case.run.optimizers):
        return True
    words = ("schedul", "lr_", "learningrate", "cyclic", "onecycle", "restart")
    return any(word in str(value).lower() for key, value in case.params.items() if "callback" in key or "lr" in key
               for word in words)  # fmt: skip


CHECK = Check(
    id="lr.odd",
    title="the learning rate is zero, or jumps",
    rule="after the first tenth it is 0 in more than 10 % of the training, or rises tenfold from one point to the next "
    "without a schedule: warn",
    source="histhooks",
    needs="a learning rate of five points or more",
    levels=(WARN,),
    why="Steps with a learning rate of zero do nothing, and a sudden rise throws away what was learned.",
    advice="print the schedule for all steps before you train, and look whether it counts epochs or steps",
    triggers="a cosine schedule of 100 steps in a training of 1,000",
    is_silent="warm-up from zero, a cosine that ends at zero, restarts by a scheduler",
    limits="rates inside an epoch, where points are epochs",
    thresholds={"zero": 0.1, "ratio": 10.0, "points": 5},
    judge=_judge,
)
