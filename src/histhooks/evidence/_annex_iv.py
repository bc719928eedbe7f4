"""Technical documentation in the order of Annex IV of Regulation (EU) 2024/1689: a sentence a fact, or "Not recorded."

https://eur-lex.europa.eu/eli/reg/2024/1689/oj, Annex IV. The headings name its points in a few words of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from histhooks.evidence import _sentences as of
from histhooks.evidence._records import NOT_RECORDED, Scrub, Sentence
from histhooks.evidence._subject import Subject

Say = Callable[[Subject], list[Sentence]]


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the annex.

    Attributes
    ----------
    number, title : str
    say : callable
        Gives what is on record.
    card : tuple of str
        What a person can say there, by a note `card KEY: ...`.
    is_required : bool
        Whether the annex asks for it in each case; the others are for where they apply.
    """

    number: str
    title: str
    say: tuple[Say, ...] = ()
    card: tuple[str, ...] = ()
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A point with what is said on it; nothing if nothing is on record."""

    point: Point
    sentences: list[Sentence]


def _only(*splits: str) -> Say:
    return lambda subject: of.metrics(subject, splits)


POINTS = (
    Point("1(a)", "Purpose, provider and version", (of.identity, of.origin), ("purpose", "provider")),
    Point("1(b)", "Interaction with other hardware or software", (), ("interaction",), is_required=False),
    Point("1(c)", "Versions of software, and requirements on updates", (of.software,), ("changes",)),
    Point("1(d)", "Forms in which it is put on the market", (), ("deployment",), is_required=False),
    Point("1(e)", "Hardware that it runs on", (of.hardware,), ("hardware",)),
    Point("1(g)", "User interface", (), ("interface", "users"), is_required=False),
    Point("1(h)", "Instructions for use", (), ("instructions",)),
    Point("2(a)", "How it was developed, and what it builds on", (of.method, of.inputs), ("design",)),
    Point("2(b)", "Design: algorithm, choices, what is optimised", (of.choices, of.randomness), ("design",)),
    Point("2(c)", "Architecture and computing resources", (of.hardware, of.kept, of.signed_heads), ()),
    Point("2(d)", "Data: origin, scope, preparation", (of.data, of.provenance), ("labelling",)),
    Point("2(e)", "Human oversight: assessment of the measures", (), ("oversight",)),
    Point("2(f)", "Changes that were planned beforehand", (), ("changes",), is_required=False),
    Point("2(g)", "Validation and testing", (_only("valid", "test"), of.results), ()),
    Point("2(h)", "Cybersecurity", (), ("security",)),
    Point("3", "Monitoring, functioning and control: capabilities and limits", (of.watched,), ("limits", "groups")),
    Point("4", "Why the metrics are appropriate", (), ("metrics",)),
    Point("5", "Risk management", (of.risks,), ("risks",)),
    Point("6", "Changes during its life", (of.lifecycle, of.signed_files), ("lifecycle",)),
    Point("7", "Harmonised standards that were applied", (), ("standards",)),
    Point("8", "EU declaration of conformity", (), ("declaration",)),
    Point("9", "Monitoring after it is put on the market", (of.watched,), ("monitoring",)),
)
# A person has to say what the record cannot: the run that made it is no purpose.
_NEEDS_CARD = {"1(a)": "purpose", "3": "limits"}


def answers(subject: Subject) -> list[Answer]:
    """What is said on each point."""
    return [
        Answer(point, [*of.card(subject, *point.card), *(one for say in point.say for one in say(subject))])
        for point in POINTS
    ]


def gaps(subject: Subject, found: list[Answer]) -> list[str]:
    """Required points on which too little is on record, as `1(a) Purpose, ...`."""
    out = []
    for answer in found:
        point = answer.point
        key = _NEEDS_CARD.get(point.number)
        is_open = not answer.sentences or (key is not None and key not in subject.card)
        if point.is_required and is_open:
            out.append(f"{point.number} {point.title}")
    return out


def write(subject: Subject, found: list[Answer]) -> str:
    """The document in Markdown."""
    scrub = subject.records.scrub
    lines = [f"# Technical documentation: {escaped(scrub(subject.name))}", "", HOW_TO_READ, ""]
    for answer in found:
        lines += [f"## {answer.point.number} {answer.point.title}", ""]
        lines += [line(each, scrub) for each in answer.sentences or [NOT_RECORDED]]
        lines.append("")
    return "\n".join(lines)


# A comment, so that each line that is shown is a statement.
HOW_TO_READ = (
    "<!-- In the order of Annex IV of Regulation (EU) 2024/1689. What stands in brackets is the id of a record, which "
    "records.json has. This document states what was recorded; it is no legal assessment. -->"
)


def line(sentence: Sentence, scrub: Scrub) -> str:
    """A sentence with its ids as an item of a list."""
    ids = "".join(f" [{each}]" for each in sentence.ids)
    return f"- {escaped(scrub(sentence.text))}{ids}"


def escaped(text: str) -> str:
    """A text of a program in Markdown, where none of its characters means anything."""
    for sign in "\\`*_[]<>#|":
        text = text.replace(sign, f"\\{sign}")
    return text
