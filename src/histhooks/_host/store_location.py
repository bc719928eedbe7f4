"""The location of the store, and the name of the project."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from histhooks.errors import QueryError

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
        self.keep_models: bool | None = None


def is_off() -> bool:
    """Whether HISTHOOKS=off switches everything off."""
    return os.environ.get("HISTHOOKS", "").lower() in ("off", "0", "false", "no")


def is_strict() -> bool:
    """Whether HISTHOOKS_STRICT=1 is set, so that internal failures are raised."""
    return os.environ.get("HISTHOOKS_STRICT", "") not in ("", "0")


def data_mode() -> str:
    """What HISTHOOKS_DATA lets be recorded of data: `full`, `profile` or `off`."""
    asked = os.environ.get("HISTHOOKS_DATA", "").lower()
    return asked if asked in ("off", "profile") else "full"


def keeps_models(settings: Settings) -> bool:
    """Whether models that runs write are kept: as the program asked, else the environment, else pyproject.toml."""
    if settings.keep_models is not None:
        return settings.keep_models
    asked = os.environ.get("HISTHOOKS_KEEP_MODELS", "").lower()
    if asked:
        return asked not in ("off", "0", "false", "no")
    return _configured_flag("keep_models", settings.folder or working_folder())


# What a team's history may lie in; training writes to a file alone.
TARGETS = (
    "postgresql://",
    "postgresql+",
    "postgres://",
    "sqlite://",
    "s3://",
    "gs://",
    "az://",
    "sftp://",
    "memory://",
    "folder:",
)
FILE_ONLY = "training writes a file; name the team with HISTHOOKS_TEAM"


def is_target(word: str | os.PathLike[str] | None) -> bool:
    """Whether a word names the target of a team, and not a file to record to."""
    return isinstance(word, str) and word.startswith(TARGETS)


def is_copy_of_target(path: Path) -> bool:
    """Whether a file is this user's copy of a target, which nobody else would see a change of."""
    found = user_folder("XDG_CACHE_HOME", ".cache")
    return found is not None and path.parent == found / "targets"


def fix_named_store() -> None:
    """Make HISTHOOKS_STORE absolute: a program that changes its folder, and its children, mean the same file."""
    named = os.environ.get("HISTHOOKS_STORE")
    if named and not os.path.isabs(named) and not is_target(named):
        os.environ["HISTHOOKS_STORE"] = os.path.normpath(os.path.join(working_folder(), os.path.expanduser(named)))


def repository_root(start: Path) -> Path | None:
    """The nearest folder at or above ``start`` that is a git work tree."""
    # Path.exists() raises where a folder may not be searched (up to Python 3.13); os.path.exists() says False.
    return next((folder for folder in (start, *start.parents) if os.path.exists(folder / ".git")), None)


def pyproject_of(start: Path) -> Path | None:
    """The pyproject.toml of a folder, or of the nearest one above it."""
    files = (folder / "pyproject.toml" for folder in (start, *start.parents))
    return next((file for file in files if os.path.isfile(file)), None)


def _configured(start: Path) -> Path | None:
    path, named = table_of(start, "store")
    is_path = bool(named) and isinstance(named, str) and "\0" not in named and not is_target(named)
    return path.parent / os.path.expanduser(named) if path is not None and is_path else None


@lru_cache(maxsize=64)  # asked for with each file
def _configured_flag(key: str, start: str) -> bool:
    from pathlib import Path

    return table_of(Path(start), key)[1] is True


@lru_cache(maxsize=8)  # a session asks several times for what stands in one file
def _content(path: str, mtime_ns: int, size: int) -> Any:
    """`[tool.histhooks]` of a file, as it was at a time."""
    import tomllib  # costs what the rest of this module costs, and few projects have the table

    with open(path, "rb") as file:
        table: Any = tomllib.load(file)
    for word in ("tool", "histhooks"):
        table = table.get(word) if isinstance(table, dict) else None
    return table


def table_of(start: Path, key: str) -> tuple[Path | None, Any]:
    """The nearest pyproject.toml, and what `[tool.histhooks]` says in it; nothing, if the file is broken."""
    try:
        return readable_table_of(start, key)
    except QueryError:
        return pyproject_of(start), None


def readable_table_of(start: Path, key: str) -> tuple[Path | None, Any]:
    """The same for what a project demands in it, as of checks: a demand that cannot be read is not left out.

    Raises
    ------
    QueryError
        If the file cannot be read.
    """
    path = pyproject_of(start)
    if path is None:
        return None, None
    try:
        found = path.stat()
        table = _content(str(path), found.st_mtime_ns, found.st_size)
    except (OSError, ValueError, RecursionError) as error:
        raise QueryError(f"{path} cannot be read, nor what it says of {key}: {error}") from error
    return path, table.get(key) if isinstance(table, dict) else None


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
        None if there is none. If this folder cannot be written and has no store, the one in the user's data
        folder, which :func:`store_path` fell back to.
    """
    from pathlib import Path

    named = os.fspath(explicit) if explicit else os.environ.get("HISTHOOKS_STORE")
    if named and (explicit or not is_target(named)):
        return Path(os.path.expanduser(named).replace("\0", ""))  # which no system has in a path
    start = start or Path(working_folder())
    configured = _configured(start)
    if configured is not None:
        return configured
    root = repository_root(start)
    for folder in (start, *start.parents):
        if _is_there(folder / STORE_NAME):
            return folder / STORE_NAME
        if folder == root:
            break
    new = _new_store(start)  # where this folder cannot be written, one that an earlier session fell back to
    return new if _is_there(new) else None


def store_path(explicit: str | os.PathLike[str] | None = None, start: Path | str | None = None) -> Path:
    """Where a session records: a store that is there, else where a new one belongs."""
    from pathlib import Path

    start = Path(start or working_folder())
    # A program that is repeated records where its first run is, whatever store it names.
    found = find_store(os.environ.get("HISTHOOKS_REPLAY_STORE") or explicit, start)
    if found is not None:
        return found if found.is_absolute() else start / found
    return _new_store(start)


def _is_there(store: Path) -> bool:
    return os.path.isfile(store) or os.path.isdir(f"{store}.spool")


def real_path(store: Path) -> Path:
    """A store behind a symbolic link, beside which SQLite keeps its log; of every name of it the same."""
    from pathlib import Path

    return Path(os.path.realpath(store)) if os.path.islink(store) and not is_stream(store) else store


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a stream of this process (`/dev/stdout`), which leads to whatever file it was sent to."""
    return os.path.dirname(path) in ("/dev", "/dev/fd", "/proc/self/fd") and os.path.exists(path)


def _new_store(start: Path) -> Path:
    """Where a store belongs that is not there yet."""
    root = repository_root(start)
    if root is None:
        beside = pyproject_of(start)
        root = beside.parent if beside is not None else start
    if os.access(root, os.W_OK):
        return root / STORE_NAME
    return (user_folder("XDG_DATA_HOME", ".local/share") or root) / STORE_NAME


def user_folder(variable: str, default: str) -> Path | None:
    """This user's folder of data or state for histhooks.

    Returns
    -------
    Path or None
        None for an account without a home, as of a container that runs under any number.
    """
    from pathlib import Path

    base = os.environ.get(variable)
    if base:
        return Path(base) / "histhooks"
    home = os.path.expanduser("~")  # given back as it is where no home is known
    return Path(home) / default / "histhooks" if os.path.isabs(home) else None


def project_name(explicit: str | None = None, start: Path | str | None = None) -> str:
    """The project: as asked, else named by the repository's remote, else by its folder, or the folder outside one."""
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
    """The name of the repository that a folder lies in, the same in each clone of it; else the folder's own."""
    from pathlib import Path

    folder = Path(start)
    root = repository_root(folder)
    return (root and _remote_name(root)) or (root or folder).name or "root"


def _remote_name(root: Path) -> str | None:
    """The last part of the URL of ``origin``, or of the only remote, without `.git`; None if there is none.

    Read from the file (git-config(1)), since a process of git would cost more than the whole start of a recording.
    """
    import re
    from urllib.parse import unquote

    folder = _git_folder(root)
    try:
        lines = (folder / "config").read_text(encoding="utf-8").splitlines() if folder is not None else []
    except (OSError, ValueError):
        return None
    urls: dict[str, str] = {}
    remote = None
    for line in lines:
        if section := re.match(r'\s*\[\s*(\S+?)\s*(?:"(.*)"\s*)?\]', line):
            remote = section[2] if section[1].lower() == "remote" else None
        elif remote and (url := re.match(r"\s*url\s*=\s*(.*?)\s*$", line, re.IGNORECASE)):
            urls.setdefault(
                remote, url[1][1:].partition('"')[0] if url[1][:1] == '"' else re.sub(r"\s+[;#].*$", "", url[1])
            )
    chosen = urls.get("origin") or (next(iter(urls.values())) if len(urls) == 1 else "")
    address = re.sub(r"(?i)^[a-z+]+://[^/]*|[?#].*$", "", chosen)  # without user names, tokens
    last = re.split(r"[/\\:]", address.rstrip("/\\").removesuffix(".git").rstrip("/\\"))[-1]
    name = unquote(last)
    is_name = name.isprintable() and not any(sign in name for sign in "@/\\") and name not in ("", ".", "..")
    return name if is_name else None


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
