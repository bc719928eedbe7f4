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
from histhooks._collect import code_files, lock_files
from histhooks._collect import sources as _sources
from histhooks._collect.changes import FILE_BYTES, HASHED_BYTES, Asked, diff_of, facts_of, git, keep, keep_changes
from histhooks._host.subprocesses import Inquiry, Question

_HASH = re.compile(r"[0-9a-f]{40,64}")
_SOURCES = 256
_MODULES = 64

Gathered = tuple[dict[str, Any], dict[str, bytes], list[Capture]]
NO_REPOSITORY = "no git repository here"


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
        return Asked(script, refused=_refusal(where), sources=sources, locks=lock_files.find(script, None))
    root = Path(told[0])
    commit = told[1] if len(told) > 1 and _HASH.fullmatch(told[1]) else None
    imported = [name for path in sources.files if (name := _inside(root, path)) is not None][:_SOURCES]
    locks = lock_files.find(script, root)
    asked_for = [*imported, *(name for path in locks if (name := _inside(root, str(path))) is not None)]
    odd = [f":(top,literal){name}" for name in imported if not code_files.is_code_name(name)]
    return Asked(
        script,
        root,
        commit,
        branch=git(inquiry, root, "symbolic-ref", "--short", "-q", "HEAD"),
        origin=git(inquiry, root, "config", "--get", "remote.origin.url"),
        status=git(inquiry, root, "status", "--porcelain", "-z", "--untracked-files=all"),
        diff=diff_of(inquiry, root, commit, [*code_files.pathspecs(), *odd]),
        listed=git(inquiry, root, "--literal-pathspecs", "ls-files", "-z", "--", *asked_for) if asked_for else None,
        sources=sources,
        locks=locks,
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
    _keep_locks(asked, details, contents)
    row |= _entry(asked.script, asked.root)
    for column in ("repository", "branch", "entry_script"):
        row[column] = None if row.get(column) is None else mask_text(row[column])
    return {**row, "details": dumps(details)}, contents, captures


def _refusal(where: Question) -> Capture:
    if where.code is None:
        return Capture("git", "skipped" if where.is_missing else "failed", where.why_not)
    if "not a git repository" in (where.why_not or ""):
        return Capture("git", "skipped", NO_REPOSITORY)
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
    kept, masked, left_out = _texts_of(asked, asked.sources, known, contents)
    details["sources"] = kept
    if masked:
        details["sources_masked"] = masked
    if modules := _modules(asked, known):
        details["modules"] = modules
    if roots := _import_roots(asked):
        details["import_roots"] = roots
    if asked.sources.lost:
        details["sources_lost"] = [clean_text(mask_text(text)) for text in asked.sources.lost]
    if left_out:
        details["sources_left_out"] = left_out
    missing = [*asked.sources.lost, *asked.sources.unkept, *([f"{left_out} files of code"] if left_out else [])]
    return [Capture("sources", "truncated", f"not kept: {', '.join(missing)}"[:300])] if missing else []


def _import_roots(asked: Asked) -> list[str]:
    """Folders of the project that its modules came from, from its root; without that of the program itself."""
    folder = asked.script.parent if asked.script is not None else Path(_folder())
    root = asked.root or folder
    own = {os.path.realpath(folder)}
    paths = [path for path in asked.sources.roots if os.path.realpath(path) not in own]
    found = ["." if os.path.realpath(path) == os.path.realpath(root) else _inside(root, path) for path in paths]
    return [clean_text(mask_text(name)) for name in found if name is not None]


def _listed(question: Question | None) -> list[str]:
    return [name for name in (question.answer or "").split("\0") if name] if question is not None else []


def _modules(asked: Asked, known: set[str]) -> dict[str, str | None]:
    """Files of the repository that were imported, or ran, by name: SHA-256, None where a secret stands in one."""
    found: dict[str, str | None] = {}
    for path in asked.sources.files:
        name = _inside(asked.root, path) if asked.root is not None else None
        if name is None or clean_text(name) not in known or len(found) == _MODULES:
            continue
        try:
            data = Path(path).read_bytes()
        except OSError:
            continue
        text = data.decode("utf-8", "replace")
        # No hash is kept of text that had to be masked.
        digest = hashlib.sha256(data).hexdigest() if mask_text(text) == text else None
        found[clean_text(mask_text(name))] = digest
    return found


def _keep_locks(asked: Asked, details: dict[str, Any], contents: dict[str, bytes]) -> None:
    """Keep the lists of packages beside the program: hashes, and texts up to 64 KiB."""
    near = str(asked.root or (asked.script.parent if asked.script is not None else _folder()))
    room = [HASHED_BYTES]
    for path in asked.locks:
        name, text = _shown(str(path), near), _sources.read(str(path))
        if text is not None and len(text.encode("utf-8", "replace")) <= FILE_BYTES:
            masked: list[str] = details.get("locks_masked", [])
            _keep_text(name, text, details.setdefault("locks", {}), masked, contents)
            details |= {"locks_masked": masked} if masked else {}
        else:
            facts = facts_of(path, "lock", room)
            details.setdefault("locks_hashed", {})[name] = {key: facts[key] for key in ("size_bytes", "sha256")}


def _texts_of(
    asked: Asked, sources: _sources.Sources, known: set[str], contents: dict[str, bytes]
) -> tuple[dict[str, str], list[str], int]:
    """Hashes of texts by name, without the known files; names of those with masked secrets; how many are left out."""
    kept: dict[str, str] = {}
    masked: list[str] = []
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
            _keep_text(_shown(path, near), text, kept, masked, contents)
    for name, text in sources.texts.items():
        _keep_text(_shown(name, near), text, kept, masked, contents)
    return kept, masked, left_out


def _keep_text(name: str, text: str, kept: dict[str, str], masked: list[str], contents: dict[str, bytes]) -> None:
    without = mask_text(text)
    kept[name] = keep(without, contents)
    if without != text:
        masked.append(name)


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
    kept, _, left_out = _texts_of(asked, new, known, contents)
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
