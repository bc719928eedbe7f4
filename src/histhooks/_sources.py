"""The sources that ran and that git does not have: from where Python took them.

Asked are the modules that were imported, the frames that a run was opened from (which knows what `exec` and `runpy`
ran), the command line (``-c``), standard input where it is a file, and the archive that a program came in. Installed
packages and the standard library are not sources of the program: `packages` tells their versions. Nothing is imported
or called for this but `zipimport`'s own reader, and no module's `__getattr__`.
"""

from __future__ import annotations

import os
import stat
import sys
import zipimport
from dataclasses import dataclass, field
from functools import lru_cache
from types import FrameType
from typing import Any

COMMAND = "-c"
STDIN = "<stdin>"
_MOST_BYTES = 256 << 10
_GENERATED = ("__autograph_generated_file", "torchinductor_")
_INSTALLED = ("site-packages", "dist-packages")
_OF_CELLS = ("<ipython-input-", "<timed ", "<magic-timeit>")  # whose text stands in a cell
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
# Names of the files whose code was running when a run was opened.
filenames: set[str] = set()
# Those of text that ran and that nothing keeps: `exec` of a string.
unseen: set[str] = set()


def saw(frame: FrameType | None) -> None:
    """Note from where a run is opened: some 50 ns a frame."""
    while frame is not None:
        code = frame.f_code
        name = code.co_filename
        if name not in filenames:
            filenames.add(name)
            if code.co_name == "<module>" and _is_nowhere(name):
                unseen.add(name)
        frame = frame.f_back


def _is_nowhere(name: str) -> bool:
    if not name.startswith("<") or name.startswith("<frozen ") or name in _linecache():
        return False
    is_given = name == STDIN or (name == "<string>" and (command_text() is not None or _is_worker()))
    return not is_given and not name.startswith(_OF_CELLS)


def _linecache() -> dict[str, Any]:
    found: dict[str, Any] = getattr(sys.modules.get("linecache"), "cache", {})
    return found


def count() -> tuple[int, int]:
    """Changes where :func:`look` may find more than before."""
    return len(sys.modules), len(filenames)


@dataclass(slots=True)
class Sources:
    """Where the program's sources are.

    Attributes
    ----------
    files : list of str
        Paths of files, absolute.
    texts : dict of str to str
        Text that lies in no file of its own, by what it is called.
    lost : list of str
        What ran and cannot be had, in words.
    """

    files: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def look() -> Sources:
    """Find the sources of this program, as far as they are known by now."""
    found = Sources()
    files: dict[str, None] = {}
    for name, module in list(sys.modules.items()):
        facts = _facts_of(module)
        path = facts.get("__file__")
        if not isinstance(path, str) or _is_installed(path) or _is_generated(path):
            continue
        if os.path.isfile(path):
            if not path.endswith(tuple(_extensions())):
                files[os.path.abspath(path)] = None
        else:
            text = _zipped(name, facts)
            if text is not None:
                found.texts[os.path.abspath(path)] = text
    for name in list(filenames):
        text = _kept(name)
        if text is not None:
            found.texts[name] = text
        elif not (name.startswith("<") or _is_installed(name) or _is_generated(name)) and os.path.isfile(name):
            files[os.path.abspath(name)] = None
    found.files = sorted(files)
    _of_command(found)
    found.lost += [f"text that exec() ran ({name})" for name in sorted(unseen)]
    return found


def _facts_of(module: Any) -> dict[str, Any]:
    """What a module holds, without asking it: one that is lazy would be loaded."""
    try:
        facts = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _zipped(name: str, facts: dict[str, Any]) -> str | None:
    """The source of a module in a zip file."""
    loader = facts.get("__loader__")
    if type(loader) is not zipimport.zipimporter:
        return None
    spec = facts.get("__spec__")
    try:
        return loader.get_source(getattr(spec, "name", name) or name)
    except (ImportError, OSError, UnicodeDecodeError, SyntaxError):
        return None


def archive() -> str | None:
    """The zip file that the program is in; None where it is in none."""
    facts = _facts_of(sys.modules.get("__main__"))
    loader = facts.get("__loader__")
    path = loader.archive if type(loader) is zipimport.zipimporter else None
    return os.path.abspath(path) if path is not None and os.path.isfile(path) else None


def _kept(name: str) -> str | None:
    """What `linecache` has of code that is in no file; cells of a notebook are recorded as such."""
    entry = _linecache().get(name)
    if entry is None or len(entry) < 3 or "ipykernel_" in name or name.startswith("<ipython-input-"):
        return None
    if _is_installed(name) or os.path.isfile(name) or name.startswith(("<attrs generated", "<string>-")):
        return None
    if name == "<string>" and command_text() is not None:  # what -c was given, since Python 3.13
        return None
    return "".join(entry[2])


def _of_command(found: Sources) -> None:
    text = command_text()
    if text is not None:
        found.texts[COMMAND] = text
    elif is_from_stdin():
        text = _stdin()
        if text is None:
            found.lost.append("the program, which came through a pipe")
        else:
            found.texts[STDIN] = text


def command_text() -> str | None:
    """What ``python -c`` was given; None where it was not started so."""
    if not sys.argv or sys.argv[0] != "-c" or _is_worker():
        return None
    return _command_in(tuple(sys.orig_argv))


@lru_cache(maxsize=1)
def _command_in(arguments: tuple[str, ...]) -> str | None:
    words = list(arguments[1:])
    while words:
        word = words.pop(0)
        if word in _WITH_VALUE:
            words = words[1:]
        elif word.startswith("-") and not word.startswith(("--", "-W", "-X")) and "c" in word:
            attached = word[word.index("c") + 1 :]
            return attached or (words[0] if words else None)
        elif not word.startswith("-"):
            return None
    return None


def is_from_stdin() -> bool:
    """Whether the program was read from standard input, and not typed."""
    facts = _facts_of(sys.modules.get("__main__"))
    is_typed = hasattr(sys, "ps1") or bool(sys.flags.interactive) or "IPython" in sys.modules
    is_file = isinstance(facts.get("__file__"), str) or facts.get("__spec__") is not None
    return bool(sys.argv) and sys.argv[0] in ("", "-") and not is_file and not is_typed and not _is_worker()


def _stdin() -> str | None:
    """All of standard input, where it is a file; its position stays where it is."""
    try:
        found = os.fstat(0)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES or not hasattr(os, "pread"):
            return None
        return os.pread(0, found.st_size, 0).decode("utf-8", "replace")
    except OSError:
        return None


def _is_worker() -> bool:
    """Whether another Python started this process, to work for it."""
    process = sys.modules.get("multiprocessing.process")
    is_child = process is not None and process.parent_process() is not None
    return is_child or "--multiprocessing-fork" in sys.orig_argv


def read(path: str) -> str | None:
    """The text of a source file; None where it is too large or cannot be read."""
    try:
        if os.path.getsize(path) > _MOST_BYTES:
            return None
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read()
    except OSError:
        return None


def _is_generated(path: str) -> bool:
    """Whether a framework wrote it (TensorFlow's AutoGraph, torch.compile), under a name that is new each time."""
    return any(word in path for word in _GENERATED)


@lru_cache(maxsize=1)
def _homes() -> tuple[str, ...]:
    """Folders of what is installed."""
    import sysconfig

    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths.append(os.path.dirname(os.path.abspath(__file__)))
    found = {os.path.join(each, "") for path in paths if path for each in (path, os.path.realpath(path))}
    return tuple(sorted(found))


@lru_cache(maxsize=1)
def _extensions() -> list[str]:
    from importlib.machinery import EXTENSION_SUFFIXES

    return EXTENSION_SUFFIXES


def _is_installed(path: str) -> bool:
    """Whether a file is of the standard library, of a package, or of histhooks."""
    return path.startswith(_homes()) or any(part in _INSTALLED for part in path.split(os.sep))
