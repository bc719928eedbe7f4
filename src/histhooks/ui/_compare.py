"""Runs beside each other: many by what differs, two in every part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from histhooks._base.text import number, seconds, value_text, when
from histhooks._views import change_words, comparison_data, comparison_words
from histhooks.history.compare.leaving_out import WHOLE
from histhooks.plot._looks import looks_of
from histhooks.ui._charts import chosen
from histhooks.ui._pages import Ask, guarded
from histhooks.ui._patches import by_file, patch_lines, side_by_side
from histhooks.ui._state import PageState

if TYPE_CHECKING:
    from histhooks.history.compare.comparison import Column, Comparison
    from histhooks.history.compare.differences import Differences, Part

_MOST_LINES = 4000  # of a patch on a page; all of it is in the file
_MOST_CHANGES = 500


@dataclass(frozen=True, slots=True)
class Property:
    """A line of a comparison."""

    title: str
    name: str
    kind: str
    cells: list[str]
    best: tuple[int, ...]
    is_number: bool


def _comparison(ask: Ask) -> tuple[Comparison, PageState]:
    state = PageState.parse(ask.query)
    return ask.history.compare(*chosen(ask, state.runs, 2), without=state.without), state


def page(ask: Ask) -> Response:
    """What differs between some runs, a line for each thing."""
    found, state = _comparison(ask)
    columns = comparison_words.shown(found)
    titles = comparison_words.titles(columns)
    heads = _sides(found.runs)
    return ask.page(
        "compare.html", title="Compare", state=state, runs=heads,
        properties=[_property(title, column) for title, column in zip(titles, columns, strict=True)],
        notes=comparison_words.hidden(found), same=found.same,
    )  # fmt: skip


def _sides(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Runs with the looks that they have in charts."""
    looks = looks_of({run["id"] for run in runs})
    out = []
    for run in runs:
        colour, dash = looks[run["id"]]
        out.append({**run, "started": when(run["started_at"]), "colour": colour, "dash": dash})
    return out


def _property(title: str, column: Column) -> Property:
    cells = ["" if is_missing else _cell(column, value) for value, is_missing in zip(column.values, column.missing)]
    is_number = any(isinstance(value, (int, float)) and not isinstance(value, bool) for value in column.values)
    return Property(title, column.title, column.kind, cells, column.best, is_number)


def _cell(column: Column, value: Any) -> str:
    if column.name.endswith("_s") and isinstance(value, float):
        return seconds(value)
    if column.kind in ("metric", "result") and isinstance(value, float):
        return number(value)
    return value_text(value, 120) if value is not None else "none"


def as_json(ask: Ask) -> Response:
    """`histhooks compare --json`."""
    return ask.json(_comparison(ask)[0].as_json())


def as_csv(ask: Ask) -> Response:
    """`histhooks compare --csv`, safe for table programs."""
    text = comparison_data.as_csv(_comparison(ask)[0], guarded)
    return ask.answer(text, "text/csv; charset=utf-8", name=f"{ask.store}-compared.csv")


# --- two runs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Changed:
    """A line of a part of a difference."""

    key: str
    kind: str
    a: str
    b: str
    note: str
    gain: str
    counts: bool
    curve: list[tuple[str, str, str]]


def _differences(ask: Ask) -> Differences:
    return ask.history.diff(ask.words["a"], ask.words["b"], without=PageState.parse(ask.query).without)


def diff(ask: Ask) -> Response:
    """What differs between two runs, in the order of `histhooks diff`."""
    found, state = _differences(ask), PageState.parse(ask.query)
    parts = [
        (part, [_changed(part, each) for each in part.changes[:_MOST_CHANGES]])
        for part in found.parts
        if (part.changes or part.notes or (part.name == "code" and found.patch is not None)) and part.notes != (WHOLE,)
    ]
    lines = patch_lines(found.patch.text or "") if found.patch is not None else []
    a, b = _sides([found.a, found.b])
    return ask.page(
        "diff.html", title=f"{found.a['name']} and {found.b['name']}", state=state, found=found, parts=parts,
        a=a, b=b,
        files=[(name, list(side_by_side(each)) if state.view == "split" else each)
               for name, each in by_file(lines[:_MOST_LINES])],
        n_lines=len(lines), most_lines=_MOST_LINES,
        unknown=[f"{part.name}: {why}" for part in found.parts for why in part.unknown],
        verdict=change_words.verdict(found),
    )  # fmt: skip


def _changed(part: Part, change: Any) -> Changed:
    if part.name == "metrics":
        return Changed(
            change.key, change.kind, "", "", "", change_words.gain(change), change.counts, change_words.curve(change)
        )
    a, b = change_words.values(change)
    return Changed(change.key, change.kind, a, b, change.note or "", "", change.counts, [])


def diff_json(ask: Ask) -> Response:
    """`histhooks diff --json`."""
    return ask.json(_differences(ask).as_json())


def patch(ask: Ask) -> Response:
    """The patch from the code of A to that of B."""
    found = _differences(ask).patch
    text = "" if found is None or not found.text else found.text
    return ask.answer(
        text if not text or text.endswith("\n") else f"{text}\n", "text/x-diff; charset=utf-8", name="runs.patch"
    )
