"""A list of runs as plain rows, as a DataFrame, and as a few lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks._base.text import number, seconds, when
from histhooks.errors import HisthooksError
from histhooks.history._ranking import outcomes_of, value_of
from histhooks.history.query.run_query import params_of, results_of, summaries_of, tags_of

if TYPE_CHECKING:
    from histhooks.history._ranking import Outcome
    from histhooks.history._reader import Reader
    from histhooks.history._run_rows import RunRows

FIRST = (
    "id name project group kind framework model_class status started_at ended_at duration_s epochs_done steps_done "
    "parent_id error_type metric best last".split()
)
_GROUPS = ("metrics.", "params.", "results.", "tags.")
_MOST_SHOWN = 20


def rows_of_runs(runs: Sequence[RunRows]) -> list[dict[str, Any]]:
    """A dict for each run, in their order, with the same keys for all; see :meth:`Runs.rows`."""
    found = {id(run): row for part in _by_history(runs) for run, row in _rows(part)}
    rows = [found[id(run)] for run in runs]
    names = columns_of(rows)
    return [{name: row.get(name) for name in names} for row in rows]


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names in some rows: what each run has first, then metrics, params, results and tags."""
    names = dict.fromkeys([*FIRST, *(name for row in rows for name in row)])
    order = {group: place for place, group in enumerate(_GROUPS, 1)}
    return sorted(names, key=lambda name: 0 if name in FIRST else order[name.partition(".")[0] + "."])


def _by_history(runs: Iterable[RunRows]) -> list[list[RunRows]]:
    parts: dict[int, list[RunRows]] = {}
    for run in runs:
        parts.setdefault(id(run.history), []).append(run)
    return list(parts.values())


def _rows(runs: Sequence[RunRows]) -> Iterable[tuple[RunRows, dict[str, Any]]]:
    history, ids = runs[0].history, [run.id for run in runs]
    summaries, outcomes = summaries_of(history, ids), _outcomes(history, runs)
    params, results, tags = params_of(history, ids), results_of(history, ids), tags_of(history, ids)
    for run in runs:
        row = {name: run.row.get(name) for name in FIRST if name in run.row}
        row |= {"group": run.row["group_name"], "status": run.status, "duration_s": run.duration_s}
        ranked = outcomes[run.id]
        if ranked is not None:
            row |= {"metric": ranked.name, "best": ranked.best, "last": ranked.last}
        for summary in summaries.get(run.id, ()):
            if summary["split"] != "system":
                row[f"metrics.{summary['name']}"] = value_of(run, summary)
        row |= {f"params.{key}": value for key, value in params.get(run.id, {}).items()}
        row |= {f"results.{key}": value for key, value in results.get(run.id, {}).items()}
        row |= {f"tags.{key}": value for key, value in tags.get(run.id, {}).items()}
        yield run, row


def _outcomes(history: Reader, runs: Iterable[RunRows]) -> dict[str, Outcome | None]:
    return outcomes_of(history, {run.id: run.row["main_metric"] for run in runs})


def text_of_runs(runs: Sequence[RunRows]) -> str:
    """Some runs in a Python shell: a line each, as many as fit a screen."""
    head = [f"<{len(runs)} run{'s' if len(runs) != 1 else ''}>"]
    shown = runs[:_MOST_SHOWN]
    try:
        ranked = {i: one for part in _by_history(shown) for i, one in _outcomes(part[0].history, part).items()}
    except HisthooksError:  # the store is gone or closed, and a repr() says what it can
        ranked = {}
    lines = [_line(run, ranked.get(run.id)) for run in shown]
    widths = [max(map(len, column)) for column in zip(*lines)]
    table = ["  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    more = [f"  and {len(runs) - len(shown)} more"] if len(runs) > len(shown) else []
    return "\n".join([*head, *table, *more])


def _line(run: RunRows, ranked: Outcome | None) -> list[str]:
    value = None if ranked is None else ranked.last if ranked.best is None else ranked.best
    told = "" if ranked is None else f"{ranked.name} {number(value)}"
    name = run.name if len(run.name) <= 32 else run.name[:31] + "…"
    return [short_id(run.id), name, run.kind, run.status, when(run.row["started_at"]), _took(run), told]


def _took(run: RunRows) -> str:
    seconds_told = run.row["duration_s"]
    return "" if seconds_told is None else seconds(seconds_told)
