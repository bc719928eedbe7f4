"""`fit.still_improving`: the training stopped while it was improving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks._base.text import number
from histhooks.checks._case import Case
from histhooks.checks._curves import course, judged_by, tenth
from histhooks.checks._types import INFO, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    row = judged_by(case)
    values = course(case, row) if row is not None and case.kind not in ("search", "validate") else []
    if row is None or len(values) < at["points"]:
        yield Skip("it has no validation loss of ten points or more")
        return
    some = tenth(values)
    before, last = values[-2 * some - 1], values[-1]
    gain = (before - last) / abs(before) if before else 0.0
    if min(values) == last and gain >= at["gain"]:
        says = f"{row['name']} still fell by {gain:.0%} in the last tenth: {number(before)} → {number(last)}"
        yield Found(INFO, says, gain, at["gain"], {"metric": row["name"]})


CHECK = Check(
    id="fit.still_improving",
    title="it stopped while it was improving",
    rule="the last value of the validation loss is its best, and the last tenth of the training gained 5 %: info",
    source="histhooks",
    needs="a validation loss of ten points or more",
    levels=(INFO,),
    why="A longer training would probably have given a better model.",
    advice="train for more epochs, with early stopping",
    triggers="10 epochs where 100 are needed",
    is_silent="a curve that has levelled off",
    limits="what a longer training really gives",
    thresholds={"gain": 0.05, "points": 10},
    judge=_judge,
)
