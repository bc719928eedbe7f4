"""Where the model comes from, as other tools read it: an in-toto statement with SLSA provenance, and a signed bundle.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance, and for
the bundle https://github.com/sigstore/model-transparency, whose `model_signing verify key` accepts it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from histhooks._base.text import finite
from histhooks.evidence import _sentences as of
from histhooks.evidence._subject import ModelFile, Subject, value

if TYPE_CHECKING:
    from histhooks.evidence._keys import SigningKey

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD = "application/vnd.in-toto+json"
_PROVENANCE = "https://slsa.dev/provenance/v1"
_MODEL_SIGNATURE = "https://model_signing/signature/v1.0"
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_BUILD_TYPE = "urn:histhooks:training:v1"


def statement(subject: Subject) -> str:
    """Which materials, settings and run made the model."""
    head = of.head_of(subject)
    model = subject.model
    if model is not None:
        named = {"name": model.name, "digest": {"sha256": model.sha256}}
    else:  # a statement is about something: without a file, about the record
        named = {"name": f"record of run {subject.run.id}", "digest": {"sha256": head["digest"]}}
    chosen = {e["key"]: value(e) for e in subject.params if e["source"] != "default"}
    defaults = {e["key"]: value(e) for e in subject.params if e["source"] == "default"}
    row, session = subject.row, subject.session
    predicate = {
        "buildDefinition": {
            "buildType": _BUILD_TYPE,
            "externalParameters": {"params": chosen, "kind": row["kind"], "model_class": row["model_class"]},
            "internalParameters": {
                "defaults": defaults,
                "seeds": [{"library": e["library"], "call": e["call"], "value": e["value"]} for e in subject.seeds],
            },
            "resolvedDependencies": materials(subject),
        },
        "runDetails": {
            "builder": {"id": "urn:histhooks:recorder", "version": {"histhooks": session["recorder_version"]}},
            "metadata": {"invocationId": subject.run.id, "startedOn": row["started_at"], "finishedOn": row["ended_at"]},
            "byproducts": [{"name": "ledger head of the session", "digest": {"sha256": head["digest"]}}],
        },
    }
    return dumps({"_type": STATEMENT, "subject": [named], "predicateType": _PROVENANCE, "predicate": predicate})


def materials(subject: Subject) -> list[dict[str, Any]]:
    """Code, data, files, models that were loaded, and packages."""
    out: list[dict[str, Any]] = []
    code = subject.code
    if code is not None and code["commit_hash"]:
        out.append(
            {
                "name": "code",
                "uri": f"git+{code['repository'] or 'local'}",
                "digest": {"gitCommit": code["commit_hash"]},
            }
        )
    if code is not None and code["entry_sha256"]:
        out.append({"name": code["entry_script"] or "program", "digest": {"sha256": code["entry_sha256"]}})
    for use, content in subject.data:
        digest = of.best_digest(subject, content)
        found = {digest["algorithm"]: digest["digest"]} if digest is not None else {}
        out.append({"name": f"data: {use['role']}", "digest": found, "annotations": {"id": content["id"]}})
    out += [{"name": f"file: {e['path']}", "digest": {"sha256": e["sha256"]}} for e in subject.reads]
    out += [{"name": f"{use['role']}: {use['path']}", "digest": {"sha256": c["sha256"]}} for use, c in subject.inputs]
    for each in subject.packages:
        uri = purl(each["name"], each["version"])
        out.append({"name": each["name"], "uri": uri})
    return out


def purl(name: str, version: str | None) -> str:
    """The address of a package (https://github.com/package-url/purl-spec)."""
    plain = name.lower().replace("_", "-")
    return f"pkg:pypi/{quote(plain)}" + (f"@{quote(version)}" if version else "")


def bundle(subject: Subject, model: ModelFile, key: SigningKey) -> str:
    """The model's digest with what the record says of it, signed: a bundle of sigstore's form."""
    digest = hashlib.sha256(b"".join(bytes.fromhex(sha256) for _, sha256 in model.files)).hexdigest()
    resources = [{"name": name, "algorithm": "sha256", "digest": sha256} for name, sha256 in model.files]
    verdict = subject.verdict
    told = {
        "run": subject.run.id, "head": of.head_of(subject)["digest"],
        "data": {use["role"]: (of.best_digest(subject, c) or {"digest": None})["digest"] for use, c in subject.data},
        "verdict": None if verdict is None else {"code": verdict.code, "worst": verdict.worst},
        "version": None if subject.version is None else f"{subject.version['model']}@{subject.version['number']}",
    }  # fmt: skip
    payload = {
        "_type": STATEMENT, "subject": [{"name": model.name, "digest": {"sha256": digest}}],
        "predicateType": _MODEL_SIGNATURE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []},
            "resources": resources, "histhooks": told,
        },
    }  # fmt: skip
    data = dumps(payload).encode()
    hint = hashlib.sha256(key.public.pem.encode()).hexdigest()
    signature = base64.b64encode(key.sign(pae(data))).decode("ascii")
    return dumps({
        "mediaType": _BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(data).decode("ascii"), "payloadType": PAYLOAD,
            "signatures": [{"sig": signature, "keyid": ""}],
        },
    })  # fmt: skip


def pae(payload: bytes) -> bytes:
    """What is signed of a payload (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def dumps(document: Any) -> str:
    """A document as JSON: keys in their order, texts of any language, numbers that JSON has."""
    return json.dumps(finite(document), indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"
