"""What a pack is about: a run, the version of a model that it became, and everything that is on record of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks._base import manifest
from histhooks._base.clock import from_iso
from histhooks._base.values import loads
from histhooks.evidence._records import Record, Records, base_name

if TYPE_CHECKING:
    from histhooks.checks import Verdict
    from histhooks.history import RunRecord
    from histhooks.monitor import Report as Watched

_MODELS = "role IN ('model', 'checkpoint') AND direction = 'out'"
# What only a person can say: a note `card purpose: ...` on the run, or a tag `card.purpose`.
CARD = "card"
CARD_KEYS = (
    "purpose", "users", "provider", "license", "limits", "instructions", "interface", "interaction", "deployment",
    "hardware", "oversight", "changes", "security", "labelling", "metrics", "groups", "risks", "standards",
    "declaration", "monitoring", "lifecycle", "design",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The file or folder of the model.

    Attributes
    ----------
    name : str
    sha256 : str
    files : list of (str, str)
        What it consists of, by path inside of it, with SHA-256; a file is `.`.
    records : tuple of Record
    """

    name: str
    sha256: str
    size_bytes: int | None
    format: str | None
    files: list[tuple[str, str]]
    records: tuple[Record, ...]


@dataclass(slots=True)
class Subject:
    """Everything on record, read from the store of the pack. Lists keep the order of the store."""

    records: Records
    run: RunRecord
    row: Record
    session: Record
    name: str
    version: Record | None
    verdict: Verdict | None
    model: ModelFile | None = None
    environment: Record | None = None
    code: Record | None = None
    architecture: Record | None = None
    packages: list[Record] = field(default_factory=list)
    params: list[Record] = field(default_factory=list)
    results: list[Record] = field(default_factory=list)
    metrics: list[Record] = field(default_factory=list)
    data: list[tuple[Record, Record]] = field(default_factory=list)  # how it was used, and what it is
    digests: dict[str, list[Record]] = field(default_factory=dict)
    splits: list[Record] = field(default_factory=list)
    transforms: list[Record] = field(default_factory=list)
    reads: list[Record] = field(default_factory=list)
    seeds: list[Record] = field(default_factory=list)
    optimizers: list[Record] = field(default_factory=list)
    weights: list[Record] = field(default_factory=list)
    links: list[Record] = field(default_factory=list)
    inputs: list[tuple[Record, Record]] = field(default_factory=list)  # files that were loaded: use and content
    events: list[Record] = field(default_factory=list)
    waivers: list[Record] = field(default_factory=list)
    signatures: list[Record] = field(default_factory=list)
    watched: Watched | None = None
    card: dict[str, list[tuple[str, Record]]] = field(default_factory=dict)

    @property
    def time(self) -> str:
        """When what this is about ended, as ISO 8601: the time of everything that has to have one."""
        return str(self.row["ended_at"] or self.row["started_at"])


def subject_of(records: Records, run: RunRecord, verdict: Verdict | None, version_id: str | None, name: str) -> Subject:
    """Read everything about a run."""
    row = records.one("runs", "id = ?", run.id)
    session = records.one("sessions", "id = ?", run.row["session_id"])
    assert row is not None
    assert session is not None
    version = records.one("model_versions", "id = ?", version_id) if version_id else None
    found = Subject(records, run, row, session, name, version, verdict)
    _machine(found)
    _training(found)
    _data(found)
    found.model = _model(found)
    _after(found)
    _card(found)
    return found


def _machine(found: Subject) -> None:
    read, session = found.records.read, found.session
    found.environment = found.records.one("environments", "id = ?", session["environment_id"])
    found.packages = read("packages", "environment_id = ? ORDER BY lower(name), name", session["environment_id"])
    found.code = found.records.one("code_versions", "id = ?", session["code_version_id"])
    found.architecture = found.records.one("architectures", "id = ?", found.row["architecture_id"])


def _training(found: Subject) -> None:
    read, run_id = found.records.read, found.run.id
    latest = {each["key"]: each for each in read("params", "run_id = ? ORDER BY ordinal", run_id)}
    found.params = list(latest.values())
    found.results = list({e["key"]: e for e in read("results", "run_id = ? ORDER BY ordinal", run_id)}.values())
    found.metrics = read("metric_summaries", "run_id = ? AND coalesce(split, '') <> 'system' ORDER BY series", run_id)
    until = from_iso(found.row["started_at"])
    found.seeds = read(
        "seeds", "(run_id = ? OR (session_id = ? AND run_id IS NULL AND time <= ?)) ORDER BY time, ordinal",
        run_id, found.session["id"], until,
    )  # fmt: skip
    found.optimizers = read("optimizers", "run_id = ? ORDER BY ordinal", run_id)
    found.weights = read("weights", "run_id = ? ORDER BY ordinal", run_id)
    found.links = read("run_links", "run_id = ? ORDER BY time, ordinal", run_id)


def _data(found: Subject) -> None:
    read, run_id = found.records.read, found.run.id
    for use in read("run_datasets", "run_id = ? ORDER BY ordinal", run_id):
        data = found.records.one("datasets", "id = ?", use["dataset_id"])
        if data is not None and all(data.id != other.id or use["role"] != u["role"] for u, other in found.data):
            found.data.append((use, data))
    of_data = "dataset_id IN (SELECT dataset_id FROM run_datasets WHERE run_id = ?) ORDER BY run_id <> ?, ordinal"
    for each in read("dataset_digests", of_data, run_id, run_id):
        found.digests.setdefault(each["dataset_id"], []).append(each)
    until = from_iso(found.row["ended_at"] or found.row["started_at"])
    of_session = "(run_id = ? OR (session_id = ? AND run_id IS NULL AND time <= ?)) ORDER BY time, ordinal"
    found.splits = read("splits", of_session, run_id, found.session["id"], until)
    reads = read("file_reads", of_session, run_id, found.session["id"], until)
    found.reads = list({(each["path"], each["sha256"]): each for each in reads if each["sha256"]}.values())
    found.transforms = read("transforms", "run_id = ? ORDER BY ordinal", run_id)


def _model(found: Subject) -> ModelFile | None:
    """The file of the version; of a run, the last one that it wrote as a model or a checkpoint."""
    run_id, version = found.run.id, found.version
    if version is not None:
        use = found.records.one(
            "run_artifacts", "run_id = ? AND sha256 = ? AND direction = 'out' ORDER BY ordinal DESC", run_id,
            version["sha256"],
        )  # fmt: skip
        sha256, path = version["sha256"], version["path"] or (use["path"] if use else "model")
    else:
        use = found.records.one("run_artifacts", f"run_id = ? AND {_MODELS} ORDER BY ordinal DESC", run_id)
        if use is None:
            return None
        sha256, path = use["sha256"], use["path"]
    content = found.records.one("artifacts", "sha256 = ?", sha256)
    records = tuple(each for each in (version, use, content) if each is not None)
    size, form = (content["size_bytes"], content["format"]) if content else (None, None)
    return ModelFile(base_name(str(path)), sha256, size, form, _parts(found, sha256), records)


def _parts(found: Subject, sha256: str) -> list[tuple[str, str]]:
    rows = found.records.history.sql(
        "SELECT encoding, data FROM contents WHERE sha256 = ? AND kind = ?", sha256, manifest.KIND
    )
    if not rows:
        return [(".", sha256)]
    import zlib

    data = zlib.decompress(rows[0]["data"]) if rows[0]["encoding"] == "zlib" else bytes(rows[0]["data"])
    return sorted((file.path, file.sha256) for file in manifest.files_of(data) if file.sha256 is not None)


def _after(found: Subject) -> None:
    """What became of the run and of its model later."""
    read, run_id = found.records.read, found.run.id
    for use in read("run_artifacts", "run_id = ? AND direction = 'in' ORDER BY ordinal", run_id):
        content = found.records.one("artifacts", "sha256 = ?", use["sha256"])
        if content is not None:
            found.inputs.append((use, content))
    version = found.version
    if version is not None:
        found.events = read("model_events", "version_id = ? ORDER BY time, session_id, ordinal", version["id"])
    found.waivers = read("waivers", "run_id = ? OR version_id = ? ORDER BY time", run_id, version and version["id"])
    digests = [found.model.sha256] if found.model is not None else []
    found.signatures = read(
        "signatures", "subject = 'head' OR subject_sha256 IN (SELECT value FROM json_each(?)) ORDER BY time",
        json.dumps(digests),
    )  # fmt: skip


def _card(found: Subject) -> None:
    """What a person said for the card: notes `card purpose: ...`, and tags `card.purpose`."""
    told: dict[str, list[tuple[int, str, Record]]] = {}
    for note in found.records.read("notes", "run_id = ? AND body IS NOT NULL ORDER BY time", found.run.id):
        first, colon, text = str(note["body"]).partition(":")
        words = first.replace(".", " ").split()
        if colon and len(words) == 2 and words[0].lower() == CARD and words[1].lower() in CARD_KEYS and text.strip():
            told.setdefault(words[1].lower(), []).append((note["time"], text.strip(), note))
    tags = {tag["key"]: tag for tag in found.records.read("tags", "run_id = ? ORDER BY time", found.run.id)}
    for key, tag in tags.items():
        name = key.partition(f"{CARD}.")[2].lower() if key.startswith(f"{CARD}.") else ""
        if name in CARD_KEYS and tag["value"]:
            told.setdefault(name, []).append((tag["time"], str(tag["value"]), tag))
    found.card = {
        key: [(text, record) for _, text, record in sorted(rows, key=lambda r: r[0])] for key, rows in told.items()
    }


def value(record: Record, column: str = "value") -> Any:
    """A column of JSON as a value."""
    return loads(record[column] or "null")
