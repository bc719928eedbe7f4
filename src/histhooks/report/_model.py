"""The life of a model as a page: trained, checked, promoted, watched, rolled back."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from histhooks._base import text as _text
from histhooks._base.clock import from_iso
from histhooks._base.ids import short_id
from histhooks._views import change_words, model_words, run_words
from histhooks.errors import HisthooksError
from histhooks.history._ranking import outcomes_of
from histhooks.history._version_files import bytes_of
from histhooks.history._version_rows import data_of
from histhooks.report._blocks import Block, Facts, Section, Table, Text
from histhooks.report._contents import moment

if TYPE_CHECKING:
    from histhooks.history import Live, Model, ModelVersion

_MOST = 200  # rows of a table
_CHANGES = 6


def subtitle(model: Model) -> str:
    """What stands under the name."""
    versions = f"{len(model.versions)} version{'s' if len(model.versions) > 1 else ''}"
    live = [f"{alias} is {each.version.name}" for alias, each in model.aliases().items()]
    return " · ".join(["model", versions, *live])


def status(model: Model) -> str:
    """Whether something is live."""
    live = model.live()
    return f"version {live.version.label} in production" if live is not None else "not in production"


def highlights(model: Model) -> list[tuple[str, str]]:
    """A few numbers for the top."""
    live = model.live() or next(iter(model.aliases().values()), None)
    if live is None:
        return [("versions", str(len(model.versions)))]
    score = _score(live.version)
    checks = model_words.verdict(model_words.last_checks(live)) or "none"
    return [
        (f"live as {live.alias}", live.version.name), ("since", moment(live.event.time)[:16]),
        *([(score[0], score[1])] if score else []), ("checks then", checks),
        ("bytes", model_words.BYTES[bytes_of(live.version).state]), ("versions", str(len(model.versions))),
    ]  # fmt: skip


def sections(model: Model) -> list[Section]:
    """All parts of the page."""
    return [*_live(model), _life(model), _versions(model), *_changes(model), *_watched(model)]


def _live(model: Model) -> list[Section]:
    blocks: list[Block] = [Text(text, "bad") for text in model_words.warnings(model)]
    for live in model.aliases().values():
        blocks.append(Facts(_facts(live)))
    if not model.aliases():
        blocks.append(Text("No alias points to a version.", "plain"))
    return [Section("What is live", blocks)]


def _facts(live: Live) -> list[tuple[str, str | None]]:
    version, run = live.version, live.version.run
    file = version.file
    return [
        ("Alias", live.alias),
        ("Version", f"{version.name}, since {moment(live.event.time)}"),
        ("By", model_words.person(live.author)),
        ("Why", live.reason),
        ("Checks", model_words.verdict(model_words.last_checks(live))),
        ("File", f"{version.path or '–'}, {_text.size(file['size_bytes'])}"),
        ("SHA-256", version.sha256),
        ("Bytes", model_words.bytes_words(version, bytes_of(version))),
        ("Run", model_words.run_words(version)),
        ("Code", _code(version)),
        ("Data", model_words.data_words(version, data_of(version))),
        ("Preprocessing", ", ".join(each.class_name for each in run.transforms) if run is not None else None),
    ]


def _code(version: ModelVersion) -> str | None:
    run = version.run
    code = run.code if run is not None else None
    if code is None:
        return None
    commit = code["commit_hash"]
    on_top = run is not None and run_words.has_changes(run)
    return f"{commit[:12]}{', with changes on top' if on_top else ''}" if commit else code["entry_script"]


def _life(model: Model) -> Section:
    """Everything that happened, the newest on top."""
    rows: list[tuple[int, list[str]]] = []
    for version in model.versions:
        run = version.run
        if run is not None:
            score = _score(version)
            what = f"trained by {short_id(run.id)} {run.name} ({run.status})" + (
                f", {score[0]} {score[1]}" if score else ""
            )
            who = run.session["actor"]
            rows.append((from_iso(run.started_at), ["trained", version.label, what, model_words.person(who), ""]))
            for waiver in run.waivers:
                what = f"{waiver['check_id']} until {waiver['until'] or 'ever'}"
                who = model_words.person(waiver["author"])
                rows.append((waiver["time"], ["waived", version.label, what, who, waiver["reason"]]))
    for event in model.events:
        found = model.by_id(event.version_id)
        what = model_words.done(event, model)
        verdict = model_words.verdict(event.checks)
        what += f"; checks: {verdict}" if verdict else ""
        rows.append((event.time, [event.action, found.label if found else "?", what, model_words.person(event.author),
                                  event.reason or ""]))  # fmt: skip
    for window in _windows(model):
        if window.state not in ("inside", "too few", "cannot tell"):
            worst = f": {window.worst.column}" if window.worst is not None else ""
            rows.append((from_iso(window.started_at), [window.state, window.version, f"watched{worst}", "", ""]))
    rows.sort(key=lambda row: row[0], reverse=True)
    told = [[moment(time), *cells] for time, cells in rows[:_MOST]]
    blocks: list[Block] = [Table(["when", "", "version", "what", "by", "why"], told)]
    if len(rows) > _MOST:
        blocks.append(Text(f"and {len(rows) - _MOST} earlier", "faint"))
    return Section("Life", blocks)


def _score(version: ModelVersion) -> tuple[str, str] | None:
    """The metric that ranks the run, and its value."""
    run = version.run
    if run is None:
        return None
    outcome = outcomes_of(run.history, {run.id: run.row["main_metric"]})[run.id]
    if outcome is None:
        return None
    value = outcome.last if outcome.best is None else outcome.best
    return outcome.name, outcome.special or _text.number(value)


def _versions(model: Model) -> Section:
    rows = []
    for version in reversed(model.versions):
        score = _score(version)
        live = ", ".join(model.aliases_of(version)) or model_words.standing(version)
        rows.append([
            version.label, live, model_words.run_words(version), " ".join(score) if score else "–",
            model_words.data_words(version, data_of(version)), _text.size(version.file["size_bytes"]),
            model_words.BYTES[bytes_of(version).state], version.sha256[:16],
        ])  # fmt: skip
    head = ["version", "live as", "run", "score", "data", "size", "bytes", "sha256"]
    return Section("Versions", [Table(head, rows, frozenset({5}))])


def _changes(model: Model) -> list[Section]:
    """What changed from one version to the next."""
    rows = []
    known = [version for version in model.versions if version.run is not None]
    for before, after in reversed(list(pairwise(known))):
        a, b = before.run, after.run
        if a is None or b is None:
            continue
        if a.id == b.id:
            rows.append([f"{before.label} → {after.label}", "file", "another file of the same run"])
            continue
        found = model.history.diff(a, b)  # type: ignore[attr-defined]  # a history
        parts = [part for part in found.parts if any(change.counts for change in part.changes)]
        for part in parts:
            counted = [change for change in change_words.few(part) if change.counts]
            told = [_change(part.name, change) for change in counted[:_CHANGES]]
            more = sum(change.counts for change in part.changes) - len(told)
            rows.append(
                [f"{before.label} → {after.label}", part.name, "; ".join(told) + (f"; and {more} more" if more else "")]
            )
        if not parts:
            rows.append([f"{before.label} → {after.label}", "", change_words.verdict(found)])
    return [Section("What changed", [Table(["", "in", "what"], rows)])] if rows else []


def _change(part: str, change: object) -> str:
    from histhooks.history.compare.change import Change

    assert isinstance(change, Change)
    if part == "metrics":
        told = [f"{which} {a or '–'} → {b or '–'}" for which, a, b in change_words.curve(change)[:2]]
        gain = change_words.gain(change)
        return f"{change.key} {', '.join(told)}" + (f" ({gain})" if gain else "")
    a, b = change_words.values(change)
    return f"{change.key} {a or '–'} → {b or '–'}"


def _windows(model: Model) -> list:  # type: ignore[type-arg]
    try:
        return list(model.windows)
    except HisthooksError:
        return []


def _watched(model: Model) -> list[Section]:
    windows = _windows(model)
    if not windows:
        text = f"Nothing was watched in production: histhooks run --watch {model.name}@production serve.py"
        return [Section("Watched", [Text(text, "faint")])]
    rows = []
    for window in reversed(windows[-_MOST:]):
        worst, score = window.worst, next(iter(window.scores), None)
        rows.append([
            window.started_at[:16].replace("T", " "), window.state, window.version, f"{window.n_rows:,}",
            f"{worst.column} ({worst.kind})" if worst else "", _text.number(worst.psi) if worst and worst.psi else "",
            f"{score.metric} {_text.number(score.value)}" if score else "",
            _text.number(score.promise) if score and score.promise is not None else "", f"{window.n_errors:,}",
        ])  # fmt: skip
    head = ["window (UTC)", "state", "version", "rows", "worst column", "PSI", "score", "promised", "errors"]
    return [Section("Watched", [Table(head, rows, frozenset({3, 5, 7, 8}))])]
