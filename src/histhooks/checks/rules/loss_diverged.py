"""`loss.diverged`: the training loss ran away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks._base.text import number
from histhooks.checks._case import Case
from histhooks.checks._curves import course, has_rivals, kind_of, knows_nothing, losses, tenth, untrained
from histhooks.checks._statistics import median
from histhooks.checks._types import FAIL, INFO, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    rows = [row for row in losses(case, "train") if row["count"] >= 5]
    if not rows:
        yield Skip("it has no training loss of five points or more")
        return
    row = rows[0]
    values = course(case, row)
    if len(values) < 5:
        yield Skip("its training loss has fewer than five finite values")
        return
    tail, least, first = median(values[-max(2, tenth(values)) :]), min(values), values[0]
    nothing, times = knows_nothing(case, row), at["constant"]
    if nothing is None or kind_of(case, row) is None:
        began = untrained(case, row)
        nothing, times = (nothing, times) if began is None else (began, at["untrained"])
    bound = 1.05 * nothing if nothing is not None else first
    is_away = tail > at["times"] * least and tail - least > 0.1 * abs(first) and tail > bound and least > 0
    is_loss = kind_of(case, row) == "ce" or times == at["untrained"]
    is_beyond = nothing is not None and is_loss and tail > times * nothing
    if not (is_away or is_beyond):
        return
    says = (
        f"{row['name']} rose to {number(tail)}, from {number(least)} at its least"
        if is_away
        else (f"{row['name']} ended at {number(tail)}")
    )
    says += (
        f"; a model that knows nothing has {number(nothing)}"
        if nothing is not None
        else f"; it began at {number(first)}"
    )
    level = INFO if has_rivals(case) else FAIL
    yield Found(level, says, tail, bound, {"metric": row["name"], "first": first, "least": least, "tail": tail,
                                           "constant": nothing})  # fmt: skip


CHECK = Check(
    id="loss.diverged",
    title="the training loss ran away",
    rule="of the means of epochs (or of 200 parts): the last tenth is twice the least value, more than a tenth "
    "of the first above it, and above 1.05 times the loss of a constant (above the first value, where that is "
    "unknown); or a cross-entropy that ends above 1.5 times the entropy of the classes; in a loop of PyTorch, a loss "
    "that ends above twice its first point: fail; info for losses that fight",
    source="16 of 16 planted and 0 of 80 clean trainings, measured for histhooks",
    needs="a training loss of five points or more",
    levels=(INFO, FAIL),
    why="The weights at the end are worse than those of an untrained model.",
    advice="lower the learning rate, warm it up or clip gradients, and go back to a checkpoint from before the rise",
    triggers="SGD with a learning rate a hundred times too large",
    is_silent="a loss that jumps for some steps and comes back",
    limits="a loss that is logged only once; GANs and rewards are told apart by names and numbers of optimizers",
    thresholds={"times": 2.0, "constant": 1.5, "untrained": 2.0},
    judge=_judge,
    version="3",
)
