"""One content, data, code, a file or a session, and all runs that touched it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse

from histhooks._base import text as _text
from histhooks._base.ids import short_id
from histhooks._store.kept_files import find
from histhooks._views import data_words
from histhooks._views import run_words as words_of
from histhooks.history._reader import pushed_by
from histhooks.history.compare.code import diff_of, untracked_of
from histhooks.history.data.dataset import dataset_with_id
from histhooks.history.lineage.content import content, found_by
from histhooks.report import _data
from histhooks.report._blocks import Block, Code, Facts, Text
from histhooks.ui._pages import cut
from histhooks.ui._state import PageState, of_query

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.history import Content, RunRecord
    from histhooks.ui._pages import Ask

_MOST_USES = 100
_MOST_UNTRACKED = 50
# The part of a path for each kind, and what finds its runs in the table of runs.
FOLDERS = {"data": "data", "code": "code", "file": "files", "session": "sessions"}
_WHERE = {"data": "data", "file": "sha256", "session": "session_id"}
_TITLES = {"data": "Data", "code": "Code", "file": "File", "session": "Session"}


def data(ask: Ask) -> Response:
    """Data by its id."""
    return _page(ask, "data", _of_data)


def code(ask: Ask) -> Response:
    """Code by its id."""
    return _page(ask, "code", _of_code)


def file(ask: Ask) -> Response:
    """A file by its content."""
    return _page(ask, "file", _of_file)


def session(ask: Ask) -> Response:
    """A process that recorded."""
    return _page(ask, "session", _of_session)


def as_json(kind: str) -> Callable[[Ask], Response]:
    """The same for programs: `history.content()`."""

    def answer(ask: Ask) -> Response:
        return ask.json(content(ask.history, ask.words["id"], kind, _MOST_USES * 10).as_json())

    return answer


def link(ask: Ask, kind: str, key: str) -> str:
    """The page of a content."""
    return ask.link(f"{FOLDERS[kind]}/{key}")


def links_of(ask: Ask, run: RunRecord) -> dict[str, str]:
    """The pages of what stands in tables of a run, by the text that stands there."""
    found = {
        each["sha256"]: link(ask, "file", each["sha256"])
        for each in [*run.artifacts, *run.file_reads]
        if each["sha256"]
    }
    for each in run.datasets:
        found[each["id"]] = link(ask, "data", each["id"])
        if each["content_hash"]:
            found[each["content_hash"]] = found[each["id"]]
        for digest in each.digests:
            if digest.digest and digest.part == "all":
                found[digest.digest] = found[each["id"]]
    made = run.code
    if made is not None:
        found[made["id"]] = link(ask, "code", made["id"])
        if made["commit_hash"]:
            found[made["commit_hash"]] = found[made["id"]]
    found[run.row["session_id"]] = link(ask, "session", run.row["session_id"])
    return found


def parts_of(ask: Ask, run: RunRecord) -> list[tuple[str, str, str]]:
    """What a run is made of, each with its page: what it is, its name, where it leads."""
    found = [("data", each["name"] or each["role"], link(ask, "data", each["id"])) for each in run.datasets]
    found += [(each["role"], each.name, link(ask, "file", each["sha256"])) for each in run.artifacts]
    found = list(dict.fromkeys(found))[:12]
    made = run.code
    if made is not None:
        found.append(("code", (made["commit_hash"] or made["id"])[:10], link(ask, "code", made["id"])))
    found.append(("session", short_id(run.row["session_id"]), link(ask, "session", run.row["session_id"])))
    return found


def _page(ask: Ask, kind: str, blocks: Callable[[Ask, Content], list[Block]]) -> Response:
    word = ask.words["id"]
    _, key = found_by(ask.history, word, kind)
    if key != word:
        target = ask.rel(f"s/{ask.store}/{FOLDERS[kind]}/{key}")
        return RedirectResponse(target + (f"?{ask.query}" if ask.query else ""), 302)
    found = content(ask.history, key, kind, _MOST_USES)
    where = f"{_WHERE[kind]} = '{key}'" if kind in _WHERE else ""
    return ask.page(
        "content.html", title=found.name, state=PageState.parse(ask.query), found=found, kind=_TITLES[kind],
        blocks=blocks(ask, found), uses=found.uses, has_how=kind in ("data", "file"),
        has_paths=any(use.path for use in found.uses),
        has_steps=any(use.step is not None for use in found.uses),
        lineage=ask.link("lineage", of_query({kind: key})) if kind in ("data", "file") else "",
        runs=ask.link("runs", of_query({"where": where})) if where and found.n_runs else "",
        versions=[(name, ask.link("models", of_query({"name": name.rpartition("@")[0]})))
                  for name in found.facts.get("versions", ())],
        kept=_kept(ask, found), json_link=ask.link(f"{FOLDERS[kind]}/{key}.json"), code_link=_code_link(ask, found),
    )  # fmt: skip


def _kept(ask: Ask, found: Content) -> str:
    """Where its bytes can be taken from, if this server gives files."""
    if found.kind != "file" or not ask.may_take or find(ask.history.beside, found.id) is None:
        return ""
    return ask.link(f"files/{found.id}.bin")


def _code_link(ask: Ask, found: Content) -> str:
    key = found.facts.get("code_version_id") if found.kind == "session" else None
    return link(ask, "code", key) if key else ""


def _of_data(ask: Ask, found: Content) -> list[Block]:
    facts = found.facts
    origins = dict.fromkeys(use.path for use in found.uses if use.path)
    rows: list[tuple[str, str | None]] = [
        ("Kind", facts["kind"]),
        ("Rows", _text.number(facts["n_rows"])),
        ("Columns", _text.number(facts["n_columns"])),
        ("Size", _text.size(facts["size_bytes"])),
        ("From", "\n".join(list(origins)[:8])),
        ("Hash", f"{facts['content_hash'] or 'none'}, {data_words.COVERAGE.get(facts['coverage'] or 'none', '')}"),
    ]
    one = dataset_with_id(ask.history, found.id)
    if one is None:
        return [Facts(rows)]
    return [Facts(rows), *_data.digests({"data": one}), *_data.columns(found.name, one)]


def _of_file(ask: Ask, found: Content) -> list[Block]:
    facts = found.facts
    paths = dict.fromkeys(use.path for use in found.uses if use.path)
    more = f"\nand {len(paths) - 8} more" if len(paths) > 8 else ""
    is_kept = find(ask.history.beside, found.id) is not None
    return [
        Facts(
            [
                ("Role", cut(facts["role"] or "")),
                ("Size", _text.size(facts["size_bytes"])),
                ("Format", facts["format"]),
                ("Paths", "\n".join(list(paths)[:8]) + more or facts["path"]),
                ("Last written", _text.when(facts["written_at"]) if facts["written_at"] else "by no run"),
                ("Copy", "kept beside the store" if is_kept else "none was kept"),
            ]
        )
    ]


def _of_code(ask: Ask, found: Content) -> list[Block]:
    facts: Mapping[str, Any] = found.facts
    blocks: list[Block] = [
        Facts(
            [
                ("Repository", facts["repository"]),
                ("Commit", facts["commit_hash"] or "none"),
                ("Branch", facts["branch"]),
                ("Changes on top", {0: "none", 1: "yes", None: "not known"}[facts["dirty"]]),
                ("Program", facts["entry_script"]),
                ("Program's SHA-256", facts["entry_sha256"]),
            ]
        )
    ]
    blocks += [Text(f"{text[:1].upper()}{text[1:]}.", "bad") for text in words_of.masked(facts)]
    diff = diff_of(ask.history, facts)
    if diff:
        blocks.append(Code(diff.rstrip("\n"), "diff", "Changes on top of the commit"))
    for path, text in list(untracked_of(ask.history, facts).items())[:_MOST_UNTRACKED]:
        lines = difflib.unified_diff([], text.splitlines(), "/dev/null", f"b/{path}", lineterm="")
        blocks.append(Code("\n".join(lines), "diff", f"File that git did not know: {path}"))
    return blocks


def _of_session(ask: Ask, found: Content) -> list[Block]:
    facts = found.facts
    ledger = facts["ledger"]
    source = f" (by {facts['actor_source']})" if facts["actor_source"] else ""
    return [
        Facts(
            [
                ("Started", _text.when(facts["started_at"])),
                ("Ended", _text.when(facts["ended_at"]) if facts["ended_at"] else None),
                ("Process", words_of.session(facts)),
                ("Actor", f"{facts['actor']}{source}" if facts["actor"] else "not recorded, or erased"),
                ("Pushed by", pushed_by(ask.history, found.id)),
                ("Account", facts["username"]),
                ("Machine", facts["hostname"]),
                ("Command", cut(facts["command"] or "", 400)),
                ("Folder", facts["cwd"]),
                ("Batch job", facts["job_id"]),
                ("Recorder", f"histhooks {facts['recorder_version']}"),
                ("Cost of recording", f"{_text.seconds(facts['overhead_s'])} on training threads"),
                ("Ledger", f"{ledger['lines']:,} entries, {ledger['rows']:,} rows"),
            ]
        )
    ]
