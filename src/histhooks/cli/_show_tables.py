"""The tables of ``show``: metrics, and the runs inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.ids import short_id
from histhooks._base.telling import short_names, telling
from histhooks._base.vocabulary import FINISHED
from histhooks._views import run_words as facts
from histhooks._views.run_table import MEAN, MEAN_SAID, best_text
from histhooks._views.table import Cell, Column, cut, fit, is_endless, width, without
from histhooks.cli import _common as common
from histhooks.history._ranking import best_of, main_of, mean_of_folds, outcomes_of
from histhooks.history.query.run_query import beyond_of

if TYPE_CHECKING:
    from rich.console import Console

    from histhooks.history import RunRecord

_FEW, _VARIED = 8, 4


def title(console: Console, word: str, rest: str = "") -> None:
    console.print(f"\n[bold]{word}[/]" + (f" [dim]{rest}[/]" if rest else ""))


def metrics(run: RunRecord, console: Console, is_full: bool) -> None:
    summaries = sorted(run.summaries, key=lambda s: s["split"] == "system")
    if not summaries:
        return
    own = [s for s in summaries if s["split"] != "system"]
    shown, main = summaries if is_full else own[:14], main_of(summaries, run.main_metric)
    hidden = [(len(own) - len(shown), "more"), (len(summaries) - len(own), "of the machine")]
    rest = ", ".join(f"{n} {what}" for n, what in hidden if n > 0)
    title(console, "Metrics", f"{rest} with --full" if rest and not is_full else "")
    has_epochs = any(s["last_epoch"] is not None for s in shown)
    best_title = "mean" if run.kind in ("candidate", "validate") else "best"
    columns = [
        Column("  metric", least=14),
        Column("split", rank=3),
        Column("points", rank=2, is_right=True),
        *(Column(title, is_right=True) for title in ("last", best_title, "at epoch" if has_epochs else "at step")),
        Column("not finite", is_right=True),
        Column("curve", rank=1),
    ]
    curve_width = 24 if console.width >= 96 else 10 if console.width >= 72 else 6
    rows = []
    for s in shown:
        texts = [s["split"] or "", f"{s['count']:,}", *_last_and_best(run, s, has_epochs)]
        odd = Cell(f"{s['nonfinite']:,}" if s["nonfinite"] else "", "error")
        curve = common.sparkline(run.outline(s["name"]), curve_width)
        name = Cell(("* " if s is main else "  ") + common.plain(s["name"]), "bold" if s is main else "")
        rows.append([name, *map(Cell, texts), odd, Cell(curve, "running")])
    _table(columns, rows)
    if any(texts[4].text.endswith(MEAN) for texts in rows):
        click.echo(f"  {MEAN} {MEAN_SAID}")


def _table(columns: list[Column], rows: list[list[Cell]]) -> None:
    """Print a table in which numbers and ids are never cut, and name the columns that had no room."""
    if not rows:
        return
    fitted = fit(columns, rows, width())
    for line in [*fitted.lines, *without(fitted.dropped, width())]:
        click.echo(line, color=True)


def _last_and_best(run: RunRecord, summary: Mapping[str, Any], has_epochs: bool) -> tuple[str, str, str]:
    last, best = summary["last_special"] or common.number(summary["last"]), best_of(run, summary)
    mean = mean_of_folds(run, summary)
    if mean is not None:
        return last, common.number(mean), "–"
    if best is None:
        return last, "–", "–"
    epoch = None
    if has_epochs:
        epoch = best.epoch if best.mean_of else run.epoch_at(summary["name"], best.step)
    step = common.number(best.step)
    at = facts.epoch(run.framework, epoch) if epoch is not None else f"step {step}" if has_epochs else step
    return last, best_text(best.value, best.mean_of), at


def children(run: RunRecord, console: Console, is_full: bool) -> None:
    """The runs inside it: what varies, and the best of each; the best of all on top."""
    found = run.children
    if not found:
        return
    most = len(found) if is_full else _FEW
    beyond = beyond_of(run.history, [run.id]).get(run.id, 0)
    count = f"{len(found)}" if not beyond else f"{len(found) + beyond}, of which {beyond} stand in the results only"
    title(console, "Children", count + (f", the best {most}; all with --full" if len(found) > most else ""))
    rows, varied, metric = ranked(found)
    names = short_names(varied)
    is_odd = any(child.status != FINISHED for child in found)
    columns = [
        Column("  run"),
        Column("name", rank=7, least=8),
        *(Column(common.plain(names[key]), rank=3 + n, is_right=True) for n, key in enumerate(varied[:_VARIED])),
        Column(common.plain(metric or "best"), is_right=True),
        Column("status", rank=1 if is_odd else 8),
        Column("took", rank=9, is_right=True),
    ]
    table = []
    for child, params, value in rows[:most]:
        told = [common.value_text(params[key], 24) if key in params else "–" for key in varied[:_VARIED]]
        name = common.plain(child.name) if is_endless() else cut(common.plain(child.name.removeprefix(run.name)), 40)
        table.append(
            [
                Cell(f"  {short_id(child.id)}"),
                Cell(name),
                *(Cell(common.plain(text)) for text in told),
                Cell(common.number(value), "bold"),
                Cell(child.status, child.status),
                Cell(common.seconds(child.duration_s), "dim"),
            ]
        )
    _table(columns, table)
    if len(varied) > _VARIED:
        more = ", ".join(varied[_VARIED : _VARIED + 6]) + (" …" if len(varied) > _VARIED + 6 else "")
        click.echo(f"  they also differ in {more}: compare --children")


def ranked(
    children: list[RunRecord],
) -> tuple[list[tuple[RunRecord, dict[str, Any], float | None]], list[str], str | None]:
    """Runs with their params and the best of what ranks most of them, best first; what varies; what ranks them."""
    outcomes = outcomes_of(children[0].history, {child.id: child.main_metric for child in children})
    names = [one.name for one in outcomes.values() if one is not None]
    title = max(dict.fromkeys(names), key=names.count) if names else None
    params = {child.id: child.params for child in children}
    varied = telling(params, {child.id: child.param_sources for child in children})
    rows, sign = [], 0
    for child in children:
        one = outcomes[child.id]
        is_ranked = one is not None and one.name == title
        sign = one.direction if one is not None and is_ranked else sign
        rows.append((child, params[child.id], one.best if one is not None and is_ranked else None))
    if sign:
        rows.sort(key=lambda row: (row[2] is None, -sign * (row[2] or 0)))
    return rows, varied, title
