"""The code of a run as text: the recorded patch, the files that git did not know, and the patch between two runs.

A state of the code is a commit, plus the recorded diff against it, plus the recorded untracked files. If both commits
are in a local repository, both states are rebuilt as git trees and compared by git. The repository does not change: the
trees are made in a separate index, and new objects go into a separate folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history._run_rows import RunRows


_SETTINGS = (
    "-c", "core.fsmonitor=false", "-c", "core.quotepath=false", "-c", "core.autocrlf=false",
    "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false",
)  # fmt: skip
# A clone with parts left out would fetch what is asked for, by whatever command its settings name.
_NO_NETWORK = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color")


@dataclass(frozen=True, slots=True)
class CodeState:
    """The code of one run as it was recorded.

    Attributes
    ----------
    repository : str or None
        Its address, or the folder of its root.
    folder : str or None
        Where the process ran.
    commit : str or None
    diff : str or None
        Recorded differences from the commit.
    untracked : dict of str to str
        Text by path.
    missing : list of str
        Why it cannot be rebuilt exactly; empty if it can.
    """

    repository: str | None
    folder: str | None
    commit: str | None
    diff: str | None
    untracked: dict[str, str]
    missing: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether it is the commit, as far as is known."""
        return not self.diff and not self.untracked and not self.missing

    def without(self, names: Iterable[str]) -> CodeState:
        """The same without some new files."""
        left_out = {*names}
        return replace(self, untracked={n: text for n, text in self.untracked.items() if n not in left_out})


def content_of(history: Reader, digest: str) -> str | None:
    """A kept text by its hash; None if this store has none."""
    rows = history.sql("SELECT encoding, data FROM contents WHERE sha256 = ?", digest)
    if not rows:
        return None
    data = zlib.decompress(rows[0]["data"]) if rows[0]["encoding"] == "zlib" else bytes(rows[0]["data"])
    return data.decode("utf-8", "replace")


def diff_of(history: Reader, code: Mapping[str, Any] | None) -> str | None:
    """The recorded diff of a code version."""
    if code is None:
        return None
    digest = code["details"].get("diff_content")
    return content_of(history, digest) if digest else code["diff"]


def untracked_of(history: Reader, code: Mapping[str, Any] | None) -> dict[str, str]:
    """The recorded untracked files of a code version."""
    kept = code["details"].get("untracked", {}) if code is not None else {}
    found = {path: content_of(history, digest) for path, digest in kept.items()}
    return {path: text for path, text in found.items() if text is not None}


def sources_of(history: Reader, run: RunRows) -> dict[str, str]:
    """The recorded sources that git did not have, by name: files, `-c`, standard input, what an archive holds."""
    code = run.code
    kept = dict(code["details"].get("sources", {})) if code is not None else {}
    kept |= {row["title"]: row["body"] for row in _told(run, "source") if row["body"] is not None}
    found = {name: content_of(history, digest) for name, digest in kept.items()}
    return {name: text for name, text in found.items() if text is not None}


_MOST_MODULES = 64  # a record of as many may lack some


def idle_of(run: RunRows) -> dict[str, str]:
    """New files of Python, by name with their text, that the process of a run neither imported nor ran.

    Empty if it is not known in full what ran.
    """
    code = run.code
    modules = code["details"].get("modules") if code is not None else None
    if code is None or not modules or len(modules) >= _MOST_MODULES or run.session["kind"] in ("notebook", "repl"):
        return {}
    ran = {*modules, *code["details"].get("sources", {}), *(row["title"] for row in _told(run, "source"))}
    found = untracked_of(run.history, code)
    return {name: text for name, text in found.items() if name.endswith(".py") and name not in ran}


def cells_of(run: RunRows) -> list[dict[str, Any]]:
    """The cells that began before a run ended, in their order: number and source of each."""
    until = run.row["ended_at"]
    end = from_iso(until) if until is not None else 1 << 62
    return [{"title": row["title"], "source": row["body"]} for row in _told(run, "cell") if row["time"] <= end]


def _told(run: RunRows, kind: str) -> list[dict[str, Any]]:
    sql = "SELECT time, title, body FROM events WHERE session_id = ? AND kind = ? ORDER BY time, ordinal"
    return run.history.sql(sql, run.row["session_id"], kind)


def lacking(run: RunRows) -> list[str]:
    """What is not known of the code that led to a run; empty if all of it was recorded."""
    code, session = run.code, run.session
    if code is None:
        return ["its code was not recorded"]
    details, out = code["details"], []
    out += [*details.get("sources_lost", [])] + [row["title"] for row in _told(run, "source_lost")]
    out = [f"{text} was not recorded" for text in out]
    cells = cells_of(run)
    if session["kind"] in ("notebook", "repl") and not cells:
        out.append("what was typed was not recorded")
    if any(cell["source"] is None for cell in cells):
        out.append("some of its cells were erased")
    if code["commit_hash"] is None and "sources" not in details:
        out.append("git gave no answer, and what it imports was not recorded")
    gone = {**details.get("sources", {}), **details.get("untracked", {})}
    late = [row["body"] for row in _told(run, "source")]
    n_gone = sum(digest is None or content_of(run.history, digest) is None for digest in [*gone.values(), *late])
    n_gone += details.get("sources_left_out", 0) + details.get("untracked_left_out", 0)
    if n_gone:
        out.append(f"the text of {n_gone} of its files is not here")
    for key, text in _GAPS.items():
        if details.get(key):
            out.append(text)
    if code["commit_hash"] is not None and code["dirty"] is None:
        out.append("whether it had changes is not known")
    if any(f["sha256"] is None and f["state"] != "deleted" for f in details.get("others_changed", {}).values()):
        out.append("a changed file was not hashed")
    return out


_NAMED = 3
_GAPS = {
    "diff_missing": "its diff was not kept",
    "diff_cut_characters": "the end of its diff was not kept",
    "patch_redacted": "parts of its code were taken out of the store (redacted)",
    "others_changed_left_out": "some of the changed files were not hashed",
}


def between_texts(a: Mapping[str, str], b: Mapping[str, str]) -> str:
    """A unified diff of texts by name; empty if they are the same."""
    import difflib

    out: list[str] = []
    for name in dict.fromkeys([*a, *b]):
        before, after = (text.get(name, "").splitlines() for text in (a, b))
        out += difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm="")
        if name in a and name in b and before == after and a[name] != b[name]:
            out.append(f"# {name}: ends of lines differ")
    return "\n".join(out) + "\n" if out else ""


def as_script(cells: list[dict[str, Any]]) -> str:
    """Cells one below the other, each under a comment with its number."""
    return "\n".join(f"# {cell['title']}\n{(cell['source'] or '[erased]').rstrip()}\n" for cell in cells)


def state_of(history: Reader, code: Mapping[str, Any] | None, folder: str | None) -> CodeState | None:
    """The recorded state of the code; None if git gave no answer."""
    if code is None or not re.fullmatch(r"[0-9a-f]{40,64}", code["commit_hash"] or ""):
        return None
    details, missing = code["details"], []
    diff = diff_of(history, code)
    if code["dirty"] is None:
        missing.append("whether it had changes is not known")
    if details.get("diff_missing"):
        missing.append("its diff was not kept")
    if details.get("diff_masked"):
        missing.append("secrets in its diff are masked")
    if details.get("untracked_masked"):
        missing.append(f"secrets in {len(details['untracked_masked'])} of its new files are masked")
    if details.get("diff_cut_characters"):
        missing.append(f"{details['diff_cut_characters']} characters of its diff were not kept")
    if details.get("patch_redacted"):
        missing.append("parts of its diff were taken out of the store (redacted)")
    others = details.get("others_changed", {})
    if others:
        n = len(others) + details.get("others_changed_left_out", 0)
        what = "binary file" if all(each.get("is_binary") for each in others.values()) else "file that is no code"
        names = ", ".join([*list(others)[:_NAMED], *(["…"] if n > _NAMED else [])])
        missing.append(f"{n} changed {what if n == 1 else what.replace('file', 'files', 1)}, of which only a hash was "
                       f"kept, shown as committed: {names}")  # fmt: skip
    if details.get("untracked_left_out"):
        missing.append(f"{details['untracked_left_out']} files that git did not know were not kept")
    untracked = untracked_of(history, code)
    return CodeState(code["repository"], folder, code["commit_hash"], diff, untracked, missing)


@dataclass(frozen=True, slots=True)
class Patch:
    """What changed in the code between two runs.

    Attributes
    ----------
    text : str or None
        A unified diff; None if none can be made.
    kind : str
        `states`: between the two states as they were, `recorded`: between what was recorded beside the commits,
        `none`: nothing can be compared.
    notes : list of str
        What is missing, and why.
    """

    text: str | None
    kind: str
    notes: list[str]

    @property
    def n_lines(self) -> tuple[int, int]:
        """Lines that were added and removed."""
        lines = (self.text or "").splitlines()
        added = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
        return added, sum(line.startswith("-") and not line.startswith("--- ") for line in lines)


def patch_between(a: CodeState, b: CodeState) -> Patch:
    """The patch that leads from one state to the other.

    Parameters
    ----------
    a, b : CodeState

    Returns
    -------
    Patch
    """
    notes = [f"{name}: {why}" for name, state in (("A", a), ("B", b)) for why in state.missing]
    repository = _repository_of(a, b)
    if repository is None:
        where = a.repository or "its repository"
        notes.append(f"no repository here has both commits ({where}); run this in a clone of it to see the whole patch")
        return _between_records(a, b, notes)
    with tempfile.TemporaryDirectory(prefix="histhooks-") as scratch:
        apart = _apart(repository, Path(scratch))
        trees = [_tree(repository, state, apart, f"{name}: ", notes) for name, state in (("A", a), ("B", b))]
        if trees[0] is None or trees[1] is None:
            name = "A" if trees[0] is None else "B"
            notes.append(f"{name}: its recorded diff does not apply to its commit")
            return _between_records(a, b, notes)
        text = _git(repository, *_DIFF, trees[0], trees[1], variables=apart)
    if text is None:
        return _between_records(a, b, [*notes, "git could not compare the two states"])
    return Patch(text, "states", notes)


def _between_records(a: CodeState, b: CodeState, notes: list[str]) -> Patch:
    """Compare what was recorded beside the commits, since the commits themselves cannot be."""
    import difflib

    if a.commit == b.commit:
        notes = [*notes, "both start from the same commit; below is how their recorded diffs differ"]
    else:
        notes = [*notes, "what the commits differ in cannot be shown; below is how their recorded diffs differ"]
    texts = [{"recorded.diff": state.diff or "", **state.untracked} for state in (a, b)]
    out: list[str] = []
    for path in sorted({*texts[0], *texts[1]}):
        before, after = (text.get(path, "").splitlines() for text in texts)
        out += difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", lineterm="")
    return Patch("\n".join(out) + "\n" if out else None, "recorded", notes)


def _repository_of(a: CodeState, b: CodeState) -> Path | None:
    """A repository here that has both commits: theirs, or the one that we stand in."""
    tried = dict.fromkeys([b.folder, a.folder, b.repository, a.repository, os.getcwd()])
    for place in tried:
        if place is None or not os.path.isdir(place):
            continue
        root = _git(Path(place), "rev-parse", "--show-toplevel")
        if root is None:
            continue
        folder = Path(root.strip())
        if all(_git(folder, "cat-file", "-e", f"{state.commit}^{{commit}}") is not None for state in (a, b)):
            return folder
    return None


def _apart(repository: Path, scratch: Path) -> dict[str, str]:
    """Variables with which git writes into an index and an object folder of our own, and reads the repository's."""
    objects = scratch / "objects"
    objects.mkdir()
    theirs = _git(repository, "rev-parse", "--path-format=absolute", "--git-path", "objects") or ""
    return {
        "GIT_INDEX_FILE": str(scratch / "index"),
        "GIT_OBJECT_DIRECTORY": str(objects),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": theirs.strip(),
    }


def _tree(repository: Path, state: CodeState, apart: dict[str, str], name: str, notes: list[str]) -> str | None:
    """Rebuild a state as a tree of git."""
    Path(apart["GIT_INDEX_FILE"]).unlink(missing_ok=True)
    if _git(repository, "read-tree", f"{state.commit}", variables=apart) is None:
        return None
    diff, n_binary = _without_binary(state.diff or "")
    if n_binary:
        notes.append(f"{name}{n_binary} changed binary files are shown as they were committed")
    # The user's git may be configured to leave out the prefixes a/ and b/.
    for strip in ("-p1", "-p0"):
        apply = ("apply", "--cached", "--whitespace=nowarn", strip, "-")
        if not diff or _git(repository, *apply, text=diff, variables=apart) is not None:
            break
    else:
        return None
    for path, text in state.untracked.items():
        blob = _git(repository, "hash-object", "-w", "--stdin", "--no-filters", text=text, variables=apart)
        entry = None if blob is None else f"100644,{blob.strip()},{path}"
        if entry is None or _git(repository, "update-index", "--add", "--cacheinfo", entry, variables=apart) is None:
            return None
    tree = _git(repository, "write-tree", variables=apart)
    return None if tree is None else tree.strip()


def _without_binary(diff: str) -> tuple[str, int]:
    """A diff without the files of which it says only that they differ, and how many those are."""
    files = re.split(r"(?m)^(?=diff --git )", diff)
    kept = [file for file in files if not re.search(r"(?m)^Binary files .* differ$", file)]
    return "".join(kept), len(files) - len(kept)


def _git(
    folder: Path, *arguments: str, text: str | None = None, variables: Mapping[str, str] | None = None
) -> str | None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    environment |= {**_NO_NETWORK, **(variables or {})}
    source: dict[str, Any] = {"stdin": subprocess.DEVNULL} if text is None else {"input": text.encode("utf-8")}
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            ["git", *_SETTINGS, *arguments],
            cwd=folder, env=environment, capture_output=True, timeout=60, check=True, **source,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
