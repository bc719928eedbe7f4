"""The cards of a page of charts: which curves stand together, and what each looks like before the canvas is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.text import number
from histhooks._views.differing import labels
from histhooks.errors import QueryError
from histhooks.history.curves.thinning import matching
from histhooks.plot import plot
from histhooks.plot._looks import DASHES, at, colour_of, looks_of
from histhooks.plot._svg import draw
from histhooks.ui._pages import drawn, many
from histhooks.ui._state import ChartState

if TYPE_CHECKING:
    from histhooks.history import RunRecord

AXES = {"step": "step", "epoch": "epoch", "time": "relative", "wall": "time", "n": "n"}
TITLES = {"step": "step", "epoch": "epoch", "time": "time since the start", "wall": "time of day", "n": "point"}
_MOST_CARDS = 100
_DRAWN = 24  # cards that the server draws; the others wait for the canvas
_SVG_POINTS = 400
_MOST_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One curve of a card."""

    run: str
    name: str
    label: str
    colour: int
    dash: int
    split: str
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """One chart."""

    title: str
    section: str
    lines: list[Line]
    svg: Any
    said: list[str]
    direction: int


Member = tuple["RunRecord", str, Any, bool]  # a run, how it is called, a summary, and whether it is an earlier attempt


def cards_of(runs: Sequence[RunRecord], state: ChartState, only: Sequence[str] = ()) -> list[Card]:
    """A card for each metric that the runs have: of one run with its splits together, and with its other attempts."""
    titles = labels(runs) if len(runs) > 1 else [runs[0].name]
    is_one = len(runs) == 1
    found: dict[tuple[bool, str], list[Member]] = {}
    listed = _with_attempts(runs[0]) if is_one else [(run, title, False) for run, title in zip(runs, titles)]
    for run, title, is_other in listed:
        names = [summary["name"] for summary in run.summaries]
        wanted = set(only or (known(state.m, names) if state.m else names))
        for summary in run.summaries:
            if summary["name"] in wanted and summary["count"]:
                # Runs are compared metric by metric; a run's own curves of one metric stand together.
                group = summary["metric"] if is_one else summary["name"]
                member = (run, title, summary, is_other)
                if not is_other or (summary["split"] == "system", group) in found:
                    found.setdefault((summary["split"] == "system", group), []).append(member)
    looks = looks_of(run.id for run in runs)
    cards: list[Card] = []
    for (is_system, group), members in sorted(found.items(), key=lambda item: item[0][0])[:_MOST_CARDS]:
        is_drawn = len(cards) < _DRAWN
        cards.append(_card(group, is_system, members, state, looks, is_one=is_one, is_drawn=is_drawn))
    return cards


def sections_of(cards: Sequence[Card], pinned: Sequence[str]) -> list[tuple[str, list[Card]]]:
    """The cards under their headlines: those that are pinned first, the machine last."""
    found: dict[str, list[Card]] = {"Pinned": [card for title in pinned for card in cards if card.title == title]}
    for section in ("", *(card.section for card in cards)):
        found.setdefault(section, [])
    for card in cards:
        if card.title not in pinned:
            found[card.section].append(card)
    return [(title, members) for title, members in found.items() if members]


def known(wanted: Sequence[str], names: list[str]) -> list[str]:
    """Those of some names, or patterns, that are there."""
    out: list[str] = []
    for word in wanted:
        try:
            out += matching([word], names)
        except QueryError:
            continue
    return out


def _with_attempts(run: RunRecord) -> list[tuple[RunRecord, str, bool]]:
    """A run, and the others of the same training: each is a piece of its own."""
    attempts = run.attempts
    others = [(other, f"attempt {place}", True) for place, other in enumerate(attempts, 1) if other.id != run.id]
    return [(run, run.name, False), *others[-_MOST_ATTEMPTS:]]


def _card(
    group: str,
    is_system: bool,
    members: list[Member],
    state: ChartState,
    looks: dict[str, tuple[int, int]],
    *,
    is_one: bool,
    is_drawn: bool,
) -> Card:
    lines = []
    if is_one:  # a training loss is noisy, and lies below what is measured more seldom
        members = sorted(members, key=lambda m: (m[3], m[2]["split"] != "train"))
    names = list(dict.fromkeys(summary["name"] for _, _, summary, _ in members))
    for run, title, summary, is_other in members:
        colour, dash = looks.get(run.id, (0, 0))
        if is_one:
            colour, dash = at(names.index(summary["name"]), colour_of(members[0][0].id))
            dash = 2 if is_other else dash
        label = (f"{summary['name']} · {title}" if is_other else summary["name"]) if is_one else title
        lines.append(Line(run.id, summary["name"], label, colour, dash, summary["split"] or "", is_other))
    prefix = group.partition("/")[0] if "/" in group else ""
    title = group if is_one and len(names) > 1 else members[0][2]["name"]
    seen = state.but(log=state.is_log(title))
    return Card(
        title=title,
        section="System" if is_system else prefix,
        lines=lines,
        svg=_svg([member for member in members if not member[3]], seen, lines, title) if is_drawn else None,
        said=[_sentence(line.label, member[2]) for line, member in zip(lines, members, strict=True)],
        direction=members[0][2]["direction"],
    )


def looking(state: ChartState, card: str, *, attempts: bool) -> dict[str, Any]:
    """What a card shows, as `plot` takes it."""
    bottom, top = state.ranges.get(card, (None, None))
    return {
        "x": AXES[state.x], "log": state.log, "log_x": state.logx, "smooth": state.smooth, "start": state.start,
        "stop": state.stop, "bottom": bottom, "top": top, "band": state.band, "clip": state.clip, "align": state.align,
        "attempts": attempts,
    }  # fmt: skip


def _svg(members: list[Member], state: ChartState, lines: Sequence[Line], title: str) -> Any:
    """The card without JavaScript, in the colours that the canvas has."""
    runs = list({run.id: run for run, *_ in members}.values())
    names = list(dict.fromkeys(summary["name"] for _, _, summary, _ in members))
    try:
        asked = looking(state, title, attempts=state.align and len(runs) == 1)
        chart = plot(runs, names, points=_SVG_POINTS, **asked)
    except QueryError:
        return None  # no point of it has a place on this axis
    looks = {(line.run, line.name): (f"var(--c{line.colour})", DASHES[line.dash]) for line in lines}
    return drawn(draw(chart, 560, 260, looks))


def _sentence(label: str, summary: Any) -> str:
    """A curve in words, for readers who cannot see the chart."""
    last = summary["last_special"] or number(summary["last"])
    words = f"{label}: {many(summary['count'], 'point')}, from {number(summary['first'])} to {last}"
    if summary["min"] is not None:
        low = f"least {number(summary['min'])} at step {summary['min_step']:,}"
        words += f", {low}, greatest {number(summary['max'])} at step {summary['max_step']:,}"
    return words + (f", {summary['nonfinite']:,} not finite" if summary["nonfinite"] else "")
