"""What a run came to: the metric that ranks it, with its best and its last value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from histhooks.history._ranking import best_value
from histhooks.history.query.run_query import results_of, summaries_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_SPLITS = ("valid", "test", "train")
_SCORES = ("best_score", "mean_test_score")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value that ranks a run.

    Attributes
    ----------
    name : str
        Of the metric or the result.
    direction : int
        1 where more is better, -1 where less is, 0 where nobody knows.
    best, last : float or None
        None where there is none; there is no best where the direction is unknown.
    special : str or None
        The last value where it is not finite.
    """

    name: str
    direction: int
    best: float | None
    last: float | None
    special: str | None = None


def outcome(
    main_metric: str | None,
    summaries: Iterable[Mapping[str, Any]],
    results: Mapping[str, Any],
    wanted: str | None = None,
) -> Outcome | None:
    """Choose what ranks a run: the metric that was named, its main one, a search's score, a validation metric, a loss.

    Parameters
    ----------
    main_metric : str or None
    summaries : iterable of mapping
        Rows of `metric_summaries`.
    results : mapping
    wanted : str, optional
        The metric to show whatever ranks it.
    """
    found = {row["name"]: row for row in summaries}
    if wanted is not None:
        return _of(found[wanted]) if wanted in found else None
    if main_metric in found:
        return _of(found[main_metric])
    for name in _SCORES:
        if isinstance(results.get(name), (int, float)):
            return Outcome(name, 1, float(results[name]), None)
    own = [row for row in found.values() if row["split"] != "system" and row["name"].partition("/")[0] != "lr"]
    # What a model scores on the data that it was fitted to says how well it remembers.
    own = [row for row in own if row["metric"] != "score" or row["split"] in ("valid", "test")]
    chosen = min(own, key=_claim, default=None)
    if chosen is not None:
        return _of(chosen)
    if isinstance(results.get("n_iter"), (int, float)):
        return Outcome("n_iter", 0, None, float(results["n_iter"]))
    return None


def _claim(row: Mapping[str, Any]) -> tuple[int, bool, bool]:
    """The least ranks a run: validation before test before training before what nobody said, then what has a direction,
    then a loss; the first that was logged of several."""
    place = _SPLITS.index(row["split"]) if row["split"] in _SPLITS else len(_SPLITS)
    return place, not row["direction"], "loss" not in row["metric"]


def _of(row: Mapping[str, Any]) -> Outcome:
    best = {1: row["max"], -1: row["min"], 0: None}[row["direction"]]
    return Outcome(row["name"], row["direction"], best, row["last"], row["last_special"])


def outcomes_of(
    history: Reader, runs: Mapping[str, str | None], wanted: str | None = None
) -> dict[str, Outcome | None]:
    """The outcomes of some runs, given by id with their main metric; two queries for all of them."""
    summaries, results = summaries_of(history, runs), results_of(history, runs)
    return {
        i: _ranked(history, i, outcome(main, summaries.get(i, ()), results.get(i, {}), wanted), summaries.get(i, ()))
        for i, main in runs.items()
    }


def _ranked(
    history: Reader, run_id: str, found: Outcome | None, summaries: Iterable[Mapping[str, Any]]
) -> Outcome | None:
    """With its best by the rule for all: of minibatches a mean."""
    row = next((row for row in summaries if found is not None and row["name"] == found.name), None)
    best = None if row is None or found is None else best_value(history, run_id, row)
    return found if best is None or found is None else replace(found, best=best.value)


def best_of(found: Mapping[str, Outcome | None], name: str) -> str | None:
    """The id of the run with the best value of a metric; None where nobody can tell."""
    ranked = {
        i: one.best * one.direction
        for i, one in found.items()
        if one is not None and one.name == name and one.best is not None and one.direction
    }
    return max(ranked, key=lambda i: ranked[i]) if ranked else None
