"""`split.drift`: a feature differs between splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from histhooks.checks._case import JUDGING, Case, classes_of
from histhooks.checks._columns import features, is_evened, is_lag, names, number_of
from histhooks.checks._statistics import chi2_critical, psi, two_sample_chi2
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    train, judging = case.train, case.data(*JUDGING)
    if train is None or not judging or not (case.is_training or case.kind == "search"):
        yield Skip("it has no training data beside validation or test data")
        return
    mine = features(train)
    compared = False
    for data in judging:
        theirs = features(data)
        pairs = {name: (facts, theirs[name]) for name, facts in mine.items() if _compare(facts, theirs.get(name), at)}
        compared = compared or bool(pairs)
        found = {name: _drift(a, b, at["p"] / max(1, len(pairs)), at) for name, (a, b) in pairs.items()}
        worst = sorted((name for name, value in found.items() if value), key=lambda name: -found[name])
        if worst:
            is_meant = _is_in_order(case, train["n_rows"]) or is_evened(case, classes_of(train), classes_of(data))
            is_meant = is_meant or any(map(is_lag, mine))
            says = f"{names(worst)} differ{'s' if len(worst) == 1 else ''} between training and {data['role']} data"
            says += f" (PSI {found[worst[0]]:.2f})"
            yield Found(INFO if is_meant else WARN, says, found[worst[0]], at["psi"],
                        {"role": data["role"], "psi": {name: found[name] for name in worst[:10]}})  # fmt: skip
    if not compared:
        yield Skip("it has no columns of 50 distinct numbers on both sides, with deciles")


def _is_in_order(case: Case, n_rows: int | None) -> bool:
    """Whether the rows were split by time, by groups, or in their order, on purpose."""
    found = [one.is_shuffled for one in case.run.splits if n_rows in one.n_out]
    return (bool(found) and found[-1] is False) or any(
        one.part.startswith(("time:", "group:")) for one in case.overlaps
    )


def _compare(a: Mapping[str, Any], b: Mapping[str, Any] | None, at: Mapping[str, float]) -> bool:
    """Whether two columns were counted between the same deciles: of many values, none of them very frequent."""
    edges, counts, others = a.get("edges"), a.get("counts"), (b or {}).get("counts")
    if not isinstance(edges, list) or not isinstance(counts, list) or not isinstance(others, list):
        return False
    if (b or {}).get("edges") != edges or len(counts) != len(others):
        return False
    if min(sum(counts), sum(others)) < at["rows"] or (number_of(a, "distinct") or 0) < at["distinct"]:
        return False
    return bool(max(counts) <= 0.2 * sum(counts))


def _drift(a: Mapping[str, Any], b: Mapping[str, Any], p: float, at: Mapping[str, float]) -> float:
    """The stability index of two columns if they differ; 0 if chance explains it."""
    found, df = two_sample_chi2(a["counts"], b["counts"])
    index = psi(a["counts"], b["counts"])
    return index if index >= at["psi"] and found > chi2_critical(df, p) else 0.0


CHECK = Check(
    id="split.drift",
    title="a feature differs between splits",
    rule="of columns with 50 distinct values in 100 rows or more: chi-square of the deciles at 1e-3 over the number of "
    "columns, and a stability index of 0.1: warn; info if the split is by time, by groups or in order, "
    "if columns are called lags, or if classes were evened in the training data alone",
    source="Yurdakul & Naranjo 2020, who show that the index alone alarms on clean splits of a few hundred rows",
    needs="columns of both, counted between the deciles of the training data",
    levels=(INFO, WARN),
    why="The model is judged on rows of another kind than it was trained on.",
    advice="ask where the rows come from; shuffle before you split, unless the parts are meant to differ, as in time",
    triggers="training data of one hospital, test data of another",
    is_silent="a random split of 20 columns",
    limits="columns of few values; columns that change together and not alone",
    thresholds={"p": 1e-3, "psi": 0.1, "rows": 100, "distinct": 50},
    judge=_judge,
    version="3",
)
