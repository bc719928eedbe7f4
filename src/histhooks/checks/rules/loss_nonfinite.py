"""`loss.nonfinite`: a loss is NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from histhooks.checks._case import Case
from histhooks.checks._curves import first_nonfinite, is_loss
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    rows = [row for row in case.metrics if is_loss(row)]
    if not rows:
        yield Skip("it has no loss")
        return
    for row in rows:
        if row["nonfinite"]:
            yield _found(case, row)


def _found(case: Case, row: Mapping[str, Any]) -> Found:
    word = {"nan": "NaN", "inf": "infinite", "-inf": "infinite"}
    first = first_nonfinite(case, row)
    is_last = row["last_special"] is not None
    says = f"{row['name']} went {word[first['special']]}" if first else f"{row['name']} is not finite"
    if first:
        says += (
            f" at step {first['step']:,}"
            if first["epoch"] is None
            else (f" at step {first['step']:,} (epoch {first['epoch'] + (case.framework == 'keras')})")
        )
    n, count = row["nonfinite"], row["count"]
    says += ", and stayed so" if is_last and n > 1 and n >= count - (first["n"] if first else 0) else ""
    says += f": {n:,} of {count:,} points" if n > 1 else ""
    level = FAIL if is_last else WARN
    if level == WARN and case.has_event("step_skipped"):
        level = INFO  # a GradScaler looks for the largest scale that works, and leaves such steps out
    return Found(level, says, n, 0, {"metric": row["name"], "nonfinite": n, "first": first})


CHECK = Check(
    id="loss.nonfinite",
    title="a loss is NaN or infinite",
    rule="the last point of a loss is not finite: fail; another one: warn; steps that a GradScaler left out: info",
    source="points of the run",
    needs="a loss: a metric of which less is better, or one that is called so",
    levels=(INFO, WARN, FAIL),
    why="Weights that were updated with such a loss are not finite either, and nothing after that point was learned.",
    advice="look at the steps before it with `histhooks plot RUN`; lower the learning rate, clip gradients, and look "
    "for a logarithm or a division of zero",
    triggers="a learning rate of 1e6, after which the loss is NaN at step 12 and stays so",
    is_silent="a loss that is finite throughout; a score that is undefined on a class without rows",
    limits="a loss that nobody logs and no framework reports",
    judge=_judge,
)
