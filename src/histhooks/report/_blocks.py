"""The blocks of a report, before it is written as HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels with what they stand for; a fact of several lines keeps them. Empty ones are left out."""

    rows: Sequence[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes
    ----------
    head : sequence of str
    rows : sequence of sequence of str
    numbers : frozenset of int
        Columns that are numbers, and stand on the right.
    sparks : sequence of str
        An inline SVG for each row, drawn by us, as a last column; empty for none.
    faint : frozenset of int
        Rows that matter less.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    sparks: Sequence[str] = ()
    faint: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `tone` is plain, faint, good or bad."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Code:
    """Text as it is: a patch, a traceback, a file."""

    text: str
    language: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Many short words, in columns."""

    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Curves:
    """Charts, as inline SVG that was drawn by us; what Markdown says instead."""

    svgs: Sequence[str]
    instead: str


Block = Facts | Table | Text | Code | Columns | Curves


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under a title."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Page:
    """A report.

    Attributes
    ----------
    title, status, subtitle : str
    verdict : Text
        Whether the history fits its ledger.
    highlights : sequence of (str, str)
        A few numbers for the top, with what they are.
    sections : list of Section
    foot : str
    kind : str
        Of what it is a record.
    alarms : str
        How many checks failed or warned, in words; empty if none did.
    """

    title: str
    status: str
    subtitle: str
    verdict: Text
    highlights: Sequence[tuple[str, str]]
    sections: Sequence[Section] = field(default_factory=list)
    foot: str = ""
    kind: str = "training run"
    alarms: str = ""
