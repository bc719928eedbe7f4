"""A report of a model in production, as a table of its windows and as words."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING

from histhooks._base.text import number, plain
from histhooks._views.table import Cell, Column, Fitted, fit, styled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from histhooks.monitor._types import Report, Score, Signal, Window

_STYLES = {"inside": "finished", "watch": "lost", "outside": "failed", "too few": "dim", "cannot tell": "dim"}
_KINDS = {"drift": "drifted", "missing": "missing", "outside": "out of range", "unseen": "unseen values",
          "absent": "not there"}  # fmt: skip
COLUMNS = (
    Column("window (UTC)"), Column("state"), Column("version", rank=2), Column("rows", is_right=True),
    Column("worst column", least=12), Column("PSI", rank=1, is_right=True), Column("evidence", rank=3),
    Column("score", rank=1), Column("promised", rank=2), Column("calls", rank=4, is_right=True),
    Column("errors", rank=2, is_right=True), Column("p50", rank=5, is_right=True),
    Column("p99", rank=4, is_right=True), Column("from", rank=5),
)  # fmt: skip


def screen(report: Report, room: int, most: int = 20) -> Iterator[str]:
    """The lines of a report.

    Parameters
    ----------
    report : Report
    room : int
        Characters in a line.
    most : int
        Windows that are listed.
    """
    title = f"{plain(report.model)}  {report.state}"
    yield styled(title, "bold" if report.state == "inside" else _STYLES[report.state])
    yield from _wrapped(report.why, room)
    if report.change is not None:
        change = report.change
        near = change.event or "no promotion and no new server near it"
        what = f"{plain(repr(change.what))} {_KINDS.get(change.kind, 'below what was promised')}"
        yield from _wrapped(f"since {change.at[:16].replace('T', ' ')} UTC: {what}; {near}", room)
    if report.windows:
        yield ""
        yield from _table(report, room, most).lines
    if len(report.windows) > most:
        yield styled(f"{len(report.windows) - most} earlier windows; --json has all", "dim")
    if report.windows or report.notes:
        yield ""
    for note in (*report.notes, _against(report)):
        yield from _wrapped(note, room, "dim")


def _against(report: Report) -> str:
    return {
        "train": "judged against the training data: chi-square at 0.001 over all columns, and PSI 0.1 (watch), 0.25 "
                 "(outside at once); outside: two of three windows",
        "baseline": "judged against the training data and the windows that were accepted as a baseline",
    }[report.against]  # fmt: skip


def _table(report: Report, room: int, most: int) -> Fitted:
    windows = list(reversed(report.windows))[:most]
    is_by_day = all(one.started_at[:10] != other.started_at[:10] for one, other in itertools.pairwise(windows))
    return fit(COLUMNS, [row(one, is_by_day=is_by_day) for one in windows], room)


def row(window: Window, *, is_by_day: bool = False) -> list[Cell]:
    """A row of the table of windows."""
    worst, score = window.worst, window.scores[0] if window.scores else None
    is_broken = score is not None and score.state == "broken"
    at = window.started_at[:10] if is_by_day else window.started_at[:16].replace("T", " ")
    return [
        Cell(at), Cell(window.state, _STYLES[window.state]), Cell(window.version), Cell(f"{window.n_rows:,}"),
        Cell("" if worst is None else f"{plain(worst.column)} {_KINDS[worst.kind]}"),
        Cell("" if worst is None or worst.psi is None else f"{worst.psi:.2f}"), Cell(_evidence(worst)),
        Cell(_score(score), "error" if is_broken else ""), Cell(_promise(score)),
        Cell(f"{window.n_calls:,}" if window.n_calls else ""), Cell(f"{window.n_errors:,}" if window.n_errors else ""),
        Cell(_us(window.latency_us.get("p50"))), Cell(_us(window.latency_us.get("p99"))), Cell(_source(window)),
    ]  # fmt: skip


def _evidence(signal: Signal | None) -> str:
    if signal is None:
        return ""
    if signal.chi2 is not None:
        return f"χ² {signal.chi2:.0f} > {signal.critical:.0f}"
    return f"{100 * (signal.share or 0):.1f} % of rows"


def _score(score: Score | None) -> str:
    return "" if score is None else f"{score.metric} {number(score.value)} of {score.n:,}"


def _promise(score: Score | None) -> str:
    if score is None or score.promise is None:
        return ""
    return number(score.promise) + (f" of {score.promise_n:,}" if score.promise_n else "")


def _us(found: int | None) -> str:
    if found is None:
        return ""
    return (
        f"< {found} µs"
        if found < 1000
        else f"< {found / 1000:.0f} ms"
        if found < 1_000_000
        else f"< {found / 1e6:.0f} s"
    )


def _source(window: Window) -> str:
    if window.source == "file":
        return "a file"
    return f"{window.n_workers} workers" if window.n_workers > 1 else "1 worker"


def _wrapped(text: str, room: int, style: str = "") -> list[str]:
    return [styled(line, style) for line in textwrap.wrap(plain(text), max(20, min(room, 120)), break_on_hyphens=False)]


def records(report: Report) -> Iterator[str]:
    """A report for a program that reads lines: one a window, parted by tabs, the newest first."""
    yield f"{report.model}\t{report.state}\t{report.why}"
    for window in reversed(report.windows):
        worst, score = window.worst, window.scores[0] if window.scores else None
        yield "\t".join(
            [window.started_at, window.state, window.version, str(window.n_rows),
             "" if worst is None else worst.column, "" if worst is None else worst.kind,
             "" if worst is None or worst.psi is None else f"{worst.psi:.4f}",
             "" if score is None else score.metric, "" if score is None else f"{score.value:.6g}"]
        )  # fmt: skip
