"""The pack as a research object: RO-Crate 1.1 with the profile Process Run Crate.

https://www.researchobject.org/ro-crate/specification/1.1/, https://www.researchobject.org/workflow-run-crate/
"""

from __future__ import annotations

from typing import Any

from histhooks._base.vocabulary import GRADES
from histhooks.evidence import _sentences as of
from histhooks.evidence._in_toto import dumps
from histhooks.evidence._subject import Subject, value

_CONTEXT = "https://w3id.org/ro/crate/1.1/context"
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_TYPES = {
    ".html": "text/html", ".md": "text/markdown", ".json": "application/json", ".db": "application/vnd.sqlite3",
    ".py": "text/x-python", ".txt": "text/plain", ".sig": "application/json", ".pub": "application/x-pem-file",
    ".sha256": "text/plain",
}  # fmt: skip


def write(subject: Subject, members: dict[str, str]) -> str:
    """The metadata.

    Parameters
    ----------
    subject : Subject
    members : dict of str to str
        The other members of the pack, with what each is.
    """
    files = [
        {"@id": name, "@type": "File", "name": about, "encodingFormat": _TYPES[name[name.rindex(".") :]]}
        for name, about in members.items()
    ]
    parts, action = _action(subject)
    root: dict[str, Any] = {
        "@id": "./", "@type": "Dataset", "name": f"Evidence of {subject.name}",
        "description": "What is on record of the training of a model, with what verifies it.",
        "datePublished": subject.time, "license": _license(subject), "conformsTo": {"@id": _PROFILE},
        "hasPart": _refs(files), "mentions": [{"@id": action["@id"]}],
    }  # fmt: skip
    about = {
        "@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }  # fmt: skip
    profile = {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    graph = [about, root, profile, *files, action, *parts]
    return dumps({"@context": [_CONTEXT, _TERMS], "@graph": graph})


def _license(subject: Subject) -> str:
    said = subject.card.get("license")
    return said[-1][0] if said else "not recorded"


def _refs(entities: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"@id": each["@id"]} for each in entities]


def _status(status: str) -> str:
    """How schema.org calls it."""
    return {"good": "Completed", "going": "Active"}.get(GRADES.get(status, ""), "Failed")


def _action(subject: Subject) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The training as an action, and what it names."""
    row, session = subject.row, subject.session
    version = row["framework_version"]
    tool = {"@id": "#program", "@type": "SoftwareApplication", "name": row["framework"] or row["name"]}
    if version:
        tool["softwareVersion"] = version
    data = [
        {
            "@id": f"#data-{content['id'][:16]}-{use['role']}", "@type": "CreativeWork",
            "name": f"{of.role_of(use)} data: {content['kind']}", "identifier": content["id"],
        }
        for use, content in subject.data
    ]  # fmt: skip
    chosen = [e for e in subject.params if e["source"] != "default"]
    settings = [
        {"@id": f"#param-{n}", "@type": "PropertyValue", "name": e["key"], "value": str(value(e))}
        for n, e in enumerate(chosen)
    ]
    parts: list[dict[str, Any]] = [tool, *data, *settings]
    action: dict[str, Any] = {
        "@id": f"#run-{subject.run.id}", "@type": "CreateAction", "name": f"Training: {row['name']}",
        "startTime": row["started_at"], "instrument": {"@id": "#program"}, "object": _refs([*data, *settings]),
        "actionStatus": {"@id": f"http://schema.org/{_status(subject.run.status)}ActionStatus"},
    }  # fmt: skip
    if row["ended_at"]:
        action["endTime"] = row["ended_at"]
    if session["actor"]:
        parts.append({"@id": "#actor", "@type": "Person", "name": session["actor"]})
        action["agent"] = {"@id": "#actor"}
    if subject.model is not None:
        found = {"@id": "#model", "@type": "CreativeWork", "name": subject.model.name, "sha256": subject.model.sha256}
        parts.append(found)
        action["result"] = [{"@id": "#model"}]
    return parts, action
