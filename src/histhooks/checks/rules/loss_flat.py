"""`loss.flat`: the model did not learn."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from histhooks._base.text import number
from histhooks.checks._case import Case, class_sizes
from histhooks.checks._curves import course, has_rivals, knows_nothing, losses, tenth
from histhooks.checks._scores import name_of
from histhooks.checks._statistics import mad, median
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    rows = [row for row in losses(case, "train") if row["count"] >= at["points"] and not row["nonfinite"]]
    if not rows:
        yield Skip("it has no training loss of ten points or more")
        return
    row = rows[0]
    values = course(case, row)
    if len(values) < at["points"]:
        yield Skip("its training loss has no ten epochs or parts")
        return
    some = tenth(values)
    first, last = sum(values[:some]) / some, sum(values[-some:]) / some
    noise = mad([b - a for a, b in itertools.pairwise(values)]) / 2**0.5
    # An epoch may hold all that there was to learn: its own first points say where it began.
    began = max(first, row["first"]) if row["count"] == len(values) else max(first, values[0])
    fall = (first - last) / abs(first) if first else 0.0
    if fall >= at["fall"] or began - last > max(2 * at["fall"] * abs(began), 3 * noise) or last <= 0.5 * abs(first):
        return
    if fall < -0.05 or _is_good(case, row, last) or _is_away(case, row, last):
        return
    level = INFO if case.is_continued or has_rivals(case) or "lr_find" in str(case.params) else WARN
    says = f"{row['name']} fell by {max(fall, 0):.1%} in {row['count']:,} points: {number(first)} → {number(last)}"
    yield Found(level, says, fall, at["fall"], {"metric": row["name"], "first": first, "last": last})


def _is_away(case: Case, row: Mapping[str, object], last: float) -> bool:
    """Whether the loss lies far above that of a constant, which `loss.diverged` says."""
    nothing = knows_nothing(case, row)
    return nothing is not None and last > 1.5 * nothing


def _is_good(case: Case, row: Mapping[str, object], last: float) -> bool:
    """Whether the loss lies well below that of a constant, or a score well above: then it had been learned before."""
    nothing = knows_nothing(case, row)
    if nothing is not None:
        return last < 0.9 * nothing
    counts = class_sizes(case.train)
    if not counts:
        return False
    share = max(counts) / sum(counts)
    found = [row["max"] for row in case.metrics if name_of(row["metric"]) == "accuracy" and row["max"] is not None]
    return bool(found) and median(found) > share + 0.1


CHECK = Check(
    id="loss.flat",
    title="it did not learn",
    rule="from the first tenth of the training to the last the loss falls by less than 1 %, in ten points or more, "
    "and does not lie below that of a constant or far above it: warn; info for a training that continues "
    "another one, or losses that fight",
    source="32 of 32 planted and 0 of 80 clean trainings, measured for histhooks",
    needs="a training loss of ten points or more",
    levels=(INFO, WARN),
    why="A model whose loss does not fall has learned nothing.",
    advice="check that gradients reach the weights, that `optimizer.step()` is called, and raise the learning rate",
    triggers="a learning rate of 1e-9; an optimizer over the parameters of another model",
    is_silent="a loss that falls in the first epoch and stays there",
    limits="learning that shows in no loss",
    thresholds={"fall": 0.01, "points": 10},
    judge=_judge,
    version="2",
)
