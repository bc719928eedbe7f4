"""The code of a run as it ran, written into a folder of its own.

A commit is cloned from a repository that is here, without its hooks, filters of other programs or network; the recorded
patch and the new files are laid over it. Without git, the texts that were kept are written. The user's repository is
read only.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from histhooks._base.secrets import MASK
from histhooks.errors import ReproduceError
from histhooks.history.compare.code import as_script, cells_of, lacking
from histhooks.reproduce._command import CELLS, MAGIC_CELLS, TYPED, Command

if TYPE_CHECKING:
    from histhooks.history import RunRecord

_SETTINGS = (
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false",
    "-c", "protocol.allow=never", "-c", "protocol.file.allow=always", "-c", "advice.detachedHead=false",
)  # fmt: skip
_HOURS = 3600


@dataclass(slots=True)
class Code:
    """What is known of the code of a run.

    Attributes
    ----------
    commit : str or None
    repository : str or None
        Its address, or the folder of its root, as recorded.
    clone : Path or None
        A repository here that has the commit.
    root : str
        The folder that the program's files were named from: of the repository, else of the program.
    diff : str or None
    texts : dict of str to str
        New files, and what git does not have, by path from the root.
    elsewhere : dict of str to str
        Files outside the root that were imported, by path: SHA-256 of the kept text.
    import_roots : list of str
        Folders that its own modules were imported from, beside that of the program, from the root.
    blockers : list of str
        Why it cannot be written as it was.
    """

    commit: str | None = None
    repository: str | None = None
    clone: Path | None = None
    root: str = ""
    diff: str | None = None
    texts: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    import_roots: list[str] = field(default_factory=list)
    blockers: list[str] = field(default_factory=list)


def code_of(run: RunRecord, command: Command | None) -> Code:
    """What is known of the code of a run, and whether it can be written as it was."""
    found = Code()
    code = run.code
    found.blockers += _gaps(run)
    if code is None:
        return found
    cwd = run.session["cwd"] or os.getcwd()
    texts = {**run.untracked, **run.sources}
    if code["commit_hash"] is not None:
        found.commit, found.repository, found.diff = code["commit_hash"], code["repository"], run.code_diff
        found.clone = _repository(code, cwd)
        if found.clone is None:
            found.blockers.append(
                f"no repository here has commit {code['commit_hash'][:12]} of {code['repository']}: "
                "run this in a clone of it, or fetch it"
            )
    found.root = _root(run, cwd, code, found.clone)
    found.import_roots = list(code["details"].get("import_roots", []))
    if run.session["kind"] in TYPED:
        texts[MAGIC_CELLS if command is not None and command.form == "module" else CELLS] = as_script(cells_of(run))
    for name, text in texts.items():
        if name.startswith("<") or name == "-c":
            continue  # the text of `-c`, which stands in the command
        if os.path.isabs(name):
            inside = os.path.relpath(name, found.root) if found.root else ".."
            if inside.startswith(".."):
                found.elsewhere[name] = hashlib.sha256(text.encode()).hexdigest()
                continue
            name = inside
        found.texts[name] = text
    found.blockers += _moved(found.elsewhere)
    return found


def _gaps(run: RunRecord) -> Iterator[str]:
    """Why the recorded code is not the whole."""
    yield from lacking(run)
    details = run.code["details"] if run.code is not None else {}
    if details.get("diff_masked"):
        yield "secrets in its diff are masked: the code as recorded is not the code that ran"
    for key, what in (("untracked_masked", "new files"), ("sources_masked", "files")):
        if details.get(key):
            yield f"secrets in {what} are masked: {', '.join(map(str, details[key][:3]))}"
    if not details.get("untracked_masked") and any(MASK in text for text in run.untracked.values()):
        yield "secrets in new files are masked"


def _moved(elsewhere: Mapping[str, str]) -> Iterator[str]:
    for path, digest in elsewhere.items():
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            yield f"{path}, which it imported, is not there any more"
            continue
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            yield f"{path}, which it imported, has changed since"


def _root(run: RunRecord, cwd: str, code: Mapping[str, Any], clone: Path | None) -> str:
    """The folder that recorded names start from."""
    if code["commit_hash"] is not None:
        repository = code["repository"] or ""
        if os.path.isabs(repository):
            return repository
        inside = _git(Path(cwd), "rev-parse", "--show-toplevel") if os.path.isdir(cwd) else None
        return inside.strip() if inside else _guessed(cwd, clone)
    script = code["entry_script"]
    if script is not None:
        return os.path.dirname(script if os.path.isabs(script) else os.path.join(cwd, script))
    return cwd


def _guessed(cwd: str, clone: Path | None) -> str:
    """The root on the machine that recorded: its folder of the clone's name, else where the process ran."""
    if clone is not None:
        for parent in (PurePosixPath(cwd), *PurePosixPath(cwd).parents):
            if parent.name == clone.name:
                return str(parent)
    return cwd


def _repository(code: Mapping[str, Any], cwd: str) -> Path | None:
    for place in dict.fromkeys([cwd, code["repository"], os.getcwd()]):
        if not place or not os.path.isdir(place):
            continue
        root = _git(Path(place), "rev-parse", "--show-toplevel")
        if root is None:
            continue
        folder = Path(root.strip())
        if _git(folder, "cat-file", "-e", f"{code['commit_hash']}^{{commit}}") is not None:
            return folder
    return None


# --- writing ----------------------------------------------------------------------------------------------------------


def write_code(code: Code, folder: Path) -> None:
    """Write the code into a folder that is new or empty.

    Raises
    ------
    ReproduceError
        If git refuses, or the patch does not apply.
    """
    if code.commit is not None:
        if code.clone is None:
            raise ReproduceError(f"no repository here has commit {code.commit}")
        _checkout(code, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in code.texts.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ReproduceError(f"the recorded file {name!r} would be written outside of {folder}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def _checkout(code: Code, folder: Path) -> None:
    assert code.clone is not None
    folder.parent.mkdir(parents=True, exist_ok=True)
    clone = ("clone", "--quiet", "--shared", "--no-checkout", "--template=", str(code.clone), str(folder))
    _done(folder.parent, clone)
    if code.repository is not None and not os.path.isdir(code.repository):
        _done(folder, ("remote", "set-url", "origin", code.repository))  # as recorded; nothing is fetched
    _done(folder, ("checkout", "--quiet", "--detach", str(code.commit)))
    if code.diff:
        for strip in ("-p1", "-p0"):  # the user's git may be configured to leave out the prefixes a/ and b/
            apply = ("apply", "--whitespace=nowarn", strip, "-")
            if _git(folder, *apply, text=code.diff) is not None:
                return
        raise ReproduceError(f"its recorded diff does not apply to commit {code.commit[:12] if code.commit else ''}")


def _done(folder: Path, arguments: tuple[str, ...]) -> None:
    if _git(folder, *arguments) is None:
        raise ReproduceError(f"git {arguments[0]} failed in {folder}; try it there by hand")


def _git(folder: Path, *arguments: str, text: str | None = None) -> str | None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
    source: dict[str, Any] = {"stdin": subprocess.DEVNULL} if text is None else {"input": text.encode("utf-8")}
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            ["git", *_SETTINGS, *arguments], cwd=folder, env=environment, capture_output=True, timeout=_HOURS,
            check=True, **source,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
