"""The facts of a run as short texts, shared by `show` and `report`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from histhooks._base import text as _text
from histhooks._base.clock import now_us
from histhooks._base.ids import short_id
from histhooks._base.text import counted
from histhooks._base.vocabulary import BY_HISTHOOKS
from histhooks._views import data_words as words_of
from histhooks.history._places import place
from histhooks.history._reader import last_heard as sign_of
from histhooks.history._reader import pushed_by
from histhooks.history._seeds import param_seeds, set_by_program, why_none

if TYPE_CHECKING:
    from histhooks.history._artifacts import Artifact
    from histhooks.history._progress import Progress
    from histhooks.history._records import RunRecord
    from histhooks.history._row_types import Link, Optimizer
    from histhooks.history.data.dataset import Dataset

_DULL = (None, False, 0, 0.0, "")


def join(*words: str | None) -> str:
    """Words with room between them."""
    return "  ".join(word for word in words if word)


def epoch(framework: str | None, number: int | None) -> str:
    """An epoch as the host prints it: Keras counts from 1, the others from 0."""
    if number is None:
        return "–"
    return str(number + 1 if framework == "keras" else number)


def epochs(run: RunRecord, found: Progress) -> list[str]:
    """Epochs that are done of those planned; where nobody planned, the one it is in as the host prints it."""
    if found.epochs_planned:
        return [f"{found.epochs_done or 0:,} of {found.epochs_planned:,} epochs"]
    return [f"epoch {epoch(run.framework, found.epoch - 1)}"] if found.epoch else []


def outcome(run: RunRecord) -> str:
    """How it ended, with the error."""
    session = run.session
    how = f"by {session['signal']}" if run.status == "killed" and session["signal"] else ""
    error = f"{run.error_type}: {run.error_message or ''}".strip() if run.error_type else ""
    return join(run.status, how, error)


def progress(run: RunRecord) -> str:
    """How far a run is that still runs; empty for others."""
    if run.status != "running":
        return ""
    found = next(run.follow()).progress
    heard = sign_of(run.history, run.row["session_id"])
    words = [last_heard(heard)] if heard is not None else [f"since {_text.seconds(found.elapsed_s)}"]
    words += epochs(run, found)
    if found.steps_done:
        words.append(f"step {found.steps_done:,}" + (f" of {found.steps_planned:,}" if found.steps_planned else ""))
    words += [f"{found.share:.0%}"] if found.share is not None else []
    words += [f"{found.rate:.3g} steps a second"] if found.rate is not None else []
    words += [f"about {_text.seconds(found.left_s)} left"] if found.left_s is not None else []
    return ", ".join(words)


def who(run: RunRecord) -> str:
    """The actor that the program named, from where, and who pushed it."""
    session, role = run.session, pushed_by(run.history, run.row["session_id"])
    source = f"(by {session['actor_source']})" if session["actor_source"] else None
    return join(session["actor"], source, f"pushed by {role}" if role else None)


def last_heard(moment_us: int) -> str:
    """How long ago a machine that has not pushed since was heard of."""
    minutes = max(0, now_us() - moment_us) // 60_000_000
    if minutes < 120:
        return f"last heard of {minutes} min ago"
    return f"last heard of {minutes // 60} h ago" if minutes < 48 * 60 else f"last heard of {minutes // 1440} days ago"


def took(run: RunRecord) -> str:
    """When it ran, how long, and how far it came."""
    words = [f"{_text.when(run.started_at)}, took {_text.seconds(run.duration_s)}"]
    if run.epochs_done:
        of = f" of {run.epochs_planned}" if run.epochs_planned and run.epochs_planned != run.epochs_done else ""
        words.append(f"{run.epochs_done:,}{of} epochs" if of or run.epochs_done != 1 else "1 epoch")
    if run.steps_done:
        words.append(counted(run.steps_done, "step"))
    return ", ".join(words)


def model(run: RunRecord) -> list[str]:
    """The model: class, framework, size."""
    shape = run.architecture
    release = f"({run.framework} {run.framework_version})" if run.framework_version else run.framework
    size = None
    if shape is not None and shape["n_parameters"] is not None:
        trained, layers = shape["n_trainable"], shape["layers"]
        some = f", {trained:,} of them trained" if trained is not None and trained != shape["n_parameters"] else ""
        parts = f" in {counted(len(layers), 'layer')}" if isinstance(layers, list) else ""
        size = counted(shape["n_parameters"], "parameter") + some + parts
    return [line for line in (join(run.model_class, release), size) if line]


def dataset(data: Dataset) -> str:
    """One fingerprint of data."""
    origin = " ".join(word for word in (data["name"], f"from {data['source']}" if data["source"] else None) if word)
    return f"{data['role']}: {words_of.shape(data)}, {words_of.content(data)}" + (f", {origin}" if origin else "")


def settings(values: Mapping[str, Any], without: Iterable[str] = ()) -> str:
    """Settings that say something: those that are off, or nothing, are left out."""
    skipped = {*without}
    told = {k: v for k, v in values.items() if k not in skipped and (v not in _DULL or isinstance(v, (list, dict)))}
    return ", ".join(f"{key}={_text.value_text(value, 40)}" for key, value in told.items())


def optimizer(found: Optimizer) -> list[str]:
    """An optimizer, its schedule, and a line for each group where there are several."""
    lrs: dict[int, list[float]] = {}
    sizes: dict[int, int | None] = {}
    for group in found["groups"]:
        rates = lrs.setdefault(group["position"], [])
        if group["lr"] is not None and (not rates or rates[-1] != group["lr"]):
            rates.append(group["lr"])
        sizes.setdefault(group["position"], group["n_parameters"])
    rest = settings(found["settings"], ("lr", "learning_rate", "name", "class", "schedule", "built"))
    groups = []
    for position, rates in lrs.items():
        few = rates if len(rates) <= 4 else [*rates[:2], rates[-1]]
        path = (" → " if len(rates) <= 4 else " → … ").join(_text.number(rate) for rate in few)
        groups.append(f"lr {path}" if path else f"group {position}")
    lines = [join(found["class_name"], groups[0] if len(groups) == 1 else None, rest)]
    if len(groups) > 1:
        for (position, n), text in list(zip(sizes.items(), groups))[:4]:
            lines.append(f"  group {position}: {text}" + (f", {counted(n, 'parameter')}" if n is not None else ""))
        if len(groups) > 4:
            lines.append(f"  … {len(groups) - 4} more groups")
    schedule = found["scheduler"]
    if isinstance(schedule, dict):
        lines.append(f"  schedule {schedule.get('class', '')}  {settings(schedule, ('class', 'last_epoch', 'name'))}")
    elif schedule:
        lines.append(f"  schedule {_text.value_text(schedule)}")
    return lines


def seeds(run: RunRecord) -> str:
    """Seeds that were set, and whether any was."""
    params = param_seeds(run)
    rows = [s for s in run.seeds if s["location"] != BY_HISTHOOKS and (s["location"] or s["call"] not in params)]
    told = [
        f"{s['library']} {s['call']}({s['value']})" + (f" at {s['location']}" if s["location"] else "")
        for s in set_by_program(rows)
    ]
    told += [f"{key}={_text.value_text(value)}" for key, value in params.items()]
    is_hash_only = all(s["library"] == "python" for s in rows) and not params
    told += filter(None, [why_none(run) if is_hash_only else ""])
    return ", ".join(dict.fromkeys([*told, *filter(None, [_unseeded(run)])]))


def _unseeded(run: RunRecord) -> str:
    """Generators that the program made without a seed, by their call; those that a package made are left out."""
    own = [row for row in run.unseeded if "-packages/" not in (row["location"] or "")]
    calls = dict.fromkeys(f"{row['library']} {row['call']}()" for row in own)
    few = ", ".join(list(calls)[:3]) + (" …" if len(calls) > 3 else "")
    return f"{counted(len(own), 'generator')} without a seed, whose entropy is kept: {few}" if own else ""


def code(run: RunRecord) -> str:
    """Which code ran, and how far it was from its commit."""
    found = run.code
    if found is None:
        return join("not recorded", _beside(run))
    if found["commit_hash"] is None and found["repository"] is None:
        return join("not in git", found["entry_script"], _beside(run))
    words = [found["repository"], (found["commit_hash"] or "no commit")[:10], found["branch"]]
    changes = {0: "clean", 1: "with changes", None: None}[found["dirty"]]
    diff, unknown = run.code_diff, len(found["details"].get("untracked", {}))
    if diff:
        lines = diff.splitlines()
        plus = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
        minus = sum(line.startswith("-") and not line.startswith("--- ") for line in lines)
        changes = f"with changes (+{plus} −{minus})"
    if unknown:
        changes = f"{changes or ''}, {counted(unknown, 'new file')}"
    others = others_changed(found)
    besides = len(found["details"].get("others_untracked", ())) + found["details"].get("others_untracked_left_out", 0)
    if besides and not has_changes(run):
        changes = f"clean, beside {counted(besides, 'new file')} that {'is' if besides == 1 else 'are'} no code"
    if others:
        changes = f"{changes}, {len(others)} changed that {'is' if len(others) == 1 else 'are'} no code"
    if found["details"].get("diff_masked"):
        changes = f"{changes}, secrets masked"
    if found["details"].get("patch_redacted"):
        changes = f"{changes}, redacted"
    return join(*words, changes, found["entry_script"], _beside(run))


def has_changes(run: RunRecord) -> bool:
    """Whether code differs from its commit; new files that are no code, such as data, do not count."""
    found = run.code
    if found is None or not found["dirty"]:
        return False
    details = found["details"]
    if not (details.get("others_untracked") or details.get("others_untracked_left_out")):
        return True
    return bool(run.code_diff or details.get("untracked") or others_changed(found) or _is_in_part(details))


def _beside(run: RunRecord) -> str | None:
    """Cells and sources that git does not have, by their count."""
    cells, sources = len(run.cells), len(run.sources)
    words = [counted(cells, "cell")] if cells else []
    words += [counted(sources, "source") + " kept"] if sources else []
    return ", ".join(words) or None


def modules(run: RunRecord) -> str:
    """Files of the program's own that ran, inside git and outside, and lists of packages beside it."""
    found = run.code
    if found is None:
        return ""
    details = found["details"]
    inside, outside = len(details.get("modules", {})), len(run.sources)
    masked = len(details.get("sources_masked", []))
    locks = [*details.get("locks", {}), *details.get("locks_hashed", {})]
    if not (inside or masked or locks):
        return ""  # the line of the code says how many are kept
    words = [f"{inside} in git"] if inside else []
    words += [f"{outside} kept whole" + (f" ({masked} with secrets masked)" if masked else "")] if outside else []
    return join(", ".join(words), f"beside {', '.join(locks)}" if locks else None)


def settings_parsed(run: RunRecord) -> str:
    """How many params came from the command line and from config files."""
    told = list(run.param_sources.values())
    places = {"command": "from the command line", "config": "from config files"}
    return ", ".join(f"{told.count(source)} {where}" for source, where in places.items() if source in told)


def masked(found: Mapping[str, Any] | None) -> list[str]:
    """What of the kept code has secrets that are masked, a line each."""
    details = found["details"] if found is not None else {}
    lines = ["secrets in the diff are masked"] if details.get("diff_masked") else []
    names = [name for kind in ("untracked", "sources", "locks") for name in details.get(f"{kind}_masked", [])]
    return [*lines, *(f"secrets in {name} are masked" for name in names)]


def _is_in_part(details: Mapping[str, Any]) -> bool:
    """Whether some of what differed from the commit was not kept, so that nobody can say what it was."""
    lost = ("diff_missing", "diff_cut_characters", "patch_redacted", "untracked_left_out", "others_changed_left_out")
    return any(details.get(name) for name in lost)


def others_changed(found: Mapping[str, Any] | None) -> list[str]:
    """Files that git has, that differed from the commit and are no code: name, size and hash, a line each."""
    told = found["details"].get("others_changed", {}) if found is not None else {}
    lines = []
    for name, each in told.items():
        size = _text.size(each["size_bytes"]) if each["size_bytes"] is not None else each["state"]
        digest = f", sha256 {each['sha256'][:12]}" if each["sha256"] else ""
        lines.append(f"{name} differed from the commit and is no code: {size}{digest}")
    return lines


def environment(run: RunRecord) -> str:
    """What it ran on."""
    found = run.environment
    if found is None:
        return "not recorded"
    gpus = [gpu["name"] for gpu in json.loads(found["gpus"] or "[]")]
    memory = _text.size(found["memory_bytes"]) if found["memory_bytes"] else None
    cores = found["details"].get("cpu_count")
    cpu = f"{found['cpu'] or found['machine']} × {cores}" if cores else found["cpu"]
    return join(found["python"], found["os"], cpu, memory, *gpus, counted(len(run.packages), "package"))


def gpus(found: Mapping[str, Any]) -> list[str]:
    """GPUs of an environment, with memory and driver."""
    cards = json.loads(found["gpus"] or "[]")
    return [join(card.get("name"), card.get("memory.total"), f"driver {card.get('driver_version')}") for card in cards]


def threads(run: RunRecord) -> str:
    """Thread pools and the variables that change what is computed."""
    details = (run.environment or {}).get("details", {})
    pools = [f"{p.get('internal_api', p['user_api'])} {p.get('num_threads')}" for p in details.get("thread_pools", [])]
    return ", ".join([*dict.fromkeys(pools), *(f"{k}={v}" for k, v in details.get("variables", {}).items())])


def session(found: Mapping[str, Any]) -> str:
    """What kind of process it was, and how it ended."""
    rank = f"rank {found['rank']} of {found['world_size']}" if found["world_size"] else None
    job = f"job {found['job_id']}" if found["job_id"] else None
    code = f"exit code {found['exit_code']}" if found["exit_code"] is not None else found["signal"]
    dropped = f"{found['dropped_points']} points dropped" if found["dropped_points"] else None
    errors = counted(found["hook_errors"], "internal failure") if found["hook_errors"] else None
    return join(found["kind"], f"pid {found['pid']}", job, rank, found["status"], code, dropped, errors)


def links(run: RunRecord) -> list[str]:
    """What it resumes and what resumes it, and which run made a file that it read."""
    out = [f"{link['kind']} {_other(run, link)}" for link in run.links]
    passive = {"resumes": "resumed by", "continues": "continued by", "fine-tunes": "fine-tuned by"}
    passive |= {"reproduces": "reproduced by", "uses": "used by"}
    out += [f"{passive[link['kind']]} {short_id(link['run_id'])}" for link in run.linked_by]
    known = {link["sha256"] for link in run.links}
    for file in run.artifacts:
        if file["direction"] == "in" and file["sha256"] not in known:
            out += [
                f"reads {place(run, file['path'])}, which {w} wrote"
                for w in map(short_id, run.writers_of(file["sha256"]))
            ]
    readers: dict[str, list[str]] = {}
    linked = {link["run_id"] for link in run.linked_by}
    for reader in run.readers:
        if reader["run_id"] not in linked:
            readers.setdefault(place(run, reader["path"]), []).append(short_id(reader["run_id"]))
    out += [f"{path} was read by {_some(ids)}" for path, ids in readers.items()]
    attempts = [attempt.id for attempt in run.attempts]
    if len(attempts) > 1:
        shown = ", ".join(map(short_id, attempts))
        out.append(f"attempt {attempts.index(run.id) + 1} of {len(attempts)} of one training: {shown}")
    parent = run.parent
    return [*out, *([f"part of {short_id(parent.id)} {parent.name}"] if parent else [])]


def _some(words: list[str], most: int = 5) -> str:
    """The first of some words, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _other(run: RunRecord, link: Link) -> str:
    digest = f" by file {link['sha256'][:12]}" if link["sha256"] else ""
    if link["other_run_id"]:
        return short_id(link["other_run_id"]) + digest
    writers = run.writers_of(link["sha256"]) if link["sha256"] else []
    return (", ".join(map(short_id, writers)) or "a run that is not known") + digest


def artifacts(run: RunRecord, most: int) -> list[str]:
    """Files, the latest content of each path; of older contents their count."""
    latest: dict[tuple[str, str, str], list[Artifact]] = {}
    for file in run.artifacts:
        latest.setdefault((file["direction"], file["role"], file["path"]), []).append(file)
    lines = []
    for (direction, role, path), contents in list(latest.items())[:most]:
        last = contents[-1]
        step = f", step {last['step']:,}" if last["step"] is not None else ""
        earlier = f", {counted(len(contents) - 1, 'earlier content')}" if len(contents) > 1 else ""
        way = "read" if direction == "in" else role
        lines.append(
            f"{way}: {place(run, path)}{folder_of(last)}, {_text.size(last['size_bytes'])}, {last['sha256'][:12]}{step}"
            f"{kept_words(contents)}{earlier}"
        )
    return lines + ([f"… {len(latest) - most} more"] if len(latest) > most else [])


def folder_of(file: Artifact) -> str:
    """Of a folder, how many files it has."""
    return f"/ ({counted(len(file.files), 'file')})" if file.is_folder else ""


def kept_words(contents: list[Artifact]) -> str:
    """Whether the last content is kept, and how many of the earlier ones."""
    n_earlier = len({file["sha256"] for file in contents[:-1] if file["kept"]} - {contents[-1]["sha256"]})
    words = {"kept": ", kept", "lost": ", its kept copy is gone", "elsewhere": ", kept elsewhere"}
    last = next((text for name, text in words.items() if contents[-1][name]), "")
    return last + (f", {n_earlier} earlier kept" if n_earlier else "")


def stderr(run: RunRecord) -> list[str]:
    """The last texts on stderr, without what the traceback says already and without our own words."""
    told = {line.strip() for line in (run.traceback or "").splitlines()}
    out = []
    for event in run.events:
        if event["kind"] == "stderr":
            lines = (event["body"] or "").splitlines()
            kept = [line for line in lines if line.strip() not in told and not line.startswith("histhooks:")]
            out.append("\n".join(kept).strip("\n"))
    return [text for text in out if text.strip()]
