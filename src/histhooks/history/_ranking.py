"""One rule for the best value of a metric: of a series of minibatches it is a mean, never the luckiest of them.

- Where points carry epochs and an epoch has several of them (of training data two, of any other eight on average), the
  best is the best mean of an epoch.
- In a loop of PyTorch without epochs, a series of training data of 20 points and more is cut into ten parts; the best
  is the best mean of a part. So it is, with 1,024 points a part, in a series of more than 20,000 points, whose epochs
  are not read one by one.
- Anywhere else the best is the best point.

Points that are not finite take no part in a mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_SEVERAL, _MANY = 2, 8
_FROM, _PARTS = 20, 10
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
    """The best point of a metric; None where nobody knows which way is better, or no value is finite."""
    key = {1: "max", -1: "min"}.get(summary["direction"])
    if key is None or summary[key] is None:
        return None
    return Best(summary[key], summary[f"{key}_step"])


def best_value(history: Reader, run_id: str, summary: Mapping[str, Any]) -> Best | None:
    """The best value of a metric by the rule above; None where there is none.

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
    if summary["split"] == "system" or count < _SEVERAL:
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
        if count < n_epochs * (_SEVERAL if is_train else _MANY):
            return None
    elif not is_train or kind != "loop" or framework != "torch" or count < _FROM:
        return None
    sign = summary["direction"]
    if count > _LONG:
        sql = "SELECT NULL, last_step, mean FROM rollups WHERE series = ? AND level = ? AND mean IS NOT NULL"
        return _best_of(history, sign, "part", sql, series, _LEVEL)
    columns = "max(coalesce(step, n)), avg(value) FROM points WHERE series = ? AND value IS NOT NULL"
    if epoch is not None:
        sql = f"SELECT epoch, {columns} AND epoch IS NOT NULL GROUP BY epoch"
        return _best_of(history, sign, "epoch", sql, series)
    return _best_of(history, sign, "part", f"SELECT NULL, {columns} GROUP BY n * {_PARTS} / ?", series, count)


def _best_of(history: Reader, sign: int, mean_of: str, sql: str, *values: Any) -> Best | None:
    found = [(mean, step, epoch) for epoch, step, mean in history.cursor(sql, *values)]
    if not found:
        return None
    mean, step, epoch = max(found, key=lambda each: each[0] * sign)
    return Best(mean, step, mean_of, epoch)
