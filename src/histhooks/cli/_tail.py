"""``tail``: follow a run while it trains."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from histhooks._base.text import counted, finite
from histhooks._views import run_words as facts
from histhooks.cli import _common as common
from histhooks.history._ranking import best_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from histhooks.history import History, RunRecord
    from histhooks.history._progress import Progress
    from histhooks.history.curves.following import Update
    from histhooks.history.curves.thinning import Point

_MOST_METRICS = 12


@click.command(
    epilog="Example: histhooks tail && ./deploy.sh. Exit code: 0 the run finished, 1 it failed, was interrupted, "
    "killed or lost, 2 the outcome is unknown."
)
@click.argument("words", nargs=-1, metavar="[STORE] [RUN]")
@common.store_option
@click.option("--once", is_flag=True, help="Print the current progress, and do not wait.")
@click.option("--every", type=click.FloatRange(min=0.05), default=0.5, show_default=True, metavar="SECONDS",
              help="Seconds between updates.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print an object a line: run, point, event, progress, end.")
def tail(words: tuple[str, ...], store: str | None, once: bool, every: float, as_json: bool) -> int:
    """Follow a run while it trains, until it ends. By default, the running run that started latest."""
    words, store = common.split_store(words, store)
    if len(words) > 1:
        raise click.UsageError(f"tail takes one run, not {len(words)}")
    with common.open_history(store) as history:
        run = history.run(words[0]) if words else _running(history)
        last: Update[RunRecord] | None = None
        is_live = sys.stdout.isatty() and not once and os.environ.get("TERM") != "dumb"
        shown = _Json() if as_json else _Live(common.console()) if is_live else _Lines()
        with shown:
            for update in run.follow(every):
                shown.show(update, is_first=last is None)
                last = update
                if once:
                    break
        assert last is not None
        return _code(last.run.status, once)


def _running(history: History) -> RunRecord:
    """The running run that started latest; if there is none, the latest run, and a line on stderr."""
    found = history.runs(status="running", is_nested=False, limit=1)
    if found:
        return found[0]
    latest = history.run("last")
    click.echo(f"histhooks: nothing is running in {history.place}; the latest run:", err=True)
    return latest


def _code(status: str, once: bool) -> int:
    if status == "finished" or (once and status == "running"):
        return 0
    return 2 if status == "ended" else 1


class _Lines:
    """A line for each look at which something came: for pipes, logs, and `--once`."""

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, update: Update[RunRecord], is_first: bool) -> None:
        run = update.run
        if is_first:
            click.echo(f"{common.plain(run.name)}  {run.kind}  {run.status}  {run.id}")
            click.echo(progress_text(update.progress, run))
            for summary in run.summaries[:_MOST_METRICS]:
                click.echo(f"  {_metric_text(run, summary)}")
        for event in update.events:
            click.echo(_event_text(event))
        if update.points and not is_first:
            click.echo(f"{_clock()}  {progress_text(update.progress, run)}  {_latest(update.points)}")
        if update.is_over:
            click.echo(end_text(run))
        sys.stdout.flush()


class _Json(_Lines):
    """An object a line."""

    def __enter__(self) -> _Json:
        return self

    def show(self, update: Update[RunRecord], is_first: bool) -> None:
        run, progress = update.run, update.progress
        told = {name: getattr(progress, name) for name in progress.__slots__}
        if is_first:
            own = {key: run.row[key] for key in ("id", "name", "kind", "project", "started_at")}
            self._write("run", {**own, "status": run.status, "metrics": run.summaries})
        for name, point in update.points:
            odd = None if isfinite(point.value) else str(point.value)
            place = {"step": point.step, "epoch": point.epoch, "time": point.time}
            self._write("point", {"name": name, **place, "value": None if odd else point.value, "special": odd})
        for event in update.events:
            self._write("event", event)
        if is_first or update.points:
            self._write("progress", {**told, "children": update.children})
        if update.is_over:
            own = {key: run.row[key] for key in ("id", "ended_at", "duration_s", "error_type", "error_message")}
            self._write("end", {"status": run.status, **own})
        sys.stdout.flush()

    def _write(self, kind: str, facts: dict[str, Any]) -> None:
        sys.stdout.write(
            json.dumps(finite({"type": kind, **facts}), ensure_ascii=False, allow_nan=False, default=str) + "\n"
        )


class _Live(_Lines):
    """A picture that stays in its place, with events above it."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._curves: dict[str, list[float | None]] = {}

    def __enter__(self) -> _Live:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, update: Update[RunRecord], is_first: bool) -> None:
        from rich.text import Text

        for event in update.events:
            self._console.print(Text(_event_text(event), style="" if event["severity"] == "info" else "yellow"))
        self._note_curves(update, is_first)
        self._live.update(self._picture(update), refresh=True)
        if update.is_over:
            self._live.stop()
            self._console.print(Text(end_text(update.run)))

    def _note_curves(self, update: Update[RunRecord], is_first: bool) -> None:
        if is_first:
            for summary in update.run.summaries[:_MOST_METRICS]:
                self._curves[summary["name"]] = update.run.outline(summary["name"])
        for name, point in update.points:
            curve = self._curves.setdefault(name, [])
            curve.append(point.value if isfinite(point.value) else None)
            if len(curve) > 4000:
                curve[:] = curve[::2]

    def _picture(self, update: Update[RunRecord]) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        run, progress = update.run, update.progress
        status = Text.from_markup(common.status(run.status))
        head = Text.assemble((common.plain(run.name), "bold"), "  ", run.kind, "  ", status, "  ", (run.id, "dim"))
        parts: list[Any] = [head, Text(progress_text(progress, run))]
        if progress.share is not None:
            bar = Table.grid()
            bar.add_row(ProgressBar(total=1.0, completed=progress.share, width=min(60, self._console.width - 2)))
            parts.append(bar)
        if update.children:
            parts.append(Text(f"{counted(update.children, 'run')} inside it"))
        grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        room = max(3, self._console.height - 8)
        summaries = sorted(run.summaries, key=lambda s: s["split"] == "system")
        curve_width = 24 if self._console.width >= 90 else 10 if self._console.width >= 72 else 6
        rows = []
        for summary in summaries[: min(room, _MOST_METRICS)]:
            value, step = (best_of(run, summary) or (None, None))[:2]
            curve = common.sparkline(self._curves.get(summary["name"], []), curve_width)
            last = summary["last_special"] or common.number(summary["last"])
            rows.append((common.plain(summary["name"]), last, common.number(value), common.number(step), curve))
        titles = ("metric", "last", "best", "at step", "curve")
        wide = [max(len(title), *(len(row[n]) for row in rows), 0) for n, title in enumerate(titles)]
        # Names are cut, numbers never.
        wide[0] = max(8, min(wide[0], self._console.width - sum(wide[1:]) - 2 * len(wide)))
        for title, least in zip(titles, wide):
            justify: Any = "left" if title in ("metric", "curve") else "right"
            grid.add_column(title, justify=justify, no_wrap=True, overflow="ellipsis", width=least)
        for row in rows:
            grid.add_row(*map(Text, row))
        if summaries:
            parts.append(grid)
        return Group(*parts)


def _metric_text(run: RunRecord, summary: dict[str, Any]) -> str:
    best = best_of(run, summary)
    text = f"{common.plain(summary['name'])}  {summary['last_special'] or common.number(summary['last'])}"
    return text if best is None else f"{text}  best {common.number(best.value)} at step {best.step}"


def progress_text(progress: Progress, run: RunRecord) -> str:
    """How far it is, how fast, and how long it takes."""
    words = facts.epochs(run, progress)
    if progress.steps_planned:
        words.append(f"step {progress.steps_done or 0:,} of {progress.steps_planned:,}")
    elif progress.steps_done:
        words.append(f"step {progress.steps_done:,}")
    if progress.share is not None:
        words.append(f"{progress.share * 100:.0f} %")
    if progress.rate is not None and run.status == "running":
        rate = progress.rate
        words.append(f"{rate:,.0f} steps/s" if rate >= 10 else f"{rate:.2g} steps/s" if rate >= 1 else
                     f"{rate * 60:.2g} steps/min")  # fmt: skip
    words.append(common.seconds(progress.elapsed_s))
    if progress.left_s is not None:
        words.append(f"about {common.seconds(progress.left_s)} left")
    return ", ".join(words)


def end_text(run: RunRecord) -> str:
    """How it ended, in one line."""
    text = f"{run.status} after {common.seconds(run.duration_s)}" if run.duration_s is not None else run.status
    if run.error_type:
        message = (run.error_message or "").strip().splitlines()
        text += f": {run.error_type}" + (f": {message[0]}" if message else "")
    return common.plain(text)


def _event_text(event: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(event["time"] / 1e6).strftime("%H:%M:%S")
    times = f" (×{event['count']})" if event["count"] > 1 else ""
    return common.plain(f"{moment}  {event['severity']}: {event['title']}{times}")


def _latest(points: list[tuple[str, Point]]) -> str:
    """The last value of each metric, and how many points came."""
    last = {name: point.value for name, point in points}
    words = [f"{common.plain(name)} {value:.4g}" for name, value in list(last.items())[:6]]
    more = f", {len(last) - 6} more metrics" if len(last) > 6 else ""
    return f"{', '.join(words)}{more} ({len(points):,} points)" if len(points) > len(last) else ", ".join(words) + more


def _clock() -> str:
    return datetime.now().strftime("%H:%M:%S")
