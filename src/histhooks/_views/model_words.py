"""Models in words: what is live, what was done to a version, and where its bytes are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso, now_us
from histhooks._base.ids import short_id
from histhooks._base.text import plain, size, when
from histhooks._views.table import Cell, Column
from histhooks.history._copies import copies_of
from histhooks.history._version_files import ELSEWHERE, GONE, KEPT, OVERWRITTEN, Bytes, bytes_of

if TYPE_CHECKING:
    from histhooks.history import Live, Model, ModelEvent, ModelVersion

_HASH = 12
_AHEAD_US = 60_000_000  # by so much clocks differ
BYTES = {
    KEPT: "kept", "there": "not kept", OVERWRITTEN: "overwritten", GONE: "gone", ELSEWHERE: "elsewhere",
}  # fmt: skip
_DONE = {
    "register": "registered", "promote": "promoted", "rollback": "rolled back", "demote": "demoted",
    "approve": "approved", "reject": "rejected", "retire": "retired", "deploy": "deployed", "note": "note",
}  # fmt: skip


def person(name: str | None) -> str:
    """Who did something."""
    return plain(name) if name else "(erased)"


def verdict(checks: Mapping[str, Any] | None) -> str:
    """The verdict that an event has, in a few words."""
    if not checks:
        return ""
    if checks.get("code") is None:
        return "not asked" if checks.get("why") == "--no-check" else "no run"
    counts = [f"{checks[level]} {level}" for level in ("fail", "warn") if checks.get(level)]
    counts += [f"{len(checks['waived'])} waived"] if checks.get("waived") else []
    if counts:
        return ", ".join(counts)
    return "passed" if checks["code"] == 0 else "cannot tell"


def run_words(version: ModelVersion) -> str:
    """The run that made a version."""
    run = version.run
    if run is not None:
        return f"{short_id(run.id)} {plain(run.name)}"
    return f"{short_id(version.run_id)} (not in this store)" if version.run_id else "not recorded"


def data_words(version: ModelVersion, data: list[dict[str, Any]]) -> str:
    """The data of the run that made it, by content."""
    told = []
    for row in data:
        digest = str(row["content_hash"] or row["dataset_id"])[:8]
        told.append(f"{row['role']} {digest}" + (f" ({row['n_rows']:,} rows)" if row["n_rows"] is not None else ""))
    return ", ".join(told) or "not recorded"


def standing(version: ModelVersion) -> str:
    """`approved`, `rejected` or `retired`; empty if it is none of these."""
    found = version.standing
    return _DONE[found.action] if found is not None else ""


def done(event: ModelEvent, model: Model) -> str:
    """What an event did, with the version that it replaced."""
    word = _DONE[event.action]
    before = model.by_id(event.from_version_id)
    if event.action in ("promote", "rollback") and event.alias:
        came = f" (was {before.label})" if before is not None else ""
        return f"{word} to {event.alias}{came}" if event.action == "promote" else f"{event.alias} again{came}"
    return f"{word} from {event.alias}" if event.alias else word


def warnings(model: Model) -> list[str]:
    """What a person should know of what is live: bytes that are gone, no checks, other clocks."""
    out, seen = list[str](), set[str]()
    for live in model.aliases().values():
        if live.version.id in seen:
            continue
        seen.add(live.version.id)
        out += [f"{live.version.name} ({live.alias}): {text}" for text in _of_live(live)]
    if model.events and model.events[-1].time > now_us() + _AHEAD_US:
        at = when(model.events[-1].at)
        out.append(
            f"{model.name}: the time of its last event, {at}, is still to come: another machine's clock is ahead"
        )
    return out


def _of_live(live: Live) -> list[str]:
    out = []
    found = bytes_of(live.version)
    if found.state in (OVERWRITTEN, GONE):
        out.append(bytes_words(live.version, found))
    checks = last_checks(live)
    if not checks or checks.get("code") is None:
        why = "no run is known" if live.run_id is None else "never checked"
        out.append(f"{why}; histhooks check {live.version.name}" if live.run_id else f"{why} to have made it")
    elif checks["code"] == 1:
        out.append(f"live in spite of {checks['fail']} failed checks")
    return out


def last_checks(live: Live) -> Mapping[str, Any] | None:
    """The verdict with which it went live; a rollback has none of its own, so that of the promotion before."""
    events = (live.event, *reversed(live.version.events))
    return next((event.checks for event in events if event.checks), None)


def bytes_words(version: ModelVersion, found: Bytes) -> str:
    """Where the bytes of a version are, as a sentence."""
    place = plain(found.place or "its file")
    if found.state == KEPT:
        return "a copy is kept beside the store"
    if found.state in (OVERWRITTEN, GONE):
        what = "has other content now" if found.state == OVERWRITTEN else "is gone"
        return f"{place} {what}, and {'the kept copy is gone' if version.file['lost'] else 'no copy was kept'}"
    if found.state == ELSEWHERE and version.file["elsewhere"]:
        return f"its copy {copies_of(version.reader)}"
    if found.state == ELSEWHERE:
        return f"{place} is a place on another machine"
    return f"{place} has its bytes; no copy is kept"


def models_table(models: list[Model], at: str | None) -> tuple[list[Column], list[list[Cell]]]:
    """A row for each alias of each model."""
    columns = [
        Column("model", least=8), Column("alias"), Column("version"), Column("since"), Column("by", rank=2, least=6),
        Column("bytes", rank=1), Column("why", rank=3, least=12),
    ]  # fmt: skip
    rows = []
    for model in models:
        lives = list(model.aliases(at).values())
        for number, live in enumerate(lives):
            found = bytes_of(live.version)
            rows.append([
                Cell(plain(model.name) if not number else "", "bold"), Cell(live.alias),
                Cell(f"{live.version.label} of {len(model.versions)}"), Cell(when(live.since)),
                Cell(person(live.author)),
                Cell(BYTES[found.state], "error" if found.state in (OVERWRITTEN, GONE) else ""),
                Cell(plain(live.reason or "")),
            ])  # fmt: skip
        if not lives:
            cells = [Cell(plain(model.name), "bold"), Cell("nothing live", "dim"), Cell(f"– of {len(model.versions)}")]
            rows.append([*cells, *[Cell("")] * 4])
    return columns, rows


def events_table(model: Model) -> tuple[list[Column], list[list[Cell]]]:
    """A row for each event of a model, the newest on top."""
    columns = [
        Column("when"), Column("version"), Column("what"), Column("checks", rank=3, least=6),
        Column("by", rank=2, least=6), Column("why", rank=1, least=12),
    ]  # fmt: skip
    rows = []
    for event in reversed(model.events):
        version = model.by_id(event.version_id)
        style = "error" if event.action in ("rollback", "reject", "demote", "retire") else ""
        rows.append([
            Cell(when(event.at)), Cell(version.label if version is not None else "?"), Cell(done(event, model), style),
            Cell(verdict(event.checks)), Cell(person(event.author)), Cell(plain(event.reason or "")),
        ])  # fmt: skip
    return columns, rows


def versions_table(model: Model) -> tuple[list[Column], list[list[Cell]]]:
    """A row for each version of a model, the newest on top."""
    columns = [
        Column("version"), Column("live as", least=10), Column("run", rank=1, least=10),
        Column("file", rank=3, least=10),
        Column("size", rank=4, is_right=True), Column("bytes"), Column("sha256", rank=2),
    ]  # fmt: skip
    rows = []
    for version in reversed(model.versions):
        found = bytes_of(version)
        file = version.file
        live = ", ".join(model.aliases_of(version)) or standing(version)
        rows.append([
            Cell(version.label, "bold"), Cell(live), Cell(run_words(version)), Cell(plain(file.name)),
            Cell(size(file["size_bytes"])),
            Cell(BYTES[found.state], "error" if found.state in (OVERWRITTEN, GONE) else ""),
            Cell(version.sha256[:_HASH]),
        ])  # fmt: skip
    return columns, rows


def live_lines(live: Live, data: list[dict[str, Any]]) -> list[str]:
    """What was live, in some lines."""
    version = live.version
    file = version.file
    return [
        f"{live.alias}  {version.name} since {when(live.since)}, by {person(live.author)}: {plain(live.reason or '')}",
        f"  file  {plain(version.path or '–')}, {size(file['size_bytes'])}, sha256 {version.sha256[:_HASH]}",
        f"  run   {run_words(version)}",
        f"  data  {data_words(version, data)}",
    ]


def version_lines(versions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Versions that a run made, a line each: what points to each now, since when, by whom."""
    return [f"{each['name']}, {live_words(each['aliases']) or 'not live'}" for each in versions]


def live_words(aliases: Iterable[Mapping[str, Any]]) -> str:
    """Aliases that point to a version, with the time since which they do."""
    return " and ".join(f"{each['alias']} since {when(iso(each['since']))}" for each in aliases)
