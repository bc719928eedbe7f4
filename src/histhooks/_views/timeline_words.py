"""A timeline in words: what changed, in a line for each part, and what it gained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._base.telling import short_names
from histhooks._base.text import number, value_text
from histhooks._views.table import cut
from histhooks.history.compare.change import Change, Part

if TYPE_CHECKING:
    from histhooks.history.compare.timeline import TimelineRow

_FEW = 6
_WIDTH = 40
_NOTE = 70
_FILES = 2
_LITTLE, _MANY = 0.01, 1000  # percent


def gain(row: TimelineRow) -> str:
    """What a change gained: `better by 6.1%`."""
    if row.verdict is None:
        return "first" if row.is_first else ""
    if row.verdict == "same" or row.share is None:
        return "same" if row.verdict == "same" else f"{row.verdict} by {number(abs(row.gain or 0.0))}"
    percent = abs(row.share) * 100
    if percent >= _MANY:
        return f"{row.verdict} by {percent / 100:,.0f} times"
    if percent >= 100:
        return f"{row.verdict} by {percent:.0f}%"
    return f"{row.verdict} by {percent:.2g}%" if percent >= _LITTLE else f"{row.verdict} by under 0.01%"


def changes(row: TimelineRow, *, is_whole: bool = False) -> list[tuple[str, str]]:
    """Each part that changed, and in what; the first changes of many unless all are wanted."""
    out = [("error", _error(row))] if row.run["error_type"] else []
    for part in row.parts:
        if part.name == "code":
            text = _code(part, row)
        else:
            text = _data(part, is_whole) if part.name == "data" else _listed(part, is_whole)
        if text:
            out.append((part.name, text))
    out += [("not known", text) for text in _unknown(row)]
    if not out and row.before_id is not None:
        out.append(("same", "nothing that is recorded changed"))
    return out


def _unknown(row: TimelineRow) -> list[str]:
    """What one of both runs lacks; what was recorded of neither is said of none."""
    told = [text.replace(": A: ", ": before: ").replace(": B: ", ": ") for text in row.unknown]
    plain = [text.replace(": before: ", ": ") for text in told]
    return [text for text, whole in zip(told, plain, strict=True) if plain.count(whole) == 1]


def changes_text(row: TimelineRow) -> str:
    """All that changed, in one line."""
    return "; ".join(f"{name}: {text}" for name, text in changes(row, is_whole=True))


def _error(row: TimelineRow) -> str:
    lines = (row.run["error_message"] or "").strip().splitlines()
    return ": ".join([row.run["error_type"], *lines[:1]])


def _listed(part: Part, is_whole: bool) -> str:
    names = short_names([each.key for each in part.changes])
    told = [_change(each, names[each.key]) for each in part.changes[: None if is_whole else _FEW]]
    more = len(part.changes) - len(told)
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def _change(found: Change, name: str) -> str:
    if found.kind == "added":
        return f"+{name} {_value(found.b)}"
    if found.kind == "removed":
        return f"−{name} {_value(found.a)}"
    return f"{name} {_value(found.a)} → {_value(found.b)}"


def _value(value: Any) -> str:
    return number(value) if isinstance(value, float) else value_text(value, _WIDTH)


def _code(part: Part, row: TimelineRow) -> str:
    """Lines, and the files or the commits that they are between."""
    names = list(row.files[:_FILES]) + ([f"{len(row.files) - _FILES} more files"] if len(row.files) > _FILES else [])
    words = [f"+{row.lines[0]} −{row.lines[1]} lines in {', '.join(names)}"] if row.lines is not None else []
    for each in part.changes:
        if each.key == "commit":
            words.append(" → ".join("none" if v is None else str(v)[:7] for v in (each.a, each.b)))
        elif each.key == "cells" and row.lines is None:
            words.append("other cells")
        elif each.key.startswith("file "):
            words.append(f"{each.key[5:]} changed")
        elif each.key == "program":
            words.append(_change(each, "program"))
    return ", ".join(words) or "changed"


def _data(part: Part, is_whole: bool) -> str:
    """Roles with their content, and how the columns moved."""
    told: dict[str, list[str]] = {}
    for each in part.changes:
        role, _, what = each.key.partition(" ")
        if what == "content":
            told.setdefault(role, []).insert(0, f"{_digest(each.a)} → {_digest(each.b)}")
        else:
            told.setdefault(role, []).append(_change(each, what).strip())
    text = ", ".join(f"{role} {', '.join(words)}" for role, words in told.items())
    notes = list(part.notes if is_whole else part.notes[:1])
    more = len(part.notes) - len(notes)
    notes = [cut(notes[0], _NOTE), f"{more} more"] if notes and more else notes
    return f"{text} ({'; '.join(notes)})" if notes else text


def _digest(value: Any) -> str:
    return str(value)[:8]
