"""Runs by what they have in common: how many, how many failed, and the best, the mean and the spread of a metric."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks._base.vocabulary import UNFINISHED
from histhooks.errors import QueryError
from histhooks.history._ranking import outcomes_of
from histhooks.history.query.fields import Field
from histhooks.history.query.names import STATUS, Names, split
from histhooks.history.query.run_query import Query, order_of
from histhooks.history.query.writing import equal_to

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_SAMPLE = 200  # of runs, whose main metrics decide which one is shown
_COUNT = "count"
_GREAT = 1e150


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs that have the same values.

    Attributes
    ----------
    values : dict
        Their value by each name; None where they have none.
    count : int
        How many runs.
    failed : int
        How many of them ended otherwise than by finishing.
    statuses : dict
        How many ended in each way.
    metric : str or None
        What `best`, `mean` and `std` are of.
    direction : int
        1 if more is better, -1 if less is, 0 if unknown.
    measured : int
        How many of the runs have a finite value of it.
    best : float or None
        None if there is none, or if the direction is unknown.
    best_run : str or None
        The id of the run that has it, the latest of several.
    mean : float or None
    std : float or None
        The sample standard deviation; None of fewer than two.
    started_at : str
        When the latest of them began.
    where : str or None
        The condition that finds them; None if no expression can say it.
    """

    values: dict[str, Any]
    count: int
    failed: int
    statuses: dict[str, int]
    metric: str | None
    direction: int
    measured: int
    best: float | None
    best_run: str | None
    mean: float | None
    std: float | None
    started_at: str
    where: str | None


@dataclass(slots=True)
class _Members:
    """The runs of a group, the latest first."""

    values: list[Any]
    started_at: str
    statuses: Counter[str] = field(default_factory=Counter)
    measured: list[tuple[float, str]] = field(default_factory=list)


def groups_of(
    history: Reader, query: Query, names: Sequence[str], order_by: str | None, *, reverse: bool
) -> list[RunGroup]:
    """All groups of the runs that a query finds.

    Without an order the group with the best run comes first; of a metric whose direction is unknown, the newest.

    Raises
    ------
    QueryError
        If a name is unknown, has several values for a run, or is no order of groups.
    """
    known = Names(history)
    fields = [_field(known, name) for name in names]
    metric = _metric(history, query, known, order_by, names)
    value = known.resolve(*split(metric)) if metric is not None else None
    columns = [*(one.sql for one in fields), value.sql if value is not None else "NULL"]
    sql = (
        f"SELECT r.id, r.started_at, {STATUS}, {', '.join(columns)} FROM runs AS r{query.condition} "
        "ORDER BY r.started_at DESC, r.id DESC"
    )
    bound = [v for one in fields for v in one.values] + list(value.values if value is not None else ())
    found: dict[tuple[Any, ...], _Members] = {}
    for run_id, started_at, status, *told, measured in history.cursor(sql, *bound, *query.values):
        values = [_value(one, raw) for one, raw in zip(fields, told, strict=True)]
        key = tuple((isinstance(v, bool), v) if isinstance(v, (bool, int, float, str)) else repr(v) for v in values)
        members = found.setdefault(key, _Members(values, started_at))
        members.statuses[status] += 1
        if isinstance(measured, (int, float)) and math.isfinite(measured):
            members.measured.append((measured, run_id))
    direction = 0 if metric is None else _direction(history, metric)
    groups = [_group(names, fields, members, metric, direction) for members in found.values()]
    return _ordered(groups, names, order_by, reverse=reverse)


def _field(known: Names, name: str) -> Field:
    found = known.resolve(*split(name))
    if found.among is not None and found.among.is_several:
        raise QueryError(f"a run has several values of {name}; group by a column, a param, a result, a tag or a metric")
    return found


def _value(one: Field, raw: Any) -> Any:
    """What `=` compares: of params and tags a text that is a number counts as one, of a param `"true"` as true."""
    if raw is None or one.kind not in ("json", "tag"):
        return raw
    value = json.loads(raw) if one.kind == "json" else raw
    if isinstance(value, str):
        if one.kind == "json" and value.lower() in ("true", "false"):
            return value.lower() == "true"
        try:
            number = float(value)
        except ValueError:
            return value
        return number if math.isfinite(number) else value
    return value


def _metric(history: Reader, query: Query, known: Names, order_by: str | None, names: Sequence[str]) -> str | None:
    """What the groups show: the metric that they are sorted by, else the one that ranks most of the latest runs."""
    if order_by is not None:
        name = order_of(order_by)[0]
        if name not in (*names, _COUNT) and known.resolve(*split(name)).title.startswith("metric "):
            return name
    sql, values = query.select("r.id, r.main_metric", _SAMPLE)
    found = outcomes_of(history, dict(history.cursor(sql, *values)))
    counts = Counter(one.name for one in found.values() if one is not None and known.has("metrics", one.name))
    return counts.most_common(1)[0][0] if counts else None


def _direction(history: Reader, metric: str) -> int:
    name = Names(history).resolve(*split(metric)).title.removeprefix("metric ")
    sql = "SELECT direction FROM metric_summaries WHERE name = ? ORDER BY abs(direction) DESC LIMIT 1"
    (direction,) = history.cursor(sql, name).fetchone()
    return int(direction)


def _group(
    names: Sequence[str], fields: Sequence[Field], members: _Members, metric: str | None, direction: int
) -> RunGroup:
    numbers = [value for value, _ in members.measured]
    best = max(members.measured, key=lambda pair: pair[0] * direction) if numbers and direction else None
    conditions = [equal_to(*each) for each in zip(names, fields, members.values, strict=True)]
    said = [condition for condition in conditions if condition is not None]
    mean, std = _spread(numbers) if numbers else (None, None)
    return RunGroup(
        values=dict(zip(names, members.values, strict=True)),
        count=members.statuses.total(),
        failed=sum(members.statuses[status] for status in UNFINISHED),
        statuses=dict(members.statuses),
        metric=metric,
        direction=direction,
        measured=len(numbers),
        best=None if best is None else best[0],
        best_run=None if best is None else best[1],
        mean=mean,
        std=std,
        started_at=members.started_at,
        where=" and ".join(said) if len(said) == len(conditions) else None,
    )


def _spread(numbers: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation of the sample, which one number has not."""
    greatest = max(map(abs, numbers))
    scale = greatest if greatest > _GREAT else 1.0  # the sum and the squares of very great values are no floats
    scaled = [value / scale for value in numbers]
    mean = math.fsum(scaled) / len(scaled)
    if len(scaled) == 1:
        return mean * scale, None
    square = math.fsum((value - mean) ** 2 for value in scaled)
    return mean * scale, math.sqrt(square / (len(scaled) - 1)) * scale


def _ordered(groups: list[RunGroup], names: Sequence[str], order_by: str | None, *, reverse: bool) -> list[RunGroup]:
    groups.sort(key=lambda group: group.started_at, reverse=True)
    name, is_descending, is_plain = order_of(order_by) if order_by is not None else ("", True, False)
    key: list[Any]
    if name == _COUNT:
        key, is_best = [group.count for group in groups], False
    elif name in names:
        key, is_best = [group.values[name] for group in groups], False
    elif order_by is None or (groups and name == groups[0].metric):
        key, is_best = [group.best if group.direction else group.mean for group in groups], not is_plain
        if order_by is None and groups and not groups[0].direction:
            return groups[::-1] if reverse else groups
    elif not groups:
        return groups
    else:
        raise QueryError(f"groups are sorted by count, by a metric or by {', '.join(names)}, not by {name}")
    sign = groups[0].direction if groups and is_best and groups[0].direction else 1
    if sign < 0:
        is_descending = not is_descending
    pairs = list(zip(key, groups, strict=True))
    with_value = [pair for pair in pairs if pair[0] is not None]
    with_value.sort(key=lambda pair: _sortable(pair[0]), reverse=is_descending != reverse)
    return [group for _, group in with_value] + [group for value, group in pairs if value is None]


def _sortable(value: Any) -> tuple[int, Any]:
    """Numbers before texts, all else by how it is written."""
    if isinstance(value, (bool, int, float)):
        return 0, float(value)
    return 1, value if isinstance(value, str) else repr(value)
