"""A model card as the Hugging Face Hub reads it: measured values in front, then a sentence a fact.

https://huggingface.co/docs/hub/model-cards, "Model Card Metadata".
"""

from __future__ import annotations

import json
from typing import Any

from histhooks.evidence import _sentences as of
from histhooks.evidence._annex_iv import escaped, line
from histhooks.evidence._records import NOT_RECORDED, Record, Sentence
from histhooks.evidence._subject import Subject

# How the Hub calls the libraries (https://huggingface.co/docs/hub/models-libraries).
_LIBRARIES = {"torch": "pytorch", "lightning": "pytorch", "sklearn": "sklearn", "keras": "keras", "xgboost": "xgboost"}

_HOW_TO_READ = "<!-- What stands in brackets is the id of a record, which records.json of the pack has. -->"


def write(subject: Subject) -> str:
    """The card in Markdown."""
    parts: list[tuple[str, list[Sentence]]] = [
        ("What it is", [*of.identity(subject), *of.origin(subject), *of.method(subject)]),
        ("What it is for", of.card(subject, "purpose", "users")),
        ("What it is not for, and its limits", of.card(subject, "limits", "groups")),
        ("How well it does", [*of.metrics(subject), *of.results(subject)]),
        ("What it learned from", [*of.data(subject), *of.provenance(subject), *of.card(subject, "labelling")]),
        ("How it was trained", [*of.choices(subject), *of.randomness(subject), *of.inputs(subject)]),
        ("On what", [*of.hardware(subject), *of.software(subject)]),
        ("Risks that checks named", [*of.risks(subject), *of.card(subject, "risks")]),
        ("What became of it", [*of.lifecycle(subject), *of.watched(subject), *of.signed(subject)]),
        ("License", of.card(subject, "license")),
    ]
    scrub = subject.records.scrub
    lines = ["---", *front(subject), "---", "", f"# {escaped(scrub(subject.name))}", "", _HOW_TO_READ, ""]
    for title, sentences in parts:
        lines += [f"## {title}", "", *[line(each, scrub) for each in sentences or [NOT_RECORDED]], ""]
    return "\n".join(lines)


def front(subject: Subject) -> list[str]:
    """The metadata: YAML, whose texts are written as JSON, which YAML reads too."""
    lines = []
    library = _LIBRARIES.get(subject.row["framework"] or "")
    if library:
        lines.append(f"library_name: {library}")
    license_said = subject.card.get("license")
    if license_said:
        lines.append(f"license: {_yaml(license_said[-1][0])}")
    lines += ["tags:", "- histhooks"]
    rows = [row for row in subject.metrics if row["split"] in ("test", "valid") and of.told(subject, row) is not None]
    if rows:
        name = subject.version["model"] if subject.version is not None else subject.row["name"]
        lines += ["model-index:", f"- name: {_yaml(name)}", "  results:"]
    for split in ("test", "valid"):
        of_split = [row for row in rows if row["split"] == split]
        if of_split:
            lines += _results(subject, split, of_split)
    return lines


def _results(subject: Subject, split: str, rows: list[Record]) -> list[str]:
    use, content = next(((u, c) for u, c in subject.data if u["role"] == split), (None, None))
    name = (use["name"] if use is not None else None) or f"{split} data"
    lines = [
        "  - task:", f"      type: {_task(subject)}", "    dataset:", f"      name: {_yaml(name)}",
        f"      type: {_yaml(content['id'][:12] if content is not None else 'not-recorded')}",
        f"      split: {_yaml({'valid': 'validation'}.get(split, split))}", "    metrics:",
    ]  # fmt: skip
    for row in rows:
        lines += [f"    - type: {_yaml(row['metric'] or row['name'])}", f"      name: {_yaml(row['name'])}",
                  f"      value: {json.dumps(of.told(subject, row))}", "      verified: false"]  # fmt: skip
    return lines


def _task(subject: Subject) -> str:
    """The kind of task, if the data say so."""
    if any(of.classes_of(content) and content["kind"] == "DataFrame" for _, content in subject.data):
        return "tabular-classification"
    return "other"


def _yaml(text: Any) -> str:
    return json.dumps(str(text), ensure_ascii=False)
