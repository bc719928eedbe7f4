"""Leave out of a comparison what does not matter to whoever asks, and say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histhooks.history.compare.change import Part
    from histhooks.history.compare.comparison import Comparison
    from histhooks.history.compare.differences import Differences


WHOLE = "left out"  # what a part says of which nothing is shown


def _fits(words: Sequence[str], *names: str) -> bool:
    return any(fnmatchcase(name, word) for word in words for name in names)


def fewer_columns(found: Comparison, words: Sequence[str]) -> Comparison:
    """A comparison without the columns of some names, titles or kinds; a word may be a pattern."""
    kept = [column for column in found.columns if not _fits(words, column.kind, column.name, column.title)]
    return replace(found, columns=tuple(kept))


def fewer_changes(found: Differences, words: Sequence[str]) -> Differences:
    """Differences without some parts, or changes of some keys; a word may be a pattern, or `params.lr`.

    A part of which something is left out says what, and is not called the same.
    """
    parts = tuple(_fewer(part, words) for part in found.parts)
    has_code = not _fits(words, "code")
    return replace(found, parts=parts, patch=found.patch if has_code else None)


def _fewer(part: Part, words: Sequence[str]) -> Part:
    if _fits(words, part.name):
        return replace(part, changes=(), unknown=(), notes=(WHOLE,), is_there=False) if part.is_there else part
    gone = [change for change in part.changes if _fits(words, change.key, f"{part.name}.{change.key}")]
    if not gone:
        return part
    kept = tuple(change for change in part.changes if change not in gone)
    note = f"left out: {', '.join(change.key for change in gone)}"
    return replace(part, changes=kept, notes=(*part.notes, note), is_there=False)
