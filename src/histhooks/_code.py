"""Which code ran: the git commit with what differs from it, and the program itself. Touches no file."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from histhooks._captures import Capture
from histhooks._secrets import mask_text
from histhooks._values import clean_text, dumps

_COLUMN_CHARACTERS = 64 << 10
_DIFF_CHARACTERS = 1 << 20
_FILE_BYTES = 64 << 10
_FILES = 64
_SUFFIXES = frozenset({".py", ".yaml", ".yml", ".toml", ".json", ".cfg", ".ini", ".sh", ".sql"})

Gathered = tuple[dict[str, Any], dict[str, bytes], list[Capture]]


def entry_file() -> str | None:
    """The file of the program; to be asked while it runs, since the interpreter forgets it at the end."""
    name = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.path.abspath(name) if name else None


def gather(entry: str | None) -> Gathered:
    """Gather which code this process runs.

    Parameters
    ----------
    entry : str or None
        What :func:`entry_file` said.

    Returns
    -------
    row : dict
        Columns of `code_versions` but for its id.
    contents : dict of str to bytes
        Texts by their SHA-256, secrets masked.
    captures : list of Capture
    """
    row: dict[str, Any] = dict.fromkeys(("repository", "commit_hash", "branch", "dirty", "diff"))
    details: dict[str, Any] = {}
    contents: dict[str, bytes] = {}
    script = Path(entry) if entry and os.path.isfile(entry) else None
    captures = []
    if script is None:
        captures.append(Capture("entry_script", "skipped", "the program has no file"))
    root = _git("rev-parse", "--show-toplevel", folder=script.parent if script else None)
    if root is None:
        captures.append(Capture("git", "skipped", "no git repository here, or no git"))
    else:
        folder = Path(root.strip())
        row |= _repository(folder)
        captures += _changes(folder, row, details, contents)
    row |= _entry(script, Path(root.strip()) if root else None)
    return {**row, "details": dumps(details)}, contents, captures


def _entry(script: Path | None, root: Path | None) -> dict[str, Any]:
    if script is None:
        return {"entry_script": None, "entry_sha256": None}
    shown = script.relative_to(root) if root is not None and script.is_relative_to(root) else script
    # Only the hash of a file that git or the diff also shows; no hash is kept of text that had to be masked.
    text = script.read_text(encoding="utf-8", errors="replace")
    is_clean = mask_text(text) == text
    digest = hashlib.sha256(script.read_bytes()).hexdigest() if is_clean else None
    return {"entry_script": clean_text(str(shown)), "entry_sha256": digest}


def _git(*arguments: str, folder: Path | None = None) -> str | None:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.quotepath=false", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=20, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


def _repository(folder: Path) -> dict[str, Any]:
    origin = (_git("config", "--get", "remote.origin.url", folder=folder) or "").strip()
    commit = (_git("rev-parse", "HEAD", folder=folder) or "").strip()
    branch = (_git("symbolic-ref", "--short", "-q", "HEAD", folder=folder) or "").strip()
    bare = re.sub(r"://[^/@]*@", "://", origin)
    return {"repository": bare or str(folder), "commit_hash": commit or None, "branch": branch or None}


def _changes(folder: Path, row: dict[str, Any], details: dict[str, Any], contents: dict[str, bytes]) -> list[Capture]:
    captures = [Capture("git", "ok")]
    base = ("HEAD",) if row["commit_hash"] else ("--cached",)
    diff = _git("diff", "--no-ext-diff", "--no-textconv", "--no-color", *base, folder=folder)
    status = _git("status", "--porcelain", "-z", "--untracked-files=all", folder=folder)
    if diff is None or status is None:
        return [Capture("git", "failed", "git diff or git status gave no answer in time")]
    row["dirty"] = int(bool(status))
    if diff:
        captures += _keep_diff(diff, row, details, contents)
    untracked = [entry[3:] for entry in status.split("\0") if entry.startswith("?? ")]
    captures += _keep_untracked(folder, untracked, details, contents)
    return captures


def _keep_diff(diff: str, row: dict[str, Any], details: dict[str, Any], contents: dict[str, bytes]) -> list[Capture]:
    masked = mask_text(diff)
    details["diff_masked"] = masked != diff
    details["diff_lines"] = diff.count("\n")
    captures = []
    if len(masked) > _DIFF_CHARACTERS:
        details["diff_cut_characters"] = len(masked) - _DIFF_CHARACTERS
        captures.append(
            Capture("diff", "truncated", f"{len(masked) - _DIFF_CHARACTERS} of {len(masked)} characters cut")
        )
        masked = masked[:_DIFF_CHARACTERS]
    if len(masked) <= _COLUMN_CHARACTERS:
        row["diff"] = clean_text(masked)
    else:
        details["diff_content"] = _keep(masked, contents)
    return captures


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
