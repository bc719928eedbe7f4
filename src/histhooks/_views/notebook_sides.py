"""HTML of runs side by side: what differs between two, and properties of several."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from histhooks._base.ids import short_id
from histhooks._base.text import number, plain, seconds, value_text, when
from histhooks._views import change_words as words
from histhooks._views import comparison_words as compared
from histhooks._views import markup
from histhooks.history.compare.change import Change, Part
from histhooks.history.compare.comparison import Column, Comparison
from histhooks.history.compare.differences import Differences

_ARROW = f" {markup.dim('→')} "
_MOST_COLUMNS = 8  # with which runs stand below each other
_MOST_SHOWN = 24  # properties, before a click
_MOST_OUTCOMES = 4  # of these
_PATCH_LINES = 400


def differences_html(found: Differences) -> str:
    """What differs between two runs, part by part, and what is the same."""
    heads = [
        f"<div><strong>{name}</strong> {escape(run['name'])} <code>{short_id(run['id'])}</code> "
        f"{markup.dim(escape(when(run['started_at'])))} {markup.status(run['status'])}</div>"
        for name, run in (("A", found.a), ("B", found.b))
    ]
    lines, patch = "", _patch(found)
    for part in found.parts:
        inside = markup.rows(_change(part, one) for one in words.few(part))
        hidden = len(part.changes) - len(words.few(part))
        notes = [*part.notes, *([f"and {hidden} more"] if hidden else [])]
        beside = patch if part.name == "code" else ""
        if inside or notes or beside:
            lines += markup.wide(escape(part.name), 2) + inside
            lines += "".join(markup.wide_plain(markup.dim(escape(plain(note))), 2) for note in notes)
            lines += markup.wide_plain(beside, 2) if beside else ""
    unsure = [("cannot tell", f"{part.name}: {why}") for part in found.parts for why in part.unknown]
    unsure += [("not captured", text) for text in found.not_captured]
    foot = "".join(
        f"<div>{markup.coloured(label, markup.COLOURS['doubtful'])} {escape(plain(text))}</div>"
        for label, text in unsure
    )
    end = f"<div style='margin-top:6px'><strong>{escape(words.verdict(found))}</strong></div>"
    return f"<div>{''.join(heads)}{markup.table(lines) if lines else ''}{foot}{markup.same(found.same)}{end}</div>"


def _change(part: Part, change: Change) -> list[str]:
    mark = {"added": "+ ", "removed": "− ", "changed": ""}[change.kind]
    key = escape(mark + plain(change.key))
    if part.name == "metrics":
        told = " &nbsp; ".join(f"{markup.dim(label)} {_pair(a, b)}" for label, a, b in words.curve(change))
        gain = words.gain(change)
        note = markup.coloured(escape(gain), markup.GOOD if gain.startswith("better") else markup.BAD) if gain else ""
        told = f"{told} &nbsp; {note}"
    else:
        told = _pair(*words.values(change)) + (f" {markup.dim(escape(f'({change.note})'))}" if change.note else "")
    if change.counts:
        return [key, told]
    return [markup.dim(key), markup.dim(f"{told} (does not count)")]


def _pair(a: str, b: str) -> str:
    before, after = markup.coloured(escape(a), markup.BAD), markup.coloured(escape(b), markup.GOOD)
    return f"{before}{_ARROW}{after}" if a and b else before if a else after


def _patch(found: Differences) -> str:
    """The patch of the code behind a click, with its notes."""
    patch = found.patch
    if patch is None:
        return ""
    notes = "".join(f"<div>{escape(plain(note))}</div>" for note in patch.notes)
    lines = plain(patch.text or "").splitlines()
    if not lines:
        return notes
    added, removed = patch.n_lines
    colours = {"+": markup.GOOD, "-": markup.BAD, "@": markup.COLOURS["going"]}
    shown = "\n".join(
        markup.coloured(escape(line), colours[line[0]]) if line[:1] in colours else escape(line)
        for line in lines[:_PATCH_LINES]
    )
    rest = f"\n… {len(lines) - _PATCH_LINES} more lines" if len(lines) > _PATCH_LINES else ""
    what = "the patch from A to B" if patch.kind == "states" else "how the recorded diffs differ"
    text = f"<pre style='margin:4px 0;background:none;text-align:left'>{shown}{rest}</pre>"
    return notes + markup.folded(f"{what}: +{added} −{removed}", text)


def comparison_html(found: Comparison) -> str:
    """Runs side by side: what differs, the best of a metric bold; a line for each run, or for each property if many."""
    columns = compared.shown(found)
    titles = compared.titles(columns)
    pairs = list(zip(titles, columns, strict=True))
    by_run = len(columns) <= _MOST_COLUMNS or len(found.runs) > _MOST_COLUMNS
    # Of many properties some outcomes are in sight, too.
    outcomes = [pair for pair in pairs if pair[1].direction][:_MOST_OUTCOMES]
    first = [pair for pair in pairs if pair not in outcomes][: _MOST_SHOWN - len(outcomes)]
    seen = [pair for pair in pairs if pair in first or pair in outcomes]
    shown = markup.table(_by_run(found, pairs) if by_run else _by_property(found, seen))
    if not by_run and len(columns) > _MOST_SHOWN:
        rest = markup.table(_by_property(found, [pair for pair in pairs if pair not in seen]))
        shown += markup.folded(f"{len(columns) - _MOST_SHOWN} more that differ", rest)
    notes = "".join(f"<div>{markup.dim(escape(plain(note)))}</div>" for note in compared.hidden(found))
    return f"<div>{shown}{notes}{markup.same(found.same)}</div>"


def _by_run(found: Comparison, columns: Sequence[tuple[str, Column]]) -> str:
    head = markup.rows([["run", "name", *(escape(title) for title, _ in columns)]], "th")
    return head + markup.rows(
        [
            f"<code>{short_id(run['id'])}</code>",
            escape(plain(run["name"])),
            *(_cell(column, n) for _, column in columns),
        ]
        for n, run in enumerate(found.runs)
    )


def _by_property(found: Comparison, columns: Sequence[tuple[str, Column]]) -> str:
    runs = [f"{escape(plain(run['name']))}<br/><code>{short_id(run['id'])}</code>" for run in found.runs]
    head = markup.rows([["", *runs]], "th")
    return head + markup.rows(
        [markup.dim(escape(title)), *(_cell(column, n) for n in range(len(found.runs)))] for title, column in columns
    )


def _cell(column: Column, place: int) -> str:
    value: Any = column.values[place]
    if column.missing[place] or value is None:
        return markup.dim("–")
    if column.kind == "duration":
        text = seconds(value)
    elif column.kind == "run" and column.name == "model":
        text = str(value).rpartition(".")[2]
    else:
        text = number(value) if isinstance(value, float) else value_text(value, 40)
    return f"<strong>{escape(plain(text))}</strong>" if place in column.best else escape(plain(text))
