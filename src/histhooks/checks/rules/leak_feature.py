"""`leak.feature`: one feature tells nearly all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from histhooks.checks._case import Case, class_sizes
from histhooks.checks._columns import is_lag
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip, Unknown


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    data = case.train if case.trains else None
    if data is None:
        yield Skip("it has no training data, or several")
        return
    known = [column for column in data.columns if isinstance(column.facts.get("alone"), (int, float))]
    if not known:
        why = case.missed("data_content") or "no column was compared with a target"
        if "a row is an array" in why:
            yield Skip("its rows are images, and have no columns")
            return
        yield Unknown(
            f"columns were not compared with the target: {why}", "give features and target as arrays or frames"
        )
        return
    if (data["n_rows"] or 0) < at["rows"] or any(n < 10 for n in class_sizes(data) or []):
        yield Skip("it has fewer than 100 rows, or a class of fewer than 10")
        return
    found = [column for column in known if not column.facts.get("equals_target")]
    ranked = sorted(found, key=lambda column: -column.facts["alone"])
    # The border between two classes lies in one of the bins of 20 rows, which few rows feel.
    least = at["warn"] - min(at["slack"], 20 / (data["n_rows"] or 1))
    if not ranked or ranked[0].facts["alone"] < least:
        return
    best = ranked[0]
    name = repr(best.name) if best.name is not None else str(best.position)
    is_near = best.facts["alone"] < at["warn"]
    others = sum(column.facts["alone"] >= at["near" if is_near else "others"] for column in ranked[1:])
    # Where several columns tell much, or there are few, the problem is easy: that is no leak.
    is_easy = len(known) < at["columns"] or others > len(known) // 20 or is_lag(best.name)
    says = f"column {name} alone removes {best.facts['alone']:.0%} of the error of a constant"
    says += f"; the next best {max(0.0, ranked[1].facts['alone']):.0%}" if len(ranked) > 1 else ""
    yield Found(INFO if is_easy else WARN, says, best.facts["alone"], least,
                {"columns": {(c.name or str(c.position)): c.facts["alone"] for c in ranked[:5]}})  # fmt: skip


CHECK = Check(
    id="leak.feature",
    title="one feature tells nearly all",
    rule="the best column alone removes 95 % of a constant's error, learned on one half and judged on the other, in "
    "100 rows or more and 10 of each class (90 % in 400 rows or fewer, if others remove less than 60 %): warn; info "
    "with fewer than 4 columns, if other columns remove 80 % too, or if it is called a lag",
    source="above the 0.8 of deepchecks and skore; iris has 0.83, breast cancer 0.77 (`alone`, docs/guide/data.md)",
    needs="features and target of the training data as arrays or frames",
    levels=(INFO, WARN),
    why="A feature that knows the answer often comes from after it, and will not be there when the model is used.",
    advice="ask where the column comes from and whether it is known at the time of a prediction; train without it",
    triggers="a column `refunded` in data about churn",
    is_silent="well separated clusters, in which each coordinate tells much",
    limits="a leak that needs two columns together; proxies known only to people",
    thresholds={"warn": 0.95, "slack": 0.05, "others": 0.8, "near": 0.6, "rows": 100, "columns": 4},
    judge=_judge,
    version="3",
)
