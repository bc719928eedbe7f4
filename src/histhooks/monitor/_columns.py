"""Judge the columns of one window against the training data, by chance tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from histhooks.checks._statistics import chi2_critical, psi, two_sample_chi2
from histhooks.monitor._statistics import beyond_range, poisson_tail, pooled, two_shares
from histhooks.monitor._types import Signal

ALPHA = 1e-3  # over all columns
PSI_WATCH, PSI_ACT = 0.1, 0.25
MISSING, MISSING_Z, MISSING_ACT = 0.05, 4.0, 0.25
RARE, RARE_ACT = 0.01, 0.1  # shares out of range, or of categories that the training did not have
LEAST_ROWS = 100

Tally = Mapping[str, Any]


def judged(
    trained: Sequence[Mapping[str, Any]], tallies: Mapping[int, Tally], limits: Mapping[int, float]
) -> tuple[list[Signal], dict[str, float]]:
    """The signals of one window, the worst first, and the stability index of each column.

    Parameters
    ----------
    trained : sequence of mapping
        `position`, `name` and `facts` of each column of the training data.
    tallies : mapping of int to mapping
        Counts of the window by position.
    limits : mapping of int to float
        Above which index a column is watched, where that is not 0.1: of a baseline that a person accepted.
    """
    here = [(one, tallies[one["position"]]) for one in trained if one["position"] in tallies]
    alpha = ALPHA / max(1, len(here))
    signals, indices = list[Signal](), dict[str, float]()
    for column, tally in here:
        facts, name = column["facts"], str(column["name"] if column["name"] is not None else column["position"])
        found = _drift(name, facts, tally, alpha, limits.get(column["position"], PSI_WATCH), indices)
        found += _missing(name, facts, tally)
        found += _outside(name, facts, tally, alpha) + _unseen(name, facts, tally, alpha) + _absent(name, tally)
        signals += found
    return sorted(signals, key=_weight, reverse=True), indices


def _weight(signal: Signal) -> tuple[bool, bool, float]:
    return signal.level == "act", signal.kind == "drift", signal.psi if signal.psi is not None else signal.share or 0.0


def rows_in(tally: Tally) -> int:
    """How many rows of a column were counted, missing ones too."""
    counted = sum(tally.get("counts") or ()) + tally.get("unseen", 0)
    return int(counted + tally.get("missing", 0) + tally.get("infinite", 0))


def counts_of(facts: Mapping[str, Any]) -> list[int]:
    """The counts of a column of the training data, between its deciles or by its categories."""
    if "categories" in facts:
        return [count for _, count in facts["categories"]]
    return list(facts.get("counts") or ())


def _drift(
    name: str, facts: Mapping[str, Any], tally: Tally, alpha: float, limit: float, indices: dict[str, float]
) -> list[Signal]:
    trained, seen = counts_of(facts), list(tally.get("counts") or ())
    if len(trained) != len(seen) or len(seen) < 2 or sum(seen) < LEAST_ROWS or not sum(trained):
        return []
    index = indices[name] = psi(*pooled(trained, seen)) if "categories" in facts else psi(trained, seen)
    chi2, df = two_sample_chi2(*pooled(trained, seen))
    critical = chi2_critical(df, alpha)
    if index < limit or chi2 <= critical:
        return []
    level = "act" if index >= max(PSI_ACT, limit + PSI_ACT - PSI_WATCH) else "watch"
    return [Signal(name, "drift", level, sum(seen), psi=index, chi2=chi2, critical=critical)]


def _missing(name: str, facts: Mapping[str, Any], tally: Tally) -> list[Signal]:
    n, m = facts.get("count", 0) + facts.get("missing", 0), rows_in(tally)
    if not n or m < LEAST_ROWS:
        return []
    before, now = facts.get("missing", 0) / n, tally.get("missing", 0) / m
    z = two_shares(facts.get("missing", 0), n, tally.get("missing", 0), m)
    if abs(now - before) < MISSING or abs(z) < MISSING_Z:
        return []
    level = "act" if abs(now - before) >= MISSING_ACT else "watch"
    return [Signal(name, "missing", level, m, share=now, expected=before)]


def _outside(name: str, facts: Mapping[str, Any], tally: Tally, alpha: float) -> list[Signal]:
    k = tally.get("outside", 0)
    m = sum(tally.get("counts") or ())
    n = facts.get("count", 0) - facts.get("infinite", 0)
    if m < LEAST_ROWS or k < RARE * m or beyond_range(n, m, k) > alpha:
        return []
    return [Signal(name, "outside", "act" if k >= RARE_ACT * m else "watch", m, share=k / m, expected=0.0)]


def _unseen(name: str, facts: Mapping[str, Any], tally: Tally, alpha: float) -> list[Signal]:
    k = tally.get("unseen", 0)
    m = k + sum(tally.get("counts") or ())
    if m < LEAST_ROWS or k < RARE * m:
        return []
    # What was seen once says how much was never seen (Good 1953).
    once = sum(count == 1 for _, count in facts.get("categories") or ())
    n = max(1, facts.get("count", 1))
    if poisson_tail(m * (once + 1) / n, k) > alpha:
        return []
    return [Signal(name, "unseen", "act" if k >= RARE_ACT * m else "watch", m, share=k / m, expected=once / n)]


def _absent(name: str, tally: Tally) -> list[Signal]:
    k = tally.get("absent", 0)
    m = k + rows_in(tally)
    if m < LEAST_ROWS or k < RARE * m:
        return []
    return [Signal(name, "absent", "act" if k >= RARE_ACT * m else "watch", m, share=k / m, expected=0.0)]
