"""HTML for notebooks, without style sheets or scripts, since notebooks strip both from untrusted output.

A notebook asks for ``_repr_html_`` (https://ipython.readthedocs.io/en/stable/config/integrating.html). Everything that
comes from a program is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import singledispatch
from html import escape
from typing import Any

from histhooks._base.ids import short_id
from histhooks._base.text import number, seconds, value_text, when
from histhooks._base.vocabulary import GRADES
from histhooks._views.spark import spark_svg
from histhooks.history import History
from histhooks.history._ranking import best_of, main_of
from histhooks.history._records import RunRecord, Runs
from histhooks.history.compare.comparison import Column, Comparison
from histhooks.history.compare.differences import Differences
from histhooks.history.curves.thinning import find_series, thin

_MOST_METRICS = 20
_MOST_RUNS = 20
_MOST_CHANGES = 100
_POINTS = 120
_COLOURS = {"good": "#2e7d32", "going": "#0277bd", "failure": "#c62828", "bad": "#c62828", "doubtful": "#b26a00"}
_CELL = "text-align:left;padding:2px 12px 2px 0;border:0"
_DIM = "opacity:.65"


@singledispatch
def html(shown: Any) -> str:
    """HTML of what a reader gives: a run, runs, differences, a comparison, a history."""
    raise TypeError(f"a notebook has no picture of {type(shown).__name__}")


@html.register(RunRecord)
def run_html(run: RunRecord) -> str:
    """One run: what it is, how it ended, its params, and each metric with its curve."""
    facts = " · ".join(
        escape(text)
        for text in (
            run.kind,
            " ".join(filter(None, [run.framework, run.framework_version])),
            when(run.started_at),
            seconds(run.duration_s) if run.duration_s is not None else "",
            run.id,
        )
        if text
    )
    parts = [
        f"<div><strong>{escape(run.name)}</strong> {_status(run.status)} <span style='{_DIM}'>{facts}</span></div>"
    ]
    if run.error_type:
        parts.append(f"<div style='color:#c62828'>{escape(f'{run.error_type}: {run.error_message or str()}')}</div>")
    params = [(key, value_text(value)) for key, value in run.chosen.items()]
    if params:
        rows = _rows([escape(key), f"<code>{escape(text)}</code>"] for key, text in params)
        parts.append(f"<details><summary>{len(params)} chosen params</summary><table>{rows}</table></details>")
    summaries = run.summaries
    if summaries:
        rows = _rows(_metric(run, summary) for summary in summaries[:_MOST_METRICS])
        head = _rows([["metric", "last", "best", "at step", "points", "curve"]], "th")
        parts.append(f"<table>{head}{rows}</table>")
    if len(summaries) > _MOST_METRICS:
        parts.append(f"<div style='{_DIM}'>and {len(summaries) - _MOST_METRICS} more metrics</div>")
    return f"<div>{''.join(parts)}</div>"


@html.register(Runs)
def runs_html(runs: Sequence[RunRecord], note: str = "") -> str:
    """Runs, a line each."""
    head = _rows([["run", "name", "kind", "status", "started", "took", "metric", "curve"]], "th")
    rows = _rows(_line(run) for run in runs[:_MOST_RUNS])
    hidden = f"and {len(runs) - _MOST_RUNS} more" if len(runs) > _MOST_RUNS else ""
    foot = " · ".join(filter(None, [hidden, escape(note)]))
    return f"<div><table>{head}{rows}</table><div style='{_DIM}'>{foot}</div></div>"


@html.register(Differences)
def differences_html(found: Differences) -> str:
    """What differs, a line each, and what is the same."""
    both = zip("AB", (found.a, found.b))
    heads = [f"{name}: {escape(run['name'])} <code>{short_id(run['id'])}</code>" for name, run in both]
    head = _rows([["part", "what", *heads]], "th")
    changes = [(part.name, change) for part in found.parts for change in part.changes]
    rows = _rows(
        [
            escape(part),
            escape(change.key),
            escape(value_text(change.a, 60)) if change.is_in_a else "",
            escape(value_text(change.b, 60)) if change.is_in_b else "",
        ]
        for part, change in changes[:_MOST_CHANGES]
    )
    unknown = [f"cannot tell: {part.name}: {why}" for part in found.parts for why in part.unknown]
    more = [f"and {len(changes) - _MOST_CHANGES} more"] if len(changes) > _MOST_CHANGES else []
    foot = "<br>".join(map(escape, [*more, *unknown, f"same: {', '.join(found.same)}" if found.same else ""]))
    return f"<div><table>{head}{rows}</table><div style='{_DIM}'>{foot}</div></div>"


@html.register(Comparison)
def comparison_html(found: Comparison) -> str:
    """Runs side by side, a line each; the best of a metric is bold."""
    head = _rows([["run", "name", *(escape(column.title) for column in found.columns)]], "th")

    def cell(column: Column, place: int) -> str:
        value = column.values[place]
        text = number(value) if isinstance(value, float) else value_text(value, 40)
        shown = "" if column.missing[place] else escape(text)
        return f"<strong>{shown}</strong>" if place in column.best else shown

    rows = _rows(
        [f"<code>{short_id(run['id'])}</code>", escape(run["name"]), *(cell(column, n) for column in found.columns)]
        for n, run in enumerate(found.runs)
    )
    foot = escape(f"same: {', '.join(found.same)}" if found.same else "")
    return f"<div><table>{head}{rows}</table><div style='{_DIM}'>{foot}</div></div>"


@html.register(History)
def history_html(history: History) -> str:
    """The latest outer runs of a store."""
    total = history.table(limit=0, is_complete=True).total
    outer = history.runs(is_nested=False, limit=_MOST_RUNS)
    return runs_html(outer, f"{total} outer runs in {history.path}")


def _line(run: RunRecord) -> list[str]:
    chosen = _telling(run)
    metric, curve = ("", "") if chosen is None else (_metric_text(run, chosen), _curve(run, chosen["name"]))
    cells = [f"<code>{short_id(run.id)}</code>", escape(run.name), escape(run.kind), _status(run.status)]
    return [*cells, escape(when(run.started_at)), escape(seconds(run.duration_s)), metric, curve]


def _telling(run: RunRecord) -> Mapping[str, Any] | None:
    """The summary of the metric that ranks a run."""
    return main_of(run.summaries, run.main_metric)


def _metric_text(run: RunRecord, summary: Mapping[str, Any]) -> str:
    best = best_of(run, summary)
    told = summary["last_special"] or number(summary["last"]) if best is None else number(best.value)
    return f"{told} {escape(summary['name'])}"


def _metric(run: RunRecord, summary: dict[str, Any]) -> list[str]:
    best = best_of(run, summary)
    last = summary["last_special"] or number(summary["last"])
    value, step = (None, None) if best is None else best[:2]
    cells = [summary["name"], last, number(value), number(step), str(summary["count"])]
    return [*map(escape, cells), _curve(run, summary["name"])]


def _curve(run: RunRecord, name: str) -> str:
    history = run.history
    points = thin(history, find_series(history, run.id, name), _POINTS)
    return spark_svg([point.value for point in points], title=name) if len(points) > 1 else ""


def _status(word: str) -> str:
    return f"<span style='color:{_COLOURS[GRADES.get(word, 'doubtful')]}'>{escape(word)}</span>"


def _rows(rows: Iterable[Sequence[str]], tag: str = "td") -> str:
    return "".join("<tr>" + "".join(f"<{tag} style='{_CELL}'>{cell}</{tag}>" for cell in row) + "</tr>" for row in rows)
