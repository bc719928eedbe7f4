"""The facts of a run, in the order of an audit: what, by whom, with what, how it went, what is missing."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from histhooks._base import text as _text
from histhooks._views import run_words as facts
from histhooks.history._places import place
from histhooks.history._ranking import outcomes_of
from histhooks.history._seeds import UNUSED, param_seeds, seed_calls, why_none
from histhooks.history.compare.code import as_script, lacking
from histhooks.report._blocks import Block, Code, Columns, Facts, Section, Table, Text
from histhooks.report._outcomes import children, metrics, results, value_of

if TYPE_CHECKING:
    from histhooks.history import RunRecord

_LAYERS = 200


def sections(run: RunRecord) -> list[Section]:
    """All sections; one that has nothing says so where its absence matters, and is left out elsewhere."""
    parts: list[tuple[str, Sequence[Block]]] = [
        ("What happened", _happened(run)),
        ("Who and where", _who(run)),
        ("Data", _data(run)),
        ("Model", _model(run)),
        ("Optimizer", [Text("\n".join(facts.optimizer(each))) for each in run.optimizers]),
        ("Params", _params(run)),
        ("Randomness", _randomness(run)),
        ("Metrics", metrics(run)),
        ("Results", results(run)),
        ("Runs inside", children(run)),
        ("Files", _files(run)),
        ("Code", _code(run)),
        ("Environment", _environment(run)),
        ("Tags and notes", _notes(run)),
        ("Events", _events(run)),
        ("What was gathered, and what was not", _captures(run)),
    ]
    return [Section(title, blocks) for title, blocks in parts if blocks]


def highlights(run: RunRecord) -> list[tuple[str, str]]:
    """A few numbers for the top."""
    out: list[tuple[str, str]] = []
    outcome = outcomes_of(run.history, {run.id: run.row["main_metric"]})[run.id]
    if outcome is not None:
        which, value = ("last", outcome.last) if outcome.best is None else ("best", outcome.best)
        out.append((f"{which} {outcome.name}", outcome.special or _text.number(value)))
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


def _data(run: RunRecord) -> list[Block]:
    rows = []
    for data in run.datasets:
        covers = {"all": "all of it", "sample": "a sample", "none": "not hashed", None: "unknown"}[data["coverage"]]
        size = _text.number(data["n_rows"]), _text.number(data["n_columns"]), _text.size(data["size_bytes"])
        origin = " ".join(filter(None, [data["name"], data["source"]]))
        rows.append([data["role"], data["kind"], *size, data["content_hash"] or "–", covers, origin or "–"])
    if not rows:
        return [Text("No data was recorded.", "faint")]
    head = ["role", "kind", "rows", "columns", "size", "hash of the content", "covers", "from"]
    return [Table(head, rows, frozenset({2, 3, 4}))]


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
    order = sorted(values, key=lambda key: sources[key] == "default")
    rows = [[key, _text.value_text(values[key], 2000), sources[key]] for key in order]
    faint = frozenset(n for n, key in enumerate(order) if sources[key] == "default")
    return [Table(["param", "value", "from"], rows, faint=faint)] if rows else [Text("None were recorded.", "faint")]


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
    states = [
        [" ".join(filter(None, [s["library"], s["device"]])), s["algorithm"] or "–", s["digest"]]
        for s in run.related("rng_states")
    ]
    if states:
        blocks.append(Table(["generator at the start", "algorithm", "hash of its state"], states))
    flags = run.determinism
    if flags:
        blocks.append(Table(["flag", "value"], [[key, value_of(value)] for key, value in flags.items()]))
    return blocks


def _files(run: RunRecord) -> list[Block]:
    rows = [
        [
            {"in": "read", "out": "written"}[file["direction"]], file["role"], place(run, file["path"]),
            _text.size(file["size_bytes"]), _text.number(file["step"]), file["sha256"],
        ]
        for file in run.artifacts
    ]  # fmt: skip
    return [Table(["", "role", "path", "size", "step", "SHA-256"], rows, frozenset({3, 4}))] if rows else []


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
                ("GPUs", "\n".join(gpus) if gpus else "none found, or not looked at"),
                ("Threads and variables", facts.threads(run)),
            ]
        )
    ]
    packages = [f"{name} {version}" for name, version in run.packages.items()]
    return [*blocks, Columns(packages) if packages else Text("Packages were not recorded.", "bad")]


def _notes(run: RunRecord) -> list[Block]:
    erased = "[erased]"
    tags = [
        [t["key"], erased if t["value"] is None else t["value"], t["author"] or "–", moment(t["time"])]
        for t in run.related("tags")
    ]
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
        if e["kind"] != "stderr"
    ]
    head = ["when", "step", "severity", "kind", "what", "times"]
    return [Table(head, rows, frozenset({1, 5}))] if rows else []


def _captures(run: RunRecord) -> list[Block]:
    found = sorted(run.captures, key=lambda capture: capture["status"] == "ok")
    rows = [[c["collector"], c["status"], c["note"] or "–"] for c in found]
    faint = frozenset(n for n, capture in enumerate(found) if capture["status"] == "ok")
    return [Table(["collector", "what came of it", "why"], rows, faint=faint)] if rows else []
