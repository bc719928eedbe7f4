"""Which code ran: the git commit with what differs from it, and the program itself. Touches no file."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histhooks._captures import Capture
from histhooks._programs import Inquiry, Question
from histhooks._secrets import mask_text
from histhooks._values import clean_text, dumps

_COLUMN_CHARACTERS = 64 << 10
_DIFF_CHARACTERS = 1 << 20
_MORE_CHARACTERS = 1 << 16
_FILE_BYTES = 64 << 10
_FILES = 64
_HASH = re.compile(r"[0-9a-f]{40,64}")
_SUFFIXES = frozenset({".py", ".yaml", ".yml", ".toml", ".json", ".cfg", ".ini", ".sh", ".sql"})

Gathered = tuple[dict[str, Any], dict[str, bytes], list[Capture]]


def entry_file() -> str | None:
    """The file of the program; to be asked while it runs, since the interpreter forgets it at the end."""
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.abspath(name) if name else None


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
    branch, origin, status, diff : Question or None
    """

    script: Path | None
    root: Path | None = None
    commit: str | None = None
    refused: Capture | None = None
    branch: Question | None = None
    origin: Question | None = None
    status: Question | None = None
    diff: Question | None = None

    @property
    def questions(self) -> list[Question]:
        """What is being asked."""
        return [q for q in (self.branch, self.origin, self.status, self.diff) if q is not None]


def ask(entry: str | None, inquiry: Inquiry) -> Asked:
    """Ask git, which answers while other things are looked at.

    Parameters
    ----------
    entry : str or None
        What :func:`entry_file` said.
    inquiry : Inquiry

    Returns
    -------
    Asked
        For :func:`gather`.
    """
    script = Path(entry) if entry and os.path.isfile(entry) else None
    where = _git(inquiry, script.parent if script else None, "rev-parse", "--show-toplevel", "HEAD")
    inquiry.read(where)
    # Before the first commit git tells the folder, and then fails over HEAD.
    told = where.text.splitlines() if where.code is not None else []
    if not told or not os.path.isabs(told[0]):
        return Asked(script, refused=_refusal(where))
    root = Path(told[0])
    commit = told[1] if len(told) > 1 and _HASH.fullmatch(told[1]) else None
    return Asked(
        script,
        root,
        commit,
        branch=_git(inquiry, root, "symbolic-ref", "--short", "-q", "HEAD"),
        origin=_git(inquiry, root, "config", "--get", "remote.origin.url"),
        status=_git(inquiry, root, "status", "--porcelain", "-z", "--untracked-files=all"),
        diff=_git(
            inquiry, root, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD" if commit else "--cached",
            most=_DIFF_CHARACTERS + _MORE_CHARACTERS,
        ),
    )  # fmt: skip


def gather(asked: Asked, inquiry: Inquiry) -> Gathered:
    """Gather which code this process runs.

    Parameters
    ----------
    asked : Asked
        What :func:`ask` began.
    inquiry : Inquiry

    Returns
    -------
    row : dict
        Columns of `code_versions` but for its id.
    contents : dict of str to bytes
        Texts by their SHA-256, secrets masked.
    captures : list of Capture
    """
    inquiry.read(*asked.questions)
    row: dict[str, Any] = dict.fromkeys(("repository", "commit_hash", "branch", "dirty", "diff"))
    details: dict[str, Any] = {}
    contents: dict[str, bytes] = {}
    captures = []
    if asked.script is None:
        captures.append(Capture("entry_script", "skipped", "the program has no file"))
    if asked.refused is not None:
        captures.append(asked.refused)
    elif asked.root is not None:
        row |= _repository(asked, asked.root)
        captures += _changes(asked, asked.root, row, details, contents)
    row |= _entry(asked.script, asked.root)
    return {**row, "details": dumps(details)}, contents, captures


def _refusal(where: Question) -> Capture:
    if where.code is None:
        return Capture("git", "skipped" if where.is_missing else "failed", where.why_not)
    if "not a git repository" in (where.why_not or ""):
        return Capture("git", "skipped", "no git repository here")
    return Capture("git", "failed", where.why_not or "git told nothing")


def _entry(script: Path | None, root: Path | None) -> dict[str, Any]:
    if script is None:
        return {"entry_script": None, "entry_sha256": None}
    shown = script.relative_to(root) if root is not None and script.is_relative_to(root) else script
    # Only the hash of a file that git or the diff also shows; no hash is kept of text that had to be masked.
    text = script.read_text(encoding="utf-8", errors="replace")
    is_clean = mask_text(text) == text
    digest = hashlib.sha256(script.read_bytes()).hexdigest() if is_clean else None
    return {"entry_script": clean_text(str(shown)), "entry_sha256": digest}


def _git(inquiry: Inquiry, folder: Path | None, *arguments: str, most: int = 1 << 24) -> Question:
    variables = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    options = ("-c", "core.fsmonitor=false", "-c", "core.quotepath=false")
    return inquiry.ask("git", *options, *arguments, folder=folder, variables=variables, most=most)


def _repository(asked: Asked, root: Path) -> dict[str, Any]:
    origin, branch = ((q.answer or "").strip() if q is not None else "" for q in (asked.origin, asked.branch))
    bare = re.sub(r"://[^/@]*@", "://", origin)
    return {"repository": bare or str(root), "commit_hash": asked.commit, "branch": branch or None}


def _changes(
    asked: Asked, root: Path, row: dict[str, Any], details: dict[str, Any], contents: dict[str, bytes]
) -> list[Capture]:
    assert asked.status is not None
    assert asked.diff is not None
    status = asked.status.answer
    late = [q.why_not for q in (asked.origin, asked.branch) if q is not None and q.code is None]
    captures = [Capture("git", "truncated", f"remote or branch: {late[0]}") if late else Capture("git", "ok")]
    if status is None:
        captures = [Capture("git", "failed", f"whether it has changes is not known: {asked.status.why_not}")]
    else:
        row["dirty"] = int(bool(status))
        untracked = [entry[3:] for entry in status.split("\0") if entry.startswith("?? ")]
        captures += _keep_untracked(root, untracked, details, contents)
    if asked.diff.answer is None:
        details["diff_missing"] = True
        captures.append(Capture("diff", "failed", asked.diff.why_not))
    elif asked.diff.answer:
        captures += _keep_diff(asked.diff, row, details, contents)
    return captures


def _keep_diff(
    diff: Question, row: dict[str, Any], details: dict[str, Any], contents: dict[str, bytes]
) -> list[Capture]:
    kept = text = diff.text
    masked = mask_text(text)
    captures = []
    if diff.n_characters > _DIFF_CHARACTERS:
        # At the end of a line, and masked with what came after it: half a secret is not known as one.
        n_lines = text.count("\n", 0, _DIFF_CHARACTERS)
        kept, masked = _first_lines(text, n_lines), _first_lines(masked, n_lines)
        cut = diff.n_characters - len(kept)
        details["diff_cut_characters"] = cut
        captures.append(Capture("diff", "truncated", f"{cut} of {diff.n_characters} characters cut"))
    details["diff_masked"] = masked != kept
    details["diff_lines"] = diff.n_lines
    if len(masked) <= _COLUMN_CHARACTERS:
        row["diff"] = clean_text(masked)
    else:
        details["diff_content"] = _keep(masked, contents)
    return captures


def _first_lines(text: str, count: int) -> str:
    return "".join(f"{line}\n" for line in text.split("\n", count)[:count])


def _keep_untracked(
    folder: Path, names: list[str], details: dict[str, Any], contents: dict[str, bytes]
) -> list[Capture]:
    kept: dict[str, str] = {}
    left_out = 0
    for name in sorted(names):
        path = folder / name
        if path.suffix not in _SUFFIXES:
            continue
        try:
            if len(kept) >= _FILES or path.is_symlink() or path.stat().st_size > _FILE_BYTES:
                left_out += 1
                continue
            kept[clean_text(name)] = _keep(mask_text(path.read_text(encoding="utf-8", errors="replace")), contents)
        except OSError:
            left_out += 1
    if kept:
        details["untracked"] = kept
    if left_out:
        details["untracked_left_out"] = left_out
        return [Capture("untracked_files", "truncated", f"{left_out} code files left out")]
    return []


def _keep(text: str, contents: dict[str, bytes]) -> str:
    data = clean_text(text).encode("utf-8")
    digest = hashlib.sha256(data).hexdigest()
    contents[digest] = data
    return digest
