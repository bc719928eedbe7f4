"""The facts of a run: what happened and how well it went, by whom, with what, and what is missing."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from histhooks._base import text as _text
from histhooks._base.telling import inner
from histhooks._base.vocabulary import ENTROPY
from histhooks._views import run_words as facts
from histhooks.history._places import place
from histhooks.history._ranking import outcomes_of
from histhooks.history._seeds import UNUSED, param_seeds, seed_calls, why_none
from histhooks.history.compare.code import as_script, lacking
from histhooks.report._blocks import Block, Code, Columns, Facts, Section, Table, Text
from histhooks.report._data import data, files_read, weights
from histhooks.report._outcomes import children, metrics, results, value_of

if TYPE_CHECKING:
    from histhooks.history import Artifact, RunRecord

_LAYERS = 200
_MOST_UNSEEDED = 50


def sections(run: RunRecord, only: Collection[str] = ()) -> list[Section]:
    """All sections, or those with some titles; one that has nothing says so where its absence matters, and is left
    out elsewhere.
    """
    parts: dict[str, Callable[[RunRecord], Sequence[Block]]] = {
        "What happened": _happened,
        "Metrics": metrics,
        "Results": results,
        "Runs inside": children,
        "Who and where": _who,
        "Data": data,
        "Model": _model,
        "Optimizer": lambda run: [Text("\n".join(facts.optimizer(each))) for each in run.optimizers],
        "Weights": weights,
        "Params": _params,
        "Randomness": _randomness,
        "Files": _files,
        "Code": _code,
        "Environment": _environment,
        "Tags and notes": _notes,
        "Events": _events,
        "What was gathered, and what was not": _captures,
    }
    found = ((title, part(run)) for title, part in parts.items() if not only or title in only)
    return [Section(title, blocks) for title, blocks in found if blocks]


def highlights(run: RunRecord) -> list[tuple[str, str]]:
    """A few numbers for the top."""
    out: list[tuple[str, str]] = []
    outcome = outcomes_of(run.history, {run.id: run.row["main_metric"]})[run.id]
    if outcome is not None:
        which, value = ("last", outcome.last) if outcome.best is None else ("best", outcome.best)
        word = outcome.name if outcome.name.startswith(("best", "mean")) else f"{which} {outcome.name}"
        word += f", mean of {'an' if outcome.mean_of == 'epoch' else 'a'} {outcome.mean_of}" if outcome.mean_of else ""
        out.append((word, outcome.special or _text.number(value)))
    out.append(("took", _text.seconds(run.duration_s)))
    if run.row["epochs_done"]:
        out.append(("epochs", f"{run.row['epochs_done']:,}"))
    if run.steps_done:
        out.append(("steps", f"{run.steps_done:,}"))
    shape = run.architecture
    if shape is not None and shape["n_parameters"] is not None:
        out.append(("parameters", f"{shape['n_parameters']:,}"))
    rows = next((data["n_rows"] for data in run.datasets if data["n_rows"] is not None), None)
    if rows is not None:
        out.append(("rows of data", f"{rows:,}"))
    return out


def moment(time: int) -> str:
    """A time in UTC, whole."""
    return datetime.fromtimestamp(time / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _iso(text: str | None) -> str | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _happened(run: RunRecord) -> list[Block]:
    row = run.row
    of = f" of {row['epochs_planned']:,} planned" if row["epochs_planned"] else ""
    blocks: list[Block] = [
        Facts(
            [
                ("Outcome", facts.outcome(run)),
                ("Progress", facts.progress(run)),
                ("Started", _iso(row["started_at"])),
                ("Ended", _iso(row["ended_at"])),
                ("Took", None if run.duration_s is None else _text.seconds(run.duration_s)),
                ("Epochs", f"{row['epochs_done']:,}{of}" if row["epochs_done"] is not None else None),
                ("Steps", f"{run.steps_done:,}" if run.steps_done is not None else None),
                ("Call", row["call_site"]),
                ("Project", row["project"]),
                ("Group", row["group_name"]),
                ("Related", "\n".join(facts.links(run))),
                ("Id", run.id),
            ]
        )
    ]
    if run.traceback:
        blocks.append(Code(run.traceback.rstrip(), title="Traceback"))
    blocks += [Code(text, title="Last lines of stderr") for text in facts.stderr(run)]
    return blocks


def _who(run: RunRecord) -> list[Block]:
    session = run.session
    source = f" (by {session['actor_source']})" if session["actor_source"] else ""
    rank = f"{session['rank']} of {session['world_size']}" if session["world_size"] else None
    return [
        Facts(
            [
                ("Actor", f"{session['actor']}{source}" if session["actor"] else "not recorded, or erased"),
                ("Account", session["username"]),
                ("Machine", session["hostname"]),
                ("Command", session["command"]),
                ("Folder", session["cwd"]),
                ("Process", facts.session(session)),
                ("Batch job", session["job_id"]),
                ("Rank", rank),
                ("Session", session["id"]),
                ("Recorder", f"histhooks {session['recorder_version']}"),
                ("Cost of recording", f"{_text.seconds(session['overhead_s'])} on training threads, whole session"),
            ]
        )
    ]


def _model(run: RunRecord) -> list[Block]:
    shape = run.architecture
    release = " ".join(filter(None, [run.row["framework"], run.row["framework_version"]]))
    rows: list[tuple[str, str | None]] = [("Class", run.row["model_class"]), ("Framework", release)]
    if shape is None:
        return [Facts(rows)] if any(value for _, value in rows) else []
    for label, n in (("Parameters", shape["n_parameters"]), ("Trained", shape["n_trainable"])):
        rows.append((label, f"{n:,}" if n is not None else None))
    blocks: list[Block] = [Facts([*rows, ("Shape", shape["id"])])]
    layers = (
        [layer for layer in shape["layers"] if isinstance(layer, dict)] if isinstance(shape["layers"], list) else []
    )
    table = [
        [str(layer.get("name", "")), str(layer.get("class", "")), value_of(layer.get("output")), _text.number(n)]
        for layer, n in ((layer, layer.get("parameters")) for layer in layers[:_LAYERS])
    ]
    if table:
        blocks.append(Table(["layer", "class", "output", "parameters"], table, frozenset({3})))
    if len(layers) > _LAYERS:
        blocks.append(Text(f"and {len(layers) - _LAYERS} more layers", "faint"))
    return blocks


def _params(run: RunRecord) -> list[Block]:
    values, sources = run.params, run.param_sources
    repeated = inner(values)
    order = sorted((key for key in values if key not in repeated), key=lambda key: sources[key] == "default")
    rows = [[key, _text.value_text(values[key], 2000), sources[key]] for key in order]
    faint = frozenset(n for n, key in enumerate(order) if sources[key] == "default")
    if not rows:
        return [Text("None were recorded.", "faint")]
    said = f"{', '.join(sorted(repeated))}: left out, since the params of their parts say the same"
    return [Table(["param", "value", "from"], rows, faint=faint), *([Text(said, "faint")] if repeated else [])]


def _randomness(run: RunRecord) -> list[Block]:
    rows = [
        [s["library"], f"{s['call']}({s['value']})", s["location"] or "–", moment(s["time"])] for s in seed_calls(run)
    ]
    rows += [["param", f"{key} = {value_of(value)}", "–", "–"] for key, value in param_seeds(run).items()]
    table = Table(["library", "seed", "where", "when"], rows)
    why = why_none(run)
    nothing = (
        Text("No generator was used.", "faint")
        if why == UNUSED
        else Text("No seed was set.", "bad" if why else "faint")
    )
    blocks: list[Block] = [table if rows else nothing]
    unseeded = [
        [row["library"], row["call"], row["value"].removeprefix(ENTROPY), row["location"] or "–"]
        for row in run.unseeded[:_MOST_UNSEEDED]
    ]
    if unseeded:
        blocks.append(Table(["library", "generator without a seed", "entropy", "where"], unseeded))
    states = [
        [
            s["point"].replace("_", " "),
            " ".join(filter(None, [s["library"], s["device"]])),
            s["algorithm"] or "–",
            s["digest"],
        ]
        for s in run.related("rng_states")
    ]
    if states:
        blocks.append(Table(["when", "generator", "algorithm", "hash of its state"], states))
    flags = run.determinism
    if flags:
        blocks.append(Table(["flag", "value"], [[key, value_of(value)] for key, value in flags.items()]))
    return blocks


def _kept(file: Artifact) -> str:
    words = {"kept": "yes", "lost": "gone", "elsewhere": "elsewhere"}
    return next((text for name, text in words.items() if file[name]), "no")


def _files(run: RunRecord) -> list[Block]:
    rows = [
        [
            {"in": "read", "out": "written"}[file["direction"]], file["role"],
            place(run, file["path"]) + facts.folder_of(file), _text.size(file["size_bytes"]),
            _text.number(file["step"]), _kept(file), file["sha256"],
        ]
        for file in run.artifacts
    ]  # fmt: skip
    table = Table(["", "role", "path", "size", "step", "kept", "SHA-256"], rows, frozenset({3, 4}))
    return [*([table] if rows else []), *files_read(run)]


def _code(run: RunRecord) -> list[Block]:
    code = run.code
    beside = _sources(run)
    if code is None or (code["commit_hash"] is None and code["entry_script"] is None):
        return beside or [Text("Not recorded.", "bad")]
    details = code["details"]
    blocks: list[Block] = [
        Facts(
            [
                ("Repository", code["repository"]),
                ("Commit", code["commit_hash"] or "none"),
                ("Branch", code["branch"]),
                ("Changes on top", {0: "none", 1: "yes, below", None: "not known"}[code["dirty"]]),
                ("Program", code["entry_script"]),
                ("Program's SHA-256", code["entry_sha256"]),
            ]
        )
    ]
    if details.get("diff_masked"):
        blocks.append(Text("Secrets in the changes are masked.", "bad"))
    blocks += [Text(f"{text[:1].upper()}{text[1:]}.", "bad") for text in lacking(run)]
    blocks += [Text(f"{text}.", "faint") for text in facts.others_changed(code)]
    if run.code_diff:
        blocks.append(Code(run.code_diff.rstrip("\n"), "diff", "Changes on top of the commit"))
    for path, text in run.untracked.items():
        lines = difflib.unified_diff([], text.splitlines(), "/dev/null", f"b/{path}", lineterm="")
        blocks.append(Code("\n".join(lines), "diff", f"File that git did not know: {path}"))
    return blocks + beside


def _sources(run: RunRecord) -> list[Block]:
    """Cells, and what ran and git does not have."""
    cells = run.cells
    blocks: list[Block] = [Code(as_script(cells).rstrip(), title="Cells that ran up to its end")] if cells else []
    return blocks + [Code(text.rstrip(), title=f"Source: {name}") for name, text in run.sources.items()]


def _environment(run: RunRecord) -> list[Block]:
    found = run.environment
    if found is None:
        return [Text("Not recorded.", "bad")]
    details = found["details"]
    gpus = facts.gpus(found)
    blocks: list[Block] = [
        Facts(
            [
                ("Python", f"{found['python']}  {details.get('executable') or ''}".strip()),
                ("System", f"{found['os']}  {details.get('libc') or ''}".strip()),
                ("Processor", f"{found['cpu'] or found['machine']}, {details.get('cpu_count')} CPUs"),
                ("Memory", _text.size(found["memory_bytes"])),
                ("GPUs", "\n".join(gpus) if gpus else "none found, or not checked"),
                ("Threads and variables", facts.threads(run)),
            ]
        )
    ]
    packages = [f"{name} {version}" for name, version in run.packages.items()]
    if not packages:
        return [*blocks, Text("Packages were not recorded.", "bad")]
    return [*blocks, Facts([("Packages", f"{len(packages):,}")]), Columns(packages)]


def _notes(run: RunRecord) -> list[Block]:
    erased = "[erased]"
    tags = [
        [
            t["key"], "(taken off)" if t["is_removed"] else erased if t["value"] is None else t["value"],
            t["author"] or "–", moment(t["time"]),
        ]
        for t in run.related("tags")
    ]  # fmt: skip
    notes = [
        [erased if note["body"] is None else note["body"] or "(empty)", note["author"] or "–", moment(note["time"])]
        for note in run.notes
    ]
    blocks: list[Block] = [Table(["tag", "value", "by", "when"], tags)] if tags else []
    return [*blocks, Table(["note", "by", "when"], notes)] if notes else blocks


def _events(run: RunRecord) -> list[Block]:
    rows = [
        [moment(e["time"]), _text.number(e["step"]), e["severity"], e["kind"], e["title"], str(e["count"])]
        for e in run.events
        if e["kind"] not in ("stderr", "kept")
    ]
    head = ["when", "step", "severity", "kind", "what", "times"]
    return [Table(head, rows, frozenset({1, 5}))] if rows else []


def _captures(run: RunRecord) -> list[Block]:
    found = sorted(run.captures, key=lambda capture: capture["status"] == "ok")
    rows = [[c["collector"], c["status"], c["note"] or "–"] for c in found]
    faint = frozenset(n for n, capture in enumerate(found) if capture["status"] == "ok")
    return [Table(["collector", "what came of it", "why"], rows, faint=faint)] if rows else []
