"""How a run went, for its report: metrics with their curves, results, and the runs inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from histhooks._base import text as _text
from histhooks._base.ids import short_id
from histhooks._base.telling import short_names, telling
from histhooks._views import run_words as facts
from histhooks.errors import QueryError
from histhooks.history._ranking import Best, best_of, main_of, mean_of_folds, outcomes_of
from histhooks.history.query.run_query import beyond_of
from histhooks.plot import spark_svg, svg_curves
from histhooks.report._blocks import Block, Curves, Table, Text

if TYPE_CHECKING:
    from histhooks.history import RunRecord

_CHARTS = 12
_CHILDREN = 100
_POINTS = 120


def value_of(value: Any) -> str:
    """A value as a table shows it."""
    return "–" if value is None else _text.value_text(value, 2000)


def metrics(run: RunRecord) -> list[Block]:
    """A row for each metric, with its best value, and the curves."""
    summaries = run.summaries
    main = main_of(summaries, run.row["main_metric"])
    found = sorted(summaries, key=lambda s: (s is not main, s["split"] == "system"))
    if not found:
        return [Text("None were recorded.", "faint")]
    rows, sparks = [], []
    for s in found:
        mean = mean_of_folds(run, s)
        best = best_of(run, s) if mean is None else None
        at = None if best is None else best.epoch if best.mean_of else run.epoch_at(s["name"], best.step)
        place = (
            "–"
            if best is None
            else f"epoch {facts.epoch(run.framework, at)}"
            if at is not None
            else f"step {best.step}"
        )
        way = {1: "up", -1: "down", 0: "not known"}[s["direction"]]
        cells = [s["split"] or "", f"{s['count']:,}", s["last_special"] or _text.number(s["last"])]
        value = f"{_text.number(mean)} on average" if mean is not None else _best_text(best) if best else "–"
        cells += [value, place, way, f"{s['nonfinite']:,}"]
        rows.append([s["name"], *cells])
        sparks.append(spark_svg(run.outline(s["name"], _POINTS), 110, 20))
    head = ["metric", "split", "points", "last", "best", "at", "better is", "not finite"]
    blocks: list[Block] = [Table(head, rows, frozenset({2, 3, 4, 7}), sparks)]
    charts, left = charts_of(run, found)
    if charts:
        blocks.append(Curves(charts, "Curves stand in the HTML form of this report."))
    if left:
        blocks.append(Text(f"Not drawn: {', '.join(left)}", "faint"))
    return blocks


def _best_text(best: Best) -> str:
    return _text.number(best.value) + (f", mean of its {best.mean_of}" if best.mean_of else "")


def charts_of(run: RunRecord, found: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """A chart for each thing that is measured, with its splits in one frame."""
    groups: dict[tuple[str, int], list[str]] = {}
    for s in found:
        if s["count"] - s["nonfinite"] > 1:
            what = s["metric"].partition("/")[0] if s["split"] != "system" else s["name"]
            # What was logged once an epoch without a step would be a stub beside what was logged at each step.
            steps = (s["last_step"] or 0) + 1
            near = (key for key in groups if key[0] == what and key[1] / 2 <= steps <= key[1] * 2)
            groups.setdefault(next(near, (what, steps)), []).append(s["name"])
    charts: list[str] = []
    left: list[str] = []
    for names in groups.values():
        if len(charts) >= _CHARTS:
            left += names
            continue
        try:
            charts.append(svg_curves(run, names, width=620, height=260))
        except QueryError:
            left += names
    return charts, left


def results(run: RunRecord) -> list[Block]:
    """Outcomes that are no curve."""
    rows = [[key, _text.value_text(value, 4000)] for key, value in run.results.items()]
    return [Table(["result", "value"], rows)] if rows else []


def children(run: RunRecord) -> list[Block]:
    """Runs inside, the best first."""
    found = run.children
    if not found:
        return []
    outcomes = outcomes_of(run.history, {child.id: child.row["main_metric"] for child in found})
    params = {child.id: child.params for child in found}
    varied = telling(params, {child.id: child.param_sources for child in found})[:6]
    names = short_names(varied)

    def rank(child: RunRecord) -> tuple[bool, float]:
        one = outcomes[child.id]
        known = one is not None and one.best is not None
        return not known, -(one.best or 0) * one.direction if one is not None else 0

    rows = []
    for child in sorted(found, key=rank)[:_CHILDREN]:
        one = outcomes[child.id]
        best = "–" if one is None else f"{_text.number(one.best if one.best is not None else one.last)} {one.name}"
        told = [value_of(params[child.id].get(key)) for key in varied]
        rows.append([short_id(child.id), child.name, child.status, _text.seconds(child.duration_s), best, *told])
    blocks: list[Block] = [Table(["run", "name", "status", "took", "best", *names.values()], rows, frozenset({3}))]
    if len(found) > _CHILDREN:
        blocks.append(Text(f"and {len(found) - _CHILDREN} more", "faint"))
    beyond = beyond_of(run.history, [run.id]).get(run.id, 0)
    if beyond:
        blocks.append(Text(f"{beyond} more candidates stand in the results only", "faint"))
    return blocks
