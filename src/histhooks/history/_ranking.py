"""Rank runs: the one rule for the metric that ranks a run, and for the best value of a metric.

The ranking metric is the one that was named; else the score of a search; else the first metric by split: validation,
test, training, unknown. Within a split, metrics with a known direction go before others, and among these a loss first.

The best value of a series of minibatches is a mean, never the luckiest minibatch:

- If points have epochs and an epoch has several of them (two of training data, or eight on average of any other), it is
  the best epoch mean. An epoch with less than half the points of the longest does not count: it was broken off, or has
  just begun.
- In a PyTorch loop without epochs, a training series of 20 points and more is cut into ten parts, and it is the best
  mean of a part. In a series of more than 20,000 points, whose epochs are not read one by one, a part has 1,024 points.
- Otherwise it is the best point.

Non-finite points are left out of a mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import TYPE_CHECKING, Any, NamedTuple

from histhooks.history._best_sql import FROM, MANY, SEVERAL
from histhooks.history.query.run_query import results_of, summaries_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history._run_rows import RunRows

_SPLITS = ("valid", "test", "train")
_SCORES = ("best_score", "mean_test_score")
_PARTS = 10
_LONG, _LEVEL = 20_000, 2


class Best(NamedTuple):
    """The best value of a metric.

    Attributes
    ----------
    value : float
    step : int or None
        0-based step at which it came first; of a mean, the last step of its points.
    mean_of : str or None
        `epoch` or `part` where it is a mean.
    epoch : int or None
        0-based epoch of a mean.
    """

    value: float
    step: int | None
    mean_of: str | None = None
    epoch: int | None = None


def best_point(summary: Mapping[str, Any]) -> Best | None:
    """The best point of a metric; None if nobody knows which way is better, or no value is finite."""
    key = {1: "max", -1: "min"}.get(summary["direction"])
    if key is None or summary[key] is None:
        return None
    return Best(summary[key], summary[f"{key}_step"])


def best_value(history: Reader, run_id: str, summary: Mapping[str, Any]) -> Best | None:
    """The best value of a metric by the rule above; None if there is none.

    Parameters
    ----------
    history : Reader
    run_id : str
    summary : mapping
        Its row of `metric_summaries`.
    """
    best = best_point(summary)
    if best is None:
        return None
    place = ("best", run_id, summary["name"], summary["count"])
    if place not in history.remembered:
        history.remembered[place] = _mean(history, run_id, summary) or best
    found: Best = history.remembered[place]
    return found


def _mean(history: Reader, run_id: str, summary: Mapping[str, Any]) -> Best | None:
    count, epoch, is_train = summary["count"], summary["last_epoch"], summary["split"] in ("train", None)
    if summary["split"] == "system" or count < SEVERAL:
        return None
    sql = "SELECT m.series, r.kind, r.framework FROM metric_summaries AS m JOIN runs AS r ON r.id = m.run_id "
    found = history.cursor(f"{sql} WHERE m.run_id = ? AND m.name = ?", run_id, summary["name"]).fetchone()
    if found is None:
        return None
    series, kind, framework = found
    if epoch is not None:
        sql = "SELECT epoch FROM points WHERE series = ? AND epoch IS NOT NULL ORDER BY n LIMIT 1"
        (first,) = history.cursor(sql, series).fetchone() or (epoch,)
        n_epochs = max(1, epoch - first + 1)
        if count < n_epochs * (SEVERAL if is_train else MANY):
            return None
    elif not is_train or kind != "loop" or framework != "torch" or count < FROM:
        return None
    sign = summary["direction"]
    if count > _LONG:
        sql = "SELECT NULL, last_step, mean FROM rollups WHERE series = ? AND level = ? AND mean IS NOT NULL"
        return _best_mean(history, sign, "part", sql, series, _LEVEL)
    columns = "max(coalesce(step, n)) AS step, avg(value) AS mean, count(*) AS n FROM points WHERE series = ?"
    if epoch is not None:
        sql = f"SELECT epoch, {columns} AND epoch IS NOT NULL GROUP BY epoch"
        whole = f"SELECT epoch, step, mean FROM (SELECT *, max(n) OVER () AS most FROM ({sql}))"
        whole += " WHERE 2 * n >= most ORDER BY epoch"
        return _best_mean(history, sign, "epoch", whole, series)
    parts = f"SELECT NULL, step, mean FROM (SELECT {columns} GROUP BY n * {_PARTS} / ?) ORDER BY step"
    return _best_mean(history, sign, "part", parts, series, count)


def _best_mean(history: Reader, sign: int, mean_of: str, sql: str, *values: Any) -> Best | None:
    found = [(mean, step, epoch) for epoch, step, mean in history.cursor(sql, *values) if mean is not None]
    if not found:
        return None
    mean, step, epoch = max(found, key=lambda each: each[0] * sign)
    return Best(mean, step, mean_of, epoch)


# --- the outcome of a run --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value that ranks a run.

    Attributes
    ----------
    name : str
        Of the metric or the result.
    direction : int
        1 if more is better, -1 if less is, 0 if unknown.
    best, last : float or None
        None if there is none; there is no best where the direction is unknown.
    special : str or None
        The last value where it is not finite.
    mean_of : str or None
        `epoch` or `part` where `best` is a mean.
    """

    name: str
    direction: int
    best: float | None
    last: float | None
    special: str | None = None
    mean_of: str | None = None


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
    return found if best is None or found is None else replace(found, best=best.value, mean_of=best.mean_of)


def leader_of(found: Mapping[str, Outcome | None], name: str) -> str | None:
    """The id of the run with the best value of a metric; None if unknown."""
    ranked = {
        i: one.best * one.direction
        for i, one in found.items()
        if one is not None and one.name == name and one.best is not None and one.direction
    }
    return max(ranked, key=lambda i: ranked[i]) if ranked else None


def best_of(run: RunRows, summary: Mapping[str, Any]) -> Best | None:
    """The best value of a metric of a run; None if its direction is unknown or no value is finite."""
    return best_value(run.history, run.id, summary)


def mean_of_folds(run: RunRows, summary: Mapping[str, Any]) -> float | None:
    """The mean of a metric whose points are folds, of which the best says nothing; None for other runs."""
    if run.kind not in ("candidate", "validate") or not summary["count"]:
        return None
    known = [point["value"] for point in run.metrics(summary["name"]) if point["value"] is not None]
    return fsum(known) / len(known) if known else None


def value_of(run: RunRows, summary: Mapping[str, Any]) -> float | None:
    """The value of a metric that tables show: the mean of folds, else the best, else the last."""
    mean = mean_of_folds(run, summary)
    if mean is not None:
        return mean
    best = best_of(run, summary)
    last: float | None = summary["last"]
    return last if best is None else best.value


def main_of(summaries: Sequence[Mapping[str, Any]], named: str | None = None) -> Mapping[str, Any] | None:
    """The row of the metric that ranks a run, the same for every verb; None if it has none.

    Parameters
    ----------
    summaries : sequence of mapping
        Rows of `metric_summaries`.
    named : str, optional
        Column `main_metric` of the run.
    """
    found = outcome(named, summaries, {})
    return next((row for row in summaries if found is not None and row["name"] == found.name), None)
