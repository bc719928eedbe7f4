"""Which code ran: the git commit with what differs from it, and the program itself. Touches no file."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any

from histhooks._base.captures import Capture
from histhooks._base.names import clean_text
from histhooks._base.secrets import mask_text
from histhooks._base.values import dumps
from histhooks._collect import code_files
from histhooks._collect import sources as _sources
from histhooks._collect.changes import Asked, diff_of, git, keep, keep_changes
from histhooks._host.subprocesses import Inquiry, Question

_HASH = re.compile(r"[0-9a-f]{40,64}")
_SOURCES = 256

Gathered = tuple[dict[str, Any], dict[str, bytes], list[Capture]]


def entry_file() -> str | None:
    """The file of the program; to be asked while it runs, since the interpreter forgets it at the end."""
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.abspath(name) if name else None


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
    archive = _sources.archive()
    script = Path(entry) if entry and os.path.isfile(entry) else Path(archive) if archive is not None else None
    sources = _sources.look()
    where = git(inquiry, script.parent if script else None, "rev-parse", "--show-toplevel", "HEAD")
    inquiry.read(where)
    # Before the first commit git prints the folder, and then fails over HEAD.
    told = where.text.splitlines() if where.code is not None else []
    if not told or not os.path.isabs(told[0]):
        return Asked(script, refused=_refusal(where), sources=sources)
    root = Path(told[0])
    commit = told[1] if len(told) > 1 and _HASH.fullmatch(told[1]) else None
    imported = [name for path in sources.files if (name := _inside(root, path)) is not None][:_SOURCES]
    odd = [f":(top,literal){name}" for name in imported if not code_files.is_code_name(name)]
    return Asked(
        script,
        root,
        commit,
        branch=git(inquiry, root, "symbolic-ref", "--short", "-q", "HEAD"),
        origin=git(inquiry, root, "config", "--get", "remote.origin.url"),
        status=git(inquiry, root, "status", "--porcelain", "-z", "--untracked-files=all"),
        diff=diff_of(inquiry, root, commit, [*code_files.pathspecs(), *odd]),
        listed=git(inquiry, root, "--literal-pathspecs", "ls-files", "-z", "--", *imported) if imported else None,
        sources=sources,
    )


def _inside(root: Path, path: str) -> str | None:
    """A path from the repository's root; None where it lies elsewhere."""
    for name in (path, os.path.realpath(path)):
        if name.startswith(os.path.join(root, "")):
            return os.path.relpath(name, root).replace(os.sep, "/")
    return None


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
        captures += keep_changes(asked, asked.root, inquiry, row, details, contents)
    captures += _keep_sources(asked, details, contents)
    row |= _entry(asked.script, asked.root)
    for column in ("repository", "branch", "entry_script"):
        row[column] = None if row.get(column) is None else mask_text(row[column])
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
    data = script.read_bytes()
    text = "" if data.startswith(b"PK") else data.decode("utf-8", "replace")  # of an archive, see its sources
    digest = hashlib.sha256(data).hexdigest() if mask_text(text) == text else None
    return {"entry_script": clean_text(str(shown)), "entry_sha256": digest}


def _repository(asked: Asked, root: Path) -> dict[str, Any]:
    origin, branch = ((q.answer or "").strip() if q is not None else "" for q in (asked.origin, asked.branch))
    bare = re.sub(r"://[^/@]*@", "://", origin)
    return {"repository": bare or str(root), "commit_hash": asked.commit, "branch": branch or None}


def _keep_sources(asked: Asked, details: dict[str, Any], contents: dict[str, bytes]) -> list[Capture]:
    """Keep what ran and what git does not have: where there is none, what it ignores, and what lies elsewhere."""
    known = {*_listed(asked.listed), *details.get("untracked", {})}
    details["sources"], left_out = _texts_of(asked, asked.sources, known, contents)
    if asked.sources.lost:
        details["sources_lost"] = [clean_text(mask_text(text)) for text in asked.sources.lost]
    if left_out:
        details["sources_left_out"] = left_out
    missing = [*asked.sources.lost, *asked.sources.unkept, *([f"{left_out} files of code"] if left_out else [])]
    return [Capture("sources", "truncated", f"not kept: {', '.join(missing)}"[:300])] if missing else []


def _listed(question: Question | None) -> list[str]:
    return [name for name in (question.answer or "").split("\0") if name] if question is not None else []


def _texts_of(
    asked: Asked, sources: _sources.Sources, known: set[str], contents: dict[str, bytes]
) -> tuple[dict[str, str], int]:
    """Hashes of the texts of sources by name, but for the files that are known, and how many could not be kept."""
    kept: dict[str, str] = {}
    left_out = 0
    near = str(asked.root or (asked.script.parent if asked.script is not None else _folder()))
    for path in sources.files:
        name = _inside(asked.root, path) if asked.root is not None else None
        if name is not None and clean_text(name) in known:
            continue
        text = _sources.read(path) if len(kept) < _SOURCES else None
        if text is None:
            left_out += 1
        else:
            kept[_shown(path, near)] = keep(mask_text(text), contents)
    for name, text in sources.texts.items():
        kept[_shown(name, near)] = keep(mask_text(text), contents)
    return kept, left_out


def gather_late(asked: Asked, inquiry: Inquiry) -> tuple[dict[str, str], dict[str, bytes], list[str]]:
    """Sources that came after :func:`ask`: what was imported, or ran, since.

    Returns
    -------
    kept : dict of str to str
        Hash of the text by name.
    contents : dict of str to bytes
    lost : list of str
        What cannot be had.
    """
    now, before = _sources.look(), asked.sources
    new = _sources.Sources(
        sorted({*now.files} - {*before.files}),
        {name: text for name, text in now.texts.items() if before.texts.get(name) != text},
        [text for text in now.lost if text not in before.lost],
    )
    asked.sources.files, asked.sources.texts, asked.sources.lost = now.files, now.texts, now.lost
    known: set[str] = set()
    if asked.root is not None:
        inside = [name for path in new.files if (name := _inside(asked.root, path)) is not None][:_SOURCES]
        if inside:
            listed = git(inquiry, asked.root, "--literal-pathspecs", "ls-files", "-z", "--", *inside)
            inquiry.read(listed)
            known.update(_listed(listed))
    contents: dict[str, bytes] = {}
    kept, left_out = _texts_of(asked, new, known, contents)
    lost = [clean_text(mask_text(text)) for text in new.lost]
    return kept, contents, [*lost, *([f"{left_out} files of code"] if left_out else [])]


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return os.sep


def _shown(path: str, near: str) -> str:
    """A path as it is kept: from the project's folder where it lies there."""
    is_near = os.path.isabs(path) and path.startswith(os.path.join(near, ""))
    return clean_text(mask_text(os.path.relpath(path, near).replace(os.sep, "/") if is_near else path))
