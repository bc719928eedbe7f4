"""`test.reused`: the test data was used many times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip
from histhooks.history._around import scores_on


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    test = [data for data in case.data("test") if data["coverage"] == "all"]
    if not test:
        yield Skip("it has no test data that was hashed whole")
        return
    data = test[0]
    scores = scores_on(case.run, data["id"])
    k, n = len(scores), data["n_rows"] or 0
    if k < at["runs"] or not n:
        return
    bound = math.sqrt(math.log(2 * k / 0.05) / (2 * n))
    known = sorted((score for score in scores.values() if score is not None and 0 <= score <= 1), reverse=True)
    says = f"{k:,} runs were tested on these {n:,} rows; luck alone may be worth {bound:.3f} of a score by now"
    is_near = len(known) >= at["many"] and known[0] - known[9] < bound
    says += f", and the best ten lie within {known[0] - known[9]:.3f}" if is_near else ""
    yield Found(WARN if is_near else INFO, says, k, at["many"], {"runs": k, "n_rows": n, "bound": bound})


CHECK = Check(
    id="test.reused",
    title="the test data was used many times",
    rule="5 runs of this store or more were tested on the same data: info; 20 or more whose best ten lie within "
    "sqrt(ln(2k / 0.05) / 2n): warn",
    source="Hoeffding's inequality with a union bound over k runs; choosing adaptively can be worse, practice "
    "is milder",
    needs="test data that was hashed whole",
    levels=(INFO, WARN),
    why="Who tries long enough finds a model that is good on these rows by luck.",
    advice="choose by validation data, and keep test data for the last look",
    triggers="a sweep of 40 runs, each of which calls `score(X_test, y_test)`",
    is_silent="a sweep that scores on validation data, and its best run on test data",
    limits="looks at the data that were recorded elsewhere, or not at all",
    thresholds={"runs": 5, "many": 20},
    judge=_judge,
)
