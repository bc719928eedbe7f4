"""`gain.noise`: the gain is inside the noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._columns import is_classifier
from histhooks.checks._scores import tested
from histhooks.checks._types import WARN, Check, Found, Said, Skip, Unknown


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    if case.against is None:
        yield Skip("no run to compare with was named (--against)")
        return
    here, there = tested(case, "test", "valid"), tested(case.against, "test", "valid")
    if here is None or there is None or here.metric != there.metric or not is_classifier(case):
        yield Unknown("the runs have no accuracy in common", "call `score` on the same test data in both")
        return
    if here.dataset_id != there.dataset_id:
        yield Unknown("the runs were not judged on the same data", "call `score` on the same test data in both")
        return
    p, q, n = here.value, there.value, here.n_rows
    bound = 2 * math.sqrt((p * (1 - p) + q * (1 - q)) / n)
    gain = p - q
    if 0 < gain < bound:
        says = f"{here.name} rose by {gain:.4f} to {p:.4f}; on {n:,} rows, less than {bound:.4f} may be noise"
        yield Found(WARN, says, gain, bound, {"here": p, "there": q, "n_rows": n})


CHECK = Check(
    id="gain.noise",
    title="the gain is inside the noise",
    rule="with --against: an accuracy on the same data rose by less than two standard errors of the difference: warn",
    source="two proportions, unpaired; a paired test would be tighter",
    needs="a run to compare with, judged on the same data",
    levels=(WARN,),
    why="Training again with another seed may turn the gain into a loss.",
    advice="train both with three seeds or more, or judge on more rows",
    triggers="0.912 after 0.908 on 500 rows",
    is_silent="0.95 after 0.80 on 500 rows",
    limits="scores that are no share of rows",
    judge=_judge,
    version="2",
)
