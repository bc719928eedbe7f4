"""A list of runs for programs: as plain values and as CSV, with what is known of each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histhooks.history._ranking import best_of
from histhooks.history.query.run_query import params_of, results_of, summaries_of, tags_of

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history._run_rows import RunRows
    from histhooks.history.query.search import Found

_COLUMNS = (
    "id", "name", "project", "group_name", "kind", "framework", "model_class", "status", "started_at", "ended_at",
    "duration_s", "parent_id", "error_type",
)  # fmt: skip


_LEVELS = ("fail", "warn")
Risks = Callable[[str], Mapping[str, int]]  # how many checks found something in a run, by level


def as_json(history: Reader, found: Sequence[RunRows], risks: Risks | None = None) -> list[dict[str, Any]]:
    """The rows of runs, each with its metrics, params, results and tags, and what checks found if they are asked."""
    ids = [run.id for run in found]
    summaries, params = summaries_of(history, ids), params_of(history, ids)
    results, tags = results_of(history, ids), tags_of(history, ids)
    return [
        {
            **run.row, "status": run.status, "metrics": summaries.get(run.id, []), "params": params.get(run.id, {}),
            "results": results.get(run.id, {}), "tags": tags.get(run.id, {}),
            **({} if risks is None else {"risks": _counts(risks(run.id))}),
        }
        for run in found
    ]  # fmt: skip


def as_csv(
    history: Reader,
    found: Sequence[RunRows],
    guard: Callable[[Any], Any] = lambda cell: cell,
    risks: Risks | None = None,
) -> str:
    """A line for each run, with a column for each metric and param.

    Parameters
    ----------
    history : Reader
    found : sequence of RunRows
    guard : callable, optional
        Changes each cell, for readers that take a text for a formula.
    risks : callable, optional
        Asks the checks; two columns have how many found something.
    """
    ids = [run.id for run in found]
    summaries, params = summaries_of(history, ids), params_of(history, ids)
    metrics = list(dict.fromkeys(row["name"] for run in found for row in summaries.get(run.id, [])))
    keys = list(dict.fromkeys(key for run in found for key in params.get(run.id, {})))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    titles = [f"metrics.{name}.{stat}" for name in metrics for stat in ("best", "last")]
    levels = () if risks is None else _LEVELS
    own_titles = [*_COLUMNS, *(f"risks.{level}" for level in levels)]
    writer.writerow([guard(cell) for cell in [*own_titles, *titles, *(f"params.{key}" for key in keys)]])
    for run in found:
        rows = {row["name"]: row for row in summaries.get(run.id, [])}
        values: list[Any] = [run.status if column == "status" else run.row[column] for column in _COLUMNS]
        if risks is not None:
            counts = risks(run.id)
            values += [counts.get(level, 0) for level in levels]
        for name in metrics:
            row = rows.get(name)
            best = None if row is None else best_of(run, row)
            values += [
                None if best is None else best.value,
                None if row is None else row["last_special"] or row["last"],
            ]
        own = params.get(run.id, {})
        values += [own[key] if isinstance(own.get(key), (str, int, float)) else _json(own.get(key)) for key in keys]
        writer.writerow([guard(value) for value in values])
    return out.getvalue()


def _counts(found: Mapping[str, int]) -> dict[str, int]:
    return {level: found.get(level, 0) for level in _LEVELS}


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def hits_data(one: Found) -> dict[str, Any]:
    """A run with what was found in it, as `histhooks search --json` prints it."""
    columns = ("id", "name", "project", "kind", "started_at")
    return {
        **{column: one.run.row[column] for column in columns},
        "status": one.run.status,
        "hits": [{"where": hit.what, "text": hit.text} for hit in one.hits],
    }
