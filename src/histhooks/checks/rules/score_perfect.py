"""`score.perfect`: too good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._columns import is_classifier
from histhooks.checks._scores import tested
from histhooks.checks._types import INFO, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    found = tested(case)
    if found is None:
        yield Skip("it has no score on test data")
        return
    if found.value >= at["score"] and found.n_rows >= at["rows"]:
        word = "no row is wrong" if found.value >= 1 and is_classifier(case) else "too good to be true?"
        says = f"{found.name} {found.value:.4g} on {found.n_rows:,} rows: {word}"
        yield Found(INFO, says, found.value, at["score"], {"metric": found.name, "n_rows": found.n_rows})


CHECK = Check(
    id="score.perfect",
    title="it is too good",
    rule="a score of 0.999 or more on 200 test rows or more: info",
    source="histhooks; it stays a question, since data may be easy",
    needs="a score, and the number of test rows",
    levels=(INFO,),
    why="A score without errors is more often a leak than a success.",
    advice="read what `leak.*` says, and ask which feature the model goes by",
    triggers="a target that is among the features in disguise",
    is_silent="a score of 0.98",
    limits="it cannot tell easy data from a leak",
    thresholds={"score": 0.999, "rows": 200},
    judge=_judge,
    version="2",
)
