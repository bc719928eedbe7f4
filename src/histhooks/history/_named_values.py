"""What runs have under names as `--where` knows them: for columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.values import loads
from histhooks.history._ranking import value_of
from histhooks.history._run_rows import RunRows
from histhooks.history.query.fields import Field
from histhooks.history.query.names import Names, split, step_of
from histhooks.history.query.run_query import rows_of, summaries_of, tags_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_AT_ONCE = 500
_AT = (
    "SELECT m.run_id AS id, m.direction, q.value, q.special FROM metric_summaries AS m JOIN points AS q "
    "ON q.series = m.series AND q.n = (SELECT o.n FROM points AS o WHERE o.series = m.series "
    "AND coalesce(o.step, o.n) = ? ORDER BY o.n DESC LIMIT 1) WHERE m.name = ? AND m.run_id IN {}"
)

_FIRST = (
    "SELECT m.run_id AS id, q.special FROM metric_summaries AS m JOIN points AS q ON q.series = m.series AND q.n = 0 "
    "WHERE m.name = ? AND m.run_id IN {}"
)


@dataclass(frozen=True, slots=True)
class Value:
    """What a run has under a name.

    Attributes
    ----------
    value : object
        As the store has it; a number that is not finite as `nan`, `inf` or `-inf`; None if there is none.
    direction : int
        Of a metric: 1 if more is better, -1 if less is, else 0.
    kind : str
        `column`, `metric`, `param`, `result` or `tag`.
    name : str
        Of a column, under which name a row of `runs` has it; else without prefix and statistic.
    """

    value: Any
    direction: int = 0
    kind: str = "column"
    name: str = ""


def values_under(history: Reader, ids: Sequence[str], names: Sequence[str]) -> dict[str, list[Value]]:
    """What runs have under names, in their order, with a query or two for each name.

    Parameters
    ----------
    history : Reader
    ids : sequence of str
    names : sequence of str
        As `--where` writes them, without quotes: `val_loss.at_120`, `params.lr`, `status`.

    Raises
    ------
    QueryError
        If no run has something of a name.
    """
    out: dict[str, list[Value]] = {run_id: [] for run_id in ids}
    if not names or not out:
        return out
    known = Names(history)
    fields = [known.resolve(*split(name)) for name in names]
    found = rows_of(history, "SELECT * FROM runs WHERE id IN {}", out)
    rows = {row["id"]: RunRows(history, row) for row in found}
    reader = _Values(history, rows)
    for field in fields:
        kind, _, name = field.title.partition(" ")
        values = reader.under(field, kind, name)
        for run_id, listed in out.items():
            listed.append(values.get(run_id) or Value(None, 0, kind, name))
    return out


class _Values:
    """Values of some runs; what several names share is read once."""

    def __init__(self, history: Reader, rows: dict[str, RunRows]) -> None:
        self._history, self._rows = history, rows
        self._summaries: dict[str, dict[str, dict[str, Any]]] | None = None
        self._tags: dict[str, dict[str, Any]] | None = None

    def under(self, field: Field, kind: str, name: str) -> dict[str, Value]:
        """By run; those that have none are left out."""
        if kind == "metric":
            step = step_of(field.stat)
            return self._of_metric(field, name) if step is None else self._at(name, step)
        if kind == "tag":
            if self._tags is None:
                self._tags = tags_of(self._history, self._rows)
            return {i: Value(tags[name], 0, kind, name) for i, tags in self._tags.items() if name in tags}
        own: dict[str, Callable[[RunRows], Any]] = {"status": lambda r: r.status, "duration_s": lambda r: r.duration_s}
        if kind == "column" and name in own:
            return {i: Value(own[name](row), 0, kind, name) for i, row in self._rows.items()}
        read = loads if field.kind == "json" else _as_it_is
        sql = f"SELECT r.id, {field.sql} AS value FROM runs AS r WHERE r.id IN {{}}"
        found = self._rows_of(sql, field.values)
        return {r["id"]: Value(read(r["value"]), 0, kind, name) for r in found if r["value"] is not None}

    def _rows_of(self, sql: str, values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
        ids = list(self._rows)
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            yield from self._history.sql(sql.format(f"({', '.join('?' * len(part))})"), *values, *part)

    def _at(self, name: str, step: int) -> dict[str, Value]:
        found = self._rows_of(_AT, (step, name))
        return {r["id"]: Value(r["special"] or r["value"], r["direction"], "metric", name) for r in found}

    def _of_metric(self, field: Field, name: str) -> dict[str, Value]:
        if self._summaries is None:
            found = summaries_of(self._history, self._rows)
            self._summaries = {i: {each["name"]: each for each in told} for i, told in found.items()}
        stat, out = field.stat, {}
        first = {r["id"]: r["special"] for r in self._rows_of(_FIRST, (name,))} if stat == "first" else {}
        for run_id, told in self._summaries.items():
            if (summary := told.get(name)) is None:
                continue
            value = value_of(self._rows[run_id], summary) if stat in ("", "best") else summary[stat]
            if stat == "best" and not summary["direction"]:
                value = None
            elif stat == "last" or (stat == "" and value is None):
                value = summary["last_special"] or value
            elif stat == "first":
                value = first[run_id] or value
            out[run_id] = Value(value, summary["direction"] if field.direction else 0, "metric", name)
        return out


def _as_it_is(value: Any) -> Any:
    return value
