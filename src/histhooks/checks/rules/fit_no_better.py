"""`fit.no_better`: no better than a constant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case, class_sizes, target_of
from histhooks.checks._columns import is_classifier, is_weighted
from histhooks.checks._scores import score_of, tested
from histhooks.checks._statistics import wilson
from histhooks.checks._types import FAIL, INFO, WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    found = tested(case, "test", "valid") if case.is_training or case.kind == "search" else None
    negative = _negative(case)
    if negative is not None and negative[1] >= at["rows"]:
        value, n, name = negative
        says = f"{name} {value:.3f} on {n:,} rows: a constant does better"
        yield Found(WARN, says, value, 0, {"metric": name, "n_rows": n})
        return
    data = next(iter(case.data(found.split)), None) if found is not None else None
    counts = class_sizes(data)
    if found is None or not counts or found.metric == "balanced_accuracy" or not is_classifier(case) or len(counts) < 2:
        if negative is None:
            yield Skip("it has no accuracy on data whose classes are counted, and no R² below 0")
        return
    share = max(counts) / sum(counts)
    _, high = wilson(found.value * found.n_rows, found.n_rows)
    low, _ = wilson(found.value * found.n_rows, found.n_rows, z=at["z"])
    is_near = found.n_rows >= at["near_rows"] and low <= share
    if found.n_rows < at["rows"] or not (found.value <= share or is_near):
        return
    # Where other scores count. A loss of PyTorch may be weighted, which the record does not have.
    is_known = share >= at["rare"] or is_weighted(case)
    is_known = is_known or (case.framework in ("torch", "lightning") and max(counts) >= at["uneven"] * min(counts))
    level = INFO if is_known else FAIL if high < share else WARN
    says = f"{found.name} {found.value:.3f} on {found.n_rows:,} {found.split} rows; the largest class has {share:.3f}"
    says += ", which luck would reach as well" if found.value > share else ""
    yield Found(level, says, found.value, share, {"metric": found.name, "majority": share, "n_rows": found.n_rows})


def _negative(case: Case) -> tuple[float, int, str] | None:
    """An R² of at most 0, with its rows and its name."""
    for row in case.metrics:
        name = score_of(case, row)
        is_r2 = name == "r2" or (name == "score" and not is_classifier(case))
        if not is_r2 or row["split"] not in ("test", "valid") or row["last"] is None or row["last"] > 0:
            continue
        data = case.data(row["split"])
        if data and data[-1]["n_rows"] and target_of(data[-1]).get("std"):
            return row["last"], data[-1]["n_rows"], row["name"]
    return None


CHECK = Check(
    id="fit.no_better",
    title="it is no better than a constant",
    rule="on 50 rows or more, an accuracy that is not above the share of the largest class, on 100 rows or more "
    "one whose lower bound of 95 % is not: warn; fail if its 95 % interval lies below that share; info for a "
    "class of 80 %, weighted classes, or in PyTorch uneven ones; R² of 0 or less: warn",
    source="Wilson 1927; skore and deepchecks compare with a dummy model in the same way",
    needs="a score on data whose classes or variance were counted",
    levels=(INFO, WARN, FAIL),
    why="A model that always says the same would be as good, and cheaper.",
    advice="look whether features and target belong together, row by row, and whether anything was learned "
    "(`loss.flat`)",
    triggers="a target that was shuffled against its rows",
    is_silent="a rare class, where accuracy says little: use AUC",
    limits="losses without a known constant",
    thresholds={"rows": 50, "rare": 0.8, "near_rows": 100, "z": 1.645, "uneven": 1.5},
    judge=_judge,
    version="3",
)
