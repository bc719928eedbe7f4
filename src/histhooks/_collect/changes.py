"""The changes since the commit: a diff of code files, and the name, size and hash of every other file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histhooks._base.captures import Capture
from histhooks._base.names import clean_text
from histhooks._base.secrets import mask_text
from histhooks._collect import code_files
from histhooks._collect import sources as _sources
from histhooks._host.subprocesses import Inquiry, Question

_COLUMN_CHARACTERS = 64 << 10
_DIFF_CHARACTERS = 1 << 20
_MORE_CHARACTERS = 1 << 16
FILE_BYTES = 64 << 10
_FILES = 64
_SETTINGS = 16  # changed files of settings that are looked into
_OTHERS = 64  # files that are no code, by name
HASHED_BYTES = 64 << 20  # of such files, all together
_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What git was asked.

    Attributes
    ----------
    script : Path or None
        The program.
    root : Path or None
        The folder of its repository, where there is one.
    commit : str or None
        What is checked out.
    refused : Capture or None
        Why there is no repository.
    branch, origin, status, diff, listed : Question or None
        The diff of what is code by name; and which of the files that Python imported git has.
    sources : Sources
        What Python took the program from.
    locks : list of Path
        Lists of packages beside the program.
    """

    script: Path | None
    root: Path | None = None
    commit: str | None = None
    refused: Capture | None = None
    branch: Question | None = None
    origin: Question | None = None
    status: Question | None = None
    diff: Question | None = None
    listed: Question | None = None
    sources: _sources.Sources = field(default_factory=_sources.Sources)
    locks: list[Path] = field(default_factory=list)

    @property
    def questions(self) -> list[Question]:
        """What is being asked."""
        return [q for q in (self.branch, self.origin, self.status, self.diff, self.listed) if q is not None]


def git(inquiry: Inquiry, folder: Path | None, *arguments: str, most: int = 1 << 24) -> Question:
    """Ask git, in the C locale, without its locks, prompts and helpers."""
    variables = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    options = ("-c", "core.fsmonitor=false", "-c", "core.quotepath=false")
    return inquiry.ask("git", *options, *arguments, folder=folder, variables=variables, most=most)


def diff_of(inquiry: Inquiry, root: Path, commit: str | None, paths: list[str]) -> Question:
    """Ask for what differs from the commit in some paths; from nothing, before the first commit."""
    return git(
        inquiry, root, *_DIFF, "HEAD" if commit else "--cached", "--",
        *paths, most=_DIFF_CHARACTERS + _MORE_CHARACTERS,
    )  # fmt: skip


def keep_changes(
    asked: Asked,
    root: Path,
    inquiry: Inquiry,
    row: dict[str, Any],
    details: dict[str, Any],
    contents: dict[str, bytes],
) -> list[Capture]:
    """Keep what differs from the commit: adds to the row, its details and the contents."""
    assert asked.status is not None
    assert asked.diff is not None
    status = asked.status.answer
    late = [q.why_not for q in (asked.origin, asked.branch) if q is not None and q.code is None]
    captures = [Capture("git", "truncated", f"remote or branch: {late[0]}") if late else Capture("git", "ok")]
    changed: dict[str, str] = {}
    if status is None:
        captures = [Capture("git", "failed", f"whether it has changes is not known: {asked.status.why_not}")]
    else:
        changed, untracked = _split(status)
        untracked = _without_environments(untracked)
        row["dirty"] = int(bool(changed or untracked))
        captures += _keep_untracked(root, untracked, details, contents)
    if asked.diff.answer is None:
        details["diff_missing"] = True
        captures.append(Capture("diff", "failed", asked.diff.why_not))
        return captures
    patch = _patch_of(asked.diff)
    kept = _keep_settings(asked, root, inquiry, changed, patch) | {name for name, _ in patch.sections}
    rest = sorted(name for name in changed if name not in kept)
    if rest:
        room = [HASHED_BYTES]
        others = {name: facts_of(root / name, changed[name], room) for name in rest[:_OTHERS]}
        details["others_changed"] = {clean_text(mask_text(name)): facts for name, facts in others.items()}
        details["others_changed_left_out"] = len(rest) - len(others)
    if patch.sections:
        captures += _keep_diff(patch, row, details, contents)
    return captures


def _split(status: str) -> tuple[dict[str, str], list[str]]:
    """Files that differ from the commit, with how, and those that git does not know (git-status(1), format v1, -z)."""
    changed: dict[str, str] = {}
    untracked = []
    entries = iter(status.split("\0"))
    for entry in entries:
        if entry.startswith("?? "):
            untracked.append(entry[3:])
        elif len(entry) > 3:
            changed[entry[3:]] = "deleted" if "D" in entry[:2] else "changed"
            if entry[0] in "RC":  # followed by the name it had
                before = next(entries, "")
                if entry[0] == "R":
                    changed[before] = "deleted"
    return changed, untracked


def _without_environments(names: list[str]) -> list[str]:
    """Files but for those of virtual environments, whose packages are recorded; each has a ``pyvenv.cfg`` (PEP 405)."""
    inside = tuple(name.removesuffix("pyvenv.cfg") for name in names if name.endswith("/pyvenv.cfg"))
    return [name for name in names if not name.startswith(inside)] if inside else names


@dataclass(slots=True)
class _Patch:
    """The diff of what is code: name and section of each file, and what was cut before."""

    sections: list[tuple[str, str]]
    cut_characters: int = 0
    cut_lines: int = 0


def _patch_of(diff: Question) -> _Patch:
    """A diff of files that are code by their name, without those that are tables all the same."""
    parts = [(name_of(part), part) for part in re.split(r"(?m)^(?=diff --git )", diff.text) if part]
    sections = [(name, part) for name, part in parts if not code_files.is_table(_changed_lines(part))]
    return _Patch(sections, diff.n_characters - len(diff.text), diff.n_lines - diff.text.count("\n"))


def name_of(section: str) -> str:
    """The file of a section of a diff, by its name after the change where it has one (git-diff(1))."""
    head = section.partition("\n@@")[0].splitlines()
    for mark in ("+++ b/", '+++ "b/', "rename to ", "--- a/", '--- "a/'):
        line = next((line for line in head if line.startswith(mark)), None)
        if line is not None:
            name = line.removeprefix(mark).rstrip("\t")
            return _unquoted(name[:-1]) if mark.endswith(('"b/', '"a/')) else name
    words = head[0].removeprefix("diff --git ")
    half = words[len(words) // 2 + 1 :]  # both halves are alike: a/NAME b/NAME
    return _unquoted(half[3:-1]) if half.startswith('"') else half.removeprefix("b/")


def _unquoted(name: str) -> str:
    data = re.sub(
        rb"\\([0-7]{3}|.)",
        lambda found: bytes([int(found[1], 8)]) if len(found[1]) == 3 else _ESCAPES.get(found[1], found[1]),
        name.encode("utf-8"),
    )
    return data.decode("utf-8", "replace")


def _changed_lines(section: str) -> str:
    body = section.partition("\n@@")[2]
    return "\n".join(line[1:] for line in body.split("\n")[1:] if line[:1] in ("+", "-"))


def _keep_settings(asked: Asked, root: Path, inquiry: Inquiry, changed: dict[str, str], patch: _Patch) -> set[str]:
    """Add the diffs of changed settings, where neither the file nor what it was holds rows; and of submodules."""
    names = [name for name in changed if code_files.may_be_code(name) and not code_files.is_code_name(name)]
    names += [name for name in changed if (root / name).is_dir()]
    asking = {}
    for name in names[:_SETTINGS]:
        before = git(inquiry, root, "show", f"HEAD:{name}", most=FILE_BYTES) if asked.commit else None
        asking[name] = before, diff_of(inquiry, root, asked.commit, [f":(top,literal){name}"])
    inquiry.read(*(question for pair in asking.values() for question in pair if question is not None))
    kept = set()
    for name, (before, diff) in asking.items():
        texts = ["" if before is None else before.answer or ""]
        is_whole = before is None or before.n_characters <= FILE_BYTES
        if (root / name).is_dir():
            texts = []
        elif changed[name] != "deleted":
            now = _sources.read(str(root / name))
            texts.append(now or "")
            is_whole &= now is not None and not (root / name).is_symlink()
        if diff.answer and is_whole and not any(code_files.holds_rows(name, text) for text in texts if text):
            kept.add(name)
            patch.sections.append((name, diff.text))
    return kept


def facts_of(path: Path, state: str, room: list[int]) -> dict[str, Any]:
    """What is kept of a file that is no code: how it changed, its size and its hash."""
    facts: dict[str, Any] = {"state": state, "size_bytes": None, "sha256": None}
    try:
        if state == "deleted" or path.is_symlink() or not path.is_file():
            return facts
        facts["size_bytes"] = path.stat().st_size
        if facts["size_bytes"] <= room[0]:
            with path.open("rb") as file:
                head = file.read(FILE_BYTES)
                facts["is_binary"] = b"\0" in head[:8000]  # the rule of git (buffer_is_binary in xdiff-interface.c)
                text = "" if facts["is_binary"] else head.decode("utf-8", "replace")
                if mask_text(text) != text:
                    return facts  # no hash is kept of text that had to be masked
                file.seek(0)
                facts["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
            room[0] -= facts["size_bytes"]
    except OSError:
        return facts
    return facts


def _keep_diff(diff: _Patch, row: dict[str, Any], details: dict[str, Any], contents: dict[str, bytes]) -> list[Capture]:
    kept = text = "".join(section for _, section in diff.sections)
    masked = mask_text(text)
    captures = []
    if len(text) + diff.cut_characters > _DIFF_CHARACTERS:
        # At the end of a line, and masked with what came after it: half a secret is not known as one.
        n_lines = text.count("\n", 0, _DIFF_CHARACTERS)
        kept, masked = _first_lines(text, n_lines), _first_lines(masked, n_lines)
        n_characters = len(text) + diff.cut_characters
        cut = n_characters - len(kept)
        details["diff_cut_characters"] = cut
        captures.append(Capture("diff", "truncated", f"{cut} of {n_characters} characters cut"))
    details["diff_masked"] = masked != kept
    details["diff_lines"] = text.count("\n") + diff.cut_lines
    if len(masked) <= _COLUMN_CHARACTERS:
        row["diff"] = clean_text(masked)
    else:
        details["diff_content"] = keep(masked, contents)
    return captures


def _first_lines(text: str, count: int) -> str:
    return "".join(f"{line}\n" for line in text.split("\n", count)[:count])


def _keep_untracked(
    folder: Path, names: list[str], details: dict[str, Any], contents: dict[str, bytes]
) -> list[Capture]:
    kept: dict[str, str] = {}
    others: dict[str, Any] = {}
    left_out = n_others = 0
    room = [HASHED_BYTES]
    for name in sorted(names):
        path = folder / name
        text = None
        if code_files.is_code_name(name) or code_files.may_be_code(name):
            text = _untracked_text(path, name)
            if text is None or len(kept) >= _FILES:
                left_out += text is None or not code_files.holds_rows(name, text)
                text = None
        if text is not None and not code_files.holds_rows(name, text):
            masked = mask_text(text)
            kept[clean_text(name)] = keep(masked, contents)
            if masked != text:
                details.setdefault("untracked_masked", []).append(clean_text(name))
            continue
        n_others += 1
        if len(others) < _OTHERS:
            others[clean_text(mask_text(name))] = facts_of(path, "untracked", room)
    if kept:
        details["untracked"] = kept
    if others:
        details["others_untracked"] = others
        details["others_untracked_left_out"] = n_others - len(others)
    if left_out:
        details["untracked_left_out"] = left_out
        return [Capture("untracked_files", "truncated", f"{left_out} code files left out")]
    return []


def _untracked_text(path: Path, name: str) -> str | None:
    """The text of a file that git does not know; None if it is too large, no plain file, or cannot be read."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > FILE_BYTES:
            return None
    except OSError:
        return None
    return _sources.read(str(path))


def keep(text: str, contents: dict[str, bytes]) -> str:
    """Keep a text among the contents; its hash."""
    data = clean_text(text).encode("utf-8")
    digest = hashlib.sha256(data).hexdigest()
    contents[digest] = data
    return digest
