"""Windows as they were recorded, added up over spans of time: those of all workers are one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from histhooks._base.tallies import add, add_columns

if TYPE_CHECKING:
    from histhooks._store.model_rows import Ask

_COLUMNS = (
    "id, session_id, version_id, sha256, started_at, ended_at, n_calls, n_rows, n_errors, latency, columns, outputs, "
    "source, time"
)
DEFAULT_SPAN_S = 86400.0  # of a window of a file that was recorded without its span


@dataclass(slots=True)
class Gathered:
    """One span of time of one version.

    Attributes
    ----------
    begins, ends : float, seconds
        Of the epoch: of the rows, not of the span.
    version_id : str or None
    source : str
    columns : dict of int to dict
        Counts by position.
    outputs, latency, histograms : dict
    sums : dict
        By metric.
    sessions : set of str
    """

    begins: float
    ends: float
    version_id: str | None
    source: str
    n_calls: int = 0
    n_rows: int = 0
    n_errors: int = 0
    columns: dict[int, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    latency: dict[str, int] = field(default_factory=dict)
    histograms: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)

    @property
    def n_counted(self) -> int:
        """Rows that were predicted, or of which there are labels alone."""
        return self.n_rows


def seconds_of(text: str) -> float:
    """A moment of a column `…_at` in seconds of the epoch."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def gathered(
    ask: Ask,
    model: str,
    *,
    window_s: float,
    since: str | None = None,
    until: str | None = None,
    version_id: str | None = None,
    ids: Iterable[str] | None = None,
) -> list[Gathered]:
    """Windows of a model over spans of time, the oldest first.

    Parameters
    ----------
    ask : callable
    model : str
    window_s : float, seconds
    since, until : str, optional
        As the columns `…_at` say it.
    version_id : str, optional
    ids : iterable of str, optional
        These windows alone.
    """
    sql, values = f"SELECT {_COLUMNS} FROM windows WHERE model = ?", [model]
    for text, value in ((" AND started_at >= ?", since), (" AND started_at < ?", until),
                        (" AND version_id = ?", version_id)):  # fmt: skip
        if value is not None:
            sql, values = sql + text, [*values, value]
    rows = ask(f"{sql} ORDER BY started_at, id", *values)
    if ids is not None:
        wanted = set(ids)
        rows = [row for row in rows if row["id"] in wanted]
    else:
        rows = _counted_last(rows)
    found: dict[tuple[int, str | None, str], Gathered] = {}
    place: dict[str, Gathered] = {}
    for row in rows:
        begins = seconds_of(row["started_at"])
        key = (int(begins // window_s), row["version_id"], row["source"])
        ends = seconds_of(row["ended_at"] or row["started_at"])
        one = found.setdefault(key, Gathered(begins, ends, row["version_id"], row["source"]))
        _take(one, row, begins, ends)
        place[row["id"]] = one
    for row in _metrics(ask, model, since):
        if row["window_id"] in place:
            _score(place[row["window_id"]], row)
    return [found[key] for key in sorted(found, key=lambda key: (key[0], found[key].begins))]


def _counted_last(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Windows without those of a file that was counted again since, in windows of another span."""
    origins: dict[str, tuple[Any, float]] = {}
    last: dict[Any, tuple[int, float]] = {}
    for row in rows:
        if row["source"] == "file":
            outputs = json.loads(row["outputs"] or "{}")
            key, span_s = (row["version_id"], outputs.get("file")), outputs.get("span", DEFAULT_SPAN_S)
            origins[row["id"]] = key, span_s
            last[key] = max(last.get(key, (0, span_s)), (row["time"], span_s))
    return [row for row in rows if row["id"] not in origins or last[origins[row["id"]][0]][1] == origins[row["id"]][1]]


def _metrics(ask: Ask, model: str, since: str | None) -> list[dict[str, Any]]:
    sql = (
        "SELECT m.window_id, m.metric, m.sum, m.count, m.n_late, m.delay_s FROM window_metrics AS m "
        "JOIN windows AS w ON w.id = m.window_id WHERE w.model = ? AND w.started_at >= ?"
    )
    return ask(sql, model, since or "")


def _take(one: Gathered, row: Mapping[str, Any], begins: float, ends: float) -> None:
    one.begins, one.ends = min(one.begins, begins), max(one.ends, ends)
    one.n_calls += row["n_calls"]
    one.n_rows += row["n_rows"]
    one.n_errors += row["n_errors"] or 0
    one.sessions.add(row["session_id"])
    add_columns(one.columns, json.loads(row["columns"] or "[]"))
    outputs = json.loads(row["outputs"] or "{}")
    add(one.histograms, outputs.pop("by_class", {}))
    outputs.pop("file", None)
    outputs.pop("span", None)
    add(one.outputs, outputs)
    add(one.latency, json.loads(row["latency"] or "{}"))


def _score(one: Gathered, row: Mapping[str, Any]) -> None:
    facts = one.sums.setdefault(row["metric"], {"sum": 0.0, "count": 0, "n_late": 0, "delays": 0.0, "delay_s": None})
    facts["sum"] += row["sum"] or 0.0
    facts["count"] += row["count"]
    facts["n_late"] += row["n_late"] or 0
    if row["delay_s"] is not None and facts["count"]:
        facts["delays"] += row["delay_s"] * row["count"]
        facts["delay_s"] = facts["delays"] / facts["count"]


def quantile_us(latency: Mapping[str, int], share: float) -> int | None:
    """The power of two microseconds below which a share of the calls lies."""
    cells = sorted((int(power), n) for power, n in latency.items())
    wanted, done = share * sum(n for _, n in cells), 0
    for power, n in cells:
        done += n
        if done >= wanted:
            return power * 2
    return None
