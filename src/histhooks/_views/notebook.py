"""HTML for notebooks, without style sheets or scripts, since notebooks strip both from untrusted output.

A notebook asks for ``_repr_html_`` (https://ipython.readthedocs.io/en/stable/config/integrating.html). Everything that
comes from a program is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from html import escape
from typing import Any

from histhooks._base.ids import short_id
from histhooks._base.text import number, plain, seconds, value_text, when
from histhooks._views import check_words, markup, model_words
from histhooks._views import data_words as words_of
from histhooks._views.differing import differences
from histhooks._views.notebook_sides import comparison_html, differences_html
from histhooks._views.spark import spark_svg
from histhooks._views.timeline_words import changes as changes_of
from histhooks._views.timeline_words import gain as gain_of
from histhooks.checks._types import Verdict
from histhooks.history import History
from histhooks.history._models import Model
from histhooks.history._ranking import Outcome, best_of, main_of, outcomes_of
from histhooks.history._records import RunRecord, Runs
from histhooks.history._summaries import Summaries, Summary
from histhooks.history._table import rows_for
from histhooks.history.compare.comparison import Comparison
from histhooks.history.compare.differences import Differences
from histhooks.history.compare.timeline import Timeline, TimelineRow
from histhooks.history.curves.thinning import find_series, thin
from histhooks.history.data.comparison import DataComparison

_MOST_METRICS = 20
_MOST_RUNS = 20
_MOST_CHANGES = 100
_POINTS = 120


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
    parts = [f"<div><strong>{escape(run.name)}</strong> {markup.status(run.status)} {markup.dim(facts)}</div>"]
    if run.error_type:
        parts.append(
            f"<div style='color:{markup.BAD}'>{escape(f'{run.error_type}: {run.error_message or str()}')}</div>"
        )
    params = [(key, value_text(value)) for key, value in run.chosen.items()]
    if params:
        rows = markup.rows([escape(key), f"<code>{escape(text)}</code>"] for key, text in params)
        parts.append(f"<details><summary>{len(params)} chosen params</summary>{markup.table(rows)}</details>")
    summaries = run.summaries
    if summaries:
        rows = markup.rows(_metric(run, summary) for summary in summaries[:_MOST_METRICS])
        head = markup.rows([["metric", "last", "best", "at step", "points", "curve"]], "th")
        parts.append(f"{markup.table(head + rows)}")
    if len(summaries) > _MOST_METRICS:
        parts.append(f"<div style='{markup.DIM}'>and {len(summaries) - _MOST_METRICS} more metrics</div>")
    return f"<div>{''.join(parts)}</div>"


@html.register(Summaries)
def summaries_html(summaries: Sequence[Summary]) -> str:
    """The metrics of a run, a line each."""
    head = markup.rows([["metric", "last", "best", "at step", "points"]], "th")
    rows = markup.rows(
        [
            escape(text)
            for text in (
                one.name, one.last_special or number(one.last), number(one.best), number(one.best_step), str(one.count)
            )
        ]
        for one in summaries
    )  # fmt: skip
    return f"<div>{markup.table(head + rows)}</div>"


@html.register(Runs)
def runs_html(runs: Sequence[RunRecord], note: str = "") -> str:
    """Runs, a line each."""
    shown = runs[:_MOST_RUNS]
    told = _differing(shown)
    names = ["run", "name", "differs in", "kind", "status", "started", "took", "metric", "curve"]
    places = [n for n, name in enumerate(names) if name != "differs in" or any(told)]
    cells = [_line(run, words) for run, words in zip(shown, told, strict=True)]
    head = markup.rows([[names[n] for n in places]], "th")
    rows = markup.rows([line[n] for n in places] for line in cells)
    hidden = f"and {len(runs) - _MOST_RUNS} more" if len(runs) > _MOST_RUNS else ""
    foot = " · ".join(filter(None, [hidden, escape(note)]))
    return f"<div>{markup.table(head + rows)}<div style='{markup.DIM}'>{foot}</div></div>"


html.register(Differences)(differences_html)
html.register(Comparison)(comparison_html)


@html.register(Timeline)
def timeline_html(found: Timeline) -> str:
    """Runs in the order in which they began, a line each: what changed, and what it gained."""
    head = markup.rows([["started", "run", "name", "status", "metric", "value", "gain", "what changed"]], "th")
    colours = {"better": markup.GOOD, "worse": markup.BAD}

    def cells(row: TimelineRow) -> list[str]:
        gain = escape(gain_of(row))
        changes = "<br>".join(f"{markup.dim(escape(part))} {escape(text)}" for part, text in changes_of(row))
        value = "" if row.value is None else number(row.value)
        run = row.run
        shown = [when(run["started_at"]), f"<code>{short_id(run['id'])}</code>", escape(run["name"])]
        told = markup.coloured(gain, colours[row.verdict]) if row.verdict in colours else gain
        return [*shown, markup.status(run["status"]), escape(row.metric or ""), value, told, changes]

    return f"<div>{markup.table(head + markup.rows(cells(row) for row in found))}</div>"


@html.register(DataComparison)
def data_html(found: DataComparison) -> str:
    """How two data sets compare, a line for each part, and the columns that differ."""
    lines = [["A", words_of.side(found.a)], ["B", words_of.side(found.b)]]
    lines += [[one.part, words_of.answer(one, found)] for one in words_of.answers(found)]
    lines += [["shared rows", words_of.shared_rows(found.shared)]] if found.shared is not None else []
    lines += [["column", words_of.change(one)] for one in found.columns[:_MOST_CHANGES]]
    rows = markup.rows([f"<strong>{escape(label)}</strong>", escape(text)] for label, text in lines)
    hidden = len(found.columns) - _MOST_CHANGES
    foot = escape(f"and {hidden} more columns" if hidden > 0 else "")
    verdict = f"<div><strong>{escape(words_of.verdict(found))}</strong></div>"
    return f"<div>{markup.table(rows)}<div style='{markup.DIM}'>{foot}</div>{verdict}</div>"


@html.register(History)
def history_html(history: History) -> str:
    """The latest top-level runs of a store."""
    total = history.table(limit=0, is_complete=True).total
    outer = history.runs(is_nested=False, limit=_MOST_RUNS)
    return runs_html(outer, f"{total} top-level runs in {history.place}")


@html.register(Verdict)
def verdict_html(verdict: Verdict) -> str:
    """What checks found, the worst first, and how many found nothing."""
    run = verdict.run
    facts = escape(f"{run['kind']} · {run['status']} · {run['id']}")
    parts = [f"<div><strong>{escape(str(run['name']))}</strong> {markup.dim(facts)}</div>"]
    rows = [
        [
            _level(found.level),
            f"<code>{escape(found.id)}</code>",
            f"{escape(found.says)}<div style='{markup.DIM}'>{escape(found.why)}<br>→ {escape(found.advice)}</div>",
        ]
        for found in verdict.findings
    ]
    rows += [
        [_level("waived"), f"<code>{escape(found.id)}</code>", escape(f"{found.says}; {found.waived}")]
        for found in verdict.waived
    ]
    rows += [
        [_level("?"), f"<code>{escape(', '.join(ids))}</code>", escape(f"cannot tell: {why} → {advice}")]
        for why, ids, advice in check_words.grouped(verdict.cannot_tell)
    ]
    if rows:
        parts.append(markup.table(markup.rows(rows)))
    parts.append(f"<div style='{markup.DIM}'>{escape(check_words.counts(verdict))}</div>")
    return "".join(parts)


def _level(level: str) -> str:
    colour = {"fail": markup.COLOURS["failure"], "warn": markup.COLOURS["doubtful"]}.get(level)
    return markup.coloured(level, colour) if colour else markup.dim(level)


def _differing(runs: Sequence[RunRecord]) -> list[str]:
    """In what each run differs from the others like it, as in the table of the command line."""
    if len({id(run.history) for run in runs}) != 1:
        return [""] * len(runs)
    return [" ".join(words) for words in differences(rows_for(runs[0].history, runs))]


def _line(run: RunRecord, differing: str) -> list[str]:
    chosen = _telling(run)
    ranked = outcomes_of(run.history, {run.id: run.main_metric})[run.id]
    metric = "" if ranked is None else f"{escape(ranked.name)} {_outcome_text(ranked)}"
    curve = "" if chosen is None else _curve(run, chosen["name"])
    who = [f"<code>{short_id(run.id)}</code>", escape(run.name), escape(plain(differing))]
    cells = [*who, escape(run.kind), markup.status(run.status)]
    return [*cells, escape(when(run.started_at)), escape(seconds(run.duration_s)), metric, curve]


def _telling(run: RunRecord) -> Mapping[str, Any] | None:
    """The summary of the metric that ranks a run."""
    return main_of(run.summaries, run.main_metric)


def _outcome_text(ranked: Outcome) -> str:
    return ranked.special or number(ranked.last) if ranked.best is None else number(ranked.best)


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


@html.register(Model)
def model_html(model: Model) -> str:
    """A model: what is live, what was done, and its versions."""
    live = ", ".join(f"{alias} {each.version.label}" for alias, each in model.aliases().items()) or "nothing is live"
    out = [f"<div><b>{escape(model.name)}</b> {markup.dim(escape(live))}</div>"]
    for columns, rows in (model_words.events_table(model), model_words.versions_table(model)):
        head = markup.rows([[escape(column.title) for column in columns]], "th")
        cells = [[escape(cell.text) for cell in row] for row in rows[:_MOST_CHANGES]]
        out.append(markup.table(head + markup.rows(cells)))
    out += [f"<div>{markup.coloured(escape(text), 'orange')}</div>" for text in model_words.warnings(model)]
    return "".join(out)
