"""`test.small`: the score is known roughly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._columns import is_classifier
from histhooks.checks._scores import tested
from histhooks.checks._statistics import wilson
from histhooks.checks._types import INFO, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    found = tested(case) if is_classifier(case) else None
    if found is None:
        yield Skip("it has no accuracy on test data")
        return
    low, high = wilson(found.value * found.n_rows, found.n_rows)
    if high - low >= at["width"]:
        says = f"{found.name} {found.value:.3f} on {found.n_rows:,} rows lies between {low:.2f} and {high:.2f} (95 %)"
        yield Found(INFO, says, high - low, at["width"], {"metric": found.name, "low": low, "high": high})


CHECK = Check(
    id="test.small",
    title="the score is known roughly",
    rule="the 95 % interval of an accuracy on test data is 0.10 wide or more: info",
    source="Wilson 1927",
    needs="an accuracy, and the number of test rows",
    levels=(INFO,),
    why="Two models whose scores lie in this interval cannot be told apart.",
    advice="test on more rows, or cross-validate",
    triggers="an accuracy of 0.9 on 60 rows",
    is_silent="an accuracy of 0.9 on 1,000 rows",
    limits="scores that are no share of rows",
    thresholds={"width": 0.1},
    judge=_judge,
    version="2",
)
