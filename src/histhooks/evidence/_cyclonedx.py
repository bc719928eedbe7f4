"""A bill of materials of the model: CycloneDX 1.6, with a model card, data and packages.

https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import uuid
from typing import Any

from histhooks.evidence import _sentences as of
from histhooks.evidence._in_toto import dumps, purl
from histhooks.evidence._records import Record
from histhooks.evidence._subject import Subject, value

_SPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")  # of OIDs, RFC 9562
_MODEL = "model"
_HASHES = {"sha256": "SHA-256"}


def write(subject: Subject) -> str:
    """The document."""
    name = subject.version["model"] if subject.version is not None else subject.row["name"]
    version = str(subject.version["number"]) if subject.version is not None else subject.run.id
    model = subject.model
    serial = uuid.uuid5(_SPACE, f"histhooks:{subject.run.id}:{version}:{model.sha256 if model is not None else ''}")
    data = [_data(subject, use, content) for use, content in _once(subject)]
    packages = [_package(each) for each in subject.packages]
    component: dict[str, Any] = {
        "type": "machine-learning-model", "bom-ref": _MODEL, "name": name, "version": version,
        "modelCard": _card(subject, [each["bom-ref"] for each in data]),
        "properties": _properties({"histhooks:run": subject.run.id, "histhooks:head": of.head_of(subject)["digest"]}),
    }  # fmt: skip
    if model is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": model.sha256}]
    refs = [each["bom-ref"] for each in (*data, *packages)]
    return dumps({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}", "version": 1,
        "metadata": {
            "timestamp": subject.time,
            "tools": {"components": [
                {"type": "application", "name": "histhooks", "version": subject.session["recorder_version"]}
            ]},
            "component": component,
        },
        "components": [*data, *packages],
        "dependencies": [{"ref": _MODEL, "dependsOn": refs}] if refs else [{"ref": _MODEL}],
    })  # fmt: skip


def _once(subject: Subject) -> list[tuple[Record, Record]]:
    """Data by content: what was used for two things is one component."""
    return list({content["id"]: (use, content) for use, content in reversed(subject.data)}.values())[::-1]


def _data(subject: Subject, use: Record, content: Record) -> dict[str, Any]:
    digest = of.best_digest(subject, content)
    facts = {
        "histhooks:role": use["role"], "histhooks:kind": content["kind"], "histhooks:rows": content["n_rows"],
        "histhooks:columns": content["n_columns"], "histhooks:id": content["id"],
    }  # fmt: skip
    if digest is not None and digest["algorithm"] not in _HASHES:
        facts[f"histhooks:{digest['algorithm']}"] = digest["digest"]
    found: dict[str, Any] = {
        "type": "data", "bom-ref": f"data:{content['id'][:16]}", "name": use["name"] or f"{of.role_of(use)} data",
        "data": [{"type": "dataset", "name": use["name"] or f"{of.role_of(use)} data"}],
        "properties": _properties(facts),
    }  # fmt: skip
    if digest is not None and digest["algorithm"] in _HASHES:
        found["hashes"] = [{"alg": _HASHES[digest["algorithm"]], "content": digest["digest"]}]
    return found


def _package(each: Record) -> dict[str, Any]:
    address = purl(each["name"], each["version"])
    found = {"type": "library", "bom-ref": address, "name": each["name"], "purl": address}
    return {**found, "version": each["version"]} if each["version"] else found


def _card(subject: Subject, refs: list[str]) -> dict[str, Any]:
    row, shape = subject.row, subject.architecture
    parameters: dict[str, Any] = {}
    if row["framework"]:
        parameters["architectureFamily"] = row["framework"]
    if row["model_class"] or shape is not None:
        parameters["modelArchitecture"] = row["model_class"] or (shape["class_name"] if shape is not None else "")
    if refs:
        parameters["datasets"] = [{"ref": ref} for ref in refs]
    card: dict[str, Any] = {"bom-ref": "model-card", "modelParameters": parameters}
    measured = [
        {"type": each["name"], "value": _value(subject, each), "slice": each["split"] or "unknown"}
        for each in subject.metrics
    ]
    if measured:
        card["quantitativeAnalysis"] = {"performanceMetrics": measured}
    considerations = {
        name: [text for text, _ in subject.card[key]]
        for name, key in (("users", "users"), ("useCases", "purpose"), ("technicalLimitations", "limits"))
        if key in subject.card
    }
    if considerations:
        card["considerations"] = considerations
    chosen = {f"histhooks:param:{e['key']}": value(e) for e in subject.params if e["source"] != "default"}
    if chosen:
        card["properties"] = _properties(chosen)
    return card


def _value(subject: Subject, row: Record) -> str:
    found = of.told(subject, row)
    return str(row["last_special"] or "none") if found is None else repr(found)


def _properties(facts: dict[str, Any]) -> list[dict[str, str]]:
    return [{"name": name, "value": str(fact)} for name, fact in facts.items() if fact is not None]
