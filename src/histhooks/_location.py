"""Where the store is, and what the project is called."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

STORE_NAME = "histhooks.db"


class Settings:
    """What a program or its surroundings asked of histhooks. None: not asked."""

    def __init__(self) -> None:
        self.store: str | None = None
        self.folder: str | None = None  # where the program was when it asked: it may change its folder later
        self.project: str | None = None
        self.group: str | None = None
        self.tags: dict[str, Any] = {}
        self.metric: str | None = None
        self.splits: dict[str, str] = {}


def is_off() -> bool:
    """Whether HISTHOOKS=off switches everything off."""
    return os.environ.get("HISTHOOKS", "").lower() in ("off", "0", "false", "no")


def is_strict() -> bool:
    """Whether HISTHOOKS_STRICT=1 asks that failures of ours are raised."""
    return os.environ.get("HISTHOOKS_STRICT", "") not in ("", "0")


def fix_named_store() -> None:
    """Make HISTHOOKS_STORE absolute: a program that changes its folder, and its children, mean the same file."""
    named = os.environ.get("HISTHOOKS_STORE")
    if named and not os.path.isabs(named):
        try:
            os.environ["HISTHOOKS_STORE"] = os.path.abspath(os.path.expanduser(named))
        except OSError:  # the working folder is gone
            return


def repository_root(start: Path) -> Path | None:
    """The nearest folder at or above ``start`` that is a git work tree."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return None


def _pyproject(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder / "pyproject.toml"
    return None


def _configured(start: Path) -> Path | None:
    path = _pyproject(start)
    if path is None:
        return None
    import tomllib  # costs what the rest of this module costs, and few projects have the table

    try:
        store = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("histhooks", {}).get("store")
    except (OSError, ValueError):
        return None
    return path.parent / str(store) if store else None


def find_store(explicit: str | os.PathLike[str] | None = None, start: Path | None = None) -> Path | None:
    """Find a store that exists.

    Parameters
    ----------
    explicit : str or path, optional
        A store that was named; it is given back whether it exists or not.
    start : Path, optional
        The folder to begin at, by default the working folder.

    Returns
    -------
    Path or None
        None where there is none. Where this folder cannot be written and has no store, the one in the user's data
        folder, which :func:`store_path` fell back to.
    """
    from pathlib import Path

    named = explicit or os.environ.get("HISTHOOKS_STORE")
    if named:
        return Path(named).expanduser()
    start = start or Path.cwd()
    configured = _configured(start)
    if configured is not None:
        return configured
    root = repository_root(start)
    for folder in (start, *start.parents):
        if (folder / STORE_NAME).is_file() or (folder / f"{STORE_NAME}.spool").is_dir():
            return folder / STORE_NAME
        if folder == root:
            break
    fallen_back = user_folder("XDG_DATA_HOME", ".local/share") / STORE_NAME
    is_there = fallen_back.is_file() or fallen_back.with_name(f"{STORE_NAME}.spool").is_dir()
    return fallen_back if is_there and _new_store(start) == fallen_back else None


def store_path(explicit: str | os.PathLike[str] | None = None, start: Path | str | None = None) -> Path:
    """Where a session records: a store that is there, else where a new one belongs."""
    from pathlib import Path

    start = Path(start or working_folder())
    found = find_store(explicit, start)
    if found is not None:
        return found if found.is_absolute() else start / found
    return _new_store(start)


def real_path(store: Path) -> Path:
    """A store behind a symbolic link, beside which SQLite keeps its log; of every name of it the same."""
    from pathlib import Path

    return Path(os.path.realpath(store)) if store.is_symlink() else store


def _new_store(start: Path) -> Path:
    """Where a store belongs that is not there yet."""
    root = repository_root(start)
    if root is None:
        beside = _pyproject(start)
        root = beside.parent if beside is not None else start
    if os.access(root, os.W_OK):
        return root / STORE_NAME
    return user_folder("XDG_DATA_HOME", ".local/share") / STORE_NAME


def user_folder(variable: str, default: str) -> Path:
    """This user's folder of data or state for histhooks."""
    from pathlib import Path

    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / default) / "histhooks"


def project_name(explicit: str | None = None, start: Path | str | None = None) -> str:
    """The project: as asked, else the repository's or the folder's name."""
    named = explicit or os.environ.get("HISTHOOKS_PROJECT")
    return named or _folder_name(str(start or working_folder()))


def working_folder() -> str:
    """The folder that the program is in."""
    try:
        return os.getcwd()
    except OSError:  # it is gone; the shell's variable says what it was called
        return os.environ.get("PWD", "/")


@lru_cache(maxsize=64)  # asked for at the start of each run
def _folder_name(start: str) -> str:
    """The name of the repository that a folder lies in, else its own."""
    from pathlib import Path

    folder = Path(start)
    return (repository_root(folder) or folder).name or "root"


def _git_folder(root: Path) -> Path | None:
    """The folder that git shares among the work trees of a repository (gitrepository-layout(5))."""
    from pathlib import Path

    dot_git = root / ".git"
    try:
        if not dot_git.is_dir():  # a work tree of `git worktree add`, or a submodule
            word, _, path = dot_git.read_text(encoding="utf-8").strip().partition(": ")
            if word != "gitdir":
                return None
            dot_git = root / path
        common = dot_git / "commondir"
        folder = dot_git / Path(common.read_text(encoding="utf-8").strip()) if common.is_file() else dot_git
        return folder if folder.is_dir() else None
    except (OSError, ValueError):
        return None


def keep_out_of_git(store: Path) -> None:
    """Write ``histhooks.db*`` into git's `info/exclude`, so that a store never makes a work tree dirty."""
    root = repository_root(store.parent)
    folder = _git_folder(root) if root is not None else None
    if folder is None:
        return
    exclude, line = folder / "info" / "exclude", f"{store.name}*"
    try:
        text = exclude.read_text(encoding="utf-8") if exclude.exists() else ""
        if line in text.splitlines():
            return
        exclude.parent.mkdir(exist_ok=True)
        with exclude.open("a", encoding="utf-8") as file:
            file.write(("" if not text or text.endswith("\n") else "\n") + line + "\n")
    except (OSError, ValueError):
        return
