"""Pages of charts: the curves of one run, or of several, one over the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks._base.vocabulary import FINISHED
from histhooks._views.differing import labels
from histhooks.errors import QueryError
from histhooks.history.curves.marks import marks_of
from histhooks.plot._looks import colour_of, looks_of
from histhooks.ui._cards import AXES, TITLES, cards_of, sections_of
from histhooks.ui._pages import Ask
from histhooks.ui._run_head import head_of, moved_to, run_of
from histhooks.ui._state import ChartState

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.history import RunRecord

_MOST_RUNS = 20


def of_run(ask: Ask) -> Response:
    """All curves of one run."""
    run = run_of(ask)
    if (moved := moved_to(ask, run)) is not None:
        return moved
    state = state_of(ask)
    marks, notes = marks_of(run)
    shown = [{**mark.as_json(), "run": run.id, "colour": colour_of(run.id), "whose": ""} for mark in marks]
    known = [summary["name"] for summary in run.summaries]
    return ask.page(
        "charts.html", **head_of(ask, run, "charts", state=state), **_common([run], state, state), known=known,
        lead=[], marks=shown, mark_notes=notes,
    )  # fmt: skip


def of_runs(ask: Ask) -> Response:
    """The curves of some runs, one over the other."""
    state = state_of(ask)
    runs = chosen(ask, state.runs)
    names = [summary["name"] for run in runs for summary in run.summaries if summary["split"] != "system"]
    state_shown = state if state.m else state.but(m=tuple(dict.fromkeys(names)))
    titles = labels(runs) if len(runs) > 1 else [runs[0].name]
    looks = looks_of(run.id for run in runs)
    lead = [(run, title, *looks[run.id]) for run, title in zip(runs, titles, strict=True)]
    marks = [
        {**mark.as_json(), "run": run.id, "colour": colour, "whose": title}
        for run, title, colour, _ in lead
        for mark in marks_of(run)[0]
        if mark.kind == "resumed" or (mark.kind == "end" and run.status != FINISHED)  # more would hide the curves
    ]
    return ask.page(
        "charts.html", title="Charts", run=None, tab="charts", state=state, **_common(runs, state, state_shown),
        known=list(dict.fromkeys(names)), lead=lead, marks=marks, mark_notes=[],
        others=lambda one: tuple(short_id(run.id) for run in runs if run.id != one.id),
    )  # fmt: skip


def _common(runs: Sequence[RunRecord], state: ChartState, shown: ChartState) -> dict[str, Any]:
    cards = cards_of(runs, shown)
    ranges = {card: list(bounds) for card, bounds in state.ranges.items()}
    base = next((run.id for run in runs if state.base and run.id.endswith(state.base)), "")
    return {
        "cards": cards, "sections": sections_of(cards, state.card), "axes": TITLES, "runs": runs, "ranges": ranges,
        "base": base, "has_attempts": any(len(run.attempts) > 1 for run in runs),
    }  # fmt: skip


def state_of(ask: Ask) -> ChartState:
    """The state of a page of charts.

    Raises
    ------
    QueryError
        If a word of it is out of range.
    """
    state = ChartState.parse(ask.query)
    if state.x not in AXES:
        raise QueryError(f"x is one of {', '.join(AXES)}, not {state.x!r}")
    if not 0 <= state.smooth < 1:
        raise QueryError(f"smooth is from 0 up to, not including, 1: not {state.smooth:g}")
    return state


def chosen(ask: Ask, words: Sequence[str], least: int = 1) -> list[RunRecord]:
    """The runs that a page was asked to show."""
    if len(words) < least:
        need = "a run" if least == 1 else "two runs or more"
        raise QueryError(f"choose {need} in the table of runs, or name them: ?runs=ID,ID")
    runs = ask.history.select(*words)
    if len(runs) > _MOST_RUNS:
        raise QueryError(f"{len(runs)} runs are too many for one page; choose {_MOST_RUNS} at most")
    return list(runs)
