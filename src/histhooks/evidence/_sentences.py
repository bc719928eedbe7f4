"""What the record says, one sentence a fact, each with the records that it rests on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from histhooks._base import text as _text
from histhooks._base.envelopes import TIME_STAMP
from histhooks._base.values import loads
from histhooks._base.vocabulary import ENTROPY
from histhooks._views.run_words import has_changes
from histhooks.evidence._records import Record, Sentence, said
from histhooks.evidence._subject import Subject, value
from histhooks.history._ranking import Best, best_of, mean_of_folds

_FEW = 12
_LONG = 160  # characters
_SPLITS = {"train": "training", "valid": "validation", "test": "test"}


def day(text: str | int | None) -> str:
    """A time in UTC, to the second."""
    if text is None:
        return "an unknown time"
    moment = datetime.fromtimestamp(text / 1e6, UTC) if isinstance(text, int) else datetime.fromisoformat(text)
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short(given: Any) -> str:
    """A value in a sentence; a long one is cut, since the record has it whole."""
    text = _text.word_of(given)
    return text if len(text) <= _LONG else f"{text[:_LONG]}… (cut; the record has it)"


def card(subject: Subject, *keys: str) -> list[Sentence]:
    """What a person said for the card, by key."""
    return [said(text, record) for key in keys for text, record in subject.card.get(key, ())]


def identity(subject: Subject) -> list[Sentence]:
    """Which version this is, and which file."""
    model, version, out = subject.model, subject.version, []
    if version is not None:
        out.append(said(f"This is version {version['number']} of the model {version['model']}.", version))
    if model is not None:
        size = f", {_text.size(model.size_bytes)}" if model.size_bytes is not None else ""
        kind = "folder" if len(model.files) > 1 or (model.files and model.files[0][0] != ".") else "file"
        out.append(said(f"The model is the {kind} {model.name}{size}, SHA-256 {model.sha256}.", *model.records))
    return out


def origin(subject: Subject) -> list[Sentence]:
    """The run that made it, and who ran it."""
    row, session, code = subject.row, subject.session, subject.code
    took = f" and took {_text.seconds(subject.run.duration_s)}" if subject.run.duration_s is not None else ""
    text = f"It was made by the run {row['name']} ({row['kind']}), which began {day(row['started_at'])}{took}"
    out = [said(f"{text}; its status is {subject.run.status}.", row)]
    if session["actor"]:
        out.append(said(f"The run was started by {session['actor']}.", session))
    if code is not None and code["commit_hash"]:
        is_changed = None if code["dirty"] is None else has_changes(subject.run)
        dirty = {False: "without changes on top", True: "with changes on top, which are recorded", None: ""}[is_changed]
        out.append(said(f"The code is commit {code['commit_hash']}{' ' + dirty if dirty else ''}.", code))
    elif code is not None and code["entry_script"]:
        digest = f", SHA-256 {code['entry_sha256']}" if code["entry_sha256"] else ""
        where = "its git repository has no commit yet" if code["repository"] else "it is in no git repository"
        out.append(said(f"The program is {code['entry_script']}{digest}; {where}.", code))
    return out


def software(subject: Subject) -> list[Sentence]:
    """Python, the framework, the packages."""
    row, machine, out = subject.row, subject.environment, []
    if row["framework"]:
        version = f" {row['framework_version']}" if row["framework_version"] else ""
        out.append(said(f"The framework is {row['framework']}{version}.", row))
    if machine is not None and machine["python"]:
        out.append(said(f"It ran on {machine['python']} under {machine['os'] or 'an unknown system'}.", machine))
    if subject.packages and machine is not None:
        first, last = subject.packages[0], subject.packages[-1]
        text = f"{len(subject.packages)} packages were installed, from {first['name']} to {last['name']}"
        out.append(said(f"{text}; bom.cdx.json lists them.", machine, first, last))
    return out


def hardware(subject: Subject) -> list[Sentence]:
    """The machine that trained it."""
    machine = subject.environment
    if machine is None:
        return []
    parts = [machine["cpu"] or machine["machine"]]
    if machine["memory_bytes"]:
        parts.append(f"{_text.size(machine['memory_bytes'])} of memory")
    gpus = json.loads(machine["gpus"]) if machine["gpus"] else []
    parts += [str(gpu.get("name", "GPU")) for gpu in gpus if isinstance(gpu, dict)]
    known = [part for part in parts if part]
    return [said(f"It was trained on {', '.join(known)}.", machine)] if known else []


def method(subject: Subject) -> list[Sentence]:
    """The class of the model, its shape, its optimizer, and what was chosen."""
    row, shape, out = subject.row, subject.architecture, []
    if row["model_class"]:
        out.append(said(f"The model is of the class {row['model_class']}.", row))
    if shape is not None:
        n = shape["n_parameters"]
        size = f" with {n:,} parameters, of which {shape['n_trainable'] or 0:,} were trained" if n is not None else ""
        out.append(said(f"Its architecture is {shape['class_name']}{size}.", shape))
    for each in subject.optimizers:
        out.append(said(f"The optimizer is {each['class_name']}.", each))
    for each in (one for one in subject.weights if one["point"] == "end" and one["digest"]):
        text = f"At the end it had {each['n_values']:,} weights"
        out.append(said(f"{text}, the {each['algorithm']} of which is {each['digest']}.", each))
    if row["epochs_done"] or row["steps_done"]:
        done = [f"{row[k]:,} {word}" for k, word in (("epochs_done", "epochs"), ("steps_done", "steps")) if row[k]]
        out.append(said(f"It was trained for {' and '.join(done)}.", row))
    return out


def choices(subject: Subject) -> list[Sentence]:
    """Params that are no defaults, one a sentence; of defaults, how many."""
    chosen = [each for each in subject.params if each["source"] != "default"]
    out = [said(f"{e['key']} = {short(value(e))} ({e['source']}).", e) for e in chosen]
    defaults = [each for each in subject.params if each["source"] == "default"]
    if defaults:
        text = f"{len(defaults)} other params had the defaults of the framework, such as {defaults[0]['key']}."
        out.append(said(text, defaults[0], defaults[-1]))
    return out


def randomness(subject: Subject) -> list[Sentence]:
    """Seeds that were set."""
    found = [each for each in subject.seeds if not str(each["value"] or "").startswith(ENTROPY)]
    return [
        said(f"The random generator of {e['library']} was seeded: {e['call']}({e['value']}).", e) for e in found[:_FEW]
    ]


def data(subject: Subject) -> list[Sentence]:
    """Each data set: shape, content, classes."""
    out: list[Sentence] = []
    for use, content in subject.data:
        rows, columns = content["n_rows"], content["n_columns"]
        shape = f" with {rows:,} rows" if rows is not None else ""
        shape += f" and {columns:,} columns" if shape and columns is not None else ""
        text = f"The {role_of(use)} data are of the kind {content['kind']}{shape}"
        digest = best_digest(subject, content)
        if digest is not None:
            text += f"; the {digest['algorithm']} of their content is {digest['digest']}"
        out.append(said(f"{text}.", use, content, digest))
        out += [said(text, content) for text in _profiled(role_of(use), content)]
    return out


def role_of(use: Record) -> str:
    """What data were used for, in a word."""
    return _SPLITS.get(use["role"], str(use["role"]))


def split_word(split: str | None) -> str:
    """What a metric was measured on."""
    return "–" if split is None else _SPLITS.get(split, split)


def best_digest(subject: Subject, content: Record) -> Record | None:
    """The hash of whole data: the one that other formats speak if there is one."""
    whole = [
        each for each in subject.digests.get(content["id"], ())
        if each["part"] == "all" and each["coverage"] == "all" and each["digest"]
    ]  # fmt: skip
    return min(whole, key=lambda each: each["algorithm"] != "sha256", default=None)


def classes_of(content: Record) -> dict[str, int]:
    """Classes of the target of data with their counts; empty if it has none, or nobody counted them."""
    profile = loads(content["profile"] or "null")
    target = profile.get("y") if isinstance(profile, dict) else None
    values = target.get("values") if isinstance(target, dict) else None
    found = values.get("classes") if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}


def _profiled(role: str, content: Record) -> list[str]:
    out = []
    profile = loads(content["profile"] or "null")
    features = profile.get("X") if isinstance(profile, dict) else None
    columns = features.get("columns") if isinstance(features, dict) else None
    if isinstance(features, dict) and isinstance(columns, dict) and columns:
        missing = sum(int(c.get("missing") or 0) for c in columns.values() if isinstance(c, dict))
        part = "" if features.get("coverage") == "all" else " of the rows that were looked at"
        out.append(f"In the {role} data{part}, {missing:,} values are missing.")
    classes = classes_of(content)
    if classes:
        counts = ", ".join(f"{name}: {n:,}" for name, n in list(classes.items())[:_FEW])
        out.append(f"The target of the {role} data has {len(classes)} classes ({counts}).")
    return out


def provenance(subject: Subject) -> list[Sentence]:
    """Files that were read, splits, transformers."""
    out = []
    for each in subject.reads[:_FEW]:
        name = each["path"]
        out.append(said(f"The program read {name} with {each['function']}; its SHA-256 is {each['sha256']}.", each))
    for each in subject.splits[:_FEW]:
        parts = json.loads(each["n_out"] or "null")
        into = f" into {', '.join(f'{n:,}' for n in parts)}" if isinstance(parts, list) and parts else ""
        shuffled = {1: ", shuffled", 0: ", not shuffled", None: ""}[each["shuffled"]]
        rows = f"{each['n_in']:,} samples" if each["n_in"] is not None else "Data"
        out.append(said(f"{rows} were split{into} by {each['function']}{shuffled}.", each))
    for each in subject.transforms[:_FEW]:
        text = f"The {_SPLITS.get(each['role'], each['role'])} data came out of {each['class_name']}"
        if each["n_fitted"] is not None and each["n_rows"] is not None:
            text += f", which had been fitted on {each['n_fitted']:,} of their {each['n_rows']:,} rows"
        out.append(said(f"{text}.", each))
    return out


def inputs(subject: Subject) -> list[Sentence]:
    """Models and files that training began from."""
    out = [
        said(f"The run loaded {use['path']} ({use['role']}), SHA-256 {content['sha256']}.", use, content)
        for use, content in subject.inputs[:_FEW]
    ]
    return out + [
        said(f"The run {e['kind']} the run {e['other_run_id'] or 'of another store'}.", e) for e in subject.links
    ]


def best(subject: Subject, row: Record) -> Best | None:
    """The best value of a metric, by the rule of all screens: of minibatches a mean, never the luckiest one."""
    found = next((each for each in subject.run.summaries if each["name"] == row["name"]), None)
    return None if found is None else best_of(subject.run, found)


def told(subject: Subject, row: Record) -> float | None:
    """The one value of a metric: of folds their mean, else the last one; None if that is not finite."""
    mean = mean_of_folds(subject.run, row.row)
    found = row["last"] if mean is None else mean
    return float(found) if found is not None and isfinite(found) else None


_MEANS = {"epoch": " (mean of an epoch)", "part": " (mean of a part of the run)"}


def _measured(subject: Subject, row: Record) -> str:
    """The value of a metric: of folds their mean, else the last one and the best one."""
    mean = mean_of_folds(subject.run, row.row)
    if mean is not None:
        return f"{_text.number(mean)} on average over {row['count']:,} folds"
    text = row["last_special"] or _text.number(row["last"])
    if row["count"] > 1:
        text += f" at the last of {row['count']:,} points"
        found = best(subject, row)
        text += f", and {_text.number(found.value)} at best{_MEANS.get(found.mean_of or '', '')}" if found else ""
    return text


def metrics(subject: Subject, splits: Iterable[str | None] = ("valid", "test", "train", None)) -> list[Sentence]:
    """Each metric with its last and its best value."""
    out = []
    for split in splits:
        for row in (each for each in subject.metrics if each["split"] == split):
            text = f"{row['name']} is {_measured(subject, row)}"
            of = f" ({_SPLITS.get(split, split)} data)" if split else ""
            out.append(said(f"{text}{of}.", row))
    return out


def results(subject: Subject) -> list[Sentence]:
    """Outcomes that are no curve."""
    return [said(f"{each['key']} is {short(value(each))}.", each) for each in subject.results]


def risks(subject: Subject) -> list[Sentence]:
    """What the checks found, what was waived, what they cannot tell."""
    verdict = subject.verdict
    if verdict is None:
        return []
    finding = subject.records.finding
    out = []
    for found in verdict.findings:
        record = finding(found.id, {"level": found.level, "says": found.says, "version": found.version})
        out.append(said(f"Check {found.id} ({found.level}): {found.says}.".replace("..", "."), record))
    for found in verdict.waived:
        record = finding(found.id, {"level": "waived", "says": found.says, "waived": found.waived})
        out.append(said(f"Check {found.id}, waived: {found.says}; {found.waived}.", record, *subject.waivers))
    if verdict.passed:
        record = finding("passed", {"checks": list(verdict.passed)})
        out.append(said(f"{len(verdict.passed)} checks found nothing: {', '.join(verdict.passed)}.", record))
    if verdict.cannot_tell:
        record = finding("cannot_tell", {one.id: one.why for one in verdict.cannot_tell})
        names = ", ".join(one.id for one in verdict.cannot_tell)
        out.append(
            said(f"{len(verdict.cannot_tell)} checks cannot tell, since too little was recorded: {names}.", record)
        )
    return out


def lifecycle(subject: Subject) -> list[Sentence]:
    """What was done to the version, and by whom."""
    out = []
    for each in subject.events:
        to = f" to {each['alias']}" if each["alias"] else ""
        by = f" by {each['author']}" if each["author"] else ""
        why = f": {each['reason']}" if each["reason"] else ""
        out.append(said(f"{day(each['time'])}, {each['action']}{to}{by}{why}.", each))
    return out


def watched(subject: Subject) -> list[Sentence]:
    """What was observed in production."""
    report = subject.watched
    if report is None or not report.windows:
        return []
    finding, first = subject.records.finding, report.windows[0]
    rows = sum(each.n_rows for each in report.windows)
    facts = {"state": report.state, "why": report.why, "windows": len(report.windows), "rows": rows}
    text = f"In production, {rows:,} rows were counted from {day(first.started_at)} on; the state is {report.state}"
    out = [said(f"{text}: {report.why}.".replace("..", "."), finding("monitor", facts))]
    for each in report.windows[-_FEW:]:
        worst = each.worst
        shown = f"; the worst column is {worst.column} ({worst.kind})" if worst is not None else ""
        facts = {"rows": each.n_rows, "state": each.state, "worst": worst and worst.column, "ended_at": each.ended_at}
        text = f"From {day(each.started_at)}: {each.n_rows:,} rows, {each.state}{shown}."
        out.append(said(text, finding(f"monitor.{each.started_at}.{each.source}", facts)))
    return out


def signed(subject: Subject) -> list[Sentence]:
    """Signatures of the history, of the file and of the version."""
    return [*signed_files(subject), *signed_heads(subject)]


def signed_files(subject: Subject) -> list[Sentence]:
    """Signatures of the file of the model, and of the version."""
    return [_signature(each) for each in subject.signatures if each["subject"] != "head"][-_FEW:]


def signed_heads(subject: Subject) -> list[Sentence]:
    """Signatures of the history since the run."""
    return [_signature(each) for each in subject.signatures if each["subject"] == "head"][-_FEW:]


def _signature(each: Record) -> Sentence:
    if each["algorithm"] == TIME_STAMP:
        return said(f"The history has a time stamp of {each['key_id']}, {day(each['time'])}.", each)
    by = f" by {each['author']}" if each["author"] else ""
    what = {"head": "history", "version": "version", "file": "file", "pack": "pack"}[each["subject"]]
    return said(f"The {what} was signed as {each['meaning']}{by}, key {each['key_id']}, {day(each['time'])}.", each)


def head_of(subject: Subject) -> Record:
    """The last line of the ledger of the session that trained."""
    found = subject.records.one("ledger", "session_id = ? ORDER BY seq DESC", subject.session["id"])
    assert found is not None  # a session is written with its line
    return found


def kept(subject: Subject) -> list[Sentence]:
    """That the record is kept, and by what it can be verified."""
    line = head_of(subject)
    text = f"The record of the training is kept in a ledger of hashes, whose line {line['seq']} is {line['digest']}"
    return [said(f"{text}.", line, subject.session)]
