"""The pack as a page for people: what is on record, each fact with the number of its record, and what is not."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from histhooks._base.text import number, plain
from histhooks.evidence import _sentences as of
from histhooks.evidence._annex_iv import Answer
from histhooks.evidence._records import Sentence, said
from histhooks.evidence._subject import CARD_KEYS, Subject
from histhooks.plot import spark_svg
from histhooks.report._contents import highlights
from histhooks.report._html import frame
from histhooks.report._outcomes import charts_of

if TYPE_CHECKING:
    from histhooks.evidence._keys import SigningKey

_STYLE = """
ul.said { list-style: none; margin: .4rem 0; padding: 0; }
ul.said li { padding: .3rem 0 .3rem .9rem; border-left: 2px solid var(--line); margin: .25rem 0;
  overflow-wrap: anywhere; }
ul.said code { font: .74rem ui-monospace, "Liberation Mono", monospace; color: var(--dim); }
ul.said li.none { border-left-style: dashed; color: var(--dim); font-style: italic; }
sup a, td a { color: var(--accent); text-decoration: none; }
sup { font-size: .68rem; margin-left: .15rem; line-height: 0; }
sup a:hover, td a:hover { text-decoration: underline; }
.grid { display: grid; grid-template-columns: 1fr 1fr; gap: 0 2.2rem; }
.grid section { min-width: 0; }
.verify { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; }
.verify pre { margin: .4rem 0; background: var(--ground); }
.verify p { margin: .3rem 0; }
ul.points { list-style: none; padding: 0; margin: .5rem 0; columns: 20rem; column-gap: 2rem; font-size: .86rem; }
ul.points li { break-inside: avoid; padding: .2rem 0; display: flex; gap: .6rem; }
ul.points b { min-width: 2.6rem; font-variant-numeric: tabular-nums; font-weight: 600; }
ul.points .open { color: var(--dim); } ul.points .open span::after { content: " · not recorded"; }
ol.records { columns: 26rem; column-gap: 2rem; font: .72rem/1.5 ui-monospace, "Liberation Mono", monospace;
  padding-left: 2.6rem; color: var(--dim); }
ol.records li { break-inside: avoid; overflow-wrap: anywhere; }
ol.records li:target { color: var(--ink); background: var(--panel); }
.note { color: var(--dim); font-size: .84rem; }
@media (max-width: 52rem) { .grid { grid-template-columns: 1fr; } }
@media print { .grid { grid-template-columns: 1fr 1fr; } ul.said li, .verify { break-inside: avoid; } }
"""
_HASH = re.compile(r"\b[0-9a-f]{32,64}\b")
_CODE = r"<code>\g<0></code>"
_STANDS = "Each statement names the record that it rests on; what is not on record is said."
_FEW = 40  # sentences of a section; the model card has all


class _Numbers:
    """The number of each record, in the order in which the page cites them."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def mark(self, sentence: Sentence) -> str:
        """The numbers of a sentence as links."""
        out = []
        for each in sentence.ids:
            number = self.of.setdefault(each, len(self.of) + 1)
            out.append(f'<a href="#r{number}" title="{_safe(each)}">{number}</a>')
        return f"<sup>{' '.join(out)}</sup>" if out else ""


def write(subject: Subject, answers: list[Answer], *, key: SigningKey | None, is_anonymous: bool) -> str:
    """The page."""
    numbers = _Numbers()
    body = "".join(_facts(subject, numbers))
    subject.records.cite(numbers.of)
    signed = f"Signed by key {key.public.id}." if key is not None else "Not signed."
    left_out = " Persons, machines, paths and the store are left out." if is_anonymous else ""
    model = subject.model
    return frame(
        title=f"Evidence: {subject.name}", heading=subject.name, kicker="Evidence of a training",
        status=subject.run.status, tone="", cards=highlights(subject.run), style=_STYLE,
        subtitle=f"{model.name} · SHA-256 {model.sha256}" if model is not None else f"run {subject.run.id}",
        verdict=f"{signed} {_STANDS}{left_out}",
        body="\n".join((body, _points(answers), _how_to_verify(subject, key), _records(numbers))),
        foot=f"Made from the record of run {subject.run.id} by histhooks. All times are UTC. "
        "This page states what was recorded; it is no legal assessment.",
    )  # fmt: skip


def _facts(subject: Subject, numbers: _Numbers) -> list[str]:
    charts, _ = charts_of(subject.run, [row for row in subject.run.summaries if row["split"] != "system"])
    drawn = f'<div class="charts">{"".join(f"<div>{svg}</div>" for svg in charts[:4])}</div>' if charts else ""
    keys = [key for key in CARD_KEYS if key in subject.card]
    purpose = [key for key in ("purpose", "users", "limits", "groups") if key in keys]
    others = [key for key in keys if key not in purpose]

    def section(title: str, sentences: list[Sentence], more: str = "") -> str:
        return _section(title, sentences, numbers, more)

    return [
        section("What it is", [*of.identity(subject), *of.origin(subject), *of.method(subject)]),
        section("What it is for, and its limits", of.card(subject, *purpose)),
        section("How well it does", of.results(subject), _metrics(subject, numbers) + drawn),
        section("Risks that checks named", of.risks(subject)),
        section("What it learned from", [*of.data(subject), *of.provenance(subject)]),
        '<div class="grid">',
        section("How it was trained", [*of.choices(subject), *of.randomness(subject), *of.inputs(subject)]),
        section("On what", [*of.hardware(subject), *of.software(subject)]),
        "</div>",
        section("What became of it", [*of.lifecycle(subject), *of.watched(subject), *of.signed(subject)]),
        section("What people said of it", of.card(subject, *others)) if others else "",
    ]


def _section(title: str, sentences: list[Sentence], numbers: _Numbers, more: str) -> str:
    items = [f"<li>{_HASH.sub(_CODE, _safe(each.text))}{numbers.mark(each)}</li>" for each in sentences[:_FEW]]
    if len(sentences) > _FEW:
        items.append(f'<li class="none">and {len(sentences) - _FEW} more, which model-card.md has</li>')
    if not items and not more:
        items = ['<li class="none">Not recorded.</li>']
    shown = f'<ul class="said">{"".join(items)}</ul>' if items else ""
    return f"<section>\n<h2>{_safe(title)}</h2>\n{more}{shown}\n</section>\n"


def _metrics(subject: Subject, numbers: _Numbers) -> str:
    """A row for each metric, those of the test first."""
    order = ("test", "valid", "train", None)
    found = sorted(subject.metrics, key=lambda row: order.index(row["split"]) if row["split"] in order else len(order))
    rows = []
    for row in found[:_FEW]:
        best = of.best(subject, row)
        curve = spark_svg(subject.run.outline(row["name"], 96), 110, 20) if row["count"] > 1 else ""
        cells = [f"{row['count']:,}", row["last_special"] or number(of.told(subject, row)), number(best and best.value)]
        right = "".join(f'<td class="n">{_safe(cell)}</td>' for cell in cells)
        name = f"{_safe(row['name'])}{numbers.mark(said('', row))}"
        left = f"<td>{name}</td><td>{_safe(of.split_word(row['split']))}</td>"
        rows.append(f'<tr>{left}{right}<td class="spark">{curve}</td></tr>')
    if not rows:
        return ""
    value = "mean of folds" if subject.run.kind in ("candidate", "validate") else "last"
    heads = "".join(f'<th class="n">{each}</th>' for each in ("points", value, "best"))
    head = f"<tr><th>metric</th><th>data</th>{heads}<th>curve</th></tr>"
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _points(answers: list[Answer]) -> str:
    items = []
    for answer in answers:
        kind = "" if answer.sentences else ' class="open"'
        items.append(f"<li{kind}><b>{answer.point.number}</b><span>{_safe(answer.point.title)}</span></li>")
    text = "Points of Annex IV of Regulation (EU) 2024/1689, which annex-iv.md answers as far as the record does."
    note = f'<p class="note">{text}</p>'
    return f'<section>\n<h2>Technical documentation</h2>\n{note}<ul class="points">{"".join(items)}</ul>\n</section>'


def _how_to_verify(subject: Subject, key: SigningKey | None) -> str:
    lines = ["sha256sum -c MANIFEST.sha256", "python3 -I -S verify_pack.py ."]
    if key is not None:
        lines.append("openssl dgst -sha256 -verify key.pub -signature MANIFEST.sig MANIFEST.sha256")
        if subject.model is not None:
            lines.append(f"model_signing verify key {subject.model.name} --signature model.sig --public_key key.pub")
    text = "Unpack the files into a folder. Python and openssl are enough; nothing is loaded from a network."
    if key is not None:
        text += f" Compare the id of the key, {key.public.id}, with the one that you have by another way."
    shown = _safe("\n".join(lines))
    return (
        f'<section>\n<h2>Verify it</h2>\n<div class="verify"><p>{_safe(text)}</p><pre>{shown}</pre></div>\n</section>'
    )


def _records(numbers: _Numbers) -> str:
    items = "".join(f'<li id="r{number}">{_safe(each)}</li>' for each, number in numbers.of.items())
    note = '<p class="note">The ids by which records.json has the rows.</p>'
    return f'<section>\n<h2>Records</h2>\n{note}<ol class="records">{items}</ol>\n</section>'


def _safe(text: object) -> str:
    return escape(plain(str(text)), quote=True)
